"""Threads that run tasks, begun as they are needed and never more than so many.

They are daemon threads: none holds up the interpreter's exit. One that finds nothing to do for a while ends, so that
an unused client leaves none behind.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import Callable, Deque, Set

_log = logging.getLogger("tidemark")

IDLE_SECONDS = 30.0


class WorkerPool:
    def __init__(self, name: str, threads_max: int) -> None:
        self._name = name
        self._threads_max = threads_max
        self._changed = threading.Condition(threading.Lock())
        self._tasks: Deque[Callable[[], None]] = deque()
        self._threads: Set[threading.Thread] = set()
        self._idle = 0
        self._closed = False

    def submit(self, task: Callable[[], None]) -> None:
        """Has a thread run ``task`` soon. After ``close`` it is dropped."""
        with self._changed:
            if self._closed:
                return
            self._tasks.append(task)
            if self._idle >= len(self._tasks):
                self._changed.notify()
            elif len(self._threads) < self._threads_max:
                thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._threads.add(thread)
                try:
                    thread.start()
                except RuntimeError as error:  # no threads any more: the interpreter ends, or the machine is full
                    self._threads.discard(thread)
                    _log.warning("no thread for %s: %s", self._name, error)

    def close(self) -> None:
        """Drops what hasn't begun; what runs goes on."""
        with self._changed:
            self._closed = True
            self._tasks.clear()
            self._changed.notify_all()

    def join(self, deadline: float) -> None:
        """Waits for the threads to end, until ``deadline`` (of ``time.monotonic``). Its own thread isn't waited for."""
        with self._changed:
            threads = self._threads - {threading.current_thread()}
        for thread in threads:
            thread.join(min(max(0.0, deadline - time.monotonic()), threading.TIMEOUT_MAX))

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._tasks:
                    self._idle += 1
                    told = self._closed or self._changed.wait(IDLE_SECONDS)
                    self._idle -= 1
                    if not self._tasks and (self._closed or not told):
                        self._threads.discard(threading.current_thread())
                        return
                task = self._tasks.popleft()
            try:
                task()
            except BaseException:
                _log.exception("a task of %s failed", self._name)
            del task
