"""Who a link is for: what it asks, and what it tells."""

from __future__ import annotations

from typing import Any, Callable, List, Mapping, Optional, Tuple

from .connection import Connection
from .frames import Message

Answer = Callable[[Optional[Message]], None]
Request = Tuple[str, Mapping[str, Any], Optional[Answer]]


class LinkUser:
    """What a link asks and tells. Called on threads of others, perhaps amid reading: quick, and never blocking."""

    def is_wanted(self) -> bool:
        """Whether there should be a connection although no call waits for one."""
        raise NotImplementedError

    def greeting(self, connection: Connection) -> List[Request]:
        """The calls that go before all others on a new connection."""
        raise NotImplementedError

    def due_in(self) -> Optional[float]:
        """Seconds until ``due_calls`` are to be made on the connection that there is; None: when woken."""
        raise NotImplementedError

    def due_calls(self) -> List[Request]:
        raise NotImplementedError

    def on_message(self, connection: Connection, message: Message) -> None:
        raise NotImplementedError

    def on_connected(self) -> None:
        raise NotImplementedError

    def on_shut(self) -> None:
        """The link is closed for good."""
        raise NotImplementedError

    def start_anew(self) -> None:
        """This is a forked child: locks and threads are the parent's."""
        raise NotImplementedError
