"""What stands behind session_lifecycle: one Host a process, with its one connection to the daemon.

It lives in a module of its own, so that reloading session_lifecycle, or having it twice, changes nothing here.
A call that changes a session is made by its caller's thread if it can be within BUDGET_SECONDS; otherwise it waits for
the Sender, which makes it when the daemon answers again.
"""

from __future__ import annotations

import atexit
import logging
import math
import os
import threading
import time
import uuid
from typing import Callable, Iterable, NamedTuple, Optional, Set

from .client import Client
from .errors import CallError, Closed, CommitFailed, TidemarkError, Unavailable
from .lifecycle_agents import HeldAgent, HeldAgents
from .lifecycle_commit import run_commit
from .lifecycle_queue import Kind, Step
from .lifecycle_sender import RETRY_SECONDS, Sender
from .serving import CommitRequest, Handler

_log = logging.getLogger("tidemark")

BUDGET_SECONDS = 0.7  # what a mark, register, unregister or status waits; with all else it must stay below a second
WORKERS = 32  # commits that may run at the same time
RESET_SECONDS = 5.0
# Between looks whether an agent that isn't its session's current one is still needed.
CHECK_FIRST_SECONDS, CHECK_MAX_SECONDS = 0.1, 60.0
SEGMENTS_SHOWN = 1000  # by session.status, at most
# What no repetition mends. Anything else that the daemon refuses is tried again.
PERMANENT = frozenset({"invalid_params", "invalid_request", "method_not_found", "forbidden", "not_found",
                       "protocol_mismatch"})

OrphanHandler = Callable[[str], Optional[object]]


class Settings(NamedTuple):
    socket_path: Optional[str]
    group: str
    fallback: Optional[str]

    @staticmethod
    def of_environment() -> Settings:
        return Settings(os.environ.get("TIDEMARK_SOCKET") or None, os.environ.get("TIDEMARK_GROUP") or "hermes-webui",
                        os.environ.get("TIDEMARK_FALLBACK") or None)


