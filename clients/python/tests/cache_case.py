"""What the tests of the cache of agents share: a host, whose agents record what is done to them."""

from __future__ import annotations

import threading
from typing import Any, Dict, List, Optional, Set
from unittest import mock

from tests.client_case import ClientTest
from tidemark import AgentCache, Client, CommitFailed, CommitRequest, agent_cache


class Host:
    """Agents of a host: each registers for its session, commits when it may, and records what is done to it."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.made: List[str] = []
        self.closed: List[str] = []
        self.revived: List[str] = []
        self.committed: List[str] = []
        self.failing: Set[str] = set()
        self.held: Dict[str, threading.Event] = {}
        self.entered: Dict[str, threading.Event] = {}

    def hold(self, session: str) -> threading.Event:
        self.entered[session] = threading.Event()
        self.held[session] = threading.Event()
        return self.held[session]

    def release_all(self) -> None:
        for held in self.held.values():
            held.set()

    def handler(self, request: CommitRequest) -> None:
        if request.session in self.held:
            self.entered[request.session].set()
            self.held[request.session].wait(20)
        if request.session in self.failing:
            raise CommitFailed("no room")
        self.committed.append(request.session)

    def make(self, session: str) -> "Agent":
        self.made.append(session)
        agent = Agent(f"{session}-{len(self.made)}", session)
        self.client.register(agent.name, handler=self.handler, session=session)
        return agent

    def close(self, agent: "Agent") -> None:
        agent.closed = True
        self.closed.append(agent.session)

    def revive(self, session: str, agent: "Agent") -> None:
        self.revived.append(session)
        self.client.register(agent.name, handler=self.handler, session=session)


class Agent:
    def __init__(self, name: str, session: str) -> None:
        self.name = name
        self.session = session
        self.closed = False


class CacheTest(ClientTest):
    def setUp(self) -> None:
        super().setUp()
        self.host = Host(self.client)
        patched = mock.patch.object(agent_cache, "RETRY_LEAST", 0.05)
        patched.start()
        self.addCleanup(patched.stop)
        self.addCleanup(self.host.release_all)

    def make_cache(self, capacity: int, **named: Any) -> "AgentCache[Agent]":
        cache = AgentCache(self.client, capacity, make=self.host.make, close=self.host.close, **named)
        self.addCleanup(cache.close, 0)
        return cache

    def mark(self, cache: "AgentCache[Agent]", session: str, client: Optional[Client] = None) -> Agent:
        with cache.turn(session) as agent:
            (client or self.client).complete(session)
        return agent

    def uncommitted(self, session: str) -> int:
        return self.client.status(session)["uncommitted"]
