"""What the client's tests share: a client over a daemon of its own, a proxy between them, and threads."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Callable, List

from tests.proxy import Proxy
from tests.support import DaemonTest
from tidemark import Client

# How much later than its timeout a call may end on a busy machine.
LATE = 0.4


def tidemark_threads() -> List[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("tidemark")]


class ClientTest(DaemonTest):
    def setUp(self) -> None:
        super().setUp()
        self.client = self.make_client()

    def make_client(self, **named: Any) -> Client:
        client = Client(named.pop("socket_path", self.daemon.socket_path), **named)
        self.addCleanup(client.close)
        return client

    def make_proxy(self) -> Proxy:
        proxy = Proxy(self.daemon.socket_path)
        self.addCleanup(proxy.close)
        return proxy

    def in_thread(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> "Future[Any]":
        pool = ThreadPoolExecutor(1)
        self.addCleanup(pool.shutdown)
        return pool.submit(function, *arguments, **named)

    def assert_takes(self, seconds: float, began: float) -> None:
        took = time.monotonic() - began
        self.assertGreaterEqual(took, seconds - 0.01)
        self.assertLess(took, seconds + LATE)
