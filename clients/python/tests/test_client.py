"""The client's calls: their answers, their errors, their time, and what they make of a daemon that comes and goes."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import unittest
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Dict, List
from unittest import mock

from tests.client_case import LATE, ClientTest
from tests.support import wait_until
from tidemark import CallError, Client, Unavailable, default_socket_path


class Methods(ClientTest):
    def test_every_method_speaks_the_protocol(self) -> None:
        client = self.client
        self.assertEqual(client.hello()["protocol"], 1)
        client.ping()
        registered = client.register("agent", session="s", group="group")
        self.assertEqual((registered.agent, registered.due_segments), ("agent", 0))
        client.begin("s", "one", agent="agent")
        client.cancel("s", "one", reason="interrupted")
        self.assertFalse(client.complete("s", turn="one").counted)
        self.assertFalse(client.complete("s", ephemeral=True).counted)
        first = client.complete("s", turn="two")
        self.assertEqual((first.generation, first.duplicate, first.counted), (1, False, True))
        self.assertTrue(client.complete("s", turn="two").duplicate)
        self.assertEqual(client.commit("s", timeout=5).outcome, "owner_offline")
        self.assertEqual(client.commit("s", detach=True, reason="test").outcome, "accepted")
        flushed = client.flush("s", timeout=5)
        self.assertEqual((flushed.committed, flushed.outcome, flushed.segments), (False, "owner_offline", 0))
        self.assertEqual(client.evict("s", timeout=5).outcome, "owner_offline")
        self.assertEqual(client.rotate("s", "t", agent="agent").due_segments, 1)
        self.assertFalse(client.discard("s"))
        status = client.status("s")
        self.assertEqual((status["generation"], status["watermark"], len(status["segments"])), (1, 0, 1))
        self.assertEqual([one["session"] for one in client.list_sessions(filter="dirty", limit=5)["sessions"]], ["s"])
        self.assertEqual(client.history("s", limit=1)["commits"], [])
        self.assertEqual(client.retry("s"), 1)
        drained = client.drain(timeout=0.5)
        self.assertEqual((drained.drained, drained.remaining), (False, ("s",)))
        self.assertEqual(client.settle("s", 1, "it did land"), 1)
        client.complete("s")
        self.assertEqual(client.abandon("s", 2, "not needed"), 2)
        client.unregister(session="t")
        client.unregister(agent="agent")
        client.complete("u")
        self.assertEqual(client.forget("u", "asked for").dropped, 1)
        self.assertTrue(client.discard("never known"))
        self.assertEqual(client.daemon_status()["stuck"], 0)
        self.assertTrue(client.evict("s").evicted)

    def test_turns_get_an_id_of_their_own(self) -> None:
        proxy = self.make_proxy()
        client = self.make_client(socket_path=proxy.socket_path)
        for _ in range(3):
            client.complete("s")
        ids = {line.split(b'"turn":"')[1][:36] for line in proxy.sent.splitlines() if b"turn.complete" in line}
        self.assertEqual(len(ids), 3)
        for one in ids:
            uuid.UUID(one.decode())

    def test_answers_of_any_length(self) -> None:
        for number in range(300):
            self.client.complete(f"{number:03}" + "é" * 120)
        listed = self.client.list_sessions(limit=1000)["sessions"]
        self.assertEqual(len(listed), 300)
        self.assertEqual(listed[7]["session"], "007" + "é" * 120)

    def test_the_default_socket(self) -> None:
        with mock.patch.dict(os.environ, {"TIDEMARK_SOCKET": "/named", "XDG_RUNTIME_DIR": self.daemon.folder}):
            self.assertEqual(default_socket_path(), "/named")
            del os.environ["TIDEMARK_SOCKET"]
            self.assertEqual(default_socket_path(), "/run/tidemark/tidemark.sock")
            os.mkdir(os.path.join(self.daemon.folder, "tidemark"))
            there = os.path.join(self.daemon.folder, "tidemark", "tidemark.sock")
            os.symlink(self.daemon.socket_path, there)
            self.assertEqual(default_socket_path(), there)
            Client().ping(timeout=5)


class Refusals(ClientTest):
    def refused(self, reason: str, function: Callable[..., Any], *arguments: Any, **named: Any) -> CallError:
        with self.assertRaises(CallError) as raised:
            function(*arguments, **named)
        self.assertEqual(raised.exception.reason, reason)
        self.assertIn(reason, str(raised.exception))
        self.assertTrue(raised.exception.message)
        return raised.exception

    def test_names(self) -> None:
        for name in ("", "a" * 257, "é" * 129, "line\nend", "\x7f", "nul\0"):
            with self.subTest(name=name):
                self.assertEqual(self.refused("invalid_params", self.client.complete, name).code, -32602)
        self.refused("invalid_params", self.client.complete, "half a pair \ud800")
        for name in ("a" * 256, "é" * 128, " ", "../x", '"\\', "\U0001f40b"):
            with self.subTest(name=name):
                self.assertEqual(self.client.complete(name).generation, 1)
                self.assertEqual(self.client.status(name)["session"], name)

    def test_what_the_daemon_says(self) -> None:
        self.refused("method_not_found", self.client.call, "no.such.method")
        self.refused("invalid_params", self.client.call, "ping", {"unknown": 1})
        self.refused("not_found", self.client.status, "unknown")
        error = self.refused("not_found", self.client.register, "agent", provider="unconfigured")
        self.assertEqual(error.code, -32004)
        self.refused("invalid_params", self.client.register, "agent", provider="one", fallback="two")

    def test_a_frame_over_the_limit_is_not_sent(self) -> None:
        proxy = self.make_proxy()
        client = self.make_client(socket_path=proxy.socket_path)
        client.ping()
        error = self.refused("invalid_request", client.call, "ping", {"x": "y" * 1024 * 1024})
        self.assertIn("1048576", error.message)
        # The largest that fits is sent, and refused for what it says.
        self.refused("invalid_params", client.call, "ping", {"x": "y" * (1024 * 1024 - 70)})
        client.ping()
        self.assertEqual(proxy.accepted, 1)

    def test_what_is_wrong_here_is_told_at_once(self) -> None:
        with self.assertRaisesRegex(ValueError, "needs a handler"):
            self.client.register("agent", serves=True)
        with self.assertRaisesRegex(ValueError, "exactly one"):
            self.client.unregister()
        with self.assertRaisesRegex(ValueError, "worker"):
            Client(workers=0)

    def test_a_frame_that_nobody_understands_ends_the_connection_and_not_the_client(self) -> None:
        proxy = self.make_proxy()
        client = self.make_client(socket_path=proxy.socket_path)
        for number, frame in enumerate((b"not json\n", b"[]\n", b'{"id":"other"}\n', b"\xff\n"), 1):
            with self.subTest(frame=frame):
                client.ping()
                proxy.inject(frame)
                wait_until(lambda: proxy.accepted == number and not client.connected, "the connection ends")
                self.assertEqual(client.complete("s").generation, number)

    def test_messages_that_are_not_known_are_passed_over(self) -> None:
        proxy = self.make_proxy()
        client = self.make_client(socket_path=proxy.socket_path)
        client.ping()
        with self.assertLogs("tidemark", "ERROR"):
            proxy.inject(b'\n{"method":1}\n{"method":"new","params":[1]}\n{"id":12345,"result":{}}\n')
            proxy.inject(b'{"jsonrpc":"2.0","id":"q","method":"agent.what"}\n{"method":"agent.fenced","params":{}}\n')
            wait_until(lambda: b"this agent serves commits only" in proxy.sent, "the request is answered")
            client.ping()
        self.assertEqual(proxy.accepted, 1)


class Times(ClientTest):
    def test_no_daemon(self) -> None:
        client = self.make_client(socket_path="/nowhere/s.sock")
        for seconds in (0, 0.3):
            began = time.monotonic()
            with self.assertRaisesRegex(Unavailable, "turn.complete: no daemon at /nowhere/s.sock within 0"):
                client.complete("s", timeout=seconds)
            self.assert_takes(seconds, began)
        with self.assertRaisesRegex(Unavailable, "No such file"):
            client.ping(timeout=0.2)
        began = time.monotonic()
        with self.assertRaisesRegex(Unavailable, "session.commit: no daemon at"):
            client.commit("s", timeout=20, connect_timeout=0.2)
        self.assert_takes(0.2, began)

    def test_a_stopped_daemon(self) -> None:
        self.client.ping()
        self.daemon.pause()
        for client in (self.client, self.make_client()):  # connected before, and not
            began = time.monotonic()
            with self.assertRaisesRegex(Unavailable, "no answer from the daemon at .* within 0.3 s"):
                client.complete("s", timeout=0.3)
            self.assert_takes(0.3, began)
        self.daemon.go_on()
        self.client.complete("s", turn="last")
        self.assertEqual(self.client.status("s")["generation"], 3)

    def test_a_stopped_daemon_whose_socket_is_full(self) -> None:
        self.client.ping()
        self.daemon.pause()
        with ThreadPoolExecutor(8) as pool:
            began = time.monotonic()
            calls = [pool.submit(self.client.call, "ping", {f"unknown{number}": "x" * 100_000}, timeout=0.5)
                     for number in range(8)]
            for call in calls:
                self.assertIsInstance(call.exception(), Unavailable)
            self.assert_takes(0.5, began)
        with self.assertRaisesRegex(Unavailable, "took no call within 0.2 s"):
            self.client.ping(timeout=0.2)
        self.daemon.go_on()
        # The frame that was begun is ended by itself, and those after it are understood.
        self.assertEqual(self.client.complete("s").generation, 1)
        self.assertTrue(self.client.connected)

    def test_the_daemon_knows_the_time_of_a_waiting_call(self) -> None:
        entered, release = threading.Event(), threading.Event()
        self.addCleanup(release.set)

        def handler(request: Any) -> None:
            entered.set()
            release.wait(10)

        self.client.register("agent", handler=handler, session="s")
        self.client.complete("s")
        began = time.monotonic()
        self.assertEqual(self.client.commit("s", timeout=0.5).outcome, "timeout")
        self.assertLess(time.monotonic() - began, 0.5 + LATE)
        began = time.monotonic()
        self.assertEqual(self.client.evict("s", timeout=0.5).outcome, "timeout")
        self.assertEqual(self.client.flush("s", timeout=0.2).outcome, "timeout")
        self.assertFalse(self.client.drain(timeout=0.2).drained)
        self.assertLess(time.monotonic() - began, 0.9 + LATE)
        endless = self.in_thread(self.client.flush, "s", timeout=float("inf"))
        release.set()
        self.assertTrue(endless.result(10).outcome in ("committed", "clean"))


class Comings(ClientTest):
    def test_a_call_waits_for_a_daemon_that_is_late(self) -> None:
        self.daemon.kill()
        call = self.in_thread(self.client.complete, "s", timeout=20)
        wait_until(lambda: self.client._link._awaiting, "the call waits")
        self.daemon.start()
        self.assertEqual(call.result(20).generation, 1)

    def test_killed_between_any_two_calls(self) -> None:
        client = self.client
        steps: List[Callable[[], Any]] = [
            lambda: client.register("agent", session="s"),
            lambda: client.begin("s", "one"),
            lambda: client.complete("s", turn="one").generation,
            lambda: client.complete("s").generation,
            lambda: client.status("s")["generation"],
            lambda: client.rotate("s", "t").due_segments,
            lambda: client.list_sessions()["sessions"][0]["uncommitted"],
            lambda: client.evict("s", timeout=3).evicted,
            lambda: client.settle("s", 2, "landed"),
            lambda: client.evict("s").evicted,
            lambda: client.discard("s"),
        ]
        seen = []
        for step in steps:
            self.daemon.restart()
            seen.append(step())
        self.assertEqual(seen[2:], [1, 2, 2, 1, 2, False, 2, True, True])

    def test_killed_with_a_mark_on_the_way(self) -> None:
        self.client.ping()
        connection = self.client._link._connection
        assert connection is not None
        waiting = connection._waiting
        self.daemon.pause()
        mark = self.in_thread(self.client.complete, "s", agent="agent")
        wait_until(lambda: waiting, "the mark was sent")
        self.daemon.restart()
        self.assertEqual(mark.result(20).generation, 1)
        self.assertEqual(self.client.status("s")["generation"], 1)

    def test_an_answer_that_was_lost_after_acting(self) -> None:
        proxy = self.make_proxy()
        client = self.make_client(socket_path=proxy.socket_path)
        client.ping()
        proxy.lose_answers = True
        mark = self.in_thread(client.complete, "s")
        self.assertTrue(proxy.lost.wait(10))
        proxy.lose_answers = False
        proxy.cut()
        completed = mark.result(20)
        self.assertEqual((completed.generation, completed.duplicate), (1, True))
        self.assertEqual(self.client.status("s")["generation"], 1)
        self.assertEqual(proxy.sent.count(b"turn.complete"), 2)

    def test_a_commit_whose_answer_was_lost_is_not_sent_again(self) -> None:
        proxy = self.make_proxy()
        client = self.make_client(socket_path=proxy.socket_path)
        client.complete("s")
        proxy.lose_answers = True
        commit = self.in_thread(client.commit, "s")
        self.assertTrue(proxy.lost.wait(10))
        proxy.cut()
        with self.assertRaisesRegex(Unavailable, "the daemon ended the connection before the answer; the call may have"):
            commit.result(20)
        self.assertEqual(proxy.sent.count(b"session.commit"), 1)

    def test_callbacks(self) -> None:
        connected, drained = threading.Semaphore(0), threading.Event()
        deadlines: List[float] = []

        def on_draining(deadline: float) -> None:
            deadlines.append(deadline)
            drained.set()

        client: Client

        def on_connected() -> None:
            client.ping()  # it may call
            connected.release()
            raise RuntimeError("what it raises is logged")

        with self.assertLogs("tidemark", "ERROR"):
            client = self.make_client(on_connected=on_connected, on_draining=on_draining)
            client.ping()
            self.assertTrue(connected.acquire(timeout=10))
            self.daemon.restart()
            client.ping()
            self.assertTrue(connected.acquire(timeout=10))
        client.register("agent", handler=lambda request: None)  # the daemon tells those that serve
        self.daemon.terminate()
        self.assertTrue(drained.wait(10))
        self.assertEqual(deadlines, [30.0])
        wait_until(lambda: not client.connected, "the connection ends")


class Strangers(ClientTest):
    """Something listens that is no daemon, or not ours."""

    def setUp(self) -> None:
        super().setUp()
        self.path = os.path.join(self.daemon.folder, "other.sock")
        self.accepted = 0
        self.error: Dict[str, Any] = {}
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self.path)
        listener.listen()
        thread = threading.Thread(target=self.listen, args=(listener,), daemon=True)
        thread.start()

        def end() -> None:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)
            listener.close()

        self.addCleanup(end)

    def listen(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                self.accepted += 1
                if self.error:
                    hello = json.loads(connection.recv(1000).splitlines()[0])
                    answer = {"jsonrpc": "2.0", "id": hello["id"], "error": self.error}
                    connection.sendall(json.dumps(answer).encode() + b"\n")
                    connection.recv(1000)

    def test_one_that_always_hangs_up_is_asked_at_growing_pauses(self) -> None:
        client = self.make_client(socket_path=self.path)
        with self.assertRaisesRegex(Unavailable, "within 1 s"):
            client.complete("s", timeout=1)
        self.assertGreater(self.accepted, 1)
        self.assertLess(self.accepted, 12)
        wait_until(lambda: not client.connected, "the last one has ended")
        seen = self.accepted
        time.sleep(0.3)  # time in which nobody wants a connection
        self.assertEqual(self.accepted, seen)

    def test_one_that_refuses_the_greeting(self) -> None:
        self.error = {"code": -32005, "message": "version 2 is spoken here", "data": {"reason": "protocol_mismatch"}}
        client = self.make_client(socket_path=self.path)
        with self.assertRaisesRegex(Unavailable, r"refused the greeting: version 2 is spoken here \(protocol_mismatch"):
            client.call("session.commit", timeout=5)
        connected = threading.Event()
        with self.assertRaises(Unavailable):
            self.make_client(socket_path=self.path, on_connected=connected.set).ping(timeout=0.2)
        self.assertFalse(connected.is_set())


if __name__ == "__main__":
    unittest.main()
