"""What the tests of session_lifecycle share: the module, freshly loaded over a daemon, and agents that record."""

from __future__ import annotations

import importlib
import logging
import os
import threading
import time
from types import ModuleType
from typing import Any, Callable, List, Optional, Tuple
from unittest import mock

import tidemark
from tidemark import lifecycle_host
from tidemark.lifecycle_commit import current_commit
from tests.support import DaemonTest

SECOND = 1.0

logging.getLogger("tidemark").addHandler(logging.NullHandler())


class RecordingAgent:
    """Counts its commits. Each waits until `release` is set (2 s at most); the first `failures` of them fail."""

    def __init__(self, *, held: bool = False, failures: int = 0) -> None:
        self.calls = 0
        self.failures = failures
        self.entered = threading.Event()
        self.release = threading.Event()
        self.requests: List[Any] = []
        if not held:
            self.release.set()

    def commit_memory_session(self) -> Any:
        self.calls += 1
        self.requests.append(current_commit())
        self.entered.set()
        self.release.wait(timeout=2)
        if self.failures:
            self.failures -= 1
            raise RuntimeError("no room")
        return None


class LifecycleTest(DaemonTest):
    """`self.lifecycle` is the module over `self.daemon`, `self.client` looks at the daemon from outside."""

    environment: "dict[str, str]" = {}

    def setUp(self) -> None:
        super().setUp()
        patched = mock.patch.dict(os.environ, {"TIDEMARK_SOCKET": self.daemon.socket_path, **self.environment})
        patched.start()
        self.addCleanup(patched.stop)
        self.client = tidemark.Client(self.daemon.socket_path)
        self.addCleanup(self.client.close)
        self.lifecycle = fresh_lifecycle()
        self.addCleanup(end_host)

    def status(self, session: str) -> Any:
        return self.client.call("session.status", {"session": session})

    def segments(self, session: str) -> List[Tuple[int, int]]:
        return [(segment["start"], segment["end"]) for segment in self.status(session)["segments"]]

    def agents_online(self) -> int:
        return int(self.client.call("daemon.status")["agents_online"])

    def timed(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Calls it, and fails if that takes a second."""
        begun = time.monotonic()
        result = function(*arguments, **named)
        self.assertLess(time.monotonic() - begun, SECOND, getattr(function, "__name__", "the call"))
        return result


def fresh_lifecycle() -> ModuleType:
    """As a host's tests have it: loaded anew, and all forgotten."""
    from tidemark import session_lifecycle

    lifecycle = importlib.reload(session_lifecycle)
    lifecycle._reset_for_tests()
    return lifecycle


def end_host() -> None:
    host: Optional[lifecycle_host.Host] = lifecycle_host._host
    if host is not None:
        lifecycle_host._host = None
        host.end(0.5)


def in_thread(function: Callable[..., Any], *arguments: Any, **named: Any) -> threading.Thread:
    thread = threading.Thread(target=function, args=arguments, kwargs=named, daemon=True)
    thread.start()
    return thread
