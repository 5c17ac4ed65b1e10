"""A memory provider that is slow and sometimes fails, and the agents that speak to it.

Its memory is the file effects.jsonl: one line a commit that it has taken, on the disk before it says so.
"""

import json
import os
import random
import threading
import time

from tidemark.session_lifecycle import current_commit

SECONDS = (0.01, 0.12)  # that a commit lasts
FAILURES = 0.1  # of them

_write_lock = threading.Lock()


def append_line(path, value, *, durably=False):
    """One write, so that a killed process leaves a whole line or none."""
    line = (json.dumps(value) + "\n").encode()
    with _write_lock:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, line)
            if durably:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)


class Agent:
    """Holds a session's transcript open, until it is closed."""

    def __init__(self, folder, session):
        self.folder = folder
        self.session = session
        self.transcript = open(folder / f"{session}.transcript", "ab", buffering=0)

    def answer(self, prompt):
        """A turn, saved when it is over."""
        time.sleep(random.uniform(0.002, 0.015))
        self.transcript.write(prompt.encode() + b"\n")

    def commit_memory_session(self):
        commit = current_commit()
        if commit.session != self.session or self.transcript.closed:
            raise RuntimeError(f"asked for {commit.session}, but this is {self.session}")
        time.sleep(random.uniform(*SECONDS) / 2)
        if random.random() < FAILURES:
            raise RuntimeError("the provider has no time")
        append_line(self.folder / "effects.jsonl",
                    {"session": commit.session, "start": commit.start, "end": commit.end, "key": commit.key},
                    durably=True)
        time.sleep(random.uniform(*SECONDS) / 2)  # here it may be killed with the effect on the disk and nobody told

    def close(self):
        self.transcript.close()
