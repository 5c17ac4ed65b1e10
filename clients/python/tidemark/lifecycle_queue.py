"""Calls that change a session and couldn't be made in time: kept in memory, per session in the order in which they
came, until the daemon answers again. The order between sessions is nobody's business, so one that the daemon refuses
for now holds back no other. Bounded; the same turn id at each try makes a mark count once, however often it is sent.
"""

from __future__ import annotations

import enum
import threading
import time
import uuid
from collections import deque
from typing import Deque, Dict, List, Optional

from .lifecycle_agents import HeldAgent


class Kind(enum.Enum):
    REGISTER = "register"
    UNREGISTER = "unregister"
    MARK = "mark"


class Step:
    """One call. `ended` is set when it was made or given up; `generation` is a mark's answer, 0 without one."""

    __slots__ = ("kind", "session", "held", "turn", "ended", "generation")

    def __init__(self, kind: Kind, session: str, held: Optional[HeldAgent]) -> None:
        self.kind = kind
        self.session = session
        self.held = held
        self.turn = str(uuid.uuid4()) if kind is Kind.MARK else ""
        self.ended = threading.Event()
        self.generation = 0


class _Line:
    """What waits of one session. Not before `not_before` (monotonic), if the daemon said to try later."""

    __slots__ = ("steps", "not_before")

    def __init__(self) -> None:
        self.steps: Deque[Step] = deque()
        self.not_before = 0.0


class StepQueue:
    """Not thread-safe: its user's lock guards it."""

    def __init__(self, steps_max: int) -> None:
        self._steps_max = steps_max
        self._lines: Dict[str, _Line] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, session: str) -> bool:
        return session in self._lines

    def holds_mark(self, session: str) -> bool:
        line = self._lines.get(session)
        return line is not None and any(step.kind is Kind.MARK for step in line.steps)

    def add(self, step: Step) -> bool:
        """False if the queue is full."""
        if self._count >= self._steps_max:
            return False
        self._lines.setdefault(step.session, _Line()).steps.append(step)
        self._count += 1
        return True

    def postpone(self, session: str, seconds: float) -> None:
        line = self._lines.get(session)
        if line is not None:
            line.not_before = time.monotonic() + seconds

    def is_postponed(self, session: str) -> bool:
        line = self._lines.get(session)
        return line is not None and line.not_before > time.monotonic()

    def due(self) -> List[str]:
        """The sessions whose first step may be sent now."""
        now = time.monotonic()
        return [session for session, line in self._lines.items() if line.not_before <= now]

    def next_at(self) -> Optional[float]:
        """When the next step may be sent (monotonic)."""
        return min((line.not_before for line in self._lines.values()), default=None)

    def head(self, session: str) -> Optional[Step]:
        line = self._lines.get(session)
        return line.steps[0] if line is not None else None

    def remove_head(self, step: Step) -> None:
        """Takes the step out, if it is still its session's first."""
        line = self._lines.get(step.session)
        if line is None or line.steps[0] is not step:
            return
        line.steps.popleft()
        self._count -= 1
        if not line.steps:
            del self._lines[step.session]

    def clear(self) -> List[Step]:
        """Takes all out."""
        steps = [step for line in self._lines.values() for step in line.steps]
        self._lines.clear()
        self._count = 0
        return steps
