"""What calls give back. Members that a newer daemon adds are dropped from the classes and kept in the dictionaries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Tuple, TypedDict


@dataclass(frozen=True)
class Registered:
    agent: str
    epoch: int  #: tells registrations apart; never goes back
    due_segments: int


@dataclass(frozen=True)
class Completed:
    generation: int
    duplicate: bool = False  #: that turn id was known
    counted: bool = True  #: False: ephemeral, or cancelled before


@dataclass(frozen=True)
class Committed:
    committed: bool  #: outcome == "committed"
    outcome: str
    generation: int
    watermark: int
    start: Optional[int] = None  #: the range that was attempted, both ends included
    end: Optional[int] = None
    error: Optional[str] = None


@dataclass(frozen=True)
class Flushed:
    committed: bool
    outcome: str
    segments: int
    generation: int
    watermark: int


@dataclass(frozen=True)
class Rotated:
    """Of the session that was left."""

    due_segments: int
    generation: int
    watermark: int


@dataclass(frozen=True)
class Evicted:
    evicted: bool
    outcome: str
    generation: int = 0
    watermark: int = 0
    error: Optional[str] = None


@dataclass(frozen=True)
class Forgotten:
    forgotten: bool
    dropped: int  #: generations


@dataclass(frozen=True)
class Drained:
    drained: bool
    committed: int  #: segments
    remaining: Tuple[str, ...] = ()


class Hello(TypedDict):
    server: str
    version: str
    protocol: int
    instance: str
    uid: int
    admin: bool
    limits: Dict[str, int]


class _Segment(TypedDict):
    start: int
    end: int
    owner: Optional[str]
    state: str
    due: bool
    sealed: bool
    attempts: int
    next_attempt_at: Optional[str]
    last_error: Optional[str]
    commit: Optional[str]
    key: Optional[str]


class Segment(_Segment, total=False):
    provider: str  #: its owner's, or who has accepted it
    orphaned: bool
    stalled: bool
    evidence: Any  #: what the provider has left: tasks, archives, counts, output


class SessionSummary(TypedDict):
    session: str
    uid: int
    generation: int
    watermark: int
    accepted: int
    uncommitted: int
    in_flight: bool
    agent: Optional[str]
    turns_open: int
    last_turn_at: Optional[str]


class SessionStatus(SessionSummary):
    segments: List[Segment]


class _SessionList(TypedDict):
    sessions: List[SessionSummary]


class SessionList(_SessionList, total=False):
    cursor: str


class _CommitRecord(TypedDict):
    commit: str
    key: Optional[str]
    uid: int
    session: str
    owner: Optional[str]
    by: Optional[str]
    start: int
    end: int
    state: str
    attempt: int
    reason: str
    started_at: Optional[str]
    finished_at: Optional[str]


class CommitRecord(_CommitRecord, total=False):
    error: str
    evidence: Any


class _History(TypedDict):
    commits: List[CommitRecord]


class History(_History, total=False):
    cursor: str


class _ProviderStatus(TypedDict):
    name: str
    kind: str  #: ``openviking``, ``http`` or ``exec``
    state: str  #: ``ok`` or ``paused``
    since: str


class ProviderStatus(_ProviderStatus, total=False):
    error: str  #: why it is paused


class DaemonStatus(TypedDict):
    version: str
    instance: str
    uptime_ms: int
    schema: int
    sessions: int
    dirty: int
    due: int
    in_flight: int
    confirming: int
    stalled: int
    in_doubt: int
    orphaned: int
    stuck: int
    agents_online: int
    providers: List[ProviderStatus]  #: those that the caller may use
    journal: Dict[str, Any]
    recovered: Dict[str, int]


def committed_of(result: Mapping[str, Any]) -> Committed:
    return Committed(result["committed"], result["outcome"], result["generation"], result["watermark"],
                     result.get("start"), result.get("end"), result.get("error"))


def evicted_of(result: Mapping[str, Any]) -> Evicted:
    return Evicted(result["evicted"], result["outcome"], result["generation"], result["watermark"],
                   result.get("error"))
