"""Keeps one connection to the daemon, and makes calls on whichever there is.

The keeper thread alone connects: when a call waits for a connection or an agent is to be served, at growing pauses.
It begins with the first call, reads while no call does, and ends with ``close``. Nothing here refers to the Client,
so that an unused one is collected, its connection and its thread with it.
"""

from __future__ import annotations

import itertools
import logging
import os
import random
import select
import socket
import threading
import time
import weakref
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

from .connection import Connection
from .errors import CallError, Closed, Unavailable, call_error
from .frames import Call, Ended, Message, encode_frame
from .link_user import Answer, LinkUser, Request

_log = logging.getLogger("tidemark")

PAUSE_LEAST = 0.05
PAUSE_MOST = 5.0
PAUSE_MOST_AWAITED = 1.0  # while calls wait
# The keeper leaves the reading to calls for so long after the last, as passing it on and back would slow each of them.
LINGER = 0.02
# Of a call with a time of its own at the daemon: what is kept back for the answer's way.
ANSWER_SHARE = 0.1
ANSWER_MOST = 0.1
FRAME_BYTES_MAX = 1024 * 1024  # until the daemon has told its own


def default_socket_path() -> str:
    """Where the daemon listens, as far as the environment tells."""
    named = os.environ.get("TIDEMARK_SOCKET")
    if named:
        return named
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime:
        path = os.path.join(runtime, "tidemark", "tidemark.sock")
        if os.path.exists(path):
            return path
    return "/run/tidemark/tidemark.sock"


