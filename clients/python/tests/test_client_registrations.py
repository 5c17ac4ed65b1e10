"""What the daemon is told of agents without a call: on a new connection, and when it has refused them."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import unittest
from typing import Any, Dict, List, Optional

from tests.client_case import ClientTest
from tests.support import wait_until
from tidemark import CallError, CommitRequest, Unavailable


def handler(request: CommitRequest) -> None:
    pass


class Refusing:
    """Answers like a daemon that has no room: registrations get the errors that are set, in their order, and then
    results. It notes them, each with its connection's number."""

    def __init__(self, folder: str) -> None:
        self.path = os.path.join(folder, "refusing.sock")
        self.errors: List[Dict[str, Any]] = []
        self.registrations: List[Any] = []
        self.times: List[float] = []
        self.connections: List[socket.socket] = []
        self._threads: List[threading.Thread] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen()
        self._start(self._listen)

    def _start(self, target: Any, *arguments: Any) -> None:
        self._threads.append(threading.Thread(target=target, args=arguments, daemon=True))
        self._threads[-1].start()

    def close(self) -> None:
        for one in [self._listener, *self.connections]:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it has ended
        for thread in self._threads:
            thread.join(10)
        for one in [self._listener, *self.connections]:
            one.close()

    def cut(self) -> None:
        self.connections[-1].shutdown(socket.SHUT_RDWR)

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            self._start(self._serve, connection, len(self.connections))

    def _serve(self, connection: socket.socket, number: int) -> None:
        try:
            with connection.makefile() as lines:
                for line in lines:
                    answer = self._answer(json.loads(line), number)
                    connection.sendall(json.dumps(answer).encode() + b"\n")
        except OSError:
            pass  # it was cut

    def _answer(self, call: Dict[str, Any], number: int) -> Dict[str, Any]:
        answer: Dict[str, Any] = {"jsonrpc": "2.0", "id": call["id"], "result": {}}
        if call["method"] == "agent.register":
            params = call["params"]
            self.registrations.append((number, params["agent"], params.get("session")))
            self.times.append(time.monotonic())
            answer["result"] = {"agent": params["agent"], "epoch": len(self.registrations), "due_segments": 0}
            if self.errors:
                del answer["result"]
                answer["error"] = self.errors.pop(0)
        return answer


def full(retry_after_ms: Optional[int] = 50) -> Dict[str, Any]:
    data: Dict[str, Any] = {"reason": "journal_unavailable"}
    if retry_after_ms is not None:
        data["retry_after_ms"] = retry_after_ms
    return {"code": -32001, "message": "no room", "data": data}


