"""Serving: agents that commit, are asked again, are registered again, and are fenced."""

from __future__ import annotations

import threading
import time
import unittest
import uuid
from typing import Any, List, Optional
from unittest import mock

from tests.client_case import ClientTest
from tests.support import wait_until
from tidemark import CallError, Client, CommitFailed, CommitRequest, Unavailable
from tidemark import current_agents
from tidemark import serving as serving_module


class Agent:
    """A handler that records, waits while it is held, and does what it is told."""

    def __init__(self, answer: Any = None, *, held: bool = False) -> None:
        self.answer = answer
        self.requests: List[CommitRequest] = []
        self.entered = threading.Semaphore(0)
        self.release = threading.Event()
        if not held:
            self.release.set()

    def __call__(self, request: CommitRequest) -> Optional[str]:
        self.requests.append(request)
        self.entered.release()
        self.release.wait(20)
        if isinstance(self.answer, BaseException):
            raise self.answer
        answer: Optional[str] = self.answer
        return answer


class ServingTest(ClientTest):
    def serve(self, agent: Agent, session: str = "s", name: str = "agent", client: Optional[Client] = None,
              **named: Any) -> Agent:
        self.addCleanup(agent.release.set)
        (client or self.client).register(name, handler=agent, session=session, **named)
        return agent

    def held_commit(self) -> Agent:
        """An agent that was asked to commit a turn, and holds it."""
        agent = self.serve(Agent(held=True))
        self.client.complete("s")
        self.client.commit("s", detach=True)
        self.assertTrue(agent.entered.acquire(timeout=10))
        return agent

    def status(self, session: str = "s") -> Any:
        return self.client.status(session)

    def wait_clean(self, session: str = "s") -> None:
        wait_until(lambda: self.status(session)["uncommitted"] == 0, "all is committed")


