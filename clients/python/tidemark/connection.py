"""One connected socket: frames out, frames in, and the calls that wait for their answers.

There is no reading thread that every answer would have to pass through. Whoever waits for an answer may *lead*: hold
``_lead``, wait for the socket, read, and hand every frame to whom it belongs; the others sleep until their answer is
there, or until the leader leaves and one of them leads. Only the holder of ``_lead`` reads. When nobody waits, the
link's keeper thread reads.
"""

from __future__ import annotations

import json
import logging
import os
import select
import socket
import threading
import time
import weakref
from typing import Callable, Dict, List, Optional, Sequence, Tuple

from .frames import Call, Ended, Message
from .owned_lock import OwnedLock

_log = logging.getLogger("tidemark")

READ_BYTES = 64 * 1024
# The daemon cuts off a peer with more output pending than this, so no frame of its can be longer.
FRAME_BYTES_MAX = 64 * 1024 * 1024

_decode_json = json.JSONDecoder().decode


class Connection:
    """Any thread may use it. The callbacks run on the thread that reads, with ``_lead`` held: they must not block.

    ``on_message(connection, message)`` gets what isn't an answer, ``on_ended(connection)`` is told once.
    """

    def __init__(self, path: str, on_message: Callable[[Connection, Message], None],
                 on_ended: Callable[[Connection], None]) -> None:
        self._on_message = on_message
        self._on_ended = on_ended
        self._lock = threading.Lock()  # _calls, ended, why
        self._calls: Dict[int, Call] = {}
        self._waiting: Dict[int, Call] = {}  # those of _calls whose thread sleeps, or leads, for them
        self.ended = False
        self.why = ""
        self._lead = OwnedLock()
        self._led_at = 0.0
        self._taking: Optional[Call] = None  # its answer was read, and it is being told
        self._chunks: List[bytes] = []  # the beginning of a frame whose end isn't there yet
        self._chunk_bytes = 0
        self._write_lock = OwnedLock()
        self._unsent = b""  # the rest of frames that were begun
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        _connections.add(self)
        try:
            self._socket.setblocking(False)
            self._socket.connect(path)
        except BaseException:
            self._socket.close()
            raise
        self._readable = select.poll()
        self._readable.register(self._socket, select.POLLIN)

    def __del__(self) -> None:
        # Here, and not in end(): another thread may be waiting for the descriptor, whose number must not be given anew.
        if hasattr(self, "_socket"):
            self._socket.close()

    def fileno(self) -> int:
        return self._socket.fileno()

    def abandon(self) -> None:
        """In a forked child: lets the descriptor go, which leaves the parent's connection as it is."""
        self.ended = True
        self._socket.close()

    # --- Calls ---

    def send_call(self, call: Call, frame: bytes, deadline: float) -> None:
        """Sends a call that the thread then waits for with ``wait``. Raises Ended or TimeoutError: not sent."""
        with self._lock:
            ended = self.ended
            if not ended:
                self._calls[call.number] = call
        if ended:
            call.finish(None)
            raise Ended
        try:
            self.send(frame, deadline)
        except BaseException:
            with self._lock:
                known = self._calls.pop(call.number, None)
            if known is not None:
                call.finish(None)
            raise

    def post_calls(self, make: Callable[[], Sequence[Tuple[Call, bytes]]]) -> bool:
        """Sends calls whose answers go to their ``on_answer`` alone; ``flush`` sends what can't be sent at once.
        They are made while nobody else can send. False, and none is made: somebody is sending. Raises Ended."""
        if not self._write_lock.acquire():
            return False
        try:
            calls = make()
            with self._lock:
                ended = self.ended
                if not ended:
                    self._calls.update((call.number, call) for call, _ in calls)
                    self._unsent += b"".join(frame for _, frame in calls)
        finally:
            self._write_lock.release()
        if ended:
            for call, _ in calls:
                call.finish(None)
            raise Ended
        self.flush()
        return True

    def wait(self, call: Call, deadline: float) -> bool:
        """Until the call is done: True. False: the time is over; a later answer goes to ``on_answer`` alone."""
        with self._lock:
            self._waiting[call.number] = call
        try:
            while not call.done:
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    break
                if not self._lead.acquire():
                    call.woken.acquire(True, min(remaining, threading.TIMEOUT_MAX))
                    continue
                try:
                    while not call.done and remaining > 0:
                        self._readable.poll(_milliseconds(remaining))
                        self._read()
                        remaining = deadline - time.monotonic()
                finally:
                    self._led_at = time.monotonic()
                    self._lead.release()
        finally:
            with self._lock:
                self._waiting.pop(call.number, None)
                if call.on_answer is None:
                    self._calls.pop(call.number, None)
            self._pass_lead()
        return call.done

    def recover(self) -> None:
        """For who was interrupted in ``send_call`` or ``wait``, by an exception of a signal handler: it may have come
        where this thread holds what others need. How far it was with that isn't known then."""
        leads, writes = self._lead.release_if_owned(), self._write_lock.release_if_owned()
        if leads or writes:
            self.end("a call was interrupted")
        self._pass_lead()

    def _pass_lead(self) -> None:
        # Whoever leaves may have been the one to lead, or woken to. Those who wait were there before they saw the
        # lead taken, so none is overlooked.
        if self._waiting and not self._lead.held:
            with self._lock:
                heir = next(iter(self._waiting.values()), None)
            if heir is not None:
                heir.wake()

    # --- Reading ---

    def is_led(self, linger: float) -> bool:
        """Whether a call reads, or did so less than ``linger`` seconds ago."""
        return self._lead.held or time.monotonic() - self._led_at < linger

    def read_unless_led(self) -> None:
        if not self._lead.acquire():
            return
        try:
            self._read()
        finally:
            self._lead.release()
            self._pass_lead()

    def _read(self) -> bool:
        """Takes what is there. False: nothing was, or it was the end."""
        try:
            try:
                data = self._socket.recv(READ_BYTES)
            except (BlockingIOError, InterruptedError):
                return False
            except OSError as error:
                self.end(f"the connection failed: {error.strerror or error}")
                return False
            if not data:
                self.end("the daemon ended the connection")
                return False
            for line in self._lines(data):
                if line:
                    self._take(line)
            return True
        except BaseException:  # an interrupt in the middle of a frame: what follows can't be understood any more
            self.end("reading was interrupted")
            if self._taking is not None:
                self._taking.wake() if self._taking.done else self._taking.finish(None)
            raise

    def _lines(self, data: bytes) -> Sequence[bytes]:
        if b"\n" not in data:
            self._chunks.append(data)
            self._chunk_bytes += len(data)
            if self._chunk_bytes > FRAME_BYTES_MAX:
                self.end("the daemon sent a frame without end")
            return ()
        if self._chunks:
            data = b"".join(self._chunks) + data
            self._chunks.clear()
            self._chunk_bytes = 0
        lines = data.split(b"\n")
        if lines[-1]:
            self._chunks.append(lines[-1])
            self._chunk_bytes = len(lines[-1])
        del lines[-1]
        return lines

    def _take(self, line: bytes) -> None:
        try:
            message = _decode_json(line.decode())
            is_request = "method" in message
            number = message.get("id")
        except (ValueError, TypeError, AttributeError, RecursionError):
            return self.end("the daemon sent what isn't of the protocol")
        if is_request:
            return self._on_message(self, message)
        if type(number) is not int:
            return self.end(f"the daemon couldn't read a frame: {_error_text(message)}")
        with self._lock:
            call = self._taking = self._calls.get(number)
            self._calls.pop(number, None)
            self._waiting.pop(number, None)
        if call is not None:
            call.finish(message)
        self._taking = None

    # --- Writing ---

    def send(self, frame: bytes, deadline: float) -> None:
        """Sends one frame, wholly or not at all. Raises Ended or TimeoutError: not at all.

        A frame that was begun when the time is over stays to be sent on by whoever writes next, or by ``flush``.
        """
        if not self._write_lock.acquire() and not self._write_lock.acquire(deadline - time.monotonic()):
            raise TimeoutError
        try:
            while self._unsent:
                self._write_some()
                if self._unsent:
                    self._await_writable(deadline)
            self._unsent = frame
            self._write_some()
            while self._unsent:
                try:
                    self._await_writable(deadline)
                except TimeoutError:
                    if self._unsent == frame:
                        self._unsent = b""
                        raise
                    return
                self._write_some()
        except OSError as error:
            if isinstance(error, TimeoutError) and not error.errno:
                raise
            self._unsent = b""
            self._read_out(f"the connection failed: {error.strerror or error}")
            raise Ended from None
        except BaseException:  # an interrupt: how much was sent isn't known
            self.end("writing was interrupted")
            raise
        finally:
            self._write_lock.release()

    @property
    def has_unsent(self) -> bool:
        return bool(self._unsent)

    def flush(self) -> None:
        """Sends what it can of what was begun, without waiting."""
        if not self._write_lock.acquire():
            return
        try:
            self._write_some()
        except OSError as error:
            self._unsent = b""
            self._read_out(f"the connection failed: {error.strerror or error}")
        finally:
            self._write_lock.release()

    def _write_some(self) -> None:
        while self._unsent:
            try:
                sent = self._socket.send(self._unsent, socket.MSG_NOSIGNAL)
            except (BlockingIOError, InterruptedError):
                return
            self._unsent = self._unsent[sent:]

    def _await_writable(self, deadline: float) -> None:
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError
        writable = select.poll()
        writable.register(self._socket, select.POLLOUT)
        writable.poll(_milliseconds(remaining))

    # --- The end ---

    def _read_out(self, why: str) -> None:
        # The other side is gone; answers that it gave before may still be there to read. Whoever leads is woken, and
        # reads to the end.
        self._shut_down()
        if self._lead.acquire():
            try:
                while not self.ended and self._read():
                    pass
            finally:
                self._lead.release()
            self.end(why)

    def end(self, why: str) -> None:
        """Ends it: every call is done, without an answer. Again: nothing."""
        with self._lock:
            if self.ended:
                return
            self.ended = True
            self.why = why
            calls = list(self._calls.values())
            self._calls.clear()
            self._waiting.clear()
        self._shut_down()
        self._on_ended(self)
        for call in calls:
            call.finish(None)

    def _shut_down(self) -> None:
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


_connections: "weakref.WeakSet[Connection]" = weakref.WeakSet()


def _after_fork_in_child() -> None:
    # Kept open here, they would hide the parent's end from the daemon.
    for connection in list(_connections):
        connection.abandon()


os.register_at_fork(after_in_child=_after_fork_in_child)


def _milliseconds(seconds: float) -> int:
    return int(min(seconds * 1000 + 1, 2**31 - 1))


def _error_text(message: Message) -> str:
    error = message.get("error")
    return str(error.get("message")) if isinstance(error, dict) else "it has no id"
