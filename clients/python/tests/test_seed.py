"""What Hermes WebUI's own tests of its session lifecycle ask for, one by one, of session_lifecycle over a real daemon.

Those that read the source of WebUI's request handlers are told here of a small host that does the same.
"""

from __future__ import annotations

import threading
import unittest
from collections import OrderedDict
from typing import Dict, Optional

from tests.lifecycle_case import LifecycleTest, RecordingAgent, in_thread
from tests.support import wait_until

SESSION = "s"


class Resource:
    """What an agent has open."""

    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


class SmallHost:
    """A host of WebUI's kind: agents by session, the least recently used out, locks that requests take."""

    def __init__(self, lifecycle, agents_max: int = 3) -> None:
        self.lifecycle = lifecycle
        self.agents_max = agents_max
        self.cache_lock = threading.Lock()
        self.cache: "OrderedDict[str, RecordingAgent]" = OrderedDict()
        self.session_locks: Dict[str, threading.Lock] = {}
        self.resources: Dict[RecordingAgent, Resource] = {}

    def put(self, session: str, agent: RecordingAgent) -> None:
        """Caches an agent for a session; those that are one too many are evicted after the lock is let go."""
        evicted = []
        with self.cache_lock:
            self.cache[session] = agent
            self.resources[agent] = Resource()
            while len(self.cache) > self.agents_max:
                evicted.append(self.cache.popitem(last=False))
        self.lifecycle.register_agent(session, agent)
        for old_session, old_agent in evicted:
            self._let_go(old_session, old_agent)

    def turn(self, session: str, *, cancelled: bool = False, ephemeral: bool = False) -> None:
        with self.cache_lock:
            agent = self.cache[session]
        if not cancelled and not ephemeral:
            self.lifecycle.mark_turn_completed(session, agent=agent)

    def evict(self, session: str) -> None:
        with self.cache_lock:
            agent = self.cache.pop(session, None)
        if agent is not None:
            self._let_go(session, agent)

    def clear(self, session: str) -> None:
        with self.session_locks.setdefault(session, threading.Lock()):
            pass  # here its messages are emptied and saved
        self.evict(session)

    def new_session(self, previous: Optional[str]) -> None:
        """The previous session's work is committed by a thread that nobody waits for."""
        if previous is None:
            return

        def commit() -> None:
            try:
                self.lifecycle.commit_session_memory(previous, agent=self.cache.get(previous))
            finally:
                self.lifecycle._unregister_background_commit_thread(threading.current_thread())

        thread = threading.Thread(target=commit, daemon=True)
        if self.lifecycle._register_background_commit_thread(thread):
            thread.start()

    def _let_go(self, session: str, agent: RecordingAgent) -> None:
        while self.lifecycle.commit_session_memory(session, agent=agent, wait=True):
            pass
        if not self.lifecycle.has_uncommitted_work(session):
            self.lifecycle.unregister_agent(session)
            self.resources[agent].close()