class Answers(ServingTest):
    config = '[retry]\ninitial = "1h"\nmax = "1h"\n'

    def test_a_failure_that_is_told_by_an_exception(self) -> None:
        self.serve(Agent(CommitFailed(ValueError("no room"), permanent=True)))  # type: ignore[arg-type]
        self.client.complete("s")
        committed = self.client.commit("s", timeout=10)
        self.assertEqual((committed.outcome, committed.error), ("failed", "no room"))
        self.assertEqual(self.status()["segments"][0]["state"], "stuck")

    def test_an_agent_that_json_cannot_say_is_refused_and_harms_nobody(self) -> None:
        client = self.make_client()
        for _ in range(2):
            with self.assertRaises(CallError) as refused:
                client.register(uuid.uuid4(), handler=Agent())  # type: ignore[arg-type]
            self.assertEqual(refused.exception.reason, "invalid_params")
            self.daemon.restart()
            client.ping(timeout=10)

    def test_a_fence_that_comes_amid_a_refused_register_counts(self) -> None:
        serving = self.client._serving
        first, second = (serving_module.Agent("agent", {}, Agent(), None) for _ in range(2))
        serving.add(first)
        before = serving.add(second)
        serving.registering(second)
        serving.fenced("agent", 7)
        serving.registered(second, {"error": {}})
        serving.put_back(second, before)
        self.assertFalse(serving.any_to_register())

    def test_a_refused_register_leaves_the_session_to_its_agent(self) -> None:
        agent = self.serve(Agent(), group="group")
        with self.assertRaises(CallError):
            self.serve(Agent(), name="other", provider="missing")
        with self.assertRaises(CallError):
            self.serve(Agent(), external_id="outside", provider="missing")
        self.assertEqual(self.client._serving.registrations()[0][1].get("session"), "s")
        self.assertNotIn("external_id", self.client._serving.registrations()[0][1])
        self.client.complete("s")
        self.assertTrue(self.client.commit("s", timeout=10).committed)
        self.assertEqual(len(agent.requests), 1)

    def test_a_commit(self) -> None:
        agent = self.serve(Agent(), external_id="outside")
        self.client.complete("s")
        self.client.complete("s")
        committed = self.client.commit("s", timeout=10)
        self.assertEqual((committed.committed, committed.start, committed.end, committed.watermark), (True, 1, 2, 2))
        [request] = agent.requests
        self.assertEqual((request.session, request.external_id, request.agent, request.provider), ("s", "outside", "agent", None))
        self.assertEqual((request.start, request.end, request.attempt, request.timeout), (1, 2, 1, 120.0))
        self.assertEqual(self.client.history("s")["commits"][0]["key"], request.key)
        self.assertEqual(self.client.commit("s", timeout=10).outcome, "clean")

    def test_what_handlers_say(self) -> None:
        agent = self.serve(Agent())
        wrong = "which is neither None nor one of committed, skipped, synced"
        cases: List[Any] = [
            (None, "committed", None), ("committed", "committed", None), ("skipped", "committed", None),
            (RuntimeError("no room"), "failed", "RuntimeError: no room"),
            (CommitFailed("not yet"), "failed", "not yet"),
            (False, "failed", f"the handler returned False, {wrong}"), (True, "failed", wrong),
            (["synced"], "failed", wrong),
            (SystemExit(3), "failed", "SystemExit: 3"), (RuntimeError("\ud800 and é"), "failed", "\\ud800 and é"),
            (RuntimeError("x" * 9000), "failed", "x" * 900),
        ]
        for answer, outcome, error in cases:
            with self.subTest(answer=repr(answer)[:40]):
                agent.answer = answer
                self.client.complete("s")
                committed = self.client.commit("s", timeout=10)
                self.assertEqual(committed.outcome, outcome)
                self.assertIn(error or "", committed.error or "")
        agent.answer = CommitFailed("never", permanent=True)
        self.assertEqual(self.client.commit("s", timeout=10).error, "never")
        self.assertEqual(self.status()["segments"][0]["state"], "stuck")

    def test_handlers_call_the_client_and_never_run_on_the_thread_that_reads(self) -> None:
        threads = []

        def handler(request: CommitRequest) -> None:
            threads.append(threading.current_thread().name)
            self.assertEqual(self.client.complete("other", timeout=5).generation, 1)

        self.client.register("agent", handler=handler, session="s")
        self.client.complete("s")
        self.assertTrue(self.client.commit("s", timeout=10).committed)
        self.assertEqual(threads, ["tidemark-commit"])

    def test_commits_run_side_by_side_up_to_the_number_of_workers(self) -> None:
        client = self.make_client(workers=2)
        agent = Agent(held=True)
        for number in range(5):
            self.serve(agent, f"s{number}", client=client)
            client.complete(f"s{number}")
            client.commit(f"s{number}", detach=True)
        for _ in range(2):
            self.assertTrue(agent.entered.acquire(timeout=10))
        client.ping()
        self.assertFalse(agent.entered.acquire(timeout=0.2))
        agent.release.set()
        for number in range(5):
            self.wait_clean(f"s{number}")

    def test_unregistered_and_refused_agents(self) -> None:
        agent = self.serve(Agent())
        self.client.unregister(agent="agent")
        self.daemon.restart()
        self.client.complete("s", agent="agent")
        self.assertEqual(self.client.commit("s", timeout=5).outcome, "owner_offline")
        self.assertEqual(agent.requests, [])
        with self.assertRaisesRegex(Exception, "not_found"):
            self.client.register("agent", handler=agent, provider="unknown")
        self.assertFalse(self.client._serving.any_to_register())
        self.serve(Agent(), name="kept")
        with self.assertRaisesRegex(Exception, "not_found"):
            self.client.register("kept", handler=agent, provider="unknown")
        self.assertTrue(self.client._serving.any_to_register())