class Refused(ClientTest):
    def setUp(self) -> None:
        super().setUp()
        self.refusing = Refusing(self.daemon.folder)
        self.addCleanup(self.refusing.close)
        self.client = self.make_client(socket_path=self.refusing.path)
        self.client.ping()
        self.client.register("agent", handler=handler, session="a", timeout=10)
        self.client.register("agent", handler=handler, session="b", timeout=10)

    def cut(self, *errors: Dict[str, Any]) -> None:
        self.refusing.registrations.clear()
        self.refusing.times.clear()
        self.refusing.errors.extend(errors)
        self.refusing.cut()

    def test_an_agent_that_is_refused_for_now_is_registered_on_the_same_connection(self) -> None:
        limit = {"code": -32003, "message": "too many",
                 "data": {"reason": "limit", "limit": "agents", "retry_after_ms": 50}}
        with self.assertLogs("tidemark", "WARNING") as logs:
            self.cut(full(), full(), full(), limit)
            both = {(2, "agent", "a"), (2, "agent", "b")}
            wait_until(lambda: len(self.refusing.registrations) >= 6, "it is tried on, with its sessions")
        for tried in range(3):
            self.assertEqual(set(self.refusing.registrations[tried * 2:tried * 2 + 2]), both)
        self.assertGreater(self.refusing.times[2] - self.refusing.times[1], 0.04)
        self.assertEqual(len(logs.output), 1, logs.output)
        time.sleep(0.2)  # time in which one that is registered would be registered again
        self.client.ping()
        self.assertEqual(len(self.refusing.registrations), 6)
        self.assertEqual(len(self.refusing.connections), 2)

    def test_while_calls_read_in_the_keepers_place(self) -> None:
        self.cut(full(), full())
        until = time.monotonic() + 10
        while len(self.refusing.registrations) < 4 and time.monotonic() < until:
            self.client.ping()
        self.assertEqual(len(self.refusing.registrations), 4)

    def test_a_second_is_waited_if_no_time_is_named(self) -> None:
        self.cut(full(None), full(None))
        wait_until(lambda: len(self.refusing.registrations) >= 4, "it is tried again")
        self.assertGreater(self.refusing.times[2] - self.refusing.times[1], 0.9)

    def test_what_does_not_pass_is_not_tried_again(self) -> None:
        error = {"code": -32004, "message": "no such provider", "data": {"reason": "not_found", "retry_after_ms": 10}}
        with self.assertLogs("tidemark", "ERROR"):
            self.cut(error, error)
            wait_until(lambda: len(self.refusing.registrations) >= 2, "it is refused")
            self.client.ping()
        time.sleep(0.1)  # time in which it would be tried again
        self.assertEqual(len(self.refusing.registrations), 2)

    def test_one_that_is_unregistered_meanwhile_is_not_registered(self) -> None:
        self.cut(full(200), full(200))
        wait_until(lambda: len(self.refusing.registrations) >= 2, "it is refused")
        self.client.unregister(agent="agent")
        wait_until(lambda: self.client._serving.refused_due_in() is None, "its time has come")
        self.client.ping()
        self.assertEqual(len(self.refusing.registrations), 2)


class CurrentAgents(ClientTest):
    """Who is a session's current agent, when an answer was lost."""

    def setUp(self) -> None:
        super().setUp()
        self.proxy = self.make_proxy()
        self.other = self.make_client()
        self.client = self.make_client(socket_path=self.proxy.socket_path)
        for agent, session in (("one", "s"), ("two", None)):
            self.client.register(agent, handler=handler, session=session)

    def greeted_again(self) -> None:
        accepted = self.proxy.accepted
        self.proxy.lose_answers = False
        self.proxy.cut()
        wait_until(lambda: self.proxy.accepted > accepted, "it connects anew")
        self.client.ping()

    def assert_goes_on_with(self, agent: str) -> None:
        self.assertEqual(self.other.status("s")["agent"], agent)
        self.client.complete("s")
        self.assertEqual([segment["owner"] for segment in self.other.status("s")["segments"]], [agent])

    def test_a_mark_that_is_sent_again(self) -> None:
        self.proxy.lose_answers = True
        mark = self.in_thread(self.client.complete, "s", agent="two")
        self.assertTrue(self.proxy.lost.wait(10))
        self.greeted_again()
        self.assertTrue(mark.result(10).duplicate)
        self.assert_goes_on_with("two")

    def test_a_mark_whose_caller_has_given_up(self) -> None:
        self.proxy.lose_answers = True
        with self.assertRaises(Unavailable):
            self.client.complete("s", agent="two", turn="turn", timeout=0.3)
        self.greeted_again()
        self.assertTrue(self.client.complete("s", agent="two", turn="turn").duplicate)
        self.greeted_again()
        self.assert_goes_on_with("two")

    def test_a_mark_that_was_refused_changes_nothing(self) -> None:
        with self.assertRaises(CallError):
            self.client.complete("s", agent="")
        before = self.proxy.sent.count(b'"session":"s"')
        self.greeted_again()
        self.assertGreater(self.proxy.sent.count(b'"session":"s"'), before)

    def test_a_session_is_not_given_to_a_name_that_comes_back(self) -> None:
        self.client.unregister(agent="one")
        self.other.complete("s", agent="of another")
        self.client.register("one", handler=handler)
        self.greeted_again()
        self.assertEqual(self.other.status("s")["agent"], "of another")


if __name__ == "__main__":
    unittest.main()
