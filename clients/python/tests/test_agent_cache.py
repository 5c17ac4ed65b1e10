"""The cache of agents: who is let go of, when, and who waits for it."""

from __future__ import annotations

import threading
import time
import unittest
from typing import Any, List
from unittest import mock

from tests.cache_case import Agent, CacheTest
from tests.support import wait_until
from tidemark import Evicted


class Use(CacheTest):
    def test_the_least_recently_used_goes_committed_and_then_closed(self) -> None:
        cache = self.make_cache(3)
        for session in ("a", "b", "c", "a", "d"):
            self.mark(cache, session)
        wait_until(lambda: self.host.closed == ["b"], "b is closed")
        self.assertEqual(cache.sessions(), ["c", "a", "d"])
        self.assertEqual(self.host.committed, ["b"])
        self.assertEqual(self.client.status("b")["agent"], None)
        self.assertEqual(self.host.made, ["a", "b", "c", "d"])
        self.mark(cache, "b")
        wait_until(lambda: self.host.closed == ["b", "c"], "c is closed")
        self.assertEqual(self.client.status("b")["generation"], 2)

    def test_an_agent_is_closed_after_the_daemon_has_said_so(self) -> None:
        cache = self.make_cache(1)
        release = self.host.hold("a")
        agent = self.mark(cache, "a")
        cache.get("b")
        self.assertTrue(self.host.entered["a"].wait(10))
        time.sleep(0.1)  # time in which a close that comes too early would come
        self.assertFalse(agent.closed)
        release.set()
        wait_until(lambda: agent.closed, "it is closed")
        self.assertEqual(self.uncommitted("a"), 0)

    def test_a_running_turn_is_never_evicted(self) -> None:
        cache = self.make_cache(1)
        with cache.turn("a") as agent:
            for session in ("b", "c", "d"):
                self.mark(cache, session)
            wait_until(lambda: sorted(self.host.closed) == ["b", "c"], "the others go")
            self.assertFalse(cache.clear("a"))
            self.assertFalse(agent.closed)
            self.assertIs(cache.get("a"), agent)
            self.client.complete("a")
        wait_until(lambda: cache.sessions() == ["a"], "the last other goes")
        self.assertFalse(agent.closed)

    def test_the_one_used_last_is_not_evicted_for_room(self) -> None:
        cache = self.make_cache(1)
        with cache.turn("a"):
            agent = cache.get("b")
            wait_until(lambda: not cache._evictors, "nothing is evicted")
            self.assertEqual(cache.sessions(), ["a", "b"])
            cache.get("c")
            wait_until(lambda: agent.closed, "b goes for c")

    def test_one_agent_a_session_however_many_ask(self) -> None:
        cache = self.make_cache(2)
        making, go = threading.Semaphore(0), threading.Event()

        def make(session: str) -> Agent:
            making.release()
            go.wait(10)
            return self.host.make(session)

        with mock.patch.object(cache, "_make", make):
            asked = [self.in_thread(cache.get, "a") for _ in range(5)]
            self.assertTrue(making.acquire(timeout=10))
            other = self.in_thread(cache.get, "b")  # isn't held up
            self.assertTrue(making.acquire(timeout=10))
            go.set()
            self.assertEqual(len({id(one.result(10)) for one in asked}), 1)
            other.result(10)
        self.assertEqual(sorted(self.host.made), ["a", "b"])

    def test_an_agent_that_can_not_be_made(self) -> None:
        cache = self.make_cache(1)
        with mock.patch.object(cache, "_make", side_effect=RuntimeError("no key")):
            with self.assertRaisesRegex(RuntimeError, "no key"):
                cache.get("a")
        self.assertEqual(cache.sessions(), [])
        self.assertEqual(cache.get("a").session, "a")

    def test_no_room_for_none(self) -> None:
        with self.assertRaisesRegex(ValueError, "at least one"):
            self.make_cache(0)

    def test_many_threads_while_the_daemon_is_killed(self) -> None:
        cache = self.make_cache(3, evict_timeout=2)
        broken: List[str] = []
        done: List[int] = []

        def work(number: int) -> None:
            for step in range(40):
                session = f"s{(number * 7 + step * 3) % 11}"
                with cache.turn(session) as agent:
                    before = agent.closed
                    self.client.complete(session, agent=agent.name)
                    if before or agent.closed:
                        broken.append(session)
                done.append(step)

        working = [self.in_thread(work, number) for number in range(8)]
        for share in range(1, 4):
            wait_until(lambda: len(done) >= share * 80, "work goes on")
            self.daemon.restart()
        for one in working:
            one.result(60)
        self.assertEqual(broken, [])
        self.assertEqual(cache.close(30), [])
        self.assertEqual(sum(self.client.status(f"s{number}")["generation"] for number in range(11)), 320)
        self.assertEqual(self.client.daemon_status()["dirty"], 0)
        self.assertEqual(sorted(self.host.closed), sorted(self.host.made))