class Repeats(ServingTest):
    config = '[commit]\ntimeout = "1s"\n[retry]\ninitial = "50ms"\nmax = "50ms"\n'

    def test_a_key_that_is_asked_again_joins_the_work(self) -> None:
        agent = self.held_commit()
        wait_until(lambda: len(self.client.history("s")["commits"]) >= 2, "it is asked again")
        agent.release.set()
        self.wait_clean()
        self.assertEqual(len(agent.requests), 1)
        attempts = self.client.history("s")["commits"]
        self.assertEqual({attempt["key"] for attempt in attempts}, {agent.requests[0].key})

    def test_progress_keeps_an_attempt_alive(self) -> None:
        progressing = threading.Event()

        def handler(request: CommitRequest) -> None:
            until = time.monotonic() + 1.8
            while time.monotonic() < until:
                request.progress()
                progressing.wait(0.05)

        self.client.register("agent", handler=handler, session="s")
        self.client.complete("s")
        self.assertTrue(self.client.commit("s", timeout=10).committed)
        self.assertEqual([attempt["state"] for attempt in self.client.history("s")["commits"]], ["committed"])

    def test_progress_does_not_wait_for_a_daemon_that_takes_nothing(self) -> None:
        agent = self.held_commit()
        self.daemon.pause()
        for _ in range(3):
            with self.assertRaises(Unavailable):
                self.client.call("ping", {"unknown": "x" * 500_000}, timeout=0.1)
        began = time.monotonic()
        agent.requests[0].progress()
        self.assertLess(time.monotonic() - began, 2)
        self.daemon.go_on()
        agent.release.set()
        self.wait_clean()


class Comings(ServingTest):
    config = '[retry]\ninitial = "50ms"\nmax = "50ms"\n'

    def test_killed_while_the_handler_works_and_done_before_the_daemon_is_back(self) -> None:
        agent = self.held_commit()
        self.daemon.kill()
        wait_until(lambda: not self.client.connected, "the client sees it")
        agent.release.set()
        wait_until(lambda: self.client._serving._answers, "the work is done")
        self.daemon.start()
        self.wait_clean()
        self.assertEqual(len(agent.requests), 1)
        self.assertEqual(self.status()["watermark"], 1)

    def test_killed_while_the_handler_works_and_done_after_the_daemon_is_back(self) -> None:
        agent = self.held_commit()
        self.daemon.restart()
        wait_until(lambda: len(self.client.history("s")["commits"]) == 2 and self.status()["in_flight"], "asked again")
        agent.release.set()
        self.wait_clean()
        self.assertEqual(len(agent.requests), 1)

    def test_a_failure_is_not_remembered(self) -> None:
        agent = self.serve(Agent(RuntimeError("no room"), held=True))
        self.client.complete("s")
        self.client.commit("s", detach=True)
        self.assertTrue(agent.entered.acquire(timeout=10))
        self.daemon.kill()
        wait_until(lambda: not self.client.connected, "the client sees it")
        agent.release.set()
        wait_until(lambda: not self.client._serving._works, "the work is done")
        agent.answer = None
        self.daemon.start()
        self.wait_clean()
        self.assertEqual(len(agent.requests), 2)
        self.assertEqual(agent.requests[0].key, agent.requests[1].key)

    def test_registered_again_with_its_sessions(self) -> None:
        one, two = Agent(), Agent()
        self.serve(one, "a", "one", group="group", external_id="outside")
        self.serve(one, "b", "one", group="group", external_id="outside")
        self.serve(two, "b", "two", group="group")
        self.client.complete("c", agent="two")
        self.client.complete("a", agent="one")
        proxy = self.make_proxy()
        self.client._link._path = proxy.socket_path
        self.daemon.restart()
        # By itself, without a call:
        wait_until(lambda: proxy.sent.count(b"\n") >= 4, "it comes back")
        self.client.ping()
        sent = [line for line in proxy.sent.decode().splitlines() if "ping" not in line]
        self.assertIn('"hello"', sent[0])
        self.assertEqual(len([line for line in sent if "agent.register" in line]), 3)
        for session, agent, external_id in (("a", "one", True), ("b", "two", False), ("c", "two", False)):
            [line] = [line for line in sent if f'"session":"{session}"' in line]
            self.assertIn(f'"agent":"{agent}"', line)
            self.assertIn('"group":"group"', line)
            self.assertEqual('"external_id":"outside"' in line, external_id)
        self.assertEqual(self.client.daemon_status()["agents_online"], 2)
        self.client.complete("b")
        self.assertTrue(self.client.commit("b", timeout=10).committed)
        self.assertEqual((len(one.requests), len(two.requests)), (0, 1))

    def test_registered_while_there_is_no_daemon(self) -> None:
        self.daemon.kill()
        agent = Agent()
        with self.assertRaisesRegex(Exception, "no daemon at"):
            self.client.register("agent", handler=agent, session="s", timeout=0.2)
        self.daemon.start()
        other = self.make_client()
        wait_until(lambda: other.daemon_status()["agents_online"] == 1, "it is registered all the same")
        other.complete("s")
        self.assertTrue(other.commit("s", timeout=10).committed)


