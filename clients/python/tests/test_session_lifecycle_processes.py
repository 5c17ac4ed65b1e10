"""session_lifecycle and the ends of processes: a fork, an interpreter that ends with commits in flight, and the orphans
of those that ended or were killed, committed by agents that another process rebuilds."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import traceback
import unittest
from typing import Any, Callable, List
from unittest import mock

from tests.lifecycle_case import LifecycleTest, RecordingAgent, fresh_lifecycle, in_thread
from tests.support import wait_until
from tidemark import lifecycle_host

SESSION = "s"

# Before a script: the module as `lifecycle`, and an agent of which each commit lasts `seconds`.
PRELUDE = """
import logging, os, signal, sys, threading, time
logging.basicConfig(format="%(message)s")
from tidemark import session_lifecycle as lifecycle

class Agent:
    def __init__(self, seconds=0.0):
        self.seconds = seconds
        self.entered = threading.Event()
    def commit_memory_session(self):
        self.entered.set()
        time.sleep(self.seconds)

def say(*words):
    print(*words, flush=True)
"""


class ProcessTest(LifecycleTest):
    def process(self, script: str) -> "subprocess.Popen[str]":
        """Another process of the host's kind, that ends with the test at the latest."""
        path = os.pathsep.join(["."] + sys.path)
        child = subprocess.Popen([sys.executable, "-c", PRELUDE + textwrap.dedent(script)], text=True,
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 env={**os.environ, "PYTHONPATH": path})
        self.addCleanup(child.communicate)
        self.addCleanup(child.kill)
        return child

    def run_to_end(self, script: str, seconds: float = 10) -> "tuple[str, str]":
        child = self.process(script)
        out, err = child.communicate(timeout=seconds)
        self.assertEqual(child.returncode, 0, err)
        return out, err

    def state(self) -> str:
        segments = self.status(SESSION)["segments"]
        return str(segments[0]["state"]) if segments else "clean"


class ForkTest(ProcessTest):
    def in_child(self, function: Callable[[], None]) -> None:
        """Runs it in a forked child; its failure is the test's."""
        child = os.fork()
        if child == 0:
            status = 1
            try:
                function()
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        until = time.monotonic() + 20
        while time.monotonic() < until:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                self.assertEqual(status, 0)
                return
            time.sleep(0.01)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        self.fail("the child doesn't end")

    def test_a_child_has_a_connection_and_agents_of_its_own(self) -> None:
        agent = RecordingAgent()
        self.lifecycle.mark_turn_completed(SESSION, agent=agent)

        def child() -> None:
            own = RecordingAgent()
            assert self.lifecycle.mark_turn_completed("child", agent=own) == 1
            assert self.lifecycle.mark_turn_completed("child", agent=agent) == 2
            assert self.lifecycle.commit_session_memory("child") is True
            assert self.lifecycle.commit_session_memory("child") is True
            assert (own.calls, agent.calls) == (1, 1)
            # The parent's agent is asked in the parent.
            assert self.lifecycle.commit_session_memory(SESSION) is True
            assert agent.calls == 1
            self.lifecycle.drain_all_on_shutdown(deadline=5)

        self.in_child(child)
        self.assertEqual(agent.calls, 1)
        self.assertIs(self.lifecycle.has_uncommitted_work(SESSION), False)
        self.assertEqual(self.lifecycle.mark_turn_completed(SESSION), 2)
        self.assertIs(self.lifecycle.commit_session_memory(SESSION), True)
        self.assertEqual(agent.calls, 2)

    def test_what_waits_is_sent_by_the_parent_alone(self) -> None:
        self.daemon.kill()
        self.assertEqual(self.lifecycle.mark_turn_completed(SESSION), 0)

        def child() -> None:
            assert not lifecycle_host.host()._sender.waits()
            assert self.lifecycle.mark_turn_completed("child") == 0

        self.in_child(child)
        self.daemon.start()
        wait_until(lambda: not lifecycle_host.host()._sender.waits(), "the turn is sent")
        self.assertEqual([row["session"] for row in self.client.list_sessions()["sessions"]], [SESSION])

    def test_while_other_threads_call(self) -> None:
        over = threading.Event()
        agent = RecordingAgent()

        def mark() -> None:
            while not over.is_set():
                self.lifecycle.mark_turn_completed(SESSION, agent=agent)
                self.lifecycle.has_uncommitted_work(SESSION)

        threads = [in_thread(mark) for _ in range(3)]
        for number in range(5):
            self.in_child(lambda: self.assertEqual(self.lifecycle.mark_turn_completed(f"child {number}"), 1))
        over.set()
        for thread in threads:
            thread.join(5)
        self.assertFalse(any(thread.is_alive() for thread in threads))


