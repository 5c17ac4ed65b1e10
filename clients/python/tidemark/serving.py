"""The agents that this client serves, and the commits that the daemon asks of them.

Work goes by key: a key that is asked for again joins the work that runs for it, and one that has succeeded is answered
from memory, which is what makes the daemon's retries exact. Handlers run on a bounded pool of daemon threads.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Tuple

from .connection import Connection
from .current_agents import CurrentAgents
from .errors import CallError, CommitFailed
from .frames import Ended, Message, encode_frame
from .workers import WorkerPool

_log = logging.getLogger("tidemark")

STATUSES = ("committed", "skipped", "synced")
# Keys whose success is remembered.
ANSWERS_MAX = 4096
# Requests that one work answers; the oldest of more have long timed out at the daemon.
ASKINGS_MAX = 64
ERROR_CHARACTERS_MAX = 1000
SEND_SECONDS = 10.0
PROGRESS_SECONDS = 1.0  # it is a hint, and the handler has better to do


@dataclass(frozen=True)
class CommitRequest:
    """What a serving agent is asked: to commit the turns ``start`` to ``end`` of ``session``, both included."""

    commit: str  #: this attempt
    key: str  #: the same at every try that may repeat work
    session: str
    external_id: Optional[str]  #: the provider's name for the session, if the agent has given it one
    agent: str  #: the turns' owner
    provider: Optional[str]  #: whom the daemon commits through once the handler has returned ``"synced"``
    start: int
    end: int
    attempt: int  #: from 1
    reason: str
    timeout: float  #: seconds that the daemon waits for the answer, or the next ``progress``
    _progress: Callable[[], None] = field(default=lambda: None, repr=False, compare=False)

    def progress(self) -> None:
        """Tells the daemon that the attempt is alive: its timeout starts again. Never fails, and
        waits a second at most, for a daemon that takes nothing."""
        self._progress()


#: Commits, and returns None or ``"committed"`` when that is done, ``"skipped"`` when there was nothing to extract, or
#: ``"synced"``, only if the request names a provider: the turns are there, now the daemon commits through it.
Handler = Callable[[CommitRequest], Optional[str]]


class Asking(NamedTuple):
    """One request of the daemon, to be answered on its connection."""

    connection: Connection
    number: Any
    commit: str


class Work:
    """What runs, or waits to run, for one key."""

    def __init__(self, handler: Handler, params: Message) -> None:
        self.handler = handler
        self.params = params
        self.askings: List[Asking] = []


class Agent:
    """An agent that this client serves. It is ``fenced`` once a newer registration elsewhere has its name."""

    def __init__(self, name: str, params: Dict[str, Any], handler: Handler,
                 on_fenced: Optional[Callable[[str], None]]) -> None:
        self.name = name
        self.params = params  # of agent.register, without the session
        self.handler = handler
        self.on_fenced = on_fenced
        self.epoch = 0  # of the latest registration that was answered
        self.registering = 0  # registrations sent and not answered
        self.refused = False  # by the latest answer, for now
        self.fenced_epoch = 0
        self.fenced = False
        self.leaving = False  # being unregistered: served to the end, not registered again


class Serving:
    def __init__(self, workers: int, tell: Callable[[Callable[[], None]], None]) -> None:
        self._workers_max = workers
        self._tell = tell  # runs a callback of the user's
        self.start_anew()

    def start_anew(self) -> None:
        self._lock = threading.Lock()
        self._agents: Dict[str, Agent] = {}
        self._current = CurrentAgents()  # those that are served here
        self._refused: Dict[str, float] = {}  # agents that could not be registered, and when they are tried again
        self._works: Dict[str, Work] = {}
        self._answers: OrderedDict[str, str] = OrderedDict()
        self._pool = WorkerPool("tidemark-commit", self._workers_max)

    # --- Agents ---

    def any_to_register(self) -> bool:
        with self._lock:
            return any(not (agent.fenced or agent.leaving) for agent in self._agents.values())

    def add(self, agent: Agent) -> Optional[Agent]:
        """The one of that name before."""
        with self._lock:
            before = self._agents.get(agent.name)
            if before is not None:
                agent.epoch = before.epoch
            self._agents[agent.name] = agent
            return before

    def put_back(self, agent: Agent, before: Optional[Agent]) -> None:
        """The daemon has refused ``agent``: ``before`` stays what it was."""
        with self._lock:
            if self._agents.get(agent.name) is not agent:
                return
            if before is None:
                del self._agents[agent.name]
            else:
                self._agents[agent.name] = before
                before.fenced_epoch = max(before.fenced_epoch, agent.fenced_epoch)
                self._look_fenced(before)

    def leave(self, name: str, leaving: bool) -> None:
        with self._lock:
            agent = self._agents.get(name)
            if agent is not None:
                agent.leaving = leaving

    def remove(self, name: str) -> None:
        """Unless it was added anew meanwhile."""
        with self._lock:
            agent = self._agents.get(name)
            if agent is not None and agent.leaving:
                del self._agents[name]
                self._current.forget_agent(name)

    def set_session(self, session: str, agent: Optional[str], external_id: Optional[str] = None, *,
                    keep_external_id: bool = False) -> None:
        """``agent`` is the session's current one. One that isn't served here, or none, is not remembered."""
        with self._lock:
            if agent is None or agent not in self._agents:
                self._current.forget(session)
            else:
                self._current.set(session, agent, external_id, keep_external_id)

    @contextmanager
    def changing(self, session: Optional[str], agent: Optional[str]) -> Iterator[None]:
        """Around a call that makes the agent the session's current one, and the ``set_session`` after it. Meanwhile,
        and after a call whose outcome isn't known, no other agent is registered as that by itself: the daemon may
        take a repeated call for one that it has answered, which then wouldn't change it back."""
        if not (isinstance(session, str) and isinstance(agent, str)):  # the daemon refuses it, or nothing is changed
            yield
            return
        with self._lock:
            current = self._current
            current.begin_change(session, agent)
        in_doubt = True
        try:
            yield
            in_doubt = False
        except CallError as error:
            in_doubt = error.reason == "outcome_unknown"
            raise
        finally:
            with self._lock:
                current.end_change(session, agent, in_doubt=in_doubt)

    def registrations(self, *, refused: bool = False) -> List[Tuple[Agent, Dict[str, Any]]]:
        """What a new connection has to be told: every agent, with each of its sessions. ``refused``: of the refused
        ones, those whose next try is due."""
        with self._lock:
            now = time.monotonic()
            names = [name for name, due in self._refused.items() if due <= now] if refused else list(self._agents)
            for name in names:
                self._refused.pop(name, None)
            agents = [self._agents[name] for name in names if name in self._agents]
            sessions = self._current.by_agent() if agents else {}
            return [(agent, {**agent.params, **params})
                    for agent in agents if not (agent.fenced or agent.leaving)
                    for params in sessions.get(agent.name, [{}])]

    def refused(self, agent: Agent, seconds: float) -> bool:
        """The daemon can't register it now; it is to be tried again. Whether that is news."""
        with self._lock:
            self._refused[agent.name] = time.monotonic() + seconds
            was_refused, agent.refused = agent.refused, True
            return not was_refused

    def refused_due_in(self) -> Optional[float]:
        """Seconds until the first of the refused is to be tried again."""
        with self._lock:
            return min(self._refused.values()) - time.monotonic() if self._refused else None

    def registering(self, agent: Agent) -> None:
        with self._lock:
            agent.registering += 1

    def registered(self, agent: Agent, answer: Optional[Message]) -> None:
        """A registration was answered, or its connection has ended (None). Told in the order of the answers."""
        with self._lock:
            agent.registering -= 1
            result = answer.get("result") if answer is not None else None
            if isinstance(result, dict):
                agent.epoch = max(agent.epoch, int(result.get("epoch", 0)))
                agent.refused = False
            self._look_fenced(agent)

    def fenced(self, name: str, epoch: int) -> None:
        with self._lock:
            agent = self._agents.get(name)
            if agent is not None:
                agent.fenced_epoch = max(agent.fenced_epoch, epoch)
                self._look_fenced(agent)

    def _look_fenced(self, agent: Agent) -> None:
        # A registration that is still to be answered may be the newer one.
        if agent.fenced or agent.registering > 0 or agent.fenced_epoch <= agent.epoch:
            return
        agent.fenced = True
        _log.warning("agent %s is fenced: another connection has registered this name", agent.name)
        callback = agent.on_fenced
        if callback is not None:
            told = callback
            self._tell(lambda: told(agent.name))

    # --- Commits ---

    def on_request(self, connection: Connection, message: Message) -> None:
        """On the reading thread: nothing here blocks, answers are sent by the pool."""
        params = message.get("params")
        params = params if isinstance(params, dict) else {}
        asking = Asking(connection, message["id"], str(params.get("commit", "")))
        if message["method"] != "commit":
            error = _error(-32601, "method_not_found", "this agent serves commits only")
            return self._pool.submit(lambda: _answer([asking], error))
        key = str(params.get("key", ""))
        with self._lock:
            status = self._answers.get(key)
            work = self._works.get(key)
            agent = self._asked(str(params.get("agent", "")), str(params.get("session", "")))
            if status is None and work is not None:
                work.askings.append(asking)
                del work.askings[:-ASKINGS_MAX]
                return
            if status is None and agent is not None:
                work = self._works[key] = Work(agent.handler, params)
                work.askings.append(asking)
        if status is not None:
            answer = {"result": {"status": status}}
            self._pool.submit(lambda: _answer([asking], answer))
        elif work is not None:
            begun = work
            self._pool.submit(lambda: self._run(key, begun))
        else:
            error = _error(-32603, "internal", "this client serves no agent of that name")
            self._pool.submit(lambda: _answer([asking], error))

    def _asked(self, owner: str, session: str) -> Optional[Agent]:
        """Whose handler a request is for: it names the segment's owner. One that isn't served here is gone for good,
        and another of its group is asked: the session's agent, or else one that serves orphans. The lock is held."""
        agent = self._agents.get(owner)
        if agent is not None:
            return agent
        current = self._agents.get(self._current.agent_of(session) or "")
        if current is not None and "group" in current.params:
            return current
        return next((one for one in self._agents.values() if "serves_orphans" in one.params), None)

    def _run(self, key: str, work: Work) -> None:
        with self._lock:
            if all(asking.connection.ended for asking in work.askings):
                del self._works[key]  # it waited, and nobody waits for it any more; it will be asked for again
                return
        outcome: Mapping[str, Any] = _error(-32603, "internal", "the handler was interrupted")
        status: Optional[str] = None
        try:
            status = _checked(work.handler(self._request(work)))
            outcome = {"result": {"status": status}}
        except CommitFailed as failure:
            outcome = _error(-32603, "internal", failure.message, permanent=failure.permanent)
        except BaseException as failure:
            outcome = _error(-32603, "internal", _text(failure))
            _log.warning("agent %s could not commit session %s: %s", work.params.get("agent"),
                         work.params.get("session"), outcome["error"]["message"],
                         exc_info=_log.isEnabledFor(logging.DEBUG))
        finally:
            with self._lock:
                if self._works.get(key) is work:
                    del self._works[key]
                askings = work.askings
                if status is not None:
                    self._answers[key] = status
                    if len(self._answers) > ANSWERS_MAX:
                        self._answers.popitem(last=False)
        _answer(askings, outcome)

    def _request(self, work: Work) -> CommitRequest:
        params = work.params
        return CommitRequest(
            commit=str(params["commit"]), key=str(params["key"]), session=params["session"],
            external_id=params.get("external_id"), agent=params["agent"], provider=params.get("provider"),
            start=int(params["start"]), end=int(params["end"]), attempt=int(params["attempt"]),
            reason=str(params.get("reason", "")), timeout=params.get("timeout_ms", 0) / 1000,
            _progress=lambda: self._progress(work))

    def _progress(self, work: Work) -> None:
        with self._lock:
            askings = list(work.askings)
        deadline = time.monotonic() + PROGRESS_SECONDS
        for asking in askings:
            _send(asking.connection, {"jsonrpc": "2.0", "method": "commit.progress",
                                      "params": {"commit": asking.commit}}, deadline)

    # --- The end ---

    def close(self) -> None:
        self._pool.close()

    def join(self, deadline: float) -> None:
        self._pool.join(deadline)


