"""What lies behind a Client: its link, its agents, its callbacks. Threads refer to this, never to the Client, which
can so be collected."""

from __future__ import annotations

import logging
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

from .connection import Connection
from .errors import call_error
from .frames import Message
from .link import Link
from .link_user import LinkUser, Request
from .serving import Agent, Serving
from .workers import WorkerPool

_log = logging.getLogger("tidemark")

PROTOCOL = 1
VERSION = "0.1.0"
# What a registration may be refused for that passes, and how long it is left alone then if the daemon doesn't say.
PASSING = frozenset({"journal_unavailable", "limit"})
REFUSED_SECONDS = 1.0


class ClientState(LinkUser):
    def __init__(self, socket_path: Optional[str], name: str, workers: int,
                 on_connected: Optional[Callable[[], None]], on_draining: Optional[Callable[[float], None]]) -> None:
        self._name = name
        self._on_connected = on_connected
        self._on_draining = on_draining
        self._callbacks = WorkerPool("tidemark-callbacks", 1)
        self.serving = Serving(workers, lambda callback: self._callbacks.submit(callback))
        self.link = Link(socket_path, self)

    def hello_params(self) -> Dict[str, Any]:
        return {"client": self._name, "version": VERSION, "protocol": PROTOCOL}

    def register(self, agent: Agent, params: Mapping[str, Any], timeout: float) -> Any:
        return self.link.call("agent.register", params, timeout, repeat=True,
                              on_sending=lambda: self.serving.registering(agent),
                              on_answer=lambda answer: self.serving.registered(agent, answer))

    # --- What the link asks and tells ---

    def is_wanted(self) -> bool:
        return self.serving.any_to_register()

    def greeting(self, connection: Connection) -> List[Request]:
        requests: List[Request] = [
            ("hello", self.hello_params(), lambda answer: self._on_hello(connection, answer))]
        return requests + self._register_calls(self.serving.registrations())

    def due_in(self) -> Optional[float]:
        return self.serving.refused_due_in()

    def due_calls(self) -> List[Request]:
        return self._register_calls(self.serving.registrations(refused=True))

    def _register_calls(self, registrations: List[Tuple[Agent, Dict[str, Any]]]) -> List[Request]:
        requests: List[Request] = []
        for agent, params in registrations:
            self.serving.registering(agent)
            requests.append(("agent.register", params, self._registered(agent)))
        return requests

    def _registered(self, agent: Agent) -> Callable[[Optional[Message]], None]:
        def on_answer(answer: Optional[Message]) -> None:
            self.serving.registered(agent, answer)
            if answer is None or "result" in answer:
                return
            error = call_error(answer)
            if error.reason not in PASSING:
                return _log.error("the daemon did not register agent %s again: %s", agent.name, error)
            milliseconds = error.data.get("retry_after_ms")
            seconds = milliseconds / 1000 if isinstance(milliseconds, int) and milliseconds > 0 else REFUSED_SECONDS
            if self.serving.refused(agent, seconds):
                _log.warning("the daemon can't register agent %s again now, and is asked on: %s", agent.name, error)
            self.link.wake()

        return on_answer

    def _on_hello(self, connection: Connection, answer: Optional[Message]) -> None:
        if answer is None:
            return
        if "result" not in answer:
            return connection.end(f"the daemon refused the greeting: {call_error(answer)}")
        limits = answer["result"].get("limits", {})
        self.link.frame_bytes_max = int(limits.get("max_frame_bytes", self.link.frame_bytes_max))
        self.link.greeted()

    def on_connected(self) -> None:
        if self._on_connected is not None:
            self._callbacks.submit(self._on_connected)

    def on_message(self, connection: Connection, message: Message) -> None:
        method = message["method"]
        params = message.get("params")
        params = params if isinstance(params, dict) else {}
        if "id" in message:
            self.serving.on_request(connection, message)
        elif method == "agent.fenced":
            self.serving.fenced(str(params["agent"]), int(params["epoch"]))
        elif method == "daemon.draining" and self._on_draining is not None:
            told, seconds = self._on_draining, params.get("deadline_ms", 0) / 1000
            self._callbacks.submit(lambda: told(seconds))

    def start_anew(self) -> None:
        self._callbacks = WorkerPool("tidemark-callbacks", 1)
        self.serving.start_anew()

    # --- The end ---

    def abandon(self) -> None:
        """Without a lock: see Link.abandon, whose keeper does the rest."""
        self.link.abandon()

    def on_shut(self) -> None:
        self.serving.close()
        self._callbacks.close()

    def close(self, deadline: float) -> None:
        self.link.close(deadline)
        self.on_shut()
        self.serving.join(deadline)
        self._callbacks.join(deadline)