class EndTest(ProcessTest):
    def test_a_commit_in_flight_does_not_hold_up_the_end(self) -> None:
        begun = time.monotonic()
        out, err = self.run_to_end("""
            agent = Agent(seconds=60)
            lifecycle.mark_turn_completed("s", agent=agent)
            threading.Thread(target=lifecycle.commit_session_memory, args=("s",), daemon=True).start()
            agent.entered.wait()
        """)
        self.assertLess(time.monotonic() - begun, 5)
        self.assertEqual((out, err), ("", ""))
        wait_until(lambda: not self.status(SESSION)["in_flight"], "the daemon has seen it")
        self.assertEqual(self.agents_online(), 0)
        self.assertIs(self.status(SESSION)["segments"][0]["sealed"], True)

    def test_a_drain_before_the_end_leaves_nothing(self) -> None:
        self.run_to_end("""
            for number in range(20):
                lifecycle.mark_turn_completed("s%d" % number, agent=Agent(seconds=0.01))
            lifecycle.drain_all_on_shutdown()
        """)
        self.assertEqual(len(self.client.list_sessions()["sessions"]), 20)
        self.assertEqual(self.client.list_sessions(filter="dirty")["sessions"], [])

    def test_turns_that_no_daemon_took_are_lost_aloud(self) -> None:
        self.daemon.kill()
        begun = time.monotonic()
        _, err = self.run_to_end("""
            lifecycle.mark_turn_completed("s", agent=Agent())
        """)
        self.assertLess(time.monotonic() - begun, 5)
        self.assertIn("a completed turn of session s is lost", err)
        self.assertNotIn("Traceback", err)

    def test_turns_that_wait_at_the_end_are_sent_then(self) -> None:
        self.daemon.kill()
        child = self.process("""
            say(lifecycle.mark_turn_completed("s", agent=Agent()))
            sys.stdin.read()
        """)
        assert child.stdout is not None and child.stdin is not None
        self.assertEqual(child.stdout.readline(), "0\n")
        child.send_signal(signal.SIGSTOP)
        self.daemon.start()
        child.stdin.close()
        child.stdin = None
        child.send_signal(signal.SIGCONT)
        self.assertEqual(child.communicate(timeout=10)[1], "")
        self.assertEqual(self.status(SESSION)["generation"], 1)

    def test_it_ends_while_other_threads_call(self) -> None:
        _, err = self.run_to_end("""
            def work(session):
                agent = Agent()
                while True:
                    lifecycle.mark_turn_completed(session, agent=agent)
                    lifecycle.has_uncommitted_work(session)
                    lifecycle.commit_session_memory(session)
            for number in range(6):
                threading.Thread(target=work, args=("s%d" % number,), daemon=True).start()
            time.sleep(0.3)
        """)
        self.assertNotIn("Traceback", err)


class OrphanCase(ProcessTest):
    def setUp(self) -> None:
        super().setUp()
        self.rebuilt: List[RecordingAgent] = []

    def rebuild(self, session: str) -> Any:
        self.assertEqual(session, SESSION)
        agent = RecordingAgent()
        self.rebuilt.append(agent)
        return agent

    def leave_orphan(self, end: str, group: str = "hermes-webui") -> None:
        """A process completes two turns and ends without a commit."""
        child = self.process(f"""
            os.environ["TIDEMARK_GROUP"] = {group!r}
            agent = Agent()
            lifecycle.mark_turn_completed("s", agent=agent)
            say(lifecycle.mark_turn_completed("s"))
            {end}
        """)
        child.communicate(timeout=10)


