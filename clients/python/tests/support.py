"""What the tests share: a real daemon (its program is named by TIDEMARKD) and waiting for conditions."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest
from typing import Any, Callable, Optional

WAIT_SECONDS = 20.0


def wait_until(condition: Callable[[], Any], what: str, seconds: float = WAIT_SECONDS) -> Any:
    """Until the condition holds; returns its value. Raises AssertionError after so many seconds."""
    until = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= until:
            raise AssertionError(f"waited in vain: {what}")
        time.sleep(0.005)


# In memory if there is such a place: how long a call may take is looked at here, and a disk that others keep busy can hold
# a sync up for longer than that.
TEMPORARY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


class Daemon:
    """A daemon of one's own, in a temporary folder. `close` ends it, whatever state it is in."""

    def __init__(self, config: str = "") -> None:
        self.folder = tempfile.mkdtemp(prefix="tidemark-test.", dir=TEMPORARY)
        self.socket_path = os.path.join(self.folder, "s.sock")
        self._config = os.path.join(self.folder, "tidemarkd.toml")
        with open(self._config, "w", encoding="utf-8") as file:
            file.write(config)
        self._process: Optional[subprocess.Popen[bytes]] = None

    def start(self) -> None:
        """Returns when it listens."""
        with open(os.path.join(self.folder, "log"), "ab") as log:
            self._process = subprocess.Popen(
                [os.environ["TIDEMARKD"], "--socket", self.socket_path, "--state-dir", os.path.join(self.folder, "state"),
                 "--config", self._config], stdout=log, stderr=log)
        wait_until(self._listens, "the daemon listens")

    def kill(self) -> None:
        """SIGKILL, and it has ended."""
        self._end(signal.SIGKILL)

    def terminate(self) -> int:
        """SIGTERM; its exit status."""
        return self._end(signal.SIGTERM)

    def restart(self) -> None:
        self.kill()
        self.start()

    def pause(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        if self._process is not None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self, number: int) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        status = self._process.wait()
        self._process = None
        return status

    def _listens(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            with open(os.path.join(self.folder, "log"), encoding="utf-8") as log:
                raise AssertionError(f"the daemon ended: {log.read()}")
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(self.socket_path)
            except OSError:
                return False
            return True


class DaemonTest(unittest.TestCase):
    """Starts a daemon for each test."""

    config = ""

    def setUp(self) -> None:
        self.daemon = Daemon(self.config)
        self.addCleanup(self.daemon.close)
        self.daemon.start()