class SeedTest(LifecycleTest):
    def test_a_commit_that_finishes_late_does_not_clear_a_newer_turn(self) -> None:
        agent = RecordingAgent(held=True)
        self.lifecycle.register_agent(SESSION, agent)
        self.assertEqual(self.lifecycle.mark_turn_completed(SESSION, agent=agent), 1)
        committing = in_thread(self.lifecycle.commit_session_memory, SESSION)
        self.assertTrue(agent.entered.wait(2))
        self.assertEqual(self.lifecycle.mark_turn_completed(SESSION, agent=agent), 2)
        agent.release.set()
        committing.join(2)
        self.assertEqual(agent.calls, 1)
        self.assertIs(self.lifecycle.has_uncommitted_work(SESSION), True)
        self.assertIs(self.lifecycle.commit_session_memory(SESSION), True)
        self.assertEqual(agent.calls, 2)
        self.assertIs(self.lifecycle.has_uncommitted_work(SESSION), False)

    def test_a_failed_commit_keeps_the_work_and_its_owner(self) -> None:
        agent = RecordingAgent(failures=1)
        self.lifecycle.register_agent(SESSION, agent)
        self.lifecycle.mark_turn_completed(SESSION, agent=agent)
        self.assertIs(self.lifecycle.commit_session_memory(SESSION), False)
        self.assertEqual(agent.calls, 1)
        self.assertIs(self.lifecycle.has_uncommitted_work(SESSION), True)
        self.assertIs(self.lifecycle.commit_session_memory(SESSION), True)
        self.assertEqual(agent.calls, 2)
        self.assertIs(self.lifecycle.has_uncommitted_work(SESSION), False)

    def test_an_agent_named_in_a_failed_commit_is_kept_for_the_retry(self) -> None:
        agent = RecordingAgent(failures=1)
        self.lifecycle.mark_turn_completed(SESSION)
        self.assertIs(self.lifecycle.commit_session_memory(SESSION, agent=agent), False)
        self.assertEqual(agent.calls, 1)
        self.assertIs(self.lifecycle.has_uncommitted_work(SESSION), True)
        self.assertIs(self.lifecycle.commit_session_memory(SESSION), True)
        self.assertEqual(agent.calls, 2)
        self.assertIs(self.lifecycle.has_uncommitted_work(SESSION), False)

    def test_the_owner_of_a_failed_commit_survives_a_replacement(self) -> None:
        old, new = RecordingAgent(failures=1), RecordingAgent()
        self.lifecycle.register_agent(SESSION, old)
        self.lifecycle.mark_turn_completed(SESSION, agent=old)
        self.assertIs(self.lifecycle.commit_session_memory(SESSION), False)
        self.assertEqual(old.calls, 1)
        self.assertIs(self.lifecycle.has_uncommitted_work(SESSION), True)
        self.lifecycle.register_agent(SESSION, new)
        self.assertIs(self.lifecycle.commit_session_memory(SESSION), True)
        self.assertEqual((old.calls, new.calls), (2, 0))
        self.assertIs(self.lifecycle.has_uncommitted_work(SESSION), False)
        self.lifecycle.mark_turn_completed(SESSION)
        self.assertIs(self.lifecycle.commit_session_memory(SESSION), True)
        self.assertEqual((old.calls, new.calls), (2, 1))

    def test_a_new_agent_named_in_a_commit_does_not_get_the_old_segment(self) -> None:
        old, new = RecordingAgent(failures=1), RecordingAgent()
        self.lifecycle.register_agent(SESSION, old)
        self.lifecycle.mark_turn_completed(SESSION, agent=old)
        self.assertIs(self.lifecycle.commit_session_memory(SESSION), False)
        self.lifecycle.register_agent(SESSION, new)
        self.lifecycle.mark_turn_completed(SESSION, agent=new)
        self.assertIs(self.lifecycle.commit_session_memory(SESSION, agent=new), True)
        self.assertEqual((old.calls, new.calls), (2, 0))
        self.assertIs(self.lifecycle.has_uncommitted_work(SESSION), True)
        self.assertIs(self.lifecycle.commit_session_memory(SESSION), True)
        self.assertEqual((old.calls, new.calls), (2, 1))
        self.assertIs(self.lifecycle.has_uncommitted_work(SESSION), False)

    def test_a_session_without_a_completed_turn_has_nothing_to_commit(self) -> None:
        agent = RecordingAgent()
        self.lifecycle.register_agent(SESSION, agent)
        self.assertIs(self.lifecycle.commit_session_memory(SESSION), False)
        self.assertEqual(agent.calls, 0)
        self.assertIs(self.lifecycle.has_uncommitted_work(SESSION), False)

    def test_an_unregistered_agent_still_commits_what_it_owns(self) -> None:
        agent = RecordingAgent()
        self.lifecycle.register_agent(SESSION, agent)
        self.lifecycle.mark_turn_completed(SESSION, agent=agent)
        self.lifecycle.unregister_agent(SESSION)
        self.assertIs(self.lifecycle.commit_session_memory(SESSION, agent=agent), True)
        self.assertEqual(agent.calls, 1)
        self.assertIs(self.lifecycle.has_uncommitted_work(SESSION), False)

    def test_the_drain_waits_for_what_is_in_flight_and_commits_what_came_meanwhile(self) -> None:
        agent = RecordingAgent(held=True)
        self.lifecycle.register_agent(SESSION, agent)
        self.lifecycle.mark_turn_completed(SESSION, agent=agent)
        committing = in_thread(self.lifecycle.commit_session_memory, SESSION)
        self.assertTrue(agent.entered.wait(2))
        self.lifecycle.mark_turn_completed(SESSION, agent=agent)
        draining = in_thread(self.lifecycle.drain_all_on_shutdown)
        draining.join(0.05)
        self.assertTrue(draining.is_alive())
        self.assertEqual(agent.calls, 1)
        agent.release.set()
        committing.join(2)
        draining.join(2)
        self.assertFalse(draining.is_alive())
        self.assertEqual(agent.calls, 2)
        self.assertIs(self.lifecycle.has_uncommitted_work(SESSION), False)

    def test_turns_are_committed_together_at_the_boundary(self) -> None:
        agent = RecordingAgent()
        self.lifecycle.register_agent(SESSION, agent)
        for generation in (1, 2, 3):
            self.assertEqual(self.lifecycle.mark_turn_completed(SESSION, agent=agent), generation)
            self.assertIs(self.lifecycle.has_uncommitted_work(SESSION), True)
        self.assertIs(self.lifecycle.commit_session_memory(SESSION), True)
        self.assertEqual(agent.calls, 1)
        self.assertIs(self.lifecycle.has_uncommitted_work(SESSION), False)
        self.assertIs(self.lifecycle.commit_session_memory(SESSION), False)
        self.assertEqual(agent.calls, 1)

    def test_an_empty_session_id_does_nothing(self) -> None:
        agent = RecordingAgent()
        for empty in ("", None):
            self.assertIsNone(self.lifecycle.register_agent(empty, agent))
            self.assertIsNone(self.lifecycle.unregister_agent(empty))
            self.assertEqual(self.lifecycle.mark_turn_completed(empty), 0)
            self.assertEqual(self.lifecycle.mark_turn_completed(empty, agent=agent), 0)
            self.assertIs(self.lifecycle.has_uncommitted_work(empty), False)
            self.assertIs(self.lifecycle.commit_session_memory(empty), False)
            self.assertIs(self.lifecycle.commit_session_memory(empty, agent=agent), False)
            self.assertIs(self.lifecycle.discard_session(empty), False)
        self.assertEqual(agent.calls, 0)


