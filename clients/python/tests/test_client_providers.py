"""Providers of the daemon's: agents that hand their turns over, that never serve, or that are gone for good."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest
from typing import Any, Dict, List, NamedTuple, Tuple

from tests.client_case import ClientTest
from tests.support import wait_until
from tidemark import CallError, CommitRequest, ProviderStatus

# A process that owns two turns, and waits to be killed.
OWNER = """
import sys, time
from tidemark import Client
client = Client(sys.argv[1])
client.register("doomed", handler=lambda request: time.sleep(60), session="s", fallback="file", external_id="outside")
client.complete("s")
print(client.complete("s").generation, flush=True)
time.sleep(60)
"""


class Line(NamedTuple):
    """What the provider has written for one commit."""

    session: str
    external_id: str
    agent: str
    start: str
    end: str
    key: str


class ProviderTest(ClientTest):
    def setUp(self) -> None:
        folder = tempfile.mkdtemp(prefix="tidemark-test.")
        self.addCleanup(shutil.rmtree, folder)
        self.path = os.path.join(folder, "commits")
        written = " ".join("$TIDEMARK_" + name for name in ("SESSION", "EXTERNAL_ID", "AGENT", "START", "END", "KEY"))
        script = f"echo {written} >> {shlex.quote(self.path)}"
        self.config = f"""
[commit]
orphan_grace = "200ms"
[providers.file]
kind = "exec"
command = ["sh", "-c", "{script}"]
[providers.another]
kind = "exec"
command = ["true"]
users = [12345]
"""
        super().setUp()
        self.requests: List[CommitRequest] = []

    def committed(self) -> List[Line]:
        if not os.path.exists(self.path):
            return []
        with open(self.path, encoding="utf-8") as file:
            return [Line(*line.split()) for line in file]

    def wait_clean(self, session: str = "s") -> None:
        wait_until(lambda: self.client.status(session)["uncommitted"] == 0, "all is committed")

    def serve(self, answer: str, **named: Any) -> None:
        def handler(request: CommitRequest) -> str:
            self.requests.append(request)
            return answer

        self.client.register("agent", handler=handler, session="s", **named)


class AgentsThatServe(ProviderTest):
    def test_what_is_synced_is_committed_by_the_provider_once(self) -> None:
        self.serve("synced", provider="file", external_id="outside")
        self.client.complete("s")
        self.client.complete("s")
        committed = self.client.commit("s", timeout=10)
        self.assertEqual((committed.committed, committed.start, committed.end, committed.watermark), (True, 1, 2, 2))
        [request] = self.requests
        self.assertEqual((request.provider, request.external_id), ("file", "outside"))
        self.assertEqual(self.committed(), [Line("s", "outside", "agent", "1", "2", request.key)])
        [record] = self.client.history("s")["commits"]
        self.assertEqual((record["owner"], record["by"], record["state"]), ("agent", "file", "committed"))
        self.assertEqual(record["evidence"]["exit"], 0)
        self.assertEqual(self.client.commit("s", timeout=10).outcome, "clean")
        self.assertEqual(len(self.committed()), 1)

    def test_what_the_agent_has_committed_itself_the_provider_never_hears_of(self) -> None:
        self.serve("committed", provider="file")
        self.client.complete("s")
        self.assertTrue(self.client.commit("s", timeout=10).committed)
        self.assertEqual((self.committed(), len(self.requests)), ([], 1))

    def test_without_a_provider_synced_is_a_failure(self) -> None:
        self.serve("synced", fallback="file")
        self.client.complete("s")
        committed = self.client.commit("s", timeout=10)
        self.assertEqual(committed.outcome, "failed")
        self.assertIn("no provider", str(committed.error))
        self.assertIsNone(self.requests[0].provider)
        self.assertEqual(self.committed(), [])


class AgentsThatDoNot(ProviderTest):
    def test_one_that_never_serves_has_its_provider_commit(self) -> None:
        self.client.register("hook", session="s", provider="file", external_id="outside", serves=False)
        self.client.complete("s")
        self.assertTrue(self.client.commit("s", timeout=10).committed)
        self.assertEqual([line[:5] for line in self.committed()], [("s", "outside", "hook", "1", "1")])
        self.assertEqual(self.client.daemon_status()["agents_online"], 0)

    def test_the_turns_of_a_killed_owner_go_to_its_fallback_once(self) -> None:
        owner = subprocess.Popen([sys.executable, "-c", OWNER, self.daemon.socket_path], text=True,
                                 stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": os.pathsep.join([".", *sys.path])})
        self.addCleanup(owner.communicate)
        self.addCleanup(owner.kill)
        assert owner.stdout is not None
        self.assertEqual(owner.stdout.readline(), "2\n")
        self.assertEqual(self.committed(), [])
        owner.send_signal(signal.SIGKILL)
        owner.wait()
        self.wait_clean()
        self.assertEqual([line[:5] for line in self.committed()], [("s", "outside", "doomed", "1", "2")])
        self.assertEqual([record["by"] for record in self.client.history("s")["commits"]], ["file"])


class Registrations(ProviderTest):
    def test_of_providers_that_are_not_to_be_had(self) -> None:
        cases: List[Tuple[Dict[str, Any], str]] = [
            ({"provider": "missing"}, "not_found"), ({"fallback": "missing"}, "not_found"),
            ({"provider": "another"}, "forbidden"), ({"provider": "file", "fallback": "file"}, "invalid_params"),
            ({"provider": "file", "external_id": "outside"}, "invalid_params")]
        for named, reason in cases:
            with self.subTest(named), self.assertRaises(CallError) as refused:
                self.client.register("hook", serves=False, **named)
            self.assertEqual(refused.exception.reason, reason)

    def test_a_pause_is_seen_and_holds_back(self) -> None:
        self.client.register("hook", session="s", provider="file", serves=False)
        self.client.call("provider.pause", {"provider": "file", "reason": "being moved"})
        self.client.complete("s")
        self.assertEqual(self.client.commit("s", timeout=10).outcome, "paused")
        self.assertEqual((self.provider()["state"], self.provider()["error"]), ("paused", "paused by hand: being moved"))
        self.client.call("provider.resume", {"provider": "file"})
        self.wait_clean()
        self.assertEqual((self.provider()["state"], len(self.committed())), ("ok", 1))

    def provider(self) -> ProviderStatus:
        [provider] = [one for one in self.client.daemon_status()["providers"] if one["name"] == "file"]
        return provider


if __name__ == "__main__":
    unittest.main()
