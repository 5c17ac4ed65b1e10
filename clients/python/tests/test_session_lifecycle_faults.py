"""session_lifecycle when the daemon is killed and started again, isn't there, or is stopped: nothing is lost or counted
twice, and no mark, register, unregister or status takes a second."""

from __future__ import annotations

import threading
import time
import unittest
from typing import Any, Callable, List
from unittest import mock

from tests.lifecycle_case import LifecycleTest, RecordingAgent, fresh_lifecycle, in_thread
from tests.support import wait_until
from tidemark import lifecycle_host

SESSION = "s"


class FaultTest(LifecycleTest):
    def wait_sent(self) -> None:
        wait_until(lambda: not lifecycle_host.host()._sender.waits(), "everything that waited is sent")

    def in_threads(self, count: int, function: Callable[[int], Any]) -> List[Any]:
        results: List[Any] = [None] * count
        failures: List[BaseException] = []

        def run(number: int) -> None:
            try:
                results[number] = function(number)
            except BaseException as failure:
                failures.append(failure)

        threads = [in_thread(run, number) for number in range(count)]
        for thread in threads:
            thread.join(30)
        self.assertFalse(any(thread.is_alive() for thread in threads))
        if failures:
            raise failures[0]
        return results


class RestartTest(FaultTest):
    """The daemon is killed and started again between two calls."""

    def story(self, between: Callable[[], None]) -> List[Any]:
        """What the calls return, `between` being called before each. No commit fails: a new connection would have it
        tried again by itself."""
        lifecycle = self.lifecycle
        old, new = RecordingAgent(), RecordingAgent()
        said = []
        for function, arguments, named in (
            (lifecycle.register_agent, (SESSION, old), {}),
            (lifecycle.has_uncommitted_work, (SESSION,), {}),
            (lifecycle.mark_turn_completed, (SESSION,), {"agent": old}),
            (lifecycle.mark_turn_completed, (SESSION,), {}),
            (lifecycle.register_agent, (SESSION, new), {}),
            (lifecycle.mark_turn_completed, (SESSION,), {}),
            (lifecycle.discard_session, (SESSION,), {}),
            (lifecycle.commit_session_memory, (SESSION,), {"agent": new}),
            (lifecycle.has_uncommitted_work, (SESSION,), {}),
            (lifecycle.unregister_agent, (SESSION,), {}),
            (lifecycle.commit_session_memory, (SESSION,), {"wait": True, "timeout": 10}),
            (lifecycle.has_uncommitted_work, (SESSION,), {}),
            (lifecycle.mark_turn_completed, (SESSION,), {}),
            (lifecycle.commit_session_memory, (SESSION,), {}),  # nobody's
            (lifecycle.commit_session_memory, (SESSION,), {"agent": old}),
            (lifecycle.mark_turn_completed, ("other",), {"agent": new}),
            (lifecycle.drain_all_on_shutdown, (10,), {}),
            (lifecycle.has_uncommitted_work, ("other",), {}),
            (lifecycle.discard_session, (SESSION,), {}),
        ):
            between()
            said.append((function.__name__, function(*arguments, **named)))
        return said + [old.calls, new.calls]

    @mock.patch.object(lifecycle_host, "BUDGET_SECONDS", 10.0)  # what is said isn't to depend on a busy machine
    def test_between_every_two_calls(self) -> None:
        undisturbed = self.story(lambda: None)
        self.assertEqual(undisturbed[-2:], [2, 2])
        self.lifecycle = fresh_lifecycle()
        self.assertEqual(self.story(self.daemon.restart), undisturbed)

    def test_while_a_commit_is_out(self) -> None:
        agent = RecordingAgent(held=True)
        self.lifecycle.mark_turn_completed(SESSION, agent=agent)
        said: List[bool] = []
        committing = in_thread(lambda: said.append(self.lifecycle.commit_session_memory(SESSION)))
        self.assertTrue(agent.entered.wait(2))
        self.daemon.restart()
        committing.join(2)
        self.assertEqual(said, [False])
        self.assertIs(self.lifecycle.has_uncommitted_work(SESSION), True)
        agent.release.set()
        wait_until(lambda: not self.lifecycle.has_uncommitted_work(SESSION), "it is committed after all")
        self.assertEqual(len({request.key for request in agent.requests}), 1)
        self.assertEqual(agent.calls, 1)

    def test_while_ten_threads_mark(self) -> None:
        over = threading.Event()

        def mark(number: int) -> int:
            agent = RecordingAgent()
            marks = 0
            while not over.is_set():
                self.timed(self.lifecycle.mark_turn_completed, f"s{number}", agent=agent)
                marks += 1
            return marks

        def disturb() -> None:
            for _ in range(4):
                time.sleep(0.2)
                self.daemon.restart()
            time.sleep(0.2)
            over.set()

        disturbing = in_thread(disturb)
        marks = self.in_threads(10, mark)
        disturbing.join(10)
        self.wait_sent()
        self.assertEqual([self.status(f"s{number}")["generation"] for number in range(10)], marks)
        self.lifecycle.drain_all_on_shutdown(deadline=20)
        self.assertEqual([number for number in range(10) if self.lifecycle.has_uncommitted_work(f"s{number}")], [])


