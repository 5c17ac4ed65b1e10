"""Drop-in for Hermes WebUI's api/session_lifecycle.py: the same functions, kept by the Tidemark daemon.

Copy this file over that one; `tidemark` has to be importable and TIDEMARK_SOCKET to name the daemon's socket. State
lives in the daemon and in tidemark.lifecycle_host, so the module may be reloaded at any time. No function raises
because of the daemon.
"""

from __future__ import annotations

import threading
import time
from typing import Any, Callable, List, Optional, Set

from tidemark import lifecycle_host
from tidemark.lifecycle_commit import current_commit

__all__ = [
    "commit_session_memory",
    "current_commit",
    "discard_session",
    "drain_all_on_shutdown",
    "has_uncommitted_work",
    "mark_turn_completed",
    "register_agent",
    "set_orphan_handler",
    "unregister_agent",
]

# Threads that commit without anybody waiting for them; the drain joins them.
_background_commit_threads: Set[threading.Thread] = set()
_background_commit_threads_lock = threading.Lock()
_draining = False  # guarded by the lock above

lifecycle_host.loaded()


def register_agent(session_id: Optional[str], agent: Any) -> None:
    """Makes the agent (any object with `commit_memory_session()`) the session's current one.

    It owns turns completed from now on; dirty segments keep their owners. Takes less than a second; without an answer
    by then it is done as soon as the daemon answers again.
    """
    if not session_id:
        return
    if agent is None:
        lifecycle_host.host().unregister_agent(session_id)
    else:
        lifecycle_host.host().register_agent(session_id, agent)


def unregister_agent(session_id: Optional[str]) -> None:
    """Forgets the session's current agent; owners of its dirty segments stay. Waits as `register_agent` does."""
    if session_id:
        lifecycle_host.host().unregister_agent(session_id)


def discard_session(session_id: Optional[str]) -> bool:
    """Forgets a session, if it is clean and nothing is in flight. False if it is kept, also because nobody answered."""
    return bool(session_id) and lifecycle_host.host().discard_session(str(session_id))


def mark_turn_completed(session_id: Optional[str], *, agent: Any = None) -> int:
    """Counts a completed turn; the agent, if named, owns it and becomes the current one. Returns its generation.

    Takes less than a second; without an answer by then returns 0, and the turn is sent, once, as soon as the daemon
    answers again.
    """
    return lifecycle_host.host().mark_turn_completed(session_id, agent) if session_id else 0


def has_uncommitted_work(session_id: Optional[str]) -> bool:
    """Whether the session is dirty, as the daemon has it; True as well if it doesn't answer within a second."""
    return bool(session_id) and lifecycle_host.host().has_uncommitted_work(str(session_id))


def commit_session_memory(
    session_id: Optional[str], agent: Any = None, *, wait: bool = False, timeout: Optional[float] = None
) -> bool:
    """Commits the oldest dirty segment by its owner; an ownerless one by `agent`, or else by the current agent.

    True only when it was committed. While another commit is in flight: False at once, or with `wait` after it, when
    this one had its turn. False as well after `timeout` seconds, and without a daemon.
    """
    return bool(session_id) and lifecycle_host.host().commit(str(session_id), agent, wait, timeout)


def drain_all_on_shutdown(deadline: float = 30.0) -> None:
    """Joins the background threads and commits all that agents of this process own, within `deadline` seconds.

    No background thread is let in from now on. What is left is in the journal.
    """
    global _draining
    until = time.monotonic() + deadline
    with _background_commit_threads_lock:
        _draining = True
        threads = list(_background_commit_threads)
        _background_commit_threads.clear()
    # A while first, for what they have yet to mark; one that is stuck must leave time for everybody else's commits.
    _join(threads, time.monotonic() + min(deadline / 2, 5.0))
    lifecycle_host.host().drain(until)
    _join(threads, until)


def set_orphan_handler(handler: Optional[Callable[[str], Any]]) -> None:
    """Says how to rebuild an agent for a session whose process died: `handler(session_id)`, None if it can't be now.

    From then on this process commits what dead processes of its group (TIDEMARK_GROUP) have left behind. The handler
    runs on a thread of its own; the agent is used for one commit. None ends it.
    """
    lifecycle_host.host().set_orphan_handler(handler)


def _join(threads: List[threading.Thread], until: float) -> None:
    for thread in threads:
        if thread.is_alive() and thread is not threading.current_thread():
            thread.join(max(until - time.monotonic(), 0.0))


def _register_background_commit_thread(thread: threading.Thread) -> bool:
    """True if the thread may be started, and then it is joined by the drain; False once draining."""
    with _background_commit_threads_lock:
        if not _draining:
            _background_commit_threads.add(thread)
        return not _draining


def _unregister_background_commit_thread(thread: threading.Thread) -> None:
    with _background_commit_threads_lock:
        _background_commit_threads.discard(thread)


def _reset_for_tests() -> None:
    """Forgets every session that this process has touched, in the daemon too, and the orphan handler."""
    lifecycle_host.host().reset()
