"""The state of the stand-in for an OpenViking server (openviking_server.py): sessions with their archives and tasks, what a
version of OpenViking would do with them, and what the script says. One lock guards all of it."""
import json
import re
import threading
import time
import urllib.parse
import uuid

TERMINAL = ("completed", "failed", "cancelled")
STATUS_OF = {"INVALID_ARGUMENT": 400, "UNAUTHENTICATED": 401, "PERMISSION_DENIED": 403, "NOT_FOUND": 404,
             "CONFLICT": 409, "FAILED_PRECONDITION": 412, "RESOURCE_EXHAUSTED": 429, "INTERNAL": 500}


def iso(at):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + ".%03dZ" % (at % 1 * 1000)


class Refused(Exception):
    def __init__(self, code, message, details=None, status=None):
        super().__init__(message)
        self.body = {"status": "error", "error": {"code": code, "message": message, "details": details}}
        self.status = status or STATUS_OF.get(code, 500)


class Session:
    def __init__(self, identity, name):
        self.identity, self.name = identity, name
        self.uri = "viking://user/%s/sessions/%s" % (identity[1], name)
        self.live, self.archives = [], []
        self.total, self.commit_count, self.last_commit_at = 0, 0, None
        self.created_at = time.time()
        self.committing = False

    def state(self, version):
        shown = {"session_id": self.name, "created_at": iso(self.created_at), "message_count": len(self.live),
                 "total_message_count": self.total, "commit_count": self.commit_count,
                 "last_commit_at": self.last_commit_at and iso(self.last_commit_at), "uri": self.uri,
                 "auto_commit_policy": None, "user": {"account_id": self.identity[0], "user_id": self.identity[1]}}
        if version < (0, 3, 17):
            del shown["total_message_count"]
        return shown


