"""What becomes of a client when its process forks, ends, or is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import traceback
import unittest
from typing import Any, Callable

from tests.client_case import ClientTest, tidemark_threads
from tests.support import WAIT_SECONDS, wait_until

PACKAGE_FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Fork(ClientTest):
    def in_child(self, function: Callable[[], Any]) -> Any:
        """What the function returns (as JSON) in a forked child."""
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            try:
                os.write(writing, json.dumps(function()).encode())
            except BaseException:
                os.write(writing, json.dumps(traceback.format_exc()).encode())
            finally:
                os._exit(0)
        os.close(writing)
        with os.fdopen(reading, "rb") as file:
            answer = json.loads(file.read() or b'"the child was killed"')
        os.waitpid(child, 0)
        return answer

    def test_a_child_connects_anew(self) -> None:
        proxy = self.make_proxy()
        client = self.make_client(socket_path=proxy.socket_path)
        client.complete("s")

        def child() -> Any:
            before = client.connected
            return before, client.complete("s").generation, tidemark_threads()

        self.assertEqual(self.in_child(child), [False, 2, ["tidemark-keeper"]])
        self.assertEqual(proxy.accepted, 2)
        self.assertTrue(client.connected)
        self.assertEqual(client.complete("s").generation, 3)
        self.assertEqual(proxy.accepted, 2)

    def test_a_child_does_not_serve(self) -> None:
        asked = []
        self.client.register("agent", handler=lambda request: asked.append(os.getpid()), session="s")

        def child() -> Any:
            self.client.complete("s")
            committed = self.client.commit("s", timeout=10).committed  # the parent does it
            return committed, self.client._serving.any_to_register(), len(asked)

        self.assertEqual(self.in_child(child), [True, False, 0])
        self.assertEqual(asked, [os.getpid()])

    def test_a_fork_amid_calls_of_other_threads(self) -> None:
        stop = threading.Event()
        marked = []

        def mark() -> None:
            while not stop.is_set():
                marked.append(self.client.complete("s").generation)

        threads = [self.in_thread(mark) for _ in range(4)]
        for number in range(10):
            seen = len(marked)
            wait_until(lambda: len(marked) > seen + 5, "marks go on")
            self.assertEqual(self.in_child(lambda: self.client.complete("child").generation), number + 1)
        stop.set()
        for one in threads:
            one.result(10)
        self.assertEqual(sorted(marked), list(range(1, len(marked) + 1)))

    def test_a_child_of_a_closed_client(self) -> None:
        self.client.ping()
        self.client.close()

        def child() -> Any:
            try:
                self.client.ping(timeout=1)
            except Exception as error:
                return type(error).__name__
            return None

        self.assertEqual(self.in_child(child), "Closed")

    def test_a_child_does_not_keep_its_parents_agents_online(self) -> None:
        # The parent is killed while its child lives on.
        program = self.start("""
            import os, sys, time
            client.register("agent", handler=lambda request: None, session="s")
            if os.fork() == 0:
                print(os.getpid(), flush=True)
                time.sleep(60)
            os.wait()
        """)
        assert program.stdout is not None
        child = int(program.stdout.readline())
        try:
            self.assertEqual(self.client.daemon_status()["agents_online"], 1)
            program.kill()
            wait_until(lambda: self.client.daemon_status()["agents_online"] == 0, "the agent is offline")
            os.kill(child, 0)
        finally:
            os.kill(child, signal.SIGKILL)

    def start(self, text: str) -> "subprocess.Popen[str]":
        return start_program(self, text)


class Ends(ClientTest):
    def test_the_interpreter_ends_with_commits_in_flight(self) -> None:
        for end in ("", "sys.exit(0)", "client.close(timeout=0.1)"):
            with self.subTest(end=end):
                program = start_program(self, f"""
                    import sys, threading, time
                    entered = threading.Event()
                    def handler(request):
                        entered.set()
                        time.sleep(60)
                    for session in ("a", "b"):
                        client.register("agent", handler=handler, session=session)
                        client.complete(session)
                        client.commit(session, detach=True)
                    entered.wait(20)
                    {end}
                """)
                self.assert_ends_quietly(program)
                wait_until(lambda: self.client.daemon_status()["agents_online"] == 0, "the agent is offline")
                self.assertEqual(self.client.status("a")["segments"][0]["sealed"], True)
                for session in ("a", "b"):
                    self.client.forget(session, "tested")

    def test_the_interpreter_ends_with_calls_on_the_way(self) -> None:
        program = start_program(self, """
            import threading, time
            client.ping()
            def call():
                while True:
                    client.complete("s", timeout=60)
            for _ in range(5):
                threading.Thread(target=call, daemon=True).start()
            time.sleep(0.2)
        """)
        self.assert_ends_quietly(program)

    def test_the_interpreter_ends_while_the_daemon_is_stopped(self) -> None:
        program = start_program(self, """
            import threading, time
            client.register("agent", handler=lambda request: None, session="s")
            print("ready", flush=True)
            input()
            threading.Thread(target=client.complete, args=("s",), daemon=True).start()
            time.sleep(0.1)
        """)
        assert program.stdout is not None and program.stdin is not None
        program.stdout.readline()
        self.daemon.pause()
        program.stdin.write("\n")
        program.stdin.flush()
        self.assert_ends_quietly(program)
        self.daemon.go_on()

    def test_the_interpreter_ends_while_there_is_no_daemon(self) -> None:
        self.daemon.kill()
        self.assert_ends_quietly(start_program(self, """
            import threading, time, tidemark
            try:
                client.register("agent", handler=lambda request: None, session="s", timeout=0.1)
            except tidemark.Unavailable:
                pass
        """))

    def test_writing_to_a_daemon_that_is_gone_raises_no_signal(self) -> None:
        self.assert_ends_quietly(start_program(self, """
            import signal, socket
            from tidemark.connection import Connection
            from tidemark.frames import Ended
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            path = client.socket_path + "2"
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(path)
            listener.listen()
            connection = Connection(path, print, lambda connection: None)
            listener.accept()[0].close()
            listener.close()
            try:
                connection.send(b"{}\\n", float("inf"))
                print("it was sent")
            except Ended:
                pass
        """))

    def test_an_interrupt_from_the_keyboard(self) -> None:
        program = start_program(self, """
            client.ping()
            try:
                print("ready", flush=True)
                while True:
                    client.ping(timeout=60)
            except KeyboardInterrupt:
                client.complete("s", timeout=10)
        """)
        assert program.stdout is not None
        program.stdout.readline()
        program.send_signal(signal.SIGINT)
        self.assert_ends_quietly(program)
        self.assertEqual(self.client.status("s")["generation"], 1)

    def assert_ends_quietly(self, program: "subprocess.Popen[str]") -> None:
        began = time.monotonic()
        out, errors = program.communicate(timeout=WAIT_SECONDS)
        self.assertEqual((program.returncode, out, errors), (0, "", ""))
        self.assertLess(time.monotonic() - began, 10)


def start_program(test: ClientTest, text: str) -> "subprocess.Popen[str]":
    """Another interpreter, with ``client``."""
    begin = f"import tidemark\nclient = tidemark.Client({test.daemon.socket_path!r})\n"
    program = subprocess.Popen([sys.executable, "-X", "dev", "-c", begin + textwrap.dedent(text)],
                               env={**os.environ, "PYTHONPATH": PACKAGE_FOLDER}, stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def end() -> None:
        program.kill()
        program.communicate()

    test.addCleanup(end)
    return program


if __name__ == "__main__":
    unittest.main()
