"""The client: every method of the protocol as a method, on one connection that is kept by itself."""

from __future__ import annotations

import time
import uuid
import weakref
from types import TracebackType
from typing import Any, Callable, Dict, Mapping, Optional, Type, cast

from . import results
from .errors import CallError, CommitFailed, TidemarkError
from .serving import Agent, CommitRequest, Handler
from .state import ClientState

__all__ = ["Client", "CommitFailed", "CommitRequest", "Handler"]

Seconds = Optional[float]


class Client:
    """Talks to the daemon; thread-safe.

    It connects with the first call, and again whenever the connection has ended and a call, or an agent that it
    serves, needs one. Every call takes ``timeout`` in seconds (the client's own if None, ``math.inf`` for no end) and
    raises Unavailable when that is over, CallError when the daemon says no, Closed after ``close``. Calls that may be
    repeated are sent again within their time when the connection ends before the answer: all but ``call`` itself,
    ``commit``, ``flush``, ``evict``, ``forget``, ``drain``, ``retry``, ``settle`` and ``abandon``.

    ``on_connected()`` and ``on_draining(deadline)`` (seconds) run one after the other on a thread of the client.
    A client that is neither closed nor referred to any more ends its connection when it is collected; keep one that
    serves agents. After a fork, the child's copy serves nothing and connects anew.
    """

    def __init__(self, socket_path: Optional[str] = None, *, name: str = "tidemark-python", timeout: float = 30.0,
                 workers: int = 8, on_connected: Optional[Callable[[], None]] = None,
                 on_draining: Optional[Callable[[float], None]] = None) -> None:
        if workers < 1:
            raise ValueError("a client needs at least one worker")
        self._timeout = timeout
        self._state = ClientState(socket_path, name, workers, on_connected, on_draining)
        self._link = self._state.link
        self._serving = self._state.serving
        weakref.finalize(self, self._state.abandon).atexit = False

    def call(self, method: str, params: Optional[Mapping[str, Any]] = None, *, timeout: Seconds = None,
             repeat: bool = False) -> Any:
        """Any method of the protocol, by its name. ``repeat``: it does no harm if it takes effect twice, and is sent
        again when the connection ends before the answer."""
        return self._link.call(method, params or {}, self._time(timeout), repeat=repeat)

    def _time(self, timeout: Seconds) -> float:
        return self._timeout if timeout is None else timeout

    def _waiting_call(self, method: str, params: Mapping[str, Any], timeout: Seconds,
                      time_param: str = "timeout_ms") -> Any:
        return self._link.call(method, params, self._time(timeout), time_param=time_param)

    @property
    def connected(self) -> bool:
        """Whether there is a connection, as far as was seen."""
        return self._link.connected

    @property
    def socket_path(self) -> str:
        return self._link.path

    # --- The daemon ---

    def hello(self, *, timeout: Seconds = None) -> results.Hello:
        return cast(results.Hello, self.call("hello", self._state.hello_params(), timeout=timeout, repeat=True))

    def ping(self, *, timeout: Seconds = None) -> None:
        self.call("ping", timeout=timeout, repeat=True)

    def daemon_status(self, *, timeout: Seconds = None) -> results.DaemonStatus:
        return cast(results.DaemonStatus, self.call("daemon.status", timeout=timeout, repeat=True))

    # --- Agents ---

    def register(self, agent: str, *, handler: Optional[Handler] = None, session: Optional[str] = None,
                 group: Optional[str] = None, provider: Optional[str] = None, fallback: Optional[str] = None,
                 external_id: Optional[str] = None, serves: Optional[bool] = None, serves_orphans: bool = False,
                 max_in_flight: int = 4, on_fenced: Optional[Callable[[str], None]] = None,
                 timeout: Seconds = None) -> results.Registered:
        """Registers an agent, and makes it the session's current one if a session is named.

        With a handler it serves: the handler commits what the daemon asks for, on a worker thread, and says how it
        went (see ``Handler`` and CommitFailed). It is registered again on every new connection until it is
        unregistered or fenced; also when this call raises Unavailable. ``on_fenced(agent)`` is called when another
        connection has registered the name: this client doesn't register it again by itself then.

        ``provider`` and ``fallback`` (at most one) are names of the daemon's configuration. Through its provider the
        daemon commits what the handler has said to be ``"synced"``, and what an agent owns that doesn't serve
        (``serves=False``) or is gone for good; a fallback commits only for an agent that is gone for good.
        ``external_id`` is their name for the session that is named in the same call. A provider that isn't configured,
        or not for this user, is a CallError (``not_found``, ``forbidden``).
        """
        serves = handler is not None if serves is None else serves
        if serves and handler is None:
            raise ValueError("an agent that serves needs a handler")
        params = _given(agent=agent, group=group, provider=provider, fallback=fallback)
        if not serves:
            params["serves"] = False
        if serves_orphans:
            params["serves_orphans"] = True
        if max_in_flight != 4:
            params["max_in_flight"] = max_in_flight
        once = {**params, **_given(session=session, external_id=external_id)}
        serving = self._serving
        with serving.changing(session, agent):
            if handler is None or not serves:
                result = self.call("agent.register", once, timeout=timeout, repeat=True)
            else:
                served = Agent(agent, params, handler, on_fenced)
                before = serving.add(served)
                try:
                    result = self._state.register(served, once, self._time(timeout))
                except CallError:
                    serving.put_back(served, before)
                    raise
                except TidemarkError:
                    if session is not None:
                        serving.set_session(session, agent, external_id)
                    raise
            if session is not None:
                serving.set_session(session, agent, external_id)
        return results.Registered(result["agent"], result["epoch"], result["due_segments"])

    def unregister(self, *, session: Optional[str] = None, agent: Optional[str] = None,
                   timeout: Seconds = None) -> None:
        """Forgets the session's current agent, or tells that an agent is gone for good; exactly one.

        The agent isn't registered again, also when this call raises Unavailable.
        """
        if (session is None) == (agent is None):
            raise ValueError("unregister takes a session or an agent, exactly one")
        if session is not None:
            self._serving.set_session(session, None)
        if agent is not None:
            self._serving.leave(agent, True)
        try:
            self.call("agent.unregister", _given(session=session, agent=agent), timeout=timeout, repeat=True)
        except CallError:
            if agent is not None:
                self._serving.leave(agent, False)
            raise
        finally:
            if agent is not None:
                self._serving.remove(agent)

    # --- Turns ---

    def begin(self, session: str, turn: str, *, agent: Optional[str] = None, timeout: Seconds = None) -> None:
        self.call("turn.begin", _given(session=session, turn=turn, agent=agent), timeout=timeout, repeat=True)

    def complete(self, session: str, *, agent: Optional[str] = None, turn: Optional[str] = None,
                 ephemeral: bool = False, timeout: Seconds = None) -> results.Completed:
        """Marks a completed turn. It is always sent with a turn id, so that it counts once however often it is sent."""
        params: Dict[str, Any] = {"session": session, "turn": str(uuid.uuid4()) if turn is None else turn}
        if agent is not None:
            params["agent"] = agent
        if ephemeral:
            params["ephemeral"] = True
        with self._serving.changing(session, agent):
            result = self._link.call("turn.complete", params, self._time(timeout), repeat=True)
            completed = results.Completed(result["generation"], result.get("duplicate", False),
                                          result.get("counted", True))
            if agent is not None and completed.counted and not completed.duplicate:
                self._serving.set_session(session, agent, keep_external_id=True)
        return completed

    def cancel(self, session: str, turn: str, *, reason: Optional[str] = None, timeout: Seconds = None) -> None:
        self.call("turn.cancel", _given(session=session, turn=turn, reason=reason), timeout=timeout, repeat=True)

    # --- Boundaries ---

    def commit(self, session: str, *, agent: Optional[str] = None, wait: bool = False, detach: bool = False,
               reason: Optional[str] = None, timeout: Seconds = None,
               connect_timeout: Seconds = None) -> results.Committed:
        """Has the oldest dirty segment committed by its owner. The daemon is told the time, so that a slow provider
        gives outcome ``timeout`` (the attempt goes on) and not Unavailable. ``connect_timeout`` bounds the wait for a
        connection, which is part of the time."""
        params = _given(session=session, agent=agent, wait=wait or None, detach=detach or None, reason=reason)
        return results.committed_of(self._link.call("session.commit", params, self._time(timeout),
                                                    time_param="timeout_ms", connect_timeout=connect_timeout))

    def flush(self, session: str, *, timeout: Seconds = None) -> results.Flushed:
        result = self._waiting_call("session.flush", {"session": session}, timeout)
        return results.Flushed(result["committed"], result["outcome"], result["segments"], result["generation"],
                               result["watermark"])

    def rotate(self, session: str, to: Optional[str] = None, *, agent: Optional[str] = None,
               timeout: Seconds = None) -> results.Rotated:
        """The session is left, for ``to`` if named: what is dirty in it is committed in the background."""
        params = {"from": session, **_given(to=to, agent=agent)}
        with self._serving.changing(to, agent):
            result = self.call("session.rotate", params, timeout=timeout, repeat=True)
            if to is not None and agent is not None:
                self._serving.set_session(to, agent, keep_external_id=True)
        return results.Rotated(result["due_segments"], result["generation"], result["watermark"])

    def evict(self, session: str, *, timeout: Seconds = None) -> results.Evicted:
        """Asks to let go of the session. Close what belongs to its agent after ``evicted`` only."""
        evicted = results.evicted_of(self._waiting_call("session.evict", {"session": session}, timeout))
        if evicted.evicted:
            self._serving.set_session(session, None)
        return evicted

    def discard(self, session: str, *, timeout: Seconds = None) -> bool:
        discarded = bool(self.call("session.discard", {"session": session}, timeout=timeout, repeat=True)["discarded"])
        if discarded:
            self._serving.set_session(session, None)
        return discarded

    def forget(self, session: str, reason: str, *, timeout: Seconds = None) -> results.Forgotten:
        result = self.call("session.forget", {"session": session, "reason": reason}, timeout=timeout)
        self._serving.set_session(session, None)
        return results.Forgotten(result["forgotten"], result["dropped"])

    def drain(self, *, scope: str = "user", timeout: Seconds = None) -> results.Drained:
        """``scope``: ``connection`` (what agents of this connection own), ``user`` or ``all``."""
        result = self._waiting_call("drain", {"scope": scope}, timeout, "deadline_ms")
        return results.Drained(result["drained"], result["committed"], tuple(result["remaining"]))

    # --- Looking, and an operator's hand ---

    def status(self, session: str, *, timeout: Seconds = None) -> results.SessionStatus:
        return cast(results.SessionStatus,
                    self.call("session.status", {"session": session}, timeout=timeout, repeat=True))

    def list_sessions(self, *, filter: Optional[str] = None, limit: Optional[int] = None,
                      cursor: Optional[str] = None, timeout: Seconds = None) -> results.SessionList:
        """One page; the next with the ``cursor`` that came with it."""
        return cast(results.SessionList, self.call("session.list", _given(filter=filter, limit=limit, cursor=cursor),
                                                   timeout=timeout, repeat=True))

    def history(self, session: Optional[str] = None, *, limit: Optional[int] = None, cursor: Optional[str] = None,
                timeout: Seconds = None) -> results.History:
        """One page; the next with the ``cursor`` that came with it."""
        return cast(results.History, self.call("commit.history", _given(session=session, limit=limit, cursor=cursor),
                                               timeout=timeout, repeat=True))

    def retry(self, session: str, *, timeout: Seconds = None) -> int:
        """Has a stuck session tried again; how many segments are due."""
        return int(self.call("commit.retry", {"session": session}, timeout=timeout)["due_segments"])

    def settle(self, session: str, through: int, reason: str, *, timeout: Seconds = None) -> int:
        """Says that everything up to ``through`` did land; the watermark."""
        params = {"session": session, "through": through, "reason": reason}
        return int(self.call("commit.settle", params, timeout=timeout)["watermark"])

    def abandon(self, session: str, through: int, reason: str, *, timeout: Seconds = None) -> int:
        """Drops the turns up to ``through``; the watermark."""
        params = {"session": session, "through": through, "reason": reason}
        return int(self.call("commit.abandon", params, timeout=timeout)["watermark"])

    # --- The end ---

    def close(self, timeout: float = 5.0) -> None:
        """Ends the connection and the client's threads. Waits for them, and for handlers that run, at most so long;
        what they still commit can't be told to the daemon, which will ask for it again."""
        self._state.close(time.monotonic() + timeout)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 traceback: Optional[TracebackType]) -> None:
        self.close()


def _given(**params: Any) -> Dict[str, Any]:
    return {name: value for name, value in params.items() if value is not None}