class Refused(CacheTest):
    config = '[retry]\ninitial = "1h"\nmax = "1h"\n'

    def test_an_agent_whose_evict_fails_stays_and_is_tried_again(self) -> None:
        cache = self.make_cache(2)
        self.host.failing.add("a")
        agent = self.mark(cache, "a")
        for session in ("b", "c"):
            self.mark(cache, session)
        wait_until(lambda: len(self.client.history("a")["commits"]) >= 2, "it is tried again")
        self.assertIs(cache.get("a"), agent)
        self.assertFalse(agent.closed)
        for session in ("b", "c"):
            self.mark(cache, session)
        # Now a is the least recently used once more, and the others stay, above the capacity.
        seen = len(self.client.history("a")["commits"])
        wait_until(lambda: len(self.client.history("a")["commits"]) > seen, "it is tried again")
        self.assertNotIn("c", self.host.closed)
        self.host.failing.clear()
        wait_until(lambda: agent.closed, "it goes in the end")
        self.assertEqual(self.uncommitted("a"), 0)

    def test_an_open_turn_at_the_daemon(self) -> None:
        cache = self.make_cache(1)
        agent = self.mark(cache, "a")
        self.client.begin("a", "one")
        self.assertFalse(cache.clear("a"))
        self.assertFalse(agent.closed)
        self.client.cancel("a", "one")
        wait_until(lambda: agent.closed, "it goes in the end")

    def test_a_slow_provider_ends_with_the_time(self) -> None:
        cache = self.make_cache(1, evict_timeout=0.3)
        release = self.host.hold("a")
        agent = self.mark(cache, "a")
        began = time.monotonic()
        self.assertFalse(cache.clear("a"))
        self.assertLess(time.monotonic() - began, 1)
        self.assertFalse(agent.closed)
        self.assertEqual(cache.sessions(), ["a"])
        release.set()
        wait_until(lambda: agent.closed, "it goes in the end")

    def test_no_daemon(self) -> None:
        cache = self.make_cache(1, evict_timeout=0.2)
        agent = self.mark(cache, "a")
        self.daemon.kill()
        self.assertFalse(cache.clear("a"))
        self.assertFalse(cache.clear("not here"))
        self.assertIs(cache.get("a"), agent)
        self.assertFalse(cache.clear("a"))
        self.daemon.start()
        wait_until(lambda: agent.closed, "it goes in the end")
        self.assertEqual(self.client.status("a")["watermark"], 1)

    def test_a_cleared_agent_that_is_used_again_is_not_tried_any_more(self) -> None:
        cache = self.make_cache(2)
        self.host.failing.add("a")
        agent = self.mark(cache, "a")
        self.assertFalse(cache.clear("a"))
        cache.get("a")
        wait_until(lambda: not cache._evictors, "nothing is tried")
        self.host.failing.clear()
        self.assertIs(cache.get("a"), agent)
        self.assertTrue(cache.clear("a"))
        self.assertTrue(agent.closed)

    def test_pauses_are_short_again_once_an_evict_has_succeeded(self) -> None:
        cache = self.make_cache(2)
        self.host.failing.add("a")
        self.mark(cache, "a")
        self.assertFalse(cache.clear("a"))
        wait_until(lambda: cache._entries["a"].pause > 0.2, "the pauses grow")
        cache.get("a")
        wait_until(lambda: not cache._entries["a"].evicting and not cache._evictors, "nothing is tried")

        def evict(session: str, timeout: float) -> Evicted:
            cache.get("a")  # back in use
            return Evicted(True, "committed")

        with mock.patch.object(self.client, "evict", evict):
            self.assertFalse(cache.clear("a"))
        self.assertEqual(cache._entries["a"].pause, 0.05)

    def test_a_close_that_raises(self) -> None:
        cache = self.make_cache(1)
        with mock.patch.object(cache, "_close_agent", side_effect=RuntimeError("stuck")), \
                self.assertLogs("tidemark", "ERROR"):
            self.mark(cache, "a")
            self.assertTrue(cache.clear("a"))
        self.assertEqual(cache.sessions(), [])


