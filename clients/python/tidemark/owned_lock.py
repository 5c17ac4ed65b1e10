"""A lock that survives interrupts. A signal handler may raise between the taking of a lock and the ``try`` that would
let go of it, or within the ``finally`` that does; whoever calls all that can then ask whether the lock is still his.
"""

from __future__ import annotations

import threading


class OwnedLock:
    """Its thread can't take it twice, but can find out whether it still holds it."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self.held = False  # a hint for others

    def acquire(self, seconds: float = 0.0) -> bool:
        if not self._lock.acquire(False):
            if seconds <= 0 or not self._lock.acquire(True, min(seconds, threading.TIMEOUT_MAX)):
                return False
        if self.held:  # by this very thread: a finalizer makes a call in the middle of another
            self._lock.release()
            return False
        self.held = True
        return True

    def release(self) -> None:
        self.held = False
        self._lock.release()

    def release_if_owned(self) -> bool:
        """Whether this thread held it."""
        if not self._lock.acquire(False):
            return False
        self.held = False
        self._lock.release()
        try:
            self._lock.release()
        except RuntimeError:  # it was nobody's
            return False
        return True