class AbsentTest(FaultTest):
    def setUp(self) -> None:
        super().setUp()
        self.daemon.kill()

    def test_nothing_takes_a_second_and_everything_says_what_is_safe(self) -> None:
        agent = RecordingAgent()
        for _ in range(3):
            self.assertIsNone(self.timed(self.lifecycle.register_agent, SESSION, agent))
            self.assertEqual(self.timed(self.lifecycle.mark_turn_completed, SESSION, agent=agent), 0)
            self.assertIs(self.timed(self.lifecycle.has_uncommitted_work, SESSION), True)
            self.assertIsNone(self.timed(self.lifecycle.unregister_agent, SESSION))
            self.assertIs(self.timed(self.lifecycle.discard_session, SESSION), False)
            self.assertIs(self.timed(self.lifecycle.commit_session_memory, SESSION), False)
            self.assertIs(self.timed(self.lifecycle.commit_session_memory, SESSION, agent=agent, wait=True), False)
            self.assertIs(self.timed(self.lifecycle.commit_session_memory, SESSION, wait=True, timeout=30), False)
        self.timed(self.lifecycle.drain_all_on_shutdown)
        self.assertEqual(agent.calls, 0)

    def test_it_goes_away_just_before_a_commit_without_a_deadline(self) -> None:
        self.daemon.start()
        self.lifecycle.mark_turn_completed(SESSION, agent=RecordingAgent())
        sender = lifecycle_host.host()._sender
        reach = sender.reach

        def reach_and_lose(*arguments: Any) -> bool:
            reached = reach(*arguments)
            self.daemon.kill()
            return reached

        with mock.patch.object(sender, "reach", reach_and_lose):
            self.assertIs(self.timed(self.lifecycle.commit_session_memory, SESSION), False)

    def test_only_the_first_call_waits_at_all(self) -> None:
        self.lifecycle.mark_turn_completed(SESSION)
        begun = time.monotonic()
        for _ in range(200):
            self.lifecycle.mark_turn_completed(SESSION, agent=RecordingAgent())
            self.lifecycle.has_uncommitted_work(SESSION)
        self.assertLess(time.monotonic() - begun, 0.5)

    def test_what_waited_is_sent_in_its_order_and_counted_once(self) -> None:
        first, second = RecordingAgent(), RecordingAgent()
        self.lifecycle.register_agent(SESSION, first)
        self.lifecycle.mark_turn_completed(SESSION)
        self.lifecycle.mark_turn_completed(SESSION, agent=second)
        self.lifecycle.mark_turn_completed(SESSION)
        self.lifecycle.register_agent(SESSION, first)
        self.lifecycle.mark_turn_completed(SESSION)
        self.lifecycle.unregister_agent(SESSION)
        self.lifecycle.mark_turn_completed(SESSION)
        self.daemon.start()
        self.assertIs(self.lifecycle.commit_session_memory(SESSION, wait=True), True)
        self.assertEqual((first.calls, second.calls), (1, 0))
        self.assertEqual(self.segments(SESSION), [(2, 3), (4, 4), (5, 5)])
        self.assertIsNone(self.status(SESSION)["segments"][2]["owner"])
        self.assertEqual(self.lifecycle.mark_turn_completed(SESSION, agent=second), 6)
        while self.lifecycle.commit_session_memory(SESSION, agent=first):
            pass
        self.assertEqual([(request.start, request.end) for request in first.requests], [(1, 1), (4, 4), (5, 5)])
        self.assertEqual([(request.start, request.end) for request in second.requests], [(2, 3), (6, 6)])

    def test_it_is_sent_without_another_call(self) -> None:
        self.lifecycle.mark_turn_completed(SESSION, agent=RecordingAgent())
        self.daemon.start()
        wait_until(lambda: self.client.list_sessions()["sessions"], "the turn is there", 5)
        self.assertEqual(self.status(SESSION)["generation"], 1)
        self.wait_sent()
        self.assertEqual(self.timed(self.lifecycle.mark_turn_completed, SESSION), 2)
        self.assertIs(self.lifecycle.commit_session_memory(SESSION), True)
        self.assertIs(self.lifecycle.has_uncommitted_work(SESSION), False)

    def test_a_turn_too_many_is_lost_aloud_and_no_other(self) -> None:
        self.lifecycle.mark_turn_completed("earlier")
        with mock.patch.object(lifecycle_host.host()._sender._queue, "_steps_max", 4):
            for _ in range(3):
                self.lifecycle.mark_turn_completed(SESSION)
            with self.assertLogs("tidemark", "ERROR") as logs:
                self.assertEqual(self.lifecycle.mark_turn_completed(SESSION), 0)
        self.assertIn("a completed turn of session s is lost", logs.output[0])
        self.daemon.start()
        self.wait_sent()
        self.assertEqual(self.status(SESSION)["generation"], 3)
        self.assertEqual(self.status("earlier")["generation"], 1)

    def test_a_reset_forgets_what_waited(self) -> None:
        self.lifecycle.mark_turn_completed(SESSION)
        self.daemon.start()
        self.lifecycle._reset_for_tests()
        self.assertIs(self.lifecycle.has_uncommitted_work(SESSION), False)
        self.assertEqual(self.lifecycle.mark_turn_completed(SESSION), 1)


