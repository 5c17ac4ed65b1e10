"""Client for Tidemark: marks completed turns, serves the commits of their memory, and keeps a host's agents."""

from __future__ import annotations

import logging

from .agent_cache import AgentCache
from .client import Client
from .errors import CallError, Closed, CommitFailed, TidemarkError, Unavailable
from .link import default_socket_path
from .results import (CommitRecord, Committed, Completed, DaemonStatus, Drained, Evicted, Flushed, Forgotten, Hello,
                      History, ProviderStatus, Registered, Rotated, Segment, SessionList, SessionStatus, SessionSummary)
from .serving import CommitRequest, Handler

__all__ = [
    "AgentCache", "CallError", "Client", "Closed", "CommitFailed", "CommitRecord", "CommitRequest", "Committed",
    "Completed", "DaemonStatus", "Drained", "Evicted", "Flushed", "Forgotten", "Handler", "Hello", "History",
    "ProviderStatus", "Registered", "Rotated", "Segment", "SessionList", "SessionStatus", "SessionSummary", "TidemarkError",
    "Unavailable", "default_socket_path",
]

# A host that configures no logging sees nothing.
logging.getLogger("tidemark").addHandler(logging.NullHandler())