class Host:
    """Thread-safe. No function raises because of the daemon; what can't be had of it is logged."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._fallback = settings.fallback
        self._agents = HeldAgents()
        self._lock = threading.Lock()  # guards the two below
        self._touched: Set[str] = set()  # for reset(); a session leaves it when it is discarded
        self._orphan_agent: Optional[str] = None  # the name under which orphans are served
        self._client = Client(settings.socket_path, name="tidemark-webui", workers=WORKERS)
        self._sender = Sender(self._client, self._perform, self._tries_again)

    # --- What a request thread calls ---

    def register_agent(self, session: str, agent: object) -> None:
        self._change(Step(Kind.REGISTER, session, self._agents.take(agent, session)))

    def unregister_agent(self, session: str) -> None:
        self._change(Step(Kind.UNREGISTER, session, None))

    def mark_turn_completed(self, session: str, agent: Optional[object]) -> int:
        held = self._agents.take(agent, session) if agent is not None else None
        return self._change(Step(Kind.MARK, session, held))

    def has_uncommitted_work(self, session: str) -> bool:
        """True as well if it can't be known now."""
        if self._sender.silent or self._sender.mark_waits(session):
            return True
        try:
            status = self._client.status(session, timeout=BUDGET_SECONDS)
            return status["watermark"] < status["generation"]
        except CallError as error:
            if error.reason == "not_found":
                return False
            _log.warning("whether session %s has uncommitted work can't be told: %s", session, error)
        except Unavailable:
            self._sender.set_silent()
        except TidemarkError:
            pass
        return True

    def discard_session(self, session: str) -> bool:
        if self._sender.silent or self._sender.waits(session):
            return False
        try:
            discarded = self._client.discard(session, timeout=BUDGET_SECONDS)
        except TidemarkError as error:
            if isinstance(error, Unavailable):
                self._sender.set_silent()
            _log.warning("session %s is kept: %s", session, error)
            return False
        if discarded:
            with self._lock:
                self._touched.discard(session)
            self._check_soon(session)
        return discarded

    # --- What waits ---

    def commit(self, session: str, agent: Optional[object], wait: bool, timeout: Optional[float]) -> bool:
        until = time.monotonic() + timeout if timeout is not None else math.inf
        held = self._agents.take(agent, session) if agent is not None else None
        try:
            if not self._sender.reach(until, BUDGET_SECONDS, session):
                return False
            if held is not None and not held.registered:
                self._register(held, None, min(until, time.monotonic() + BUDGET_SECONDS))
            with self._lock:
                self._touched.add(session)
            return self._client.commit(session, agent=held.name if held is not None else None, wait=wait,
                                       timeout=_left(until), connect_timeout=BUDGET_SECONDS).committed
        except Closed:
            return False
        except TidemarkError as error:
            _log.warning("session %s wasn't committed: %s", session, error)
            return False
        finally:
            if held is not None:
                self._agents.put_back(held)
            self._check_soon(session)

    def drain(self, until: float) -> None:
        """Commits what agents of this process own, until then (monotonic); once more if the daemon ends meanwhile."""
        while self._sender.reach(until, BUDGET_SECONDS):
            try:
                # A read is answered after all before it, so that the drain sees what a new connection has registered.
                self._client.list_sessions(limit=1, timeout=_left(until))
                drained = self._client.drain(scope="connection", timeout=_left(until))
            except Unavailable:
                continue
            except TidemarkError as error:
                _log.warning("the drain was refused: %s", error)
                return
            if not drained.drained:
                remaining = ", ".join(drained.remaining[:20])
                _log.warning("drained, but for %d sessions: %s", len(drained.remaining), remaining)
            return
        _log.warning("the drain ended without an answer of the daemon")

    # --- Orphans ---

    def set_orphan_handler(self, handler: Optional[OrphanHandler]) -> None:
        name = str(uuid.uuid4())
        with self._lock:
            former, self._orphan_agent = self._orphan_agent, name if handler is not None else None
        if former is not None:
            self._release(former)
        if handler is not None:
            serve = _orphan_server(handler)
            self._sender.schedule("orphans", 0.0, lambda: self._register_orphans(name, serve))

    def _register_orphans(self, name: str, serve: Handler) -> None:
        with self._lock:
            if self._orphan_agent != name:
                return
        try:
            self._register_name(name, serve, time.monotonic() + BUDGET_SECONDS, serves_orphans=True)
        except CallError as error:
            if error.reason not in PERMANENT:
                raise
            _log.error("this process can't serve orphans: %s", error)

    # --- The end ---

    def reset(self) -> None:
        """Forgets all, in the daemon too. What it can't be told of within RESET_SECONDS is left for the next time."""
        self.set_orphan_handler(None)
        for step in self._sender.clear():
            step.ended.set()
        with self._lock:
            sessions = list(self._touched)
        if not sessions and not self._agents.everybody():
            return
        until = time.monotonic() + RESET_SECONDS
        try:
            self._client.ping(timeout=_left(until))  # as a forget isn't repeated when the connection has ended
            for session in sessions:
                self._client.forget(session, "reset for tests", timeout=_left(until))
                with self._lock:
                    self._touched.discard(session)
            self._leave(self._agents.clear(), until)
        except TidemarkError as error:
            _log.warning("not all could be forgotten: %s", error)

    def end(self, seconds: float) -> None:
        """The process, or this Host, ends: what waits is sent if it can be, and the agents are gone for good."""
        until = time.monotonic() + seconds
        reached = (self._client.connected or self._sender.waits()) and self._sender.reach(until, seconds)
        for step in self._sender.end():
            if step.kind is Kind.MARK:
                _log.error("a completed turn of session %s is lost: no daemon took it before the end", step.session)
            step.ended.set()
        try:
            if reached:
                self._leave(self._agents.clear(), until)
        except TidemarkError:
            pass  # the end of the connection tells it too, only later
        self._client.close(timeout=max(_left(until), 0.1))

    # --- Calls that change a session ---

    def _change(self, step: Step) -> int:
        """Makes the call within the budget, or leaves it waiting. A mark's generation, 0 if it isn't known yet."""
        until = time.monotonic() + BUDGET_SECONDS
        with self._lock:
            self._touched.add(step.session)
        if not self._sender.silent and not self._sender.waits(step.session):
            try:
                self._perform(step, until)
                return step.generation
            except CallError as error:
                if self._tries_again(step, error):
                    self._let_wait(step, RETRY_SECONDS)
                return 0
            except TidemarkError:
                self._let_wait(step)
                self._sender.set_silent()
                return 0
        if self._let_wait(step) and self._sender.is_prompt(step.session):
            step.ended.wait(_left(until))
        return step.generation

    def _perform(self, step: Step, until: float) -> None:
        """Makes the call and ends the step. Raises a TidemarkError; then it hasn't ended."""
        held = step.held
        if step.kind is Kind.UNREGISTER:
            self._client.unregister(session=step.session, timeout=_left(until))
        elif step.kind is Kind.REGISTER:
            assert held is not None
            self._register(held, step.session, until)
        else:
            if held is not None and not held.registered:
                try:
                    self._register(held, None, until)
                except CallError as error:
                    # The turn counts more than who may be asked for it; the next call with this agent tries again.
                    _log.error("an agent of session %s couldn't be registered: %s", step.session, error)
            name = held.name if held is not None else None
            step.generation = self._client.complete(step.session, agent=name, turn=step.turn,
                                                    timeout=_left(until)).generation
        self._finish(step)

    def _finish(self, step: Step) -> None:
        step.ended.set()
        if step.held is not None:
            self._agents.put_back(step.held)
        # Somebody may have lost his place by it.
        if step.kind is Kind.UNREGISTER or len(self._agents.in_session(step.session)) > 1:
            self._check_soon(step.session)

    def _let_wait(self, step: Step, seconds: float = 0.0) -> bool:
        if self._sender.add(step, seconds):
            return True
        what = "a completed turn" if step.kind is Kind.MARK else "a change of agent"
        _log.error("%s of session %s is lost: too many calls wait for the daemon, or the process ends", what,
                   step.session)
        self._finish(step)
        return False

    def _tries_again(self, step: Step, error: CallError) -> bool:
        """Whether a refused step is worth another try; if not, it has ended."""
        if error.reason not in PERMANENT:
            _log.warning("%s of session %s is tried again: %s", step.kind.value, step.session, error)
            return True
        _log.error("%s of session %s was refused: %s", step.kind.value, step.session, error)
        self._finish(step)
        return False

    # --- Agents ---

    def _register(self, held: HeldAgent, session: Optional[str], until: float) -> None:
        def serve(request: CommitRequest) -> Optional[str]:
            try:
                return run_commit(held.agent, request)
            finally:
                self._check_soon(request.session, CHECK_FIRST_SECONDS)

        self._register_name(held.name, serve, until, session=session)
        held.registered = True

    def _register_name(self, name: str, serve: Handler, until: float, *, session: Optional[str] = None,
                       serves_orphans: bool = False) -> None:
        while True:
            fallback = self._fallback
            try:
                self._client.register(name, handler=serve, session=session, group=self.settings.group,
                                      fallback=fallback, serves_orphans=serves_orphans, max_in_flight=WORKERS,
                                      timeout=_left(until))
                return
            except CallError as error:
                if fallback is None or error.reason not in ("not_found", "forbidden"):
                    raise
                _log.error("going on without the fallback %s: %s", fallback, error)
                self._fallback = None

    def _check_soon(self, session: str, seconds: float = 0.0, pause: float = CHECK_FIRST_SECONDS) -> None:
        """Lets the Sender ask, in so many seconds, who is still needed; `pause` comes before the next look."""
        if self._agents.in_session(session):
            self._sender.schedule(("check", session), seconds, lambda: self._check(session, pause))

    def _check(self, session: str, pause: float) -> None:
        """Lets go of those held in a session who are neither its current agent nor an owner of its dirty segments."""
        seen = self._agents.in_session(session)
        current, segments = None, []
        try:
            status = self._client.status(session, timeout=BUDGET_SECONDS)
            current, segments = status["agent"], status["segments"]
        except CallError as error:
            if error.reason not in PERMANENT:
                raise  # else there is no such session, and can't be
        if len(segments) < SEGMENTS_SHOWN:
            needed = {segment["owner"] for segment in segments} | {current}
            for held in self._agents.settle(session, seen, needed):
                self._release(held.name)
        if any(held.name != current for held, _ in self._agents.in_session(session)):
            self._check_soon(session, pause, min(pause * 2, CHECK_MAX_SECONDS))

    def _release(self, name: str) -> None:
        """The agent is gone for good: nothing of it stays in the client or, once it owns nothing, in the daemon."""
        try:
            self._client.unregister(agent=name, timeout=BUDGET_SECONDS)
        except Closed:
            pass
        except TidemarkError as error:
            _log.warning("agent %s couldn't be unregistered: %s", name, error)

    def _leave(self, agents: Iterable[HeldAgent], until: float) -> None:
        for held in agents:
            self._client.unregister(agent=held.name, timeout=_left(until))