class SeedHostTest(LifecycleTest):
    def setUp(self) -> None:
        super().setUp()
        self.host = SmallHost(self.lifecycle)

    def test_a_new_session_commits_the_previous_one_without_waiting(self) -> None:
        agent = RecordingAgent(held=True)
        self.host.put(SESSION, agent)
        self.host.turn(SESSION)
        self.timed(self.host.new_session, SESSION)
        self.assertTrue(agent.entered.wait(2))
        self.assertIs(self.lifecycle.has_uncommitted_work(SESSION), True)
        agent.release.set()
        wait_until(lambda: not self.lifecycle.has_uncommitted_work(SESSION), "the previous session is committed")
        wait_until(lambda: not self.lifecycle._background_commit_threads, "the thread has left")

    def test_an_eviction_commits_before_it_lets_go(self) -> None:
        agent = RecordingAgent()
        self.host.put(SESSION, agent)
        self.host.turn(SESSION)
        self.host.evict(SESSION)
        self.assertEqual(agent.calls, 1)
        self.assertIs(self.lifecycle.has_uncommitted_work(SESSION), False)
        self.assertNotIn(SESSION, self.host.cache)
        # Nobody is the session's agent now, so nobody can commit a turn that names none.
        self.lifecycle.mark_turn_completed(SESSION)
        self.assertIs(self.lifecycle.commit_session_memory(SESSION), False)
        self.assertEqual(agent.calls, 1)

    def test_an_eviction_waits_for_what_is_in_flight_before_it_closes_anything(self) -> None:
        agent = RecordingAgent(held=True)
        self.host.put(SESSION, agent)
        self.host.turn(SESSION)
        committing = in_thread(self.lifecycle.commit_session_memory, SESSION)
        self.assertTrue(agent.entered.wait(2))
        self.host.turn(SESSION)
        evicting = in_thread(self.host.evict, SESSION)
        evicting.join(0.05)
        self.assertTrue(evicting.is_alive())
        self.assertEqual(self.host.resources[agent].closed, 0)
        agent.release.set()
        committing.join(2)
        evicting.join(2)
        self.assertEqual(agent.calls, 2)
        self.assertIs(self.lifecycle.has_uncommitted_work(SESSION), False)
        self.assertEqual(self.host.resources[agent].closed, 1)

    def test_a_slow_provider_of_an_evicted_agent_holds_up_no_other_session(self) -> None:
        slow = RecordingAgent(held=True)
        self.host.put("slow", slow)
        self.host.turn("slow")
        for name in ("b", "c"):
            self.host.put(name, RecordingAgent())
        evicting = in_thread(self.host.put, "d", RecordingAgent())  # the least recently used, slow, has to go
        self.assertTrue(slow.entered.wait(2))
        self.assertTrue(self.host.cache_lock.acquire(timeout=1))
        self.host.cache_lock.release()
        for name in ("b", "c", "d"):
            self.timed(self.host.turn, name)
            self.assertIs(self.timed(self.lifecycle.commit_session_memory, name), True)
        self.assertTrue(evicting.is_alive())
        self.assertEqual(self.host.resources[slow].closed, 0)
        slow.release.set()
        evicting.join(2)
        self.assertEqual(self.host.resources[slow].closed, 1)
        self.assertEqual(list(self.host.cache), ["b", "c", "d"])

    def test_clearing_a_session_does_not_hold_its_lock_while_it_commits(self) -> None:
        agent = RecordingAgent(held=True)
        self.host.put(SESSION, agent)
        self.host.turn(SESSION)
        clearing = in_thread(self.host.clear, SESSION)
        self.assertTrue(agent.entered.wait(2))
        self.assertTrue(self.host.session_locks[SESSION].acquire(timeout=1))
        self.host.session_locks[SESSION].release()
        self.assertTrue(clearing.is_alive())
        agent.release.set()
        clearing.join(2)
        self.assertEqual(agent.calls, 1)
        self.assertIs(self.lifecycle.has_uncommitted_work(SESSION), False)

    def test_a_turn_is_marked_when_it_is_over_and_never_committed_then(self) -> None:
        agent = RecordingAgent()
        self.host.put(SESSION, agent)
        self.host.turn(SESSION, cancelled=True)
        self.host.turn(SESSION, ephemeral=True)
        self.assertIs(self.lifecycle.has_uncommitted_work(SESSION), False)
        self.host.turn(SESSION)
        self.assertIs(self.lifecycle.has_uncommitted_work(SESSION), True)
        self.assertEqual(self.status(SESSION)["segments"][0]["state"], "open")
        self.assertEqual(agent.calls, 0)


if __name__ == "__main__":
    unittest.main()
