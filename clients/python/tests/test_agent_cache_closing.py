"""The end of a cache of agents: who is let go of, who is left, and how long it takes."""

from __future__ import annotations

import math
import threading
import time
import unittest
from unittest import mock

from tests.cache_case import Agent, CacheTest
from tests.support import wait_until
from tidemark import Closed, Evicted


class Closing(CacheTest):
    def test_close_lets_go_of_all(self) -> None:
        with self.make_cache(5) as cache:
            for number in range(5):
                self.mark(cache, f"s{number}")
        self.assertEqual(sorted(self.host.closed), [f"s{number}" for number in range(5)])
        self.assertEqual(self.client.daemon_status()["dirty"], 0)
        with self.assertRaisesRegex(Closed, "closed"):
            cache.get("s1")
        wait_until(lambda: not cache._evictors, "its threads end")

    def test_times_without_an_end(self) -> None:
        cache = self.make_cache(5)
        held = self.host.hold("a")
        self.mark(cache, "a")
        first = self.in_thread(cache.clear, "a")
        self.assertTrue(self.host.entered["a"].wait(10))
        second = self.in_thread(cache.clear, "a", timeout=math.inf)
        third = self.in_thread(cache.close, math.inf)
        wait_until(lambda: cache._closing_until, "it is closing")
        held.set()
        self.assertEqual((first.result(10), second.result(10), third.result(10)), (True, True, []))
        self.assertEqual(self.host.closed, ["a"])

    def test_an_interrupted_clear_can_be_repeated(self) -> None:
        class Interrupt(BaseException):
            pass

        cache = self.make_cache(5)
        self.mark(cache, "a")
        with mock.patch.object(self.client, "evict", side_effect=Interrupt):
            self.assertRaises(Interrupt, cache.clear, "a")
        self.assertEqual(self.host.closed, [])
        self.assertTrue(cache.clear("a", timeout=10))
        self.assertEqual(self.host.closed, ["a"])

    def test_close_ends_with_its_time(self) -> None:
        cache = self.make_cache(5)
        self.host.hold("slow")
        for session in ("slow", "quick"):
            self.mark(cache, session)
        turn = cache.turn("running")
        turn.__enter__()
        began = time.monotonic()
        self.assertEqual(cache.close(0.5), ["slow", "running"])
        self.assertLess(time.monotonic() - began, 1.5)
        self.assertEqual(self.host.closed, ["quick"])
        turn.__exit__(None, None, None)
        wait_until(lambda: not cache._evictors, "its threads end")
        self.assertEqual(self.uncommitted("slow"), 1)

    def test_close_waits_for_a_running_turn(self) -> None:
        cache = self.make_cache(5)
        with cache.turn("a"):
            close = self.in_thread(cache.close, 20)
            wait_until(lambda: cache._closing_until, "it is closing")
            self.client.complete("a")
            self.assertEqual(self.host.closed, [])
        self.assertEqual(close.result(10), [])
        self.assertEqual(self.host.closed, ["a"])

    def test_an_agent_that_is_just_being_closed_is_not_left(self) -> None:
        cache = self.make_cache(5)
        closing, go = threading.Event(), threading.Event()
        self.addCleanup(go.set)

        def close(agent: Agent) -> None:
            closing.set()
            go.wait(10)
            self.host.close(agent)

        with mock.patch.object(cache, "_close_agent", close):
            self.mark(cache, "a")
            ended = self.in_thread(cache.close, 1)
            self.assertTrue(closing.wait(10))
            self.assertEqual(ended.result(10), [])
            go.set()
            wait_until(lambda: self.host.closed == ["a"], "it is closed")

    def test_what_is_left_is_not_closed_by_an_evict_that_ends_later(self) -> None:
        cache = self.make_cache(5)
        agent = self.mark(cache, "a")
        entered, go = threading.Event(), threading.Event()
        self.addCleanup(go.set)

        def evict(session: str, timeout: float) -> Evicted:
            entered.set()
            go.wait(10)
            return Evicted(True, "committed")

        with mock.patch.object(self.client, "evict", evict):
            clear = self.in_thread(cache.clear, "a")
            self.assertTrue(entered.wait(10))
            self.assertEqual(cache.close(0.1), ["a"])
            go.set()
            self.assertFalse(clear.result(10))
        self.assertFalse(agent.closed)
        # Whoever wants it gone all the same can say so.
        self.assertTrue(cache.clear("a"))
        self.assertTrue(agent.closed)


if __name__ == "__main__":
    unittest.main()
