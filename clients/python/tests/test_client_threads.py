"""Many threads on one client, calls that are interrupted, and the client's end."""

from __future__ import annotations

import gc
import math
import os
import random
import signal
import threading
import time
import unittest
import weakref
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, List, Tuple
from unittest import mock

from tests.client_case import LATE, ClientTest, tidemark_threads
from tests.support import wait_until
from tidemark import Client, Closed, Unavailable, link


class Interrupt(Exception):
    pass


class Threads(ClientTest):
    def interrupted_among(self, threads: int) -> Tuple[threading.Event, List[Any]]:
        """SIGALRM raises Interrupt in this thread, while so many others call until the event is set."""
        def interrupt(number: int, frame: Any) -> None:
            raise Interrupt

        before = signal.signal(signal.SIGALRM, interrupt)
        self.addCleanup(signal.signal, signal.SIGALRM, before)
        self.client.ping()
        stop = threading.Event()

        def ping() -> None:
            while not stop.is_set():
                self.client.ping(timeout=10)

        return stop, [self.in_thread(ping) for _ in range(threads)]

    def test_ten_threads_mark_on_one_connection(self) -> None:
        proxy = self.make_proxy()
        client = self.make_client(socket_path=proxy.socket_path)

        def mark(_: int) -> List[int]:
            return [client.complete("s").generation for _ in range(100)]

        with ThreadPoolExecutor(10) as pool:
            generations = [one for each in pool.map(mark, range(10)) for one in each]
        self.assertEqual(sorted(generations), list(range(1, 1001)))
        self.assertEqual(proxy.accepted, 1)

    def test_ten_threads_mark_while_the_daemon_is_killed(self) -> None:
        marked: List[int] = []
        ended = threading.Event()

        def mark() -> None:
            while not ended.is_set():
                marked.append(self.client.complete("s").generation)

        with ThreadPoolExecutor(10) as pool:
            marks = [pool.submit(mark) for _ in range(10)]
            for _ in range(5):
                seen = len(marked)
                wait_until(lambda: len(marked) > seen + 50, "marks go on")
                self.daemon.restart()
            ended.set()
            for one in marks:
                one.result(30)
        self.assertEqual(sorted(marked), list(range(1, len(marked) + 1)))

    def test_a_waiting_call_holds_up_no_other(self) -> None:
        entered, release = threading.Event(), threading.Event()
        self.addCleanup(release.set)

        def handler(request: Any) -> None:
            entered.set()
            release.wait(20)

        self.client.register("agent", handler=handler, session="slow")
        self.client.complete("slow")
        commit = self.in_thread(self.client.commit, "slow", timeout=30)
        self.assertTrue(entered.wait(10))
        began = time.monotonic()
        for _ in range(100):
            self.client.complete("quick", timeout=1)
        self.assertLess(time.monotonic() - began, 5)
        self.assertFalse(commit.done())
        release.set()
        self.assertTrue(commit.result(10).committed)

    def test_who_leaves_passes_the_lead_on(self) -> None:
        # The keeper would read in their place, 20 ms later; here it doesn't.
        with mock.patch.object(link, "LINGER", 60.0):
            self.client.ping()
            self.daemon.pause()
            first = self.in_thread(self.client.ping, timeout=0.5)
            connection = self.client._link._connection
            assert connection is not None
            lead = connection._lead
            wait_until(lambda: lead.held, "the first leads")
            others = [self.in_thread(self.client.ping, timeout=20) for _ in range(3)]
            waiting = connection._waiting
            wait_until(lambda: len(waiting) == 4, "the others wait")
            self.assertIsInstance(first.exception(10), Unavailable)
            self.daemon.go_on()
            for one in others:
                one.result(5)

    def test_no_wake_up_is_lost_when_readers_leave_in_the_middle(self) -> None:
        # Calls that time out lead and leave at any moment; no other call may be left waiting for its answer.
        stop = threading.Event()
        slowest: List[float] = []

        def leave() -> None:
            while not stop.is_set():
                try:
                    self.client.call("ping", timeout=0.0002)
                except Unavailable:
                    pass

        def stay() -> None:
            worst = 0.0
            while not stop.is_set():
                began = time.monotonic()
                self.client.ping(timeout=10)
                worst = max(worst, time.monotonic() - began)
            slowest.append(worst)

        with mock.patch.object(link, "LINGER", 60.0), ThreadPoolExecutor(8) as pool:
            self.client.ping()
            running = [pool.submit(leave) for _ in range(4)] + [pool.submit(stay) for _ in range(4)]
            wait(running, 2)
            stop.set()
            for one in running:
                one.result(20)
        self.assertLess(max(slowest), 2.0)

    def test_an_interrupted_call_leaves_the_client_usable(self) -> None:
        stop, others = self.interrupted_among(3)
        for _ in range(20):
            self.daemon.pause()
            signal.setitimer(signal.ITIMER_REAL, 0.01)
            with self.assertRaises(Interrupt):
                self.client.call("ping", timeout=10)
            self.daemon.go_on()
        self.client.ping(timeout=10)
        stop.set()
        for one in others:
            one.result(20)

    def test_interrupts_at_any_moment_leave_the_client_usable(self) -> None:
        stop, others = self.interrupted_among(2)
        try:
            until = time.monotonic() + 2  # one interrupt of a hundred comes where a lock was just taken
            while time.monotonic() < until:
                try:
                    signal.setitimer(signal.ITIMER_REAL, random.uniform(0.0001, 0.0006))
                    while True:
                        self.client.ping(timeout=5)
                except Interrupt:
                    self.client.ping(timeout=5)
        finally:
            stop.set()
        for one in others:
            one.result(20)