def _checked(status: Optional[str]) -> str:
    if status is None:
        return "committed"
    if status not in STATUSES:
        raise CommitFailed(f"the handler returned {status!r}, which is neither None nor one of {', '.join(STATUSES)}")
    return status


def _error(code: int, reason: str, message: str, *, permanent: bool = False) -> Mapping[str, Any]:
    data: Dict[str, Any] = {"reason": reason}
    if permanent:
        data["permanent"] = True
    # What UTF-8 can't carry is shown escaped.
    text = message.encode("utf-8", "backslashreplace").decode()[:ERROR_CHARACTERS_MAX]
    return {"error": {"code": code, "message": text, "data": data}}


def _text(failure: BaseException) -> str:
    try:
        return f"{type(failure).__name__}: {failure}"
    except Exception:  # its own __str__ fails
        return type(failure).__name__


def _answer(askings: List[Asking], outcome: Mapping[str, Any]) -> None:
    # A connection that has ended can't take an answer: the daemon asks again, and success is remembered by its key.
    for asking in askings:
        _send(asking.connection, {"jsonrpc": "2.0", "id": asking.number, **outcome}, time.monotonic() + SEND_SECONDS)


def _send(connection: Connection, message: Message, deadline: float) -> None:
    if connection.ended:
        return
    try:
        connection.send(encode_frame(message), deadline)
    except (Ended, TimeoutError):
        _log.debug("an answer, or progress, could not be sent: the connection has ended, or the daemon takes nothing")
