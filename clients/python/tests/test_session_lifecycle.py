"""session_lifecycle over a daemon that is there: what its functions return, whom it holds, the drain."""

from __future__ import annotations

import gc
import threading
import time
import unittest
import uuid
import weakref
from typing import Any

from tests.lifecycle_case import LifecycleTest, RecordingAgent, in_thread
from tests.support import wait_until
from tidemark import lifecycle_host

SESSION = "s"


class Lookalike(RecordingAgent):
    """Equal to everything, and without a hash."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return True


class Returning:
    def __init__(self, *results: object) -> None:
        self.results = list(results)

    def commit_memory_session(self) -> object:
        return self.results.pop(0)


class CommitTest(LifecycleTest):
    def test_false_is_a_failed_commit_and_anything_else_is_not(self) -> None:
        self.lifecycle.register_agent(SESSION, Returning(False, None, True, 0))
        self.lifecycle.mark_turn_completed(SESSION)
        self.assertIs(self.lifecycle.commit_session_memory(SESSION), False)
        self.assertIs(self.lifecycle.has_uncommitted_work(SESSION), True)
        for _ in range(3):
            self.assertIs(self.lifecycle.commit_session_memory(SESSION), True)
            self.lifecycle.mark_turn_completed(SESSION)

    def test_what_the_agent_raises_is_the_error_of_the_attempt(self) -> None:
        self.lifecycle.mark_turn_completed(SESSION, agent=RecordingAgent(failures=1))
        with self.assertLogs("tidemark", "ERROR"):
            self.assertIs(self.lifecycle.commit_session_memory(SESSION), False)
        self.assertEqual(self.status(SESSION)["segments"][0]["last_error"], "RuntimeError: no room")

    def test_one_in_flight_is_waited_for_only_when_asked_to(self) -> None:
        agent = RecordingAgent(held=True)
        self.lifecycle.mark_turn_completed(SESSION, agent=agent)
        committing = in_thread(self.lifecycle.commit_session_memory, SESSION)
        self.assertTrue(agent.entered.wait(2))
        self.lifecycle.mark_turn_completed(SESSION)
        self.assertIs(self.timed(self.lifecycle.commit_session_memory, SESSION), False)
        begun = time.monotonic()
        self.assertIs(self.lifecycle.commit_session_memory(SESSION, wait=True, timeout=0.3), False)
        self.assertGreater(time.monotonic() - begun, 0.15)
        self.assertLess(time.monotonic() - begun, 1)
        self.assertEqual(agent.calls, 1)
        threading.Timer(0.1, agent.release.set).start()
        self.assertIs(self.lifecycle.commit_session_memory(SESSION, wait=True, timeout=10), True)
        self.assertEqual(agent.calls, 2)
        committing.join(2)

    def test_the_agent_can_see_what_it_commits(self) -> None:
        agent = RecordingAgent(failures=1)
        self.lifecycle.mark_turn_completed(SESSION, agent=agent)
        self.lifecycle.mark_turn_completed(SESSION)
        self.lifecycle.commit_session_memory(SESSION)
        self.lifecycle.commit_session_memory(SESSION)
        first, second = agent.requests
        self.assertEqual((first.session, first.start, first.end, first.attempt), (SESSION, 1, 2, 1))
        self.assertEqual(second.attempt, 2)
        uuid.UUID(first.key)
        self.assertIsNone(self.lifecycle.current_commit())

    def test_a_commit_by_an_agent_that_nobody_knew(self) -> None:
        agent, stranger = RecordingAgent(), RecordingAgent()
        self.assertIs(self.lifecycle.commit_session_memory("never seen", agent=stranger), False)
        self.lifecycle.mark_turn_completed(SESSION, agent=agent)
        self.assertIs(self.lifecycle.commit_session_memory(SESSION, agent=stranger), True)
        self.assertEqual((agent.calls, stranger.calls), (1, 0))
        # Naming it in a commit has not made it the current agent.
        self.lifecycle.mark_turn_completed(SESSION)
        self.assertIs(self.lifecycle.commit_session_memory(SESSION), True)
        self.assertEqual((agent.calls, stranger.calls), (2, 0))

    def test_one_agent_for_many_sessions_at_the_same_time(self) -> None:
        agent = RecordingAgent(held=True)
        names = [f"s{number}" for number in range(12)]
        for name in names:
            self.lifecycle.mark_turn_completed(name, agent=agent)
        threads = [in_thread(self.lifecycle.commit_session_memory, name) for name in names]
        wait_until(lambda: agent.calls == len(names), "all are asked for")
        agent.release.set()
        for thread in threads:
            thread.join(2)
        self.assertEqual([name for name in names if self.lifecycle.has_uncommitted_work(name)], [])

    def test_no_agent_is_the_same_as_none_any_more(self) -> None:
        self.lifecycle.register_agent(SESSION, RecordingAgent())
        self.lifecycle.register_agent(SESSION, None)
        self.assertIsNone(self.status(SESSION)["agent"])


class DiscardTest(LifecycleTest):
    def test_only_what_is_clean_is_discarded(self) -> None:
        agent = RecordingAgent(held=True)
        self.assertIs(self.lifecycle.discard_session("never seen"), True)
        self.lifecycle.register_agent(SESSION, agent)
        self.lifecycle.mark_turn_completed(SESSION)
        self.assertIs(self.lifecycle.discard_session(SESSION), False)
        committing = in_thread(self.lifecycle.commit_session_memory, SESSION)
        self.assertTrue(agent.entered.wait(2))
        self.assertIs(self.lifecycle.discard_session(SESSION), False)
        agent.release.set()
        committing.join(2)
        self.assertIs(self.lifecycle.discard_session(SESSION), True)
        self.assertEqual(self.lifecycle.mark_turn_completed(SESSION), 1)


class HeldTest(LifecycleTest):
    """An agent object is held while it is current or owns a dirty segment, under a name that is only its own."""

    def owners(self, session: str = SESSION) -> "list[str]":
        return [segment["owner"] for segment in self.status(session)["segments"]]

    def assert_held(self, agent: "weakref.ref[Any]") -> None:
        """Long enough for the next look at it to have been taken."""
        until = time.monotonic() + 0.5
        while time.monotonic() < until:
            gc.collect()
            self.assertIsNotNone(agent())
            time.sleep(0.05)

    def assert_let_go(self, agent: "weakref.ref[Any]") -> None:
        def gone() -> bool:
            gc.collect()
            return agent() is None

        wait_until(gone, "the agent is let go")

    def test_objects_are_told_apart_by_identity(self) -> None:
        one, other = Lookalike(), Lookalike()
        self.lifecycle.register_agent(SESSION, one)
        self.lifecycle.mark_turn_completed(SESSION, agent=one)
        self.lifecycle.mark_turn_completed(SESSION, agent=other)
        self.lifecycle.mark_turn_completed(SESSION, agent=other)
        self.assertEqual(self.segments(SESSION), [(1, 1), (2, 3)])
        for owner in self.owners():
            uuid.UUID(owner)
        self.assertIs(self.lifecycle.commit_session_memory(SESSION), True)
        self.assertEqual((one.calls, other.calls), (1, 0))
        self.assertIs(self.lifecycle.commit_session_memory(SESSION), True)
        self.assertEqual((one.calls, other.calls), (1, 1))

    def test_a_replaced_agent_is_held_until_its_work_is_committed(self) -> None:
        old = RecordingAgent()
        self.lifecycle.mark_turn_completed(SESSION, agent=old)
        self.lifecycle.register_agent(SESSION, RecordingAgent())
        reference = weakref.ref(old)
        del old
        self.assert_held(reference)
        self.assertEqual(self.agents_online(), 2)
        self.assertIs(self.lifecycle.commit_session_memory(SESSION), True)
        self.assert_let_go(reference)
        wait_until(lambda: self.agents_online() == 1, "the daemon knows that it is gone")

    def test_a_current_agent_is_held_however_clean(self) -> None:
        agent = RecordingAgent()
        self.lifecycle.mark_turn_completed(SESSION, agent=agent)
        self.assertIs(self.lifecycle.commit_session_memory(SESSION), True)
        reference = weakref.ref(agent)
        del agent
        self.assert_held(reference)
        self.lifecycle.unregister_agent(SESSION)
        self.assert_let_go(reference)
        wait_until(lambda: self.agents_online() == 0, "the daemon knows that it is gone")

    def test_an_unregistered_agent_is_held_until_the_daemon_has_had_its_work_committed(self) -> None:
        agent = RecordingAgent()
        self.lifecycle.mark_turn_completed(SESSION, agent=agent)
        self.lifecycle.unregister_agent(SESSION)
        reference = weakref.ref(agent)
        del agent
        self.assert_held(reference)
        self.client.rotate(SESSION)  # somebody else's boundary
        self.assert_let_go(reference)
        self.assertIs(self.lifecycle.has_uncommitted_work(SESSION), False)

    def test_an_agent_of_several_sessions_is_held_until_the_last(self) -> None:
        agent = RecordingAgent()
        self.lifecycle.register_agent("one", agent)
        self.lifecycle.register_agent("other", agent)
        reference = weakref.ref(agent)
        del agent
        self.lifecycle.unregister_agent("one")
        self.assert_held(reference)
        self.lifecycle.discard_session("other")
        self.assert_let_go(reference)

    def test_an_agent_that_was_only_named_in_a_commit_is_let_go(self) -> None:
        agent = RecordingAgent()
        reference = weakref.ref(agent)
        self.assertIs(self.lifecycle.commit_session_memory(SESSION, agent=agent), False)
        del agent
        self.assert_let_go(reference)

    def test_an_agent_that_adopted_a_segment_is_held_while_it_fails(self) -> None:
        agent = RecordingAgent(failures=1)
        reference = weakref.ref(agent)
        self.lifecycle.mark_turn_completed(SESSION)
        self.assertIs(self.lifecycle.commit_session_memory(SESSION, agent=agent), False)
        del agent
        self.assert_held(reference)
        self.assertIs(self.lifecycle.commit_session_memory(SESSION), True)
        self.assert_let_go(reference)

    def test_an_object_that_comes_back_gets_another_name(self) -> None:
        agent = RecordingAgent()
        names = set()
        for _ in range(2):
            self.lifecycle.register_agent(SESSION, agent)
            names.add(self.status(SESSION)["agent"])
            self.lifecycle.unregister_agent(SESSION)
            wait_until(lambda: self.agents_online() == 0, "it is let go")
        self.assertEqual(len(names), 2)
        self.lifecycle.mark_turn_completed(SESSION, agent=agent)
        self.assertIs(self.lifecycle.commit_session_memory(SESSION), True)

    def test_nothing_piles_up(self) -> None:
        for number in range(30):
            session = f"s{number}"
            self.lifecycle.mark_turn_completed(session, agent=RecordingAgent())
            self.assertIs(self.lifecycle.commit_session_memory(session), True)
            self.lifecycle.unregister_agent(session)
        wait_until(lambda: self.agents_online() == 0, "all are gone")
        self.assertEqual(lifecycle_host.host()._agents.everybody(), [])


class BackgroundTest(LifecycleTest):
    def test_threads_are_let_in_until_the_drain(self) -> None:
        thread = threading.Thread(target=int)
        self.assertIs(self.lifecycle._register_background_commit_thread(thread), True)
        with self.lifecycle._background_commit_threads_lock:
            self.assertIn(thread, self.lifecycle._background_commit_threads)
        self.lifecycle._unregister_background_commit_thread(thread)
        self.lifecycle._unregister_background_commit_thread(thread)
        self.assertEqual(self.lifecycle._background_commit_threads, set())
        self.lifecycle.drain_all_on_shutdown()
        self.assertIs(self.lifecycle._register_background_commit_thread(thread), False)
        self.assertEqual(self.lifecycle._background_commit_threads, set())

    def test_the_drain_joins_them_and_commits_what_they_leave(self) -> None:
        agent = RecordingAgent()
        go_on = threading.Event()

        def work() -> None:
            go_on.wait(5)
            self.lifecycle.mark_turn_completed(SESSION, agent=agent)
            self.lifecycle._unregister_background_commit_thread(threading.current_thread())

        thread = threading.Thread(target=work, daemon=True)
        self.assertTrue(self.lifecycle._register_background_commit_thread(thread))
        thread.start()
        draining = in_thread(self.lifecycle.drain_all_on_shutdown)
        draining.join(0.1)
        self.assertTrue(draining.is_alive())
        go_on.set()
        draining.join(5)
        self.assertFalse(draining.is_alive() or thread.is_alive())
        self.assertEqual(agent.calls, 1)

    def test_one_that_is_stuck_does_not_hold_the_drain_past_its_deadline(self) -> None:
        agent, stuck = RecordingAgent(), threading.Event()
        self.addCleanup(stuck.set)
        thread = threading.Thread(target=stuck.wait, daemon=True)
        self.assertTrue(self.lifecycle._register_background_commit_thread(thread))
        thread.start()
        self.lifecycle.mark_turn_completed(SESSION, agent=agent)
        begun = time.monotonic()
        self.lifecycle.drain_all_on_shutdown(deadline=0.6)
        self.assertLess(time.monotonic() - begun, 1.2)
        self.assertEqual(agent.calls, 1)


class DrainTest(LifecycleTest):
    def test_everything_is_committed_also_what_older_agents_own(self) -> None:
        agents = [RecordingAgent() for _ in range(8)]
        for number, agent in enumerate(agents):
            self.lifecycle.mark_turn_completed(f"s{number % 4}", agent=agent)
        self.lifecycle.drain_all_on_shutdown()
        self.assertEqual([agent.calls for agent in agents], [1] * 8)
        self.assertEqual([name for name in ("s0", "s1", "s2", "s3") if self.lifecycle.has_uncommitted_work(name)], [])

    def test_a_provider_that_hangs_does_not_hold_it_past_its_deadline(self) -> None:
        hanging, good = RecordingAgent(held=True), RecordingAgent()
        self.lifecycle.mark_turn_completed("hangs", agent=hanging)
        self.lifecycle.mark_turn_completed("good", agent=good)
        begun = time.monotonic()
        with self.assertLogs("tidemark", "WARNING") as logs:
            self.lifecycle.drain_all_on_shutdown(deadline=0.5)
        self.assertLess(time.monotonic() - begun, 1.2)
        self.assertIn("hangs", logs.output[-1])
        self.assertEqual(good.calls, 1)
        self.assertIs(self.lifecycle.has_uncommitted_work("hangs"), True)
        hanging.release.set()

    def test_an_agent_that_fails_is_tried_once(self) -> None:
        agent = RecordingAgent(failures=5)
        self.lifecycle.mark_turn_completed(SESSION, agent=agent)
        self.lifecycle.drain_all_on_shutdown(deadline=3)
        self.assertEqual(agent.calls, 1)
        self.assertIs(self.lifecycle.has_uncommitted_work(SESSION), True)

    def test_it_is_about_this_process_alone(self) -> None:
        self.client.complete("of another", agent="another")
        self.lifecycle.drain_all_on_shutdown(deadline=5)
        self.assertEqual(self.status("of another")["segments"][0]["due"], False)


if __name__ == "__main__":
    unittest.main()