class Viking:
    """All that the server knows."""

    def __init__(self, options):
        self.options = options
        self.version = tuple(int(part) for part in options.version.split("."))
        self.keys = {}
        for text in options.api_key:
            key, _, identity = text.partition("=")
            self.keys[key] = tuple((identity or "default/default").split("/"))
        self.home = next(iter(self.keys.values()), ("default", "default"))
        self.lock = threading.Condition()
        self.sessions, self.tasks, self.task_rules = {}, {}, []
        self.rules, self.held, self.released = [], [], set()
        self.auth_broken = self.echo_keys = False
        self.limit = {"commits": None}
        self.requests = []
        self.commits = self.commits_now = self.commits_peak = self.commit_requests_now = self.commit_requests_peak = 0

    # ---- sessions and their archives; the lock is held

    def session(self, identity, name, make=False):
        found = self.sessions.get((identity, name))
        if found is None:
            if not make:
                status = 200 if (0, 3) <= self.version < (0, 4) else 404
                raise Refused("NOT_FOUND", "Session not found: " + name, status=status)
            found = self.sessions[(identity, name)] = Session(identity, name)
        return found

    def archive(self, session, by, keep=0):
        """Phase 1: what is live goes to the next archive, with a task that extracts it."""
        kept = session.live[len(session.live) - keep:] if keep else []
        messages = session.live[:len(session.live) - keep] if keep else session.live
        session.live = kept
        session.commit_count += 1
        session.last_commit_at = time.time()
        name = "archive_%03d" % session.commit_count
        rule = next((rule for rule in reversed(self.task_rules) if re.search(rule.get("session", ""), session.name)), {})
        archive = {"archive": name, "uri": session.uri + "/history/" + name, "by": by, "state": "pending",
                   "messages": messages, "extractions": 0, "markers": {}}
        session.archives.append(archive)
        task = {"id": str(uuid.uuid4()), "session": session, "archive": archive, "created": time.time(),
                "updated": time.time(), "status": "pending", "rule": rule, "hidden": rule.get("outcome") == "vanished"}
        self.tasks[task["id"]] = task
        return archive, task

    def end(self, task, rule):
        outcome = rule.get("outcome", "completed")
        task["rule"], task["updated"], archive = rule, time.time(), task["archive"]
        task["status"] = {"vanished": "completed", "late_failure": "failed"}.get(outcome, outcome)
        task["hidden"] = task["hidden"] or outcome == "vanished"
        if outcome in ("completed", "vanished", "late_failure"):
            archive["extractions"] += 1
            archive["markers"][".done"] = "{}"
        else:
            archive["markers"][".failed.json"] = json.dumps({"stage": outcome, "error": rule.get("error", "no model")})
        archive["state"] = task["status"]

    def get_on(self):
        """Tasks end when their time has come, in the order of their session's archives."""
        waiting = set()
        for task in self.tasks.values():
            if task["status"] in TERMINAL:
                continue
            rule, session = task["rule"], task["session"]
            over = task["created"] + rule.get("after_ms", self.options.extract_ms) / 1000 <= time.time()
            if rule.get("outcome") != "running" and over and session not in waiting and not task.get("lost"):
                self.end(task, rule)
            else:
                task["status"] = "pending" if session in waiting else "running"
                waiting.add(session)

    def shown(self, task):
        rule, archive = task["rule"], task["archive"]
        result = error = None
        if task["status"] == "completed":
            result = {"session_id": task["session"].name, "archive_uri": archive["uri"],
                      "memories_extracted": rule.get("memories", {"events": len(archive["messages"])}),
                      "memory_diff_uri": archive["uri"] + "/memory_diff.json"}
        elif task["status"] in TERMINAL:
            error = rule.get("error", "no model")
        return {"task_id": task["id"], "task_type": "session_commit", "status": task["status"], "stage": "extract",
                "created_at": task["created"], "updated_at": task["updated"], "created_at_iso": iso(task["created"]),
                "updated_at_iso": iso(task["updated"]), "resource_id": task["session"].name, "meta": {},
                "result": result, "error": error}

    def restart(self):
        for task in self.tasks.values():
            if self.version < (0, 3, 17) or not self.keys:
                task["hidden"] = True
            if self.version < (0, 4, 10) and task["status"] not in TERMINAL:
                task["lost"] = True

    # ---- routes; each gives a result

    def commit(self, identity, name):
        with self.lock:
            session = self.session(identity, name)
            self.get_on()
            if session.committing:
                raise Refused("CONFLICT", "commit in progress", status=200 if self.version <= (0, 2, 10) else 409)
            failed = [archive for archive in session.archives if ".failed.json" in archive["markers"]]
            if failed and (0, 2, 14) <= self.version < (0, 4, 5):
                raise Refused("FAILED_PRECONDITION", "a failed archive blocks the session",
                              {"archive_id": failed[0]["archive"]})
            self.commits += 1
            result = {"session_id": name, "status": "accepted", "task_id": None, "archive_uri": None, "archived": False}
            synchronous = self.version <= (0, 2, 10)
            if synchronous:
                result = {"session_id": name, "status": "committed", "archived": False}
            elif self.version >= (0, 4, 7):
                result["trace_id"] = "trace-" + name
            if not session.live:
                if self.version >= (0, 4, 7):
                    result.update(status="skipped", reason="no_messages")
                return result
            archive, task = self.archive(session, "commit")
            if not synchronous:
                result.update(task_id=task["id"], archive_uri=archive["uri"], archived=True)
                return result
            session.committing = True
        wait = task["rule"].get("after_ms", self.options.extract_ms) / 1000
        time.sleep(wait)
        with self.lock:
            session.committing = False
            self.get_on()
            task["hidden"] = True
            result.update(archived=True, memories_extracted=len(archive["messages"]))
            return result

    def fail_late(self, identity, name):
        with self.lock:
            session = self.session(identity, name)
            uri = session.uri + "/history/archive_%03d" % (session.commit_count + 1)
            session.archives.append({"archive": uri[-11:], "uri": uri, "by": "commit", "state": "failed",
                                     "messages": session.live, "extractions": 0,
                                     "markers": {".failed.json": json.dumps({"stage": "archive"})}})
            session.live = []
        raise Refused("INTERNAL", "the archive could not be finished")

    def content(self, uri):
        folder, _, name = uri.rpartition("/")
        for session in self.sessions.values():
            for archive in session.archives:
                if archive["uri"] == folder and name in archive["markers"]:
                    return archive["markers"][name]
        raise Refused("NOT_FOUND", "no such file: " + uri)

    def route(self, method, path, query, identity, body):
        parts = [urllib.parse.unquote(part) for part in path.split("/")[1:]]
        if parts[:3] == ["api", "v1", "sessions"] and method == "POST" and parts[4:] == ["commit"]:
            return self.commit(identity, parts[3])
        with self.lock:
            self.get_on()
            if parts[:3] == ["api", "v1", "sessions"] and len(parts) == 4 and method == "GET":
                return self.session(identity, parts[3]).state(self.version)
            if parts[:3] == ["api", "v1", "sessions"] and method == "POST" and parts[4:] == ["messages"]:
                session = self.session(identity, parts[3], make=True)
                session.live.append(body.get("content", ""))
                session.total += 1
                return {"session_id": session.name, "message_count": len(session.live), "pending_tokens": 0}
            if parts[:3] == ["api", "v1", "tasks"] and method == "GET" and self.version > (0, 2, 10):
                own = [task for task in self.tasks.values()
                       if not task["hidden"] and task["session"].identity == identity]
                if len(parts) == 3:
                    named = [task for task in own if task["session"].name == query.get("resource_id")]
                    return [self.shown(task) for task in reversed(named)]
                found = [task for task in own if task["id"] == parts[3]]
                if not found:
                    raise Refused("NOT_FOUND", "Task not found: " + parts[3])
                return self.shown(found[0])
            if path == "/api/v1/content/read":
                return self.content(query.get("uri", ""))
        return None

    # ---- the script

    def named(self, said, make=False):
        identity = (said.get("account", self.home[0]), said.get("user", self.home[1]))
        return self.session(identity, said["session"], make)

    def script(self, said):
        with self.lock:
            self.get_on()
            if said.get("clear"):
                self.released.update(self.held)
                self.rules, self.limit = [], {"commits": None}
            for rule in said.get("rules", []):
                self.rules.append(dict(rule, seen=0))
            if "tasks" in said:
                self.task_rules.append(said["tasks"])
            if "finish" in said:
                for task in self.tasks.values():
                    if re.search(said["finish"].get("session", ""), task["session"].name):
                        if task["status"] not in TERMINAL:
                            self.end(task, said["finish"])
            if "add" in said:
                session = self.named(said["add"], make=True)
                session.live += said["add"]["messages"]
                session.total += len(said["add"]["messages"])
            if "auto_commit" in said and self.named(said["auto_commit"]).live:
                self.archive(self.named(said["auto_commit"]), "auto")
            if "keep" in said:
                self.archive(self.named(said["keep"]), "auto", said["keep"]["messages"])
            if "delete" in said:
                session = self.named(said["delete"])
                del self.sessions[(session.identity, session.name)]
            if said.get("forget_tasks"):
                for task in self.tasks.values():
                    task["hidden"] = True
            if said.get("restart"):
                self.restart()
            self.auth_broken = said.get("auth", "broken" if self.auth_broken else "ok") == "broken"
            self.limit = said.get("limit", self.limit)
            self.echo_keys = said.get("echo_keys", self.echo_keys)
            self.lock.notify_all()

    def effects(self):
        with self.lock:
            self.get_on()
            names = ("archive", "by", "state", "messages", "extractions")
            sessions = {"/".join(session.identity) + "/" + session.name:
                        {"live": session.live, "archives": [{name: archive[name] for name in names}
                                                            for archive in session.archives]}
                        for session in self.sessions.values()}
            return {"sessions": sessions, "commits_peak": self.commits_peak, "commits": self.commits,
                    "commit_requests_peak": self.commit_requests_peak}

    def matching(self, method, path):
        with self.lock:
            for rule in self.rules:
                if re.search(rule.get("method", ""), method) and re.search(rule.get("path", ""), path):
                    rule["seen"] += 1
                    nth = rule.get("nth")
                    if nth is None or rule["seen"] in (nth if isinstance(nth, list) else [nth]):
                        return rule
            return {}

    def hold(self, name):
        if name:
            with self.lock:
                self.held.append(name)
                self.lock.wait_for(lambda: name in self.released)
