"""One commit by an agent object, and what it can know of it meanwhile."""

from __future__ import annotations

import contextvars
import logging
from typing import Any, Optional

from .errors import CommitFailed
from .serving import CommitRequest

_log = logging.getLogger("tidemark")

_request: contextvars.ContextVar[Optional[CommitRequest]] = contextvars.ContextVar("tidemark_commit", default=None)


def current_commit() -> Optional[CommitRequest]:
    """The commit that this thread runs `commit_memory_session()` for: its key tells a repetition from new work."""
    return _request.get()


def run_commit(agent: Any, request: CommitRequest) -> Optional[str]:
    """A Handler's work. Any exception of the agent, or an explicit False, is a failed commit."""
    token = _request.set(request)
    try:
        if agent.commit_memory_session() is False:
            raise CommitFailed("commit_memory_session() returned False")
        return "committed"
    except CommitFailed:
        raise
    except Exception as error:
        _log.exception("commit_memory_session() failed for session %s", request.session)
        raise CommitFailed(f"{type(error).__name__}: {error}") from error
    finally:
        _request.reset(token)
