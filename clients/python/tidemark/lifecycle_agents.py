"""The agent objects that a host's process holds, each under the name by which the daemon knows it.

An object's name is a fresh UUID. It is found by its identity, never by `==` or its hash, which are the object's own
business; the address serves as a key only as long as the object is held, so no other object can have it meanwhile.
An object is held in a session from its first use there until the daemon says that it is neither that session's current
agent nor an owner of its dirty segments.
"""

from __future__ import annotations

import threading
import uuid
from typing import Collection, Dict, List, Optional, Set, Tuple


class HeldAgent:
    """An agent object and its name. All but these two is guarded by the lock of the HeldAgents."""

    __slots__ = ("agent", "name", "registered", "sessions", "takes", "uses")

    def __init__(self, agent: object) -> None:
        self.agent = agent
        self.name = str(uuid.uuid4())
        self.registered = False  # the client has registered it to serve, and does so again at each connection
        self.sessions: Set[str] = set()
        self.takes = 0  # how often it was taken: tells whether it was while the daemon was being asked
        self.uses = 0  # calls that speak of it, under way or waiting


class HeldAgents:
    """Thread-safe; never calls anybody."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_identity: Dict[int, HeldAgent] = {}
        self._by_session: Dict[str, Set[HeldAgent]] = {}

    def take(self, agent: object, session: str) -> HeldAgent:
        """Holds the object for this session, and for the call that now speaks of it, until `put_back`."""
        with self._lock:
            held = self._by_identity.get(id(agent))
            if held is None:
                held = self._by_identity[id(agent)] = HeldAgent(agent)
            held.sessions.add(session)
            self._by_session.setdefault(session, set()).add(held)
            held.takes += 1
            held.uses += 1
            return held

    def put_back(self, held: HeldAgent) -> None:
        """The call that speaks of it is over."""
        with self._lock:
            held.uses -= 1

    def in_session(self, session: str) -> List[Tuple[HeldAgent, int]]:
        """Who is held in a session, each with the number of times it was taken so far, for `settle`."""
        with self._lock:
            return [(held, held.takes) for held in self._by_session.get(session, ())]

    def settle(self, session: str, seen: List[Tuple[HeldAgent, int]],
               needed: Collection[Optional[str]]) -> List[HeldAgent]:
        """Lets go of those `seen` in a session whose names aren't `needed` there, unless they were taken since.

        Returns those that no session needs any more; they are held no longer.
        """
        released = []
        with self._lock:
            for held, takes in seen:
                if held.name in needed or held.takes != takes or held.uses > 0 or session not in held.sessions:
                    continue
                self._leave(held, session)
                if not held.sessions:
                    del self._by_identity[id(held.agent)]
                    released.append(held)
        return released

    def clear(self) -> List[HeldAgent]:
        """Holds nobody any more; returns those that were held."""
        with self._lock:
            everybody = list(self._by_identity.values())
            for held in everybody:
                held.sessions.clear()
            self._by_identity.clear()
            self._by_session.clear()
            return everybody

    def everybody(self) -> List[HeldAgent]:
        with self._lock:
            return list(self._by_identity.values())

    def _leave(self, held: HeldAgent, session: str) -> None:
        held.sessions.discard(session)
        others = self._by_session[session]
        others.discard(held)
        if not others:
            del self._by_session[session]