class StoppedTest(FaultTest):
    """SIGSTOP: connections are still taken, nothing is answered."""

    def setUp(self) -> None:
        super().setUp()
        self.agent = RecordingAgent()
        self.lifecycle.register_agent(SESSION, self.agent)
        self.assertEqual(self.lifecycle.mark_turn_completed(SESSION), 1)
        self.daemon.pause()
        self.addCleanup(self.daemon.go_on)

    def test_ten_threads_and_nothing_takes_a_second(self) -> None:
        def work(number: int) -> None:
            session = f"s{number}"
            agent = RecordingAgent()
            for _ in range(5):
                self.timed(self.lifecycle.register_agent, session, agent)
                self.assertEqual(self.timed(self.lifecycle.mark_turn_completed, session), 0)
                self.assertEqual(self.timed(self.lifecycle.mark_turn_completed, SESSION, agent=agent), 0)
                self.assertIs(self.timed(self.lifecycle.has_uncommitted_work, session), True)
                self.assertIs(self.timed(self.lifecycle.discard_session, session), False)
                self.timed(self.lifecycle.unregister_agent, session)

        self.in_threads(10, work)
        self.daemon.go_on()
        self.wait_sent()
        self.assertEqual([self.status(f"s{number}")["generation"] for number in range(10)], [5] * 10)
        self.assertEqual(self.status(SESSION)["generation"], 51)
        self.lifecycle.drain_all_on_shutdown(deadline=20)
        self.assertEqual(self.status(SESSION)["uncommitted"], 0)

    def test_a_session_that_nobody_can_be_asked_about_has_work(self) -> None:
        self.assertIs(self.timed(self.lifecycle.has_uncommitted_work, SESSION), True)
        self.assertIs(self.timed(self.lifecycle.has_uncommitted_work, "never seen"), True)
        self.daemon.go_on()
        wait_until(lambda: not self.lifecycle.has_uncommitted_work("never seen"), "the daemon is asked again")

    def test_all_at_once_wait_side_by_side(self) -> None:
        begun = time.monotonic()
        self.in_threads(10, lambda number: self.timed(self.lifecycle.mark_turn_completed, SESSION))
        self.assertLess(time.monotonic() - begun, 1)
        # The daemon now finds each of them twice, and counts it once.
        self.daemon.go_on()
        self.wait_sent()
        self.assertEqual(self.status(SESSION)["generation"], 11)

    def test_commit_and_drain_end_at_their_deadline(self) -> None:
        for timeout in (0.3, 0.6):
            begun = time.monotonic()
            self.assertIs(self.lifecycle.commit_session_memory(SESSION, wait=True, timeout=timeout), False)
            self.lifecycle.drain_all_on_shutdown(deadline=timeout)
            self.assertLess(time.monotonic() - begun, 2 * timeout + 0.4)
        self.daemon.go_on()
        self.assertIs(self.lifecycle.commit_session_memory(SESSION, wait=True), True)
        self.assertEqual(self.agent.calls, 1)

    def test_it_is_killed_then(self) -> None:
        self.assertEqual(self.timed(self.lifecycle.mark_turn_completed, SESSION), 0)
        self.assertEqual(self.timed(self.lifecycle.mark_turn_completed, "other", agent=self.agent), 0)
        self.daemon.restart()
        self.wait_sent()
        self.assertEqual(self.timed(self.lifecycle.mark_turn_completed, SESSION), 3)
        self.assertIs(self.lifecycle.commit_session_memory(SESSION, wait=True), True)
        self.assertIs(self.lifecycle.commit_session_memory("other", wait=True), True)
        self.assertEqual(self.agent.calls, 2)


