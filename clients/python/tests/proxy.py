"""Stands between a client and the daemon, and loses what a test wants lost."""

from __future__ import annotations

import os
import select
import socket
import threading
from typing import Dict, List, Set


class Proxy:
    """Listens beside the daemon's socket. One thread carries bytes both ways."""

    def __init__(self, daemon_path: str) -> None:
        self.socket_path = os.path.join(os.path.dirname(daemon_path), "proxy.sock")
        self.accepted = 0  #: connections, ever
        self.lose_answers = False  #: what the daemon sends is thrown away
        self.lost = threading.Event()  #: something was
        self.sent = b""  #: what clients have sent, ever
        self._daemon_path = daemon_path
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.socket_path)
        self._listener.listen()
        self._peers: Dict[socket.socket, socket.socket] = {}  # both ways
        self._clients: Set[socket.socket] = set()
        self._told: List[str] = []
        self._wake, self._waker = socket.socketpair()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def cut(self) -> None:
        """Ends every connection."""
        self._tell("cut")

    def close(self) -> None:
        self._tell("close")
        self._thread.join(10)

    def inject(self, frame: bytes) -> None:
        """Sends something to every client."""
        for client in list(self._clients):
            client.sendall(frame)

    def _tell(self, what: str) -> None:
        self._told.append(what)
        self._waker.send(b"\0")

    def _run(self) -> None:
        while True:
            ready, _, _ = select.select([self._wake, self._listener, *self._peers], [], [])
            for one in ready:
                if one is self._wake:
                    self._wake.recv(1)
                    what = self._told.pop(0)
                    for each in list(self._peers):
                        self._end(each)
                    if what == "close":
                        for each in (self._listener, self._wake, self._waker):
                            each.close()
                        return
                elif one is self._listener:
                    self._accept()
                elif one in self._peers:
                    self._carry(one)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        daemon = socket.socket(socket.AF_UNIX)
        try:
            daemon.connect(self._daemon_path)
        except OSError:
            client.close()
            daemon.close()
            return
        self.accepted += 1
        self._peers[client], self._peers[daemon] = daemon, client
        self._clients.add(client)

    def _carry(self, one: socket.socket) -> None:
        try:
            data = one.recv(65536)
        except OSError:
            data = b""
        if not data:
            return self._end(one)
        if one in self._clients:
            self.sent += data
        elif self.lose_answers:
            self.lost.set()
            return
        try:
            self._peers[one].sendall(data)
        except OSError:
            self._end(one)

    def _end(self, one: socket.socket) -> None:
        other = self._peers.pop(one, None)
        if other is None:
            return
        del self._peers[other]
        for each in (one, other):
            self._clients.discard(each)
            each.close()
