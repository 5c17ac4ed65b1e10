"""The one thread of a Host: makes the calls that wait in the StepQueue when the daemon answers again, and the chores
that have a time. It also knows whether the daemon is *silent*: the last call wasn't answered in its time. Then nobody
waits for it, until a look of this thread finds that it answers.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Callable, Dict, Hashable, List, Optional, Tuple

from .client import Client
from .errors import CallError, Closed, TidemarkError, Unavailable
from .lifecycle_queue import Step, StepQueue

_log = logging.getLogger("tidemark")

STEPS_MAX = 65536  # that may wait
STEP_SECONDS = 5.0  # for one of them, when it is its turn
RETRY_SECONDS = 1.0  # until a call is made again that the daemon refused for now
# Between looks whether a silent daemon answers, and how long one takes: little if there is no connection at all.
LOOK_FIRST_SECONDS, LOOK_MAX_SECONDS = 0.03, 0.5
PING_SECONDS, PING_UNCONNECTED_SECONDS = 0.7, 0.1

Chore = Callable[[], None]


class Sender:
    """Thread-safe. Its lock is never held during a call."""

    def __init__(self, client: Client, perform: Callable[[Step, float], None],
                 tries_again: Callable[[Step, CallError], bool]) -> None:
        """`perform` makes a step's call until a time, `tries_again` says whether a refused one stays."""
        self._client = client
        self._perform = perform
        self._tries_again = tries_again
        self._changed = threading.Condition()  # guards what follows
        self._queue = StepQueue(STEPS_MAX)
        self._chores: Dict[Hashable, Tuple[float, Chore]] = {}
        self._silent = False
        self._look_at = 0.0  # while silent
        self._look_pause = LOOK_FIRST_SECONDS
        self._thread: Optional[threading.Thread] = None
        self._ended = False

    # --- What the others see and do ---

    @property
    def silent(self) -> bool:
        return self._silent

    def waits(self, session: Optional[str] = None) -> bool:
        """Whether a call of this session waits, or of any."""
        with self._changed:
            return session in self._queue if session is not None else len(self._queue) > 0

    def mark_waits(self, session: str) -> bool:
        with self._changed:
            return self._queue.holds_mark(session)

    def is_prompt(self, session: str) -> bool:
        """Whether a step that is added now is likely to be made at once."""
        with self._changed:
            return not self._silent and not self._queue.is_postponed(session)

    def add(self, step: Step, not_before: float = 0.0) -> bool:
        """Lets the step wait its turn, at least so many seconds. False: there are too many, or this has ended."""
        with self._changed:
            if self._ended or not self._queue.add(step):
                return False
            if not_before > 0:
                self._queue.postpone(step.session, not_before)
            self._wake()
            return True

    def set_silent(self) -> None:
        with self._changed:
            if not self._silent:
                self._silent = True
                self._look_at = 0.0
                self._wake()

    def schedule(self, key: Hashable, seconds: float, chore: Chore) -> None:
        """Has the thread do a chore in so many seconds, when the daemon isn't silent; the sooner one of each key."""
        at = time.monotonic() + seconds
        with self._changed:
            known = self._chores.get(key)
            if known is None or known[0] > at:
                self._chores[key] = (at, chore)
                self._wake()

    def reach(self, until: float, patience: float, session: Optional[str] = None) -> bool:
        """Waits until the daemon answers and nothing waits of this session, or of any if none is named.

        While calls are being sent, until then (monotonic); while the daemon is silent or has refused them for now, no
        longer than `patience` seconds.
        """
        patient_until = min(until, time.monotonic() + patience)
        with self._changed:
            self._look_at = 0.0
            self._changed.notify_all()
            while True:
                if not self._silent and not self.waits(session):
                    break
                held_up = self._silent or (session is not None and self._queue.is_postponed(session))
                left = (patient_until if held_up else until) - time.monotonic()
                if left <= 0 or self._ended:
                    return False
                self._changed.wait(min(left, 0.1))
        try:
            # A connection whose end hasn't been noticed yet is made anew here, before a call that can't be made twice.
            self._client.ping(timeout=max(patient_until - time.monotonic(), 0.05))
            return True
        except Unavailable:
            self.set_silent()
            return False
        except TidemarkError:
            return False

    def clear(self) -> List[Step]:
        """Takes out what waits, forgets the chores, and assumes that the daemon answers."""
        with self._changed:
            self._chores.clear()
            self._silent = False
            self._changed.notify_all()
            return self._queue.clear()

    def end(self) -> List[Step]:
        """The thread ends, but isn't waited for. Returns what still waits."""
        with self._changed:
            self._ended = True
            return self.clear()

    # --- The thread ---

    def _wake(self) -> None:
        """The lock is held."""
        if self._thread is None and not self._ended:
            thread = threading.Thread(target=self._run, name="tidemark-lifecycle", daemon=True)
            try:
                thread.start()
                self._thread = thread
            except RuntimeError as error:  # no threads any more: the interpreter ends, or the machine is full
                _log.warning("no thread for what waits for the daemon: %s", error)
        self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._ended:
                    pause = self._next_at() - time.monotonic()
                    if pause <= 0:
                        break
                    self._changed.wait(min(pause, 60.0))
                if self._ended:
                    return
            try:
                self._work()
            except Closed:
                return
            except Unavailable:
                with self._changed:
                    self._silent = True
                    self._look_at = time.monotonic() + self._look_pause
                    self._look_pause = min(self._look_pause * 1.3, LOOK_MAX_SECONDS)
            except Exception:
                _log.exception("the lifecycle thread goes on after a fault")
                time.sleep(RETRY_SECONDS)

    def _next_at(self) -> float:
        """When there is something to do (monotonic). The lock is held."""
        if self._silent:
            return self._look_at
        times = [at for at, _ in self._chores.values()]
        queue_at = self._queue.next_at()
        if queue_at is not None:
            times.append(queue_at)
        return min(times, default=float("inf"))

    def _work(self) -> None:
        if self._silent:
            self._client.ping(timeout=PING_SECONDS if self._client.connected else PING_UNCONNECTED_SECONDS)
            with self._changed:
                self._silent = False
                self._look_pause = LOOK_FIRST_SECONDS
                self._changed.notify_all()
        with self._changed:
            sessions = self._queue.due()
        for session in sessions:
            self._send(session)
        with self._changed:
            now = time.monotonic()
            due = [key for key, (at, _) in self._chores.items() if at <= now]
        for key in due:
            self._do_chore(key)

    def _send(self, session: str) -> None:
        """Makes the session's calls, until none waits or one is refused for now."""
        while True:
            with self._changed:
                step = self._queue.head(session)
            if step is None:
                return
            try:
                self._perform(step, time.monotonic() + STEP_SECONDS)
            except CallError as error:
                if self._tries_again(step, error):
                    with self._changed:
                        self._queue.postpone(session, RETRY_SECONDS)
                        self._changed.notify_all()
                    return
            with self._changed:
                self._queue.remove_head(step)
                self._changed.notify_all()

    def _do_chore(self, key: Hashable) -> None:
        with self._changed:
            chore = self._chores.pop(key, (0.0, None))[1]
        if chore is None:
            return
        try:
            chore()
        except TidemarkError as error:
            self.schedule(key, RETRY_SECONDS, chore)
            if not isinstance(error, CallError):
                raise
            _log.warning("%s; it is tried again", error)