class Link:
    def __init__(self, socket_path: Optional[str], user: LinkUser) -> None:
        self._path = socket_path
        self._user = user
        self._reset()
        _links.add(self)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        # _connection, _closed. Entered by its lock, whose entering no interrupt can cut in two, as it can a condition's.
        self._changed = threading.Condition(self._lock)
        self._connection: Optional[Connection] = None
        self._closed = False
        self._awaiting = 0  # threads that wait for a connection
        self._keeper: Optional[threading.Thread] = None
        self._wake_receive, self._wake_send = socket.socketpair()
        self._wake_receive.setblocking(False)
        self._wake_send.setblocking(False)
        self._numbers = itertools.count(1)
        self._next_try = 0.0
        self._pause = PAUSE_LEAST
        self._why = "no connection was tried yet"
        self.frame_bytes_max = FRAME_BYTES_MAX

    @property
    def path(self) -> str:
        return self._path if self._path is not None else default_socket_path()

    @property
    def connected(self) -> bool:
        return self._connection is not None

    # --- Calls ---

    def call(self, method: str, params: Mapping[str, Any], timeout: float, *, repeat: bool = False,
             time_param: Optional[str] = None, connect_timeout: Optional[float] = None,
             on_sending: Optional[Callable[[], None]] = None, on_answer: Optional[Answer] = None) -> Any:
        """Makes a call and gives its result; raises CallError, Unavailable or Closed.

        ``repeat``: it is sent again if the connection ends before the answer, which must do no harm. ``time_param``
        names the parameter that tells the daemon how much time there is. A connection is waited for no longer than
        ``connect_timeout``, if given. ``on_sending`` is called before each sending, and for each of them ``on_answer``
        once: on the reading thread, in the order of the answers, or with None when there is no answer.
        """
        deadline = time.monotonic() + timeout
        connect_timeout = timeout if connect_timeout is None else min(timeout, connect_timeout)
        connect_deadline = time.monotonic() + connect_timeout
        urgent = True
        while True:
            connection = self._connection
            if connection is None:
                connection = self._await_connection(method, connect_timeout, connect_deadline, urgent)
            urgent = False
            call = Call(next(self._numbers), on_answer)
            if time_param is not None:
                params = _with_time(params, time_param, deadline - time.monotonic())
            frame = self._frame(call.number, method, params)
            if on_sending is not None:
                on_sending()
            try:
                try:
                    connection.send_call(call, frame, deadline)
                    if connection.has_unsent:
                        self.wake()
                    answered = connection.wait(call, deadline)
                except (Ended, TimeoutError):
                    raise
                except BaseException:
                    connection.recover()
                    raise
            except Ended:
                self._await_end(connection, deadline)
                continue
            except TimeoutError:
                raise Unavailable(f"{method}: the daemon at {self.path} took no call within {timeout:g} s") from None
            if not answered:
                raise Unavailable(f"{method}: no answer from the daemon at {self.path} within {timeout:g} s; "
                                  "it may still act on the call")
            answer = call.answer
            if answer is None:
                if self._closed:
                    raise Closed(f"{method}: this client was closed before the answer came")
                if not repeat:
                    raise Unavailable(f"{method}: {connection.why} before the answer; the call may have taken effect")
                self._await_end(connection, deadline)
                continue
            if "result" in answer:
                return answer["result"]
            error = call_error(answer)
            if not (repeat and error.reason == "outcome_unknown" and self._await_end(connection, deadline)):
                raise error

    def _frame(self, number: int, method: str, params: Mapping[str, Any]) -> bytes:
        try:
            frame = encode_frame({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        except UnicodeEncodeError as error:
            raise CallError(-32602, "invalid_params", f"{method}: {error.object!r} can't be said in UTF-8") from None
        except (TypeError, ValueError, RecursionError) as error:
            raise CallError(-32602, "invalid_params", f"{method}: a parameter can't be said in JSON: {error}") from None
        if len(frame) - 1 > self.frame_bytes_max:
            raise CallError(-32600, "invalid_request", f"{method}: the call has {len(frame) - 1} bytes, and the daemon "
                            f"takes {self.frame_bytes_max} at most")
        return frame

    def _await_connection(self, method: str, timeout: float, deadline: float, urgent: bool) -> Connection:
        with self._lock:
            self._awaiting += 1
            if urgent:  # a new call: one try at once, whatever the pause
                self._next_try = 0.0
                self._pause = PAUSE_LEAST
            try:
                while not self._closed:
                    if self._connection is not None:
                        return self._connection
                    self._start_keeper(method)
                    self.wake()
                    remaining = deadline - time.monotonic()
                    if remaining <= 0:
                        raise Unavailable(f"{method}: no daemon at {self.path} within {timeout:g} s: {self._why}")
                    self._changed.wait(min(remaining, threading.TIMEOUT_MAX))
                raise Closed(f"{method}: this client is closed")
            finally:
                self._awaiting -= 1

    def _await_end(self, connection: Connection, deadline: float) -> bool:
        """Until ``connection`` is no longer the one that calls go to. False: the time is over."""
        with self._lock:
            return self._changed.wait_for(lambda: self._connection is not connection,
                                          min(max(0.0, deadline - time.monotonic()), threading.TIMEOUT_MAX))

    # --- The keeper ---

    def wake(self) -> None:
        try:
            self._wake_send.send(b"\0")
        except OSError:
            pass  # it is about to wake, or has ended

    def _start_keeper(self, method: str) -> None:
        if self._keeper is not None:
            return
        keeper = threading.Thread(target=self._keep, name="tidemark-keeper", daemon=True)
        try:
            keeper.start()
        except RuntimeError as error:  # the interpreter ends, or the machine is full
            raise Unavailable(f"{method}: there is no thread to connect with: {error}") from None
        self._keeper = keeper

    def _keep(self) -> None:
        try:
            wake_only = select.poll()
            wake_only.register(self._wake_receive, select.POLLIN)
            while not self._closed:
                connection = self._connection
                if connection is not None:
                    self._tend(connection, wake_only)
                else:
                    pause = self._connect_if_due()
                    if pause is None or pause > 0:
                        self._sleep(wake_only, pause)
        except Exception:
            _log.exception("the keeper of a tidemark client failed")
        finally:
            self._shut()

    def _sleep(self, poller: select.poll, seconds: Optional[float]) -> List[int]:
        """The descriptors that are ready, or woken for."""
        ready = poller.poll(None if seconds is None else int(seconds * 1000) + 1)
        if any(descriptor == self._wake_receive.fileno() for descriptor, _ in ready):
            try:
                self._wake_receive.recv(4096)
            except OSError:
                pass
        return [descriptor for descriptor, _ in ready]

    def _tend(self, connection: Connection, wake_only: select.poll) -> None:
        both = select.poll()
        both.register(self._wake_receive, select.POLLIN)
        both.register(connection, select.POLLIN | (select.POLLOUT if connection.has_unsent else 0))
        while connection is self._connection and not self._closed:
            pause = self._post_due(connection)
            if connection.is_led(LINGER):
                self._sleep(wake_only, LINGER)
                connection.flush()
                continue
            both.modify(connection, select.POLLIN | (select.POLLOUT if connection.has_unsent else 0))
            ready = self._sleep(both, pause)
            connection.flush()
            if connection.fileno() in ready and not connection.is_led(LINGER):
                connection.read_unless_led()

    def _post_due(self, connection: Connection) -> Optional[float]:
        """Seconds until more is due."""
        seconds = self._user.due_in()
        if seconds is None or seconds > 0:
            return seconds
        try:
            posted = connection.post_calls(lambda: self._calls_of(self._user.due_calls()))
        except Ended:
            return None
        return self._user.due_in() if posted else LINGER

    def _calls_of(self, requests: List[Request]) -> List[Tuple[Call, bytes]]:
        calls = []
        for method, params, on_answer in requests:
            call = Call(next(self._numbers), on_answer)
            try:
                calls.append((call, self._frame(call.number, method, params)))
            except CallError as error:
                _log.error("%s", error)
                call.finish(None)
        return calls

    def _connect_if_due(self) -> Optional[float]:
        """Seconds until the next try is due; None: when woken."""
        wanted = self._user.is_wanted()
        with self._lock:
            if not (wanted or self._awaiting):
                return None
            now = time.monotonic()
            if now < self._next_try:
                return self._next_try - now
            most = PAUSE_MOST_AWAITED if self._awaiting else PAUSE_MOST
            self._next_try = now + min(self._pause, most) * random.uniform(0.8, 1.2)
            self._pause = min(self._pause * 2, most)
        path = self.path
        try:
            connection = Connection(path, self._on_message, self._on_ended)
        except (OSError, ValueError) as error:
            self._why = str(getattr(error, "strerror", None) or error)
            return 0.0
        try:
            connection.post_calls(lambda: self._calls_of(self._user.greeting(connection)))
        except Ended:
            return 0.0
        with self._lock:
            if not (connection.ended or self._closed):
                self._connection = connection
                self._changed.notify_all()
        if self._closed:
            connection.end("this client was closed")
        return 0.0

    def greeted(self) -> None:
        """The daemon has answered the greeting: what the pauses were made for is over."""
        self._pause = PAUSE_LEAST
        self._next_try = 0.0
        self._user.on_connected()

    def _on_message(self, connection: Connection, message: Message) -> None:
        try:
            self._user.on_message(connection, message)
        except Exception:
            _log.exception("a message of the daemon was not understood")

    def _on_ended(self, connection: Connection) -> None:
        with self._lock:
            self._why = connection.why
            if self._connection is connection:
                self._connection = None
            self._changed.notify_all()
        self.wake()

    # --- The end ---

    def abandon(self) -> None:
        """Has the keeper end it all, without waiting or taking a lock: a collector of garbage may call it anywhere."""
        self._closed = True
        if self._keeper is None:
            self._wake_send.close()
            self._wake_receive.close()
        else:
            self.wake()

    def close(self, deadline: float) -> None:
        """Ends the connection; calls that wait raise Closed. Waits for the keeper until ``deadline``."""
        with self._lock:
            self._closed = True
            keeper = self._keeper
            self._changed.notify_all()
        if keeper is None:
            return self._shut()
        self.wake()
        if keeper is not threading.current_thread():
            keeper.join(min(max(0.0, deadline - time.monotonic()), threading.TIMEOUT_MAX))

    def _shut(self) -> None:
        with self._lock:
            self._closed = True
            connection = self._connection
            self._changed.notify_all()
        if connection is not None:
            connection.end("this client was closed")
        self._wake_send.close()
        self._wake_receive.close()
        self._user.on_shut()

    def _start_anew(self) -> None:
        """In a forked child: nothing of the parent's is used, or ended for the parent."""
        self._wake_send.close()
        self._wake_receive.close()
        was_closed = self._closed
        self._reset()
        self._user.start_anew()
        if was_closed:
            self.abandon()


_links: "weakref.WeakSet[Link]" = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for link in list(_links):
        link._start_anew()


os.register_at_fork(after_in_child=_after_fork_in_child)


def _with_time(params: Mapping[str, Any], name: str, seconds: float) -> Dict[str, Any]:
    timed = dict(params)
    if seconds == float("inf"):
        timed.pop(name, None)
    else:
        seconds = max(0.0, seconds - min(seconds * ANSWER_SHARE, ANSWER_MOST))
        timed[name] = min(int(seconds * 1000), 365 * 24 * 3600 * 1000)
    return timed
