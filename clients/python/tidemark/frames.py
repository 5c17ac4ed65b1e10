"""What goes over a connection: messages, as lines of JSON, and the calls that wait for their answers."""

from __future__ import annotations

import json
import logging
import threading
from typing import Any, Callable, Dict, Optional

_log = logging.getLogger("tidemark")

Message = Dict[str, Any]

encode_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


def encode_frame(message: Message) -> bytes:
    """Raises UnicodeEncodeError for text that UTF-8 can't carry."""
    return encode_json(message).encode() + b"\n"


class Ended(Exception):
    """The connection has ended."""


class Call:
    """A request that waits for its answer. Done once ``answer`` or ``ended`` is there, which is set once, by the
    thread that reads, before ``woken`` is released."""

    __slots__ = ("number", "woken", "done", "answer", "on_answer")

    def __init__(self, number: int, on_answer: Optional[Callable[[Optional[Message]], None]] = None) -> None:
        self.number = number
        self.woken = threading.Lock()
        self.woken.acquire()
        self.done = False
        self.answer: Optional[Message] = None  # None when done: the connection ended first
        self.on_answer = on_answer  # on the reading thread: quick, and never blocking

    def finish(self, answer: Optional[Message]) -> None:
        on_answer, self.on_answer = self.on_answer, None
        if on_answer is not None:
            try:
                on_answer(answer)
            except Exception:
                _log.exception("an answer of the daemon was not understood")
        self.answer = answer
        self.done = True
        self.wake()

    def wake(self) -> None:
        try:
            self.woken.release()
        except RuntimeError:
            pass  # it is awake already