class Fences(ServingTest):
    def test_a_fenced_agent_stays_so(self) -> None:
        fenced: List[str] = []
        old, new = Agent(), Agent()
        self.serve(old, on_fenced=fenced.append)
        self.serve(Agent(), "other", "other")  # what holds the connection open
        other = self.make_client()
        self.serve(new, client=other)
        wait_until(lambda: fenced, "the old one is told")
        self.assertEqual([agent.name for agent, _ in self.client._serving.registrations()], ["other"])
        self.client.complete("s")
        self.assertTrue(self.client.commit("s", timeout=10).committed)
        self.daemon.restart()
        wait_until(lambda: self.client.connected and other.connected, "both are back")
        self.client.ping()
        self.client.complete("s")
        self.assertTrue(self.client.commit("s", timeout=10).committed)
        self.assertEqual((len(old.requests), len(new.requests), fenced), (0, 2, ["agent"]))

        # Registered anew, by whoever wants that, it is served again, and the other is fenced.
        taken: List[str] = []
        self.serve(new, client=other, on_fenced=taken.append)
        self.serve(old)
        wait_until(lambda: taken, "the other is told")
        self.client.complete("s")
        self.assertTrue(self.client.commit("s", timeout=10).committed)
        self.assertEqual(len(old.requests), 1)

    def test_a_registration_of_its_own_is_no_fence(self) -> None:
        agent = Agent()
        for _ in range(3):
            self.serve(agent)
        self.client.ping()
        self.assertFalse(any(one.fenced for one in self.client._serving._agents.values()))

    def test_the_newer_registration_counts_whichever_is_told_first(self) -> None:
        told: List[str] = []
        serving = serving_module.Serving(1, lambda callback: callback())
        agent = serving_module.Agent("agent", {}, Agent(), told.append)
        serving.add(agent)
        serving.registering(agent)
        serving.fenced("agent", 7)
        self.assertEqual(told, [])  # ours may be the newer one
        serving.registered(agent, {"result": {"epoch": 8}})
        self.assertEqual(told, [])
        serving.fenced("agent", 7)
        self.assertEqual(told, [])
        serving.registering(agent)
        serving.fenced("agent", 9)
        serving.registered(agent, None)  # its connection ended
        self.assertEqual(told, ["agent"])
        self.assertFalse(serving.any_to_register())


class Bounds(unittest.TestCase):
    def test_what_is_remembered_is_bounded(self) -> None:
        serving = serving_module.Serving(1, lambda callback: callback())
        serving.add(serving_module.Agent("agent", {}, Agent(), None))
        connection = mock.Mock(ended=False)
        with mock.patch.object(serving_module, "ANSWERS_MAX", 5), mock.patch.object(serving_module, "ASKINGS_MAX", 3), \
                mock.patch.object(current_agents, "SESSIONS_MAX", 4):
            for number in range(20):
                serving.set_session(f"s{number}", "agent")
                serving.set_session(f"t{number}", "not served")
                work = serving_module.Work(lambda request: None, {
                    "commit": "1", "key": str(number), "session": "s", "agent": "agent", "start": 1, "end": 1,
                    "attempt": 1})
                work.askings.append(serving_module.Asking(connection, 1, "1"))
                serving._works[str(number)] = work
                for _ in range(9):
                    serving.on_request(connection, {"id": 1, "method": "commit", "params": {"key": str(number)}})
                self.assertEqual(len(work.askings), 3)
                serving._run(str(number), work)
        self.assertEqual(list(serving._answers), ["15", "16", "17", "18", "19"])
        self.assertEqual(list(serving._current._sessions), ["s16", "s17", "s18", "s19"])
        self.assertEqual(serving._works, {})


if __name__ == "__main__":
    unittest.main()