class Ends(ClientTest):
    def test_close_with_no_end_of_its_time(self) -> None:
        client = self.make_client()
        client.register("agent", handler=lambda request: None, session="s")
        client.complete("s")
        self.assertTrue(client.commit("s", timeout=10).committed)
        client.close(math.inf)
        self.assertRaises(Closed, client.ping)

    def test_close(self) -> None:
        before = tidemark_threads()
        entered, release = threading.Event(), threading.Event()
        self.addCleanup(release.set)
        client = self.make_client()

        def handler(request: Any) -> None:
            entered.set()
            release.wait(20)

        client.register("agent", handler=handler, session="s")
        client.complete("s")
        commit = self.in_thread(client.commit, "s", timeout=20)
        self.assertTrue(entered.wait(10))
        began = time.monotonic()
        client.close(timeout=0.3)  # the handler still runs
        self.assertLess(time.monotonic() - began, 0.3 + LATE)
        with self.assertRaisesRegex(Closed, "closed before the answer"):
            commit.result(10)
        with self.assertRaisesRegex(Closed, "this client is closed"):
            client.ping()
        wait_until(lambda: self.client.daemon_status()["agents_online"] == 0, "the agent is offline")
        release.set()
        client.close()
        wait_until(lambda: tidemark_threads() == before + ["tidemark-keeper"], "its threads end")  # self.client's

    def test_close_ends_calls_that_wait_for_a_daemon(self) -> None:
        self.daemon.kill()
        client = self.make_client()
        call = self.in_thread(client.ping, timeout=20)
        wait_until(lambda: client._link._awaiting, "the call waits")
        client.close()
        with self.assertRaises(Closed):
            call.result(10)
        unused = Client(self.daemon.socket_path)
        unused.close()
        unused.close()

    def test_close_from_a_handler(self) -> None:
        closed = threading.Event()
        client = self.make_client()

        def handler(request: Any) -> None:
            client.close()
            closed.set()

        client.register("agent", handler=handler, session="s")
        client.complete("s")
        self.client.commit("s", detach=True)
        self.assertTrue(closed.wait(10))

    def test_a_client_that_nobody_refers_to_is_collected(self) -> None:
        before = tidemark_threads()
        descriptors = len(os.listdir("/proc/self/fd"))
        client = Client(self.daemon.socket_path)
        client.register("agent", handler=lambda request: None, session="s")
        client.complete("s")
        client.commit("s", timeout=10)
        collected = weakref.ref(client)
        del client
        gc.collect()
        self.assertIsNone(collected())
        wait_until(lambda: self.client.daemon_status()["agents_online"] == 0, "the agent is offline")
        wait_until(lambda: "tidemark-commit" not in tidemark_threads(), "its workers end")
        wait_until(lambda: len(tidemark_threads()) == len(before) + 1, "its threads end")  # the keeper of self.client
        wait_until(lambda: len(os.listdir("/proc/self/fd")) <= descriptors + 3, "its descriptors are closed")
        Client(self.daemon.socket_path)  # never used


if __name__ == "__main__":
    unittest.main()
