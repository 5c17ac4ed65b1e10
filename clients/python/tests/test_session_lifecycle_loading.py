"""session_lifecycle loaded anew, for another daemon, under another name; its reset; and its settings."""

from __future__ import annotations

import gc
import importlib
import importlib.util
import os
import shutil
import tempfile
import threading
import unittest
import weakref
from typing import Any, List
from unittest import mock

from tests.lifecycle_case import LifecycleTest, RecordingAgent, fresh_lifecycle
from tests.support import Daemon, wait_until
from tidemark import lifecycle_host, session_lifecycle

SESSION = "s"


class LoadingTest(LifecycleTest):
    def test_a_reload_keeps_everything_but_the_draining(self) -> None:
        agent = RecordingAgent()
        self.lifecycle.mark_turn_completed(SESSION, agent=agent)
        name = self.status(SESSION)["agent"]
        self.lifecycle.drain_all_on_shutdown()
        self.lifecycle.mark_turn_completed(SESSION, agent=agent)
        lifecycle = importlib.reload(self.lifecycle)
        self.assertIs(lifecycle._register_background_commit_thread(threading.Thread(target=int)), True)
        self.assertIs(lifecycle.has_uncommitted_work(SESSION), True)
        self.assertEqual(lifecycle.mark_turn_completed(SESSION, agent=agent), 3)
        self.assertEqual(self.status(SESSION)["agent"], name)
        self.assertEqual(self.agents_online(), 1)
        self.assertIs(lifecycle.commit_session_memory(SESSION), True)
        self.assertEqual(agent.calls, 2)

    def test_a_reload_for_another_daemon_leaves_the_first_one(self) -> None:
        self.lifecycle.mark_turn_completed(SESSION, agent=RecordingAgent())
        self.assertEqual(self.agents_online(), 1)
        other = Daemon()
        self.addCleanup(other.close)
        other.start()
        with mock.patch.dict(os.environ, {"TIDEMARK_SOCKET": other.socket_path}):
            lifecycle = fresh_lifecycle()
            wait_until(lambda: self.agents_online() == 0, "nobody serves the first daemon any more")
            self.assertIs(lifecycle.has_uncommitted_work(SESSION), False)
            self.assertEqual(lifecycle.mark_turn_completed(SESSION), 1)
        self.assertIs(self.status(SESSION)["uncommitted"] > 0, True)

    def test_the_file_works_under_another_package(self) -> None:
        folder = tempfile.mkdtemp(prefix="tidemark-test.")
        self.addCleanup(shutil.rmtree, folder)
        path = os.path.join(folder, "session_lifecycle.py")
        shutil.copy(session_lifecycle.__file__, path)
        spec = importlib.util.spec_from_file_location("api.session_lifecycle", path)
        assert spec is not None and spec.loader is not None
        copied = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(copied)
        agent = RecordingAgent()
        self.assertEqual(copied.mark_turn_completed(SESSION, agent=agent), 1)
        self.assertIs(copied.commit_session_memory(SESSION), True)
        self.assertEqual(agent.calls, 1)
        self.assertEqual(self.agents_online(), 1)

    def test_a_reset_forgets_in_the_daemon_what_was_touched_here(self) -> None:
        self.client.complete("of another", agent="another")
        agent = RecordingAgent()
        reference = weakref.ref(agent)
        for session in ("one", "other"):
            self.lifecycle.mark_turn_completed(session, agent=agent)
        self.lifecycle._reset_for_tests()
        self.assertEqual([row["session"] for row in self.client.list_sessions()["sessions"]], ["of another"])
        self.assertIs(self.lifecycle.has_uncommitted_work("one"), False)
        self.assertEqual(self.lifecycle.mark_turn_completed("one"), 1)
        wait_until(lambda: self.agents_online() == 0, "its agents are gone")
        del agent
        gc.collect()
        self.assertIsNone(reference())


class SettingsTest(LifecycleTest):
    environment = {"TIDEMARK_GROUP": "another-ui", "TIDEMARK_FALLBACK": "nowhere"}
    config = '[commit]\norphan_grace = "100ms"\n'

    def test_the_group_is_the_environments_and_a_fallback_that_is_not_there_is_done_without(self) -> None:
        with self.assertLogs("tidemark", "ERROR") as logs:
            self.lifecycle.mark_turn_completed(SESSION, agent=RecordingAgent())
        self.assertTrue(any("fallback nowhere" in line for line in logs.output), logs.output)
        asked: List[Any] = []
        self.client.register("member", handler=lambda request: asked.append(request),
                             group="another-ui", serves_orphans=True)
        self.client.register("stranger", handler=lambda request: self.fail("it isn't of the group"),
                             group="hermes-webui", serves_orphans=True)
        lifecycle_host.host()._client.close()
        wait_until(lambda: asked, "the group commits what is orphaned")
        self.assertEqual(asked[0].session, SESSION)


if __name__ == "__main__":
    unittest.main()
