"""A host's cache of agents. The daemon decides when one may be closed: after ``evicted``, never before.

The lock covers the table only. Agents are made, evicted and closed outside it, each session on its own, so that a slow
provider, or a slow agent, holds up nobody but who asks for that very session.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from contextlib import contextmanager
from types import TracebackType
from typing import Callable, Generic, Iterator, List, Optional, Tuple, Type, TypeVar

from .client import Client
from .errors import Closed, TidemarkError

_log = logging.getLogger("tidemark")

AgentType = TypeVar("AgentType")

RETRY_LEAST = 1.0
RETRY_MOST = 60.0
# Evicts under way at once: so many providers can hang before others have to wait.
EVICTORS_MAX = 4


class _Entry(Generic[AgentType]):
    """One session's agent; guarded by the cache's lock. Who set ``evicting`` alone removes the entry."""

    def __init__(self, session: str) -> None:
        self.session = session
        # One; none while it is being made or closed, or a session is cleared that has none here.
        self.agents: List[AgentType] = []
        self.turns = 0  # running
        self.evicting = False
        self.used = False  # since its evict began
        self.cleared = False  # to be evicted whatever the capacity, until it is used again
        self.next_try = 0.0
        self.pause = RETRY_LEAST


class AgentCache(Generic[AgentType]):
    """Keeps ``capacity`` agents, and evicts the least recently used of more, in the background; thread-safe.

    ``make(session)`` makes a session's agent, ``close(agent)`` lets go of what belongs to it. Both are called without
    a lock, and for one session never two at a time. Evicting waits for the daemon up to ``evict_timeout`` seconds.

    Never evicted for lack of room are an agent with a running ``turn`` and the one used last. An agent whose evict
    fails (the provider says no, a turn is open, its owner is offline, the time is over, there is no daemon) stays, is
    given by ``get`` as before, and is tried again after a growing pause. For so long the cache is above its capacity;
    no other agent has to go in its place.

    An agent that is asked for while its evict is under way comes back into use: ``get`` and ``turn`` give it at once,
    and it isn't closed. If the daemon has let go of the session all the same, ``revive(session, agent)`` is called, on
    a thread of the cache, to register the agent for the session again. Without it the session has no current agent
    until a mark names one.

    A forked child makes a cache of its own.
    """

    def __init__(self, client: Client, capacity: int, *, make: Callable[[str], AgentType],
                 close: Callable[[AgentType], None], revive: Optional[Callable[[str, AgentType], None]] = None,
                 evict_timeout: float = 30.0) -> None:
        if capacity < 1:
            raise ValueError("a cache of agents has room for at least one")
        self._client = client
        self._capacity = capacity
        self._make = make
        self._close_agent = close
        self._revive = revive
        self._evict_timeout = evict_timeout
        self._changed = threading.Condition(threading.Lock())
        self._entries: OrderedDict[str, _Entry[AgentType]] = OrderedDict()  # the least recently used first
        self._evictors = 0  # threads
        self._awaiting_next_try = False  # one of them does
        self._closing_until: Optional[float] = None

    # --- Use ---

    def get(self, session: str) -> AgentType:
        """The session's agent, made if there is none; raises what ``make`` raises, and Closed. Without a ``turn``
        around its use, the agent may be evicted and closed while it is used."""
        return self._use(session, 0)[1]

    @contextmanager
    def turn(self, session: str) -> Iterator[AgentType]:
        """The session's agent, which isn't evicted until the block ends."""
        entry, agent = self._use(session, 1)
        try:
            yield agent
        finally:
            with self._changed:
                entry.turns -= 1
                self._touch(entry)

    def sessions(self) -> List[str]:
        """Those that have an agent here, the least recently used first."""
        with self._changed:
            return [session for session, entry in self._entries.items() if entry.agents]

    def _use(self, session: str, turns: int) -> Tuple[_Entry[AgentType], AgentType]:
        with self._changed:
            while True:
                if self._closing_until is not None:
                    raise Closed("this cache of agents is closed")
                entry = self._entries.get(session)
                if entry is None:
                    entry = self._entries[session] = _Entry(session)
                    break
                if entry.agents:
                    entry.turns += turns
                    self._touch(entry)
                    return entry, entry.agents[0]
                self._changed.wait()  # another thread makes, closes or clears it
        try:
            agent = self._make(session)
        except BaseException:
            with self._changed:
                del self._entries[session]
                self._changed.notify_all()
            raise
        with self._changed:
            entry.agents.append(agent)
            entry.turns += turns
            self._touch(entry)
        return entry, agent

    def _touch(self, entry: _Entry[AgentType]) -> None:
        entry.used = True
        entry.cleared = False
        self._entries.move_to_end(entry.session)
        self._changed.notify_all()
        self._start_evictor()

    # --- Letting go ---

    def clear(self, session: str, *, timeout: Optional[float] = None) -> bool:
        """Evicts one session and waits for it: True when the daemon has let go of it and its agent, if there is one,
        is closed. Otherwise its agent stays and is tried again by itself, until it is used. With a running turn:
        False at once. Calls for other sessions don't wait for it; nor does ``get`` of this one, if it has an agent."""
        deadline = time.monotonic() + (self._evict_timeout if timeout is None else timeout)
        with self._changed:
            while True:
                entry = self._entries.get(session)
                if entry is None:
                    # Its place is held, so that no agent is made before the daemon has let go. It makes nobody go.
                    entry = self._entries[session] = _Entry(session)
                    self._entries.move_to_end(session, last=False)
                elif entry.turns:
                    return False
                elif entry.evicting or not entry.agents:
                    remaining = deadline - time.monotonic()
                    if remaining <= 0:
                        return False
                    self._changed.wait(min(remaining, threading.TIMEOUT_MAX))
                    continue
                entry.cleared = entry.evicting = True
                entry.used = False
                began = time.monotonic()
                break
        return self._evict(entry, began, max(0.0, deadline - began))

    def close(self, timeout: float = 30.0) -> List[str]:
        """Ends the cache: gives out no agent any more, waits for running turns and evicts everything, at most so long.
        The sessions that it couldn't let go of; their agents aren't closed, and the daemon keeps what is dirty. One
        whose agent is just being closed isn't among them."""
        with self._changed:
            deadline = time.monotonic() + timeout
            self._closing_until = deadline
            for entry in self._entries.values():
                entry.next_try = 0.0
            self._changed.notify_all()
            self._start_evictor()
            self._changed.wait_for(lambda: not self._entries, min(timeout, threading.TIMEOUT_MAX))
            return [session for session, entry in self._entries.items() if entry.agents or not entry.evicting]

    def __enter__(self) -> AgentCache[AgentType]:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 traceback: Optional[TracebackType]) -> None:
        self.close()

    def _start_evictor(self) -> None:
        if self._evictors >= EVICTORS_MAX:
            return  # each looks again before it ends
        entry, pause = self._next()
        if entry is None and (pause is None or self._awaiting_next_try):
            return
        self._evictors += 1
        try:
            threading.Thread(target=self._run_evictor, name="tidemark-evict", daemon=True).start()
        except RuntimeError as error:  # no threads any more: the interpreter ends, or the machine is full
            self._evictors -= 1
            _log.warning("no thread to evict agents: %s", error)

    def _next(self) -> Tuple[Optional[_Entry[AgentType]], Optional[float]]:
        """Who is to be evicted now, or else the seconds until somebody may be."""
        excess = len(self._entries) - self._capacity
        if self._closing_until is not None:
            excess = len(self._entries) + 1
        elif excess <= 0 and not any(entry.cleared for entry in self._entries.values()):
            return None, None
        now = time.monotonic()
        soonest: Optional[float] = None
        last = next(reversed(self._entries), None) if self._closing_until is None else None
        for entry in self._entries.values():
            if entry.turns or (not entry.cleared and (excess <= 0 or entry.session == last)):
                continue
            # Also one that is on its way, or waits for its next try: nobody else goes in its place.
            excess -= 1
            if entry.evicting or not entry.agents:
                continue
            if entry.next_try <= now:
                return entry, None
            soonest = entry.next_try if soonest is None else min(soonest, entry.next_try)
        return None, None if soonest is None else soonest - now

    def _run_evictor(self) -> None:
        self._changed.acquire()
        try:
            while True:
                began = time.monotonic()
                if self._closing_until is not None and began >= self._closing_until:
                    return
                entry, pause = self._next()
                if entry is None:
                    if pause is None or self._awaiting_next_try:
                        return
                    self._awaiting_next_try = True
                    try:
                        self._changed.wait(pause)
                    finally:
                        self._awaiting_next_try = False
                    continue
                entry.evicting = True
                entry.used = False
                timeout = self._evict_timeout
                if self._closing_until is not None:
                    timeout = min(timeout, self._closing_until - began)
                self._start_evictor()
                self._changed.release()
                try:
                    self._evict(entry, began, timeout)
                finally:
                    self._changed.acquire()
        finally:
            self._evictors -= 1
            self._changed.release()

    def _evict(self, entry: _Entry[AgentType], began: float, timeout: float) -> bool:
        """For who has set ``evicting``, when it ``began``. True: the daemon has let go, and the agent is closed."""
        evicted = used = kept = False
        agents = list(entry.agents)
        try:
            evicted = self._let_go(entry.session, timeout)
            with self._changed:
                used = entry.used
                # What has ended by now without it has told that its agent isn't closed.
                until = self._closing_until
                kept = used or (until is not None and began < until <= time.monotonic())
                if evicted and not kept:
                    entry.agents.clear()  # who asks for it now waits for the new one
            for agent in agents:
                if evicted and not kept:
                    self._close_agent(agent)
                elif evicted and used and self._revive is not None:
                    self._revive(entry.session, agent)
        except Exception:
            _log.exception("session %s: its agent could not be %s", entry.session, "revived" if used else "closed")
        finally:  # also of an interrupt
            with self._changed:
                entry.evicting = False
                if evicted:
                    entry.pause = RETRY_LEAST
                else:
                    entry.next_try = time.monotonic() + entry.pause
                    entry.pause = min(entry.pause * 2, RETRY_MOST)
                if not entry.agents:
                    del self._entries[entry.session]
                self._changed.notify_all()
                self._start_evictor()
        return evicted and not kept

    def _let_go(self, session: str, timeout: float) -> bool:
        try:
            answer = self._client.evict(session, timeout=timeout)
        except TidemarkError as error:
            _log.warning("session %s can't be evicted now: %s", session, error)
            return False
        if not answer.evicted:
            _log.info("session %s isn't evicted now: %s%s", session, answer.outcome,
                      f" ({answer.error})" if answer.error else "")
        return answer.evicted