class Crossing(CacheTest):
    def crossing(self, use: Any, **named: Any) -> None:
        """An agent is asked for while its evict is under way."""
        cache = self.make_cache(1, **named)
        release = self.host.hold("a")
        agent = self.mark(cache, "a")
        self.mark(cache, "b")
        self.assertTrue(self.host.entered["a"].wait(10))
        began = time.monotonic()
        use(cache, agent)
        self.assertLess(time.monotonic() - began, 1)
        release.set()
        wait_until(lambda: not self.uncommitted("a"), "it is committed")
        wait_until(lambda: not cache._entries["a"].evicting, "the evict ends")
        self.assertIs(cache.get("a"), agent)
        self.assertFalse(agent.closed)

    def test_get_brings_it_back_into_use(self) -> None:
        self.crossing(lambda cache, agent: self.assertIs(cache.get("a"), agent))
        self.assertEqual(self.client.status("a")["agent"], None)

    def test_it_is_registered_again(self) -> None:
        self.crossing(lambda cache, agent: self.assertIs(cache.get("a"), agent), revive=self.host.revive)
        wait_until(lambda: self.host.revived == ["a"], "it is revived")
        self.assertEqual(self.client.status("a")["agent"], "a-1")

    def test_a_turn_brings_it_back_into_use(self) -> None:
        def use(cache: Any, agent: Agent) -> None:
            with cache.turn("a") as given:
                self.assertIs(given, agent)
                self.client.complete("a", agent=agent.name)

        self.crossing(use)
        self.assertEqual(self.client.status("a")["generation"], 2)

    def test_nobody_else_waits_for_a_slow_evict(self) -> None:
        cache = self.make_cache(2)
        self.host.hold("slow")
        self.mark(cache, "slow")
        clear = self.in_thread(cache.clear, "slow")
        self.assertTrue(self.host.entered["slow"].wait(10))
        began = time.monotonic()
        for number in range(20):
            self.mark(cache, f"s{number}")
        self.assertTrue(cache.clear("s19"))
        self.assertLess(time.monotonic() - began, 5)
        self.assertFalse(clear.done())
        self.host.held["slow"].set()
        self.assertTrue(clear.result(10))

    def test_a_slow_evict_holds_up_no_other(self) -> None:
        cache = self.make_cache(1)
        self.host.hold("slow")
        for session in ("slow", "a", "b", "c"):
            self.mark(cache, session)
        wait_until(lambda: sorted(self.host.closed) == ["a", "b"], "the others go")

    def test_clear_waits_for_an_evict_under_way_and_no_longer_than_its_time(self) -> None:
        cache = self.make_cache(1)
        release = self.host.hold("a")
        self.mark(cache, "a")
        self.mark(cache, "b")
        self.assertTrue(self.host.entered["a"].wait(10))
        self.assertFalse(cache.clear("a", timeout=0.1))
        clear = self.in_thread(cache.clear, "a")
        release.set()
        self.assertTrue(clear.result(10))
        self.assertEqual(self.host.closed, ["a"])

    def test_no_agent_is_made_while_a_session_without_one_is_cleared(self) -> None:
        cache = self.make_cache(1)
        release = self.host.hold("a")
        self.client.register("of another cache", handler=self.host.handler, session="a")
        self.client.complete("a")
        kept = cache.get("b")
        clear = self.in_thread(cache.clear, "a")
        self.assertTrue(self.host.entered["a"].wait(10))
        self.assertIs(cache.get("b"), kept)
        self.assertEqual(cache.sessions(), ["b"])
        asked = self.in_thread(cache.get, "a")
        wait_until(lambda: cache._changed._waiters, "it waits")  # type: ignore[attr-defined]
        self.assertEqual(self.host.made, ["b"])
        release.set()
        self.assertTrue(clear.result(10))
        made = asked.result(10)
        self.assertEqual(self.client.status("a")["agent"], made.name)

    def test_the_place_of_a_session_that_can_not_be_cleared_is_free_again(self) -> None:
        cache = self.make_cache(1)
        kept = cache.get("b")
        with mock.patch.object(self.client, "evict", side_effect=KeyboardInterrupt):
            self.assertRaises(KeyboardInterrupt, cache.clear, "a")
        self.assertEqual(cache.get("a").session, "a")
        wait_until(lambda: kept.closed, "b goes for a")

    def test_a_new_agent_is_made_after_the_old_one_is_closed(self) -> None:
        cache = self.make_cache(2)
        closing, go = threading.Event(), threading.Event()

        def close(agent: Agent) -> None:
            closing.set()
            go.wait(10)
            self.host.close(agent)

        with mock.patch.object(cache, "_close_agent", close):
            old = self.mark(cache, "a")
            clear = self.in_thread(cache.clear, "a")
            self.assertTrue(closing.wait(10))
            new = self.in_thread(cache.get, "a")
            self.assertEqual(cache.get("b").session, "b")
            self.assertFalse(new.done())
            go.set()
            self.assertIsNot(new.result(10), old)
            self.assertTrue(clear.result(10))
        self.assertEqual(self.host.made, ["a", "b", "a"])


if __name__ == "__main__":
    unittest.main()
