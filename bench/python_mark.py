#!/usr/bin/env python3
"""A mark's round trip: through the Python client, and through a bare blocking socket that does the same.

    bench/python_mark.py build/release/bin/tidemarkd [--marks N] [--directory DIR]

Both run in turns against one private daemon whose state lies in DIR (default: the folder for temporary files). Prints
p50 and p99 in microseconds, of a client that only marks and of one that serves an agent besides.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Callable, Dict, List

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "clients" / "python"))

from tidemark import Client  # noqa: E402

MARKS_IN_TURN = 20


def bare_mark(path: str) -> Callable[[], None]:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.connect(path)
    number = 0

    def mark() -> None:
        nonlocal number
        number += 1
        request = {"jsonrpc": "2.0", "id": number, "method": "turn.complete",
                   "params": {"session": "bare", "turn": str(uuid.uuid4())}}
        connection.sendall(json.dumps(request).encode() + b"\n")
        answer = connection.recv(65536)
        while not answer.endswith(b"\n"):
            answer += connection.recv(65536)
        if json.loads(answer)["id"] != number:
            raise SystemExit("the daemon answered something else")

    return mark


def measure(mark: Callable[[], None], marks: int) -> List[float]:
    times = []
    for _ in range(marks):
        began = time.perf_counter()
        mark()
        times.append(time.perf_counter() - began)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tidemarkd")
    parser.add_argument("--marks", type=int, default=5000, help="of each kind")
    parser.add_argument("--directory")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.directory) as directory:
        path = os.path.join(directory, "s.sock")
        daemon = subprocess.Popen([arguments.tidemarkd, "--socket", path, "--state-dir", directory + "/state"],
                                  stderr=subprocess.DEVNULL)
        try:
            client, serving = Client(path), Client(path)
            client.ping()
            serving.register("agent", handler=lambda request: None, session="served")
            kinds = {
                "bare socket": bare_mark(path),
                "client": lambda: client.complete("marked"),
                "client, serving": lambda: serving.complete("served", agent="agent"),
            }
            times: Dict[str, List[float]] = {name: [] for name in kinds}
            for _ in range(max(1, arguments.marks // MARKS_IN_TURN)):
                for name, mark in kinds.items():
                    times[name] += measure(mark, MARKS_IN_TURN)
            client.close()
            serving.close()
        finally:
            daemon.kill()
            daemon.wait()
    bare = 0.0
    for name, taken in times.items():
        taken.sort()
        p50, p99 = (taken[int(len(taken) * share)] * 1e6 for share in (0.5, 0.99))
        bare = bare or p50
        print(f"{name:16} p50 {p50:6.0f} us   p99 {p99:6.0f} us   {p50 / bare:.2f} x")


if __name__ == "__main__":
    main()