def _orphan_server(handler: OrphanHandler) -> Handler:
    def serve(request: CommitRequest) -> Optional[str]:
        agent = handler(request.session)
        if agent is None:
            raise CommitFailed(f"no agent can be rebuilt now for session {request.session}")
        return run_commit(agent, request)

    return serve


def _left(until: float) -> float:
    return max(until - time.monotonic(), 0.0)


# --- One a process ---

_host: Optional[Host] = None
_host_lock = threading.Lock()


def host() -> Host:
    """This process's Host; made, with what the environment says, at its first use."""
    global _host
    with _host_lock:
        if _host is None:
            _host = Host(Settings.of_environment())
        return _host


def loaded() -> None:
    """session_lifecycle was loaded, perhaps again. The Host stays, unless the environment speaks of another daemon."""
    global _host
    with _host_lock:
        former = _host
        if former is None or former.settings == Settings.of_environment():
            return
        _host = None
    former.end(BUDGET_SECONDS)


def _end_at_exit() -> None:
    if _host is not None:
        _host.end(BUDGET_SECONDS)


def _forget_after_fork() -> None:
    """A child starts with nothing: agents, connection and what waits are its parent's."""
    global _host, _host_lock
    _host = None
    _host_lock = threading.Lock()


atexit.register(_end_at_exit)
os.register_at_fork(after_in_child=_forget_after_fork)
