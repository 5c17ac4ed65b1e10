"""What can go wrong: three outcomes of a call, and what a serving agent raises to say more than "failed"."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Optional


class TidemarkError(Exception):
    """Every error of a call."""


class Unavailable(TidemarkError):
    """No daemon answered in time. The call may or may not have taken effect."""


class Closed(TidemarkError):
    """This client, or cache, was closed."""


class CallError(TidemarkError):
    """The daemon said no. ``reason`` is the protocol's word for why, ``data`` whatever else it told."""

    def __init__(self, code: int, reason: str, message: str, data: Optional[Mapping[str, Any]] = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.data: Dict[str, Any] = dict(data or {})

    def __str__(self) -> str:
        return f"{self.message} ({self.reason})"

    def __reduce__(self) -> Any:
        return (CallError, (self.code, self.reason, self.message, self.data))


class CommitFailed(Exception):
    """Raised by a handler: the commit failed. ``permanent`` = another try can't help."""

    def __init__(self, message: str, *, permanent: bool = False) -> None:
        super().__init__(message)
        self.message = str(message)  # often the exception that is behind it
        self.permanent = permanent


def call_error(answer: Mapping[str, Any]) -> CallError:
    error = answer.get("error")
    if not isinstance(error, dict):
        return CallError(-32603, "internal", "the daemon's answer is neither a result nor an error")
    data = error.get("data")
    data = data if isinstance(data, dict) else {}
    code = error.get("code")
    return CallError(code if isinstance(code, int) else -32603, str(data.get("reason", "internal")),
                     str(error.get("message", "the daemon gave no message")), data)