class KilledTest(OrphanCase):
    config = '[commit]\norphan_grace = "300ms"\n[retry]\ninitial = "100ms"\nmax = "100ms"\n'

    def test_of_a_process_that_was_killed(self) -> None:
        self.leave_orphan("os.kill(os.getpid(), signal.SIGKILL)")
        self.lifecycle.set_orphan_handler(self.rebuild)
        wait_until(lambda: self.state() == "clean", "the orphan is committed")
        self.assertEqual([agent.calls for agent in self.rebuilt], [1])
        request = self.rebuilt[0].requests[0]
        self.assertEqual((request.session, request.start, request.end), (SESSION, 1, 2))

    def test_of_a_process_that_is_killed_while_it_commits_under_the_same_key(self) -> None:
        self.lifecycle.set_orphan_handler(self.rebuild)
        child = self.process("""
            agent = Agent(seconds=60)
            lifecycle.mark_turn_completed("s", agent=agent)
            threading.Thread(target=lifecycle.commit_session_memory, args=("s",), daemon=True).start()
            agent.entered.wait()
            say("commits")
            time.sleep(60)
        """)
        assert child.stdout is not None
        self.assertEqual(child.stdout.readline(), "commits\n")
        key = self.status(SESSION)["segments"][0]["key"]
        child.kill()
        wait_until(lambda: self.state() == "clean", "the orphan is committed")
        self.assertEqual([agent.requests[0].key for agent in self.rebuilt], [key])

    def test_it_is_asked_for_again_if_no_agent_can_be_rebuilt_yet(self) -> None:
        tries: List[str] = []

        def rebuild(session: str) -> Any:
            tries.append(session)
            return self.rebuild(session) if len(tries) == 3 else None

        self.leave_orphan("os.kill(os.getpid(), signal.SIGKILL)")
        self.lifecycle.set_orphan_handler(rebuild)
        wait_until(lambda: self.state() == "clean", "the orphan is committed")
        self.assertEqual(len(tries), 3)
        self.assertEqual([agent.calls for agent in self.rebuilt], [1])

    def test_it_survives_the_daemon(self) -> None:
        self.lifecycle.set_orphan_handler(self.rebuild)
        wait_until(lambda: self.agents_online() == 1, "the handler is registered")
        self.daemon.restart()
        self.leave_orphan("os.kill(os.getpid(), signal.SIGKILL)")
        wait_until(lambda: self.state() == "clean", "the orphan is committed")

    def test_a_handler_that_is_set_while_there_is_no_daemon(self) -> None:
        self.leave_orphan("os.kill(os.getpid(), signal.SIGKILL)")
        self.daemon.kill()
        self.timed(self.lifecycle.set_orphan_handler, self.rebuild)
        self.daemon.start()
        wait_until(lambda: self.state() == "clean", "the orphan is committed")

    def test_another_group_and_a_handler_taken_back_get_none(self) -> None:
        self.lifecycle.set_orphan_handler(self.rebuild)
        self.leave_orphan("os.kill(os.getpid(), signal.SIGKILL)", group="another")
        wait_until(lambda: self.state() == "orphaned", "it is orphaned")
        self.timed(self.lifecycle.set_orphan_handler, None)
        self.assertEqual(self.agents_online(), 0)
        self.assertEqual(self.rebuilt, [])

    def test_a_handler_in_an_impossible_group_is_refused_aloud_and_once(self) -> None:
        with mock.patch.dict(os.environ, {"TIDEMARK_GROUP": "g" * 300}), self.assertLogs("tidemark", "WARNING") as logs:
            fresh_lifecycle().set_orphan_handler(self.rebuild)
            wait_until(lambda: len(logs.output) > 0, "it is logged")
            time.sleep(1.2)
        self.assertEqual([line for line in logs.output if "can't serve orphans" in line], logs.output[-1:])

    def test_the_agent_of_a_session_that_is_opened_again_gets_it_as_well(self) -> None:
        self.leave_orphan("os.kill(os.getpid(), signal.SIGKILL)")
        agent = RecordingAgent()
        self.lifecycle.register_agent(SESSION, agent)
        wait_until(lambda: self.state() == "clean", "the orphan is committed")
        self.assertEqual(agent.calls, 1)


class FallbackTest(OrphanCase):
    environment = {"TIDEMARK_FALLBACK": "file"}

    def setUp(self) -> None:
        folder = tempfile.mkdtemp(prefix="tidemark-test.")
        self.addCleanup(shutil.rmtree, folder)
        self.path = os.path.join(folder, "commits")
        self.config = f"""
[commit]
orphan_grace = "300ms"
[providers.file]
kind = "exec"
command = ["sh", "-c", "echo $TIDEMARK_SESSION $TIDEMARK_START $TIDEMARK_END >> {self.path}"]
"""
        super().setUp()

    def committed(self) -> str:
        if not os.path.exists(self.path):
            return ""
        with open(self.path, encoding="utf-8") as file:
            return file.read()

    def test_of_a_process_that_was_killed(self) -> None:
        self.leave_orphan("os.kill(os.getpid(), signal.SIGKILL)")
        wait_until(lambda: self.state() == "clean", "the fallback commits it")
        self.assertEqual(self.committed(), "s 1 2\n")

    def test_it_is_asked_for_nothing_while_the_agent_is_there(self) -> None:
        agent = RecordingAgent()
        self.lifecycle.mark_turn_completed(SESSION, agent=agent)
        self.assertIs(self.lifecycle.commit_session_memory(SESSION), True)
        self.assertEqual((agent.calls, self.committed()), (1, ""))


class EndedTest(OrphanCase):
    config = '[commit]\norphan_grace = "1h"\n'

    def test_of_a_process_that_ended_for_which_no_grace_is_waited(self) -> None:
        self.lifecycle.set_orphan_handler(self.rebuild)
        self.leave_orphan("pass")
        wait_until(lambda: self.state() == "clean", "the orphan is committed")
        self.assertEqual([agent.calls for agent in self.rebuilt], [1])


if __name__ == "__main__":
    unittest.main()