class RefusedTest(FaultTest):
    config = "[limits]\ndirty_sessions_per_user = 1\n"

    def test_what_no_repetition_mends_is_lost_aloud(self) -> None:
        with self.assertLogs("tidemark", "ERROR") as logs:
            self.assertEqual(self.timed(self.lifecycle.mark_turn_completed, "x" * 300), 0)
        self.assertIn("mark of session xxx", logs.output[0])
        self.assertIsNone(self.timed(self.lifecycle.register_agent, "x" * 300, RecordingAgent()))
        self.assertIs(self.timed(self.lifecycle.commit_session_memory, "x" * 300), False)
        wait_until(lambda: not lifecycle_host.host()._agents.everybody(), "the agent is let go")
        self.assertEqual(self.lifecycle.mark_turn_completed(SESSION), 1)

    def test_what_is_refused_for_now_holds_up_nobody_else_and_is_sent_later(self) -> None:
        agent = RecordingAgent()
        self.assertEqual(self.lifecycle.mark_turn_completed(SESSION, agent=agent), 1)
        self.assertEqual(self.timed(self.lifecycle.mark_turn_completed, "other", agent=agent), 0)
        self.assertEqual(self.timed(self.lifecycle.mark_turn_completed, "other"), 0)
        self.assertIs(self.lifecycle.has_uncommitted_work("other"), True)
        self.assertEqual(self.timed(self.lifecycle.mark_turn_completed, SESSION), 2)
        self.assertIs(self.timed(self.lifecycle.commit_session_memory, "other"), False)
        self.assertIs(self.lifecycle.commit_session_memory(SESSION), True)
        self.wait_sent()
        self.assertEqual(self.status("other")["generation"], 2)


if __name__ == "__main__":
    unittest.main()
