"""Whose sessions are whose, as far as this client knows: what it tells the daemon on a new connection.

The daemon's journal has it as well. So a session whose agent may be another by now is left out: what the daemon has is
right then. Guarded by the lock of who has it.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Dict, List, NamedTuple, Optional

# Sessions that are remembered.
SESSIONS_MAX = 65536


class Current(NamedTuple):
    agent: str
    external_id: Optional[str]
    in_doubt: bool = False  # a call that names another agent may have taken effect


class CurrentAgents:
    def __init__(self) -> None:
        self._sessions: OrderedDict[str, Current] = OrderedDict()
        self._changes: Dict[str, List[str]] = {}  # the agents that calls on their way name for a session

    def agent_of(self, session: str) -> Optional[str]:
        current = self._sessions.get(session)
        return current.agent if current is not None else None

    def set(self, session: str, agent: str, external_id: Optional[str], keep_external_id: bool) -> None:
        before = self._sessions.get(session)
        if keep_external_id and before is not None:
            external_id = before.external_id
        self._sessions[session] = Current(agent, external_id)
        if len(self._sessions) > SESSIONS_MAX:
            self._sessions.popitem(last=False)

    def forget(self, session: str) -> None:
        self._sessions.pop(session, None)

    def forget_agent(self, agent: str) -> None:
        for session in [session for session, current in self._sessions.items() if current.agent == agent]:
            del self._sessions[session]

    def begin_change(self, session: str, agent: str) -> None:
        self._changes.setdefault(session, []).append(agent)

    def end_change(self, session: str, agent: str, *, in_doubt: bool) -> None:
        agents = self._changes[session]
        agents.remove(agent)
        if not agents:
            del self._changes[session]
        current = self._sessions.get(session)
        if in_doubt and current is not None and current.agent != agent:
            self._sessions[session] = current._replace(in_doubt=True)

    def by_agent(self) -> Dict[str, List[Dict[str, Any]]]:
        """Parameters of agent.register, for each session that is surely its agent's."""
        sessions: Dict[str, List[Dict[str, Any]]] = {}
        for session, current in self._sessions.items():
            if current.in_doubt or any(agent != current.agent for agent in self._changes.get(session, ())):
                continue
            params: Dict[str, Any] = {"session": session}
            if current.external_id is not None:
                params["external_id"] = current.external_id
            sessions.setdefault(current.agent, []).append(params)
        return sessions
