#!/usr/bin/env python3
"""A stand-in for an OpenViking server: a real HTTP server with sessions, archives, tasks and markers, that records what
it did and misbehaves on demand. One lock guards all state; tasks get on whenever a request looks at them.

  openviking_server.py [--version 0.4.16] [--port 0 | --unix PATH] [--api-key KEY[=ACCOUNT/USER]]... [--trusted]
                       [--base PATH] [--extract-ms 0]

Its first line of output is the port (or the socket's path). It ends on SIGTERM, and when its parent does.
Without --api-key it is in dev mode: whoever calls is ROOT, the account and user headers are believed.
--trusted demands those two headers. --base is a path in front of every route but those that begin with /_.
Versions differ as OpenViking's do: commits that wait (to 0.2.10), the spellings of "nothing to commit", errors under
status 200 (0.3), failed archives that block (0.2.14 to 0.4.4), what tasks survive a restart.

POST /_script, a JSON object with any of:
  {"rules": [RULE, ...]}       added behind those there are; the first that matches a request counts. RULE:
      "method": REGEX, "path": REGEX     both searched for (the path with its query, without the base); default: any
      "nth": 2 or [1, 3]                 only these of the matching requests, from 1; default: all of them
      "delay_ms": N                      before acting            "answer_delay_ms": N   after acting
      "hold": NAME                       before acting, until     "hold_answer": NAME    after acting, until
                                         POST /_release {"hold": NAME} (for all that is and will be held by it)
      and at most one "do":
        "reset"      the connection is reset, nothing done        "lose"      done, closed without an answer
        "reply"      "status", "body" (text or JSON), "headers" as given, nothing done; with "act": true, done as well
        "error"      "status", "code", "message", "details": an error of OpenViking's; "act" as above
        "truncate"   done, half of the JSON is answered           "cut"       done, the connection ends within the body
        "html"       a page with "status" (200)                   "redirect"  302 to "location"
        "huge"       done, 10 MB of valid JSON                    "deep"      done, JSON nested 100,000 times
        "fail_late"  a commit moves the messages to the next archive, fails, doesn't count it, and answers 500
  {"clear": true}              no rules, holds or limits any more; whatever is held goes on
  {"tasks": {"session": REGEX, "outcome": OUTCOME, "after_ms": N, "memories": {TYPE: COUNT}, "error": TEXT}}
                               for tasks made from now on. OUTCOME: completed, running (never ends), failed, cancelled,
                               vanished (done, but 404 at once), late_failure (failed, though .done is there)
  {"finish": {"session": REGEX, "outcome": OUTCOME, ...}}     unfinished tasks end so, now
  {"add": {"session": S, "messages": [TEXT, ...], "account": A, "user": U}}       account and user: default/default,
                               or those of the first --api-key
  {"auto_commit": {"session": S, ...}}     somebody else commits it: an archive of its own, with its own task
  {"keep": {"session": S, "messages": N, ...}}     the same, but the last N messages stay live
  {"delete": {"session": S, ...}}
  {"auth": "broken" | "ok"}    every call gets 401
  {"limit": {"commits": N, "retry_after": SECONDS or null}}   429 for commits above so many at a time
  {"forget_tasks": true}       every task is 404, markers stay    {"restart": true}    as this version would come back
  {"echo_keys": true}          keys that callers send are repeated in every text of every answer
GET /_effects   {"sessions": {"ACCOUNT/USER/S": {"live": [TEXT], "archives": [{"archive", "by", "state", "messages":
                [TEXT], "extractions": N}]}}, "commits_peak" (admitted at a time), "commit_requests_peak", "commits"}
GET /_requests  [{"at", "method", "path", "headers" (names in lower case; keys as "(set)"), "body", "answered": the status
                once all of it was written, null before}], oldest first
"""
import argparse
import http.server
import json
import os
import re
import signal
import socket
import socketserver
import struct
import sys
import threading
import time
import urllib.parse

from openviking_state import Refused, Viking


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 5  # idle connections end, as OpenViking's do
    viking = None
    base = ""
    request_seen = None  # what /_requests says of the one that is served

    def log_message(self, *_):
        pass

    def address_string(self):
        return "local"

    def answer(self, status, body, headers=None, cut=False):
        data = body if isinstance(body, bytes) else body.encode()
        self.send_response(status)
        sent = {"Content-Type": "application/json", "Content-Length": str(len(data) * (2 if cut else 1))}
        for name, value in {**sent, **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)
        if self.request_seen is not None:
            self.request_seen["answered"] = status
        self.close_connection = self.close_connection or cut

    def key(self):
        return self.headers.get("X-API-Key") or re.sub("^Bearer ", "", self.headers.get("Authorization") or "")

    def identity(self):
        viking, account, user = self.viking, self.headers.get("X-OpenViking-Account"), self.headers.get("X-OpenViking-User")
        if viking.auth_broken or (viking.keys and self.key() not in viking.keys):
            raise Refused("UNAUTHENTICATED", "Invalid API key: " + self.key())
        if viking.options.trusted:
            if not account or not user:
                raise Refused("INVALID_ARGUMENT", "Trusted mode requests must include X-OpenViking-Account and -User")
            return account, user
        return viking.keys[self.key()] if viking.keys else (account or "default", user or "default")

    def act(self, path, query, body):
        if path == "/health":
            return {"status": "ok", "healthy": True, "version": self.viking.options.version, "auth_mode": "api_key"}
        result = self.viking.route(self.command, path, query, self.identity(), body)
        if result is None:
            raise Refused("NOT_FOUND", "no such route")
        return {"status": "ok", "result": result}

    def serve(self):
        length = int(self.headers.get("Content-Length") or 0)
        text = self.rfile.read(length).decode()
        viking, url = self.viking, urllib.parse.urlsplit(self.path)
        self.request_seen = None
        if url.path.startswith("/_"):
            return self.control(url.path, text)
        headers = {name.lower(): "(set)" if name.lower() in ("x-api-key", "authorization") else value
                   for name, value in self.headers.items()}
        with viking.lock:
            self.request_seen = {"at": time.time(), "method": self.command, "path": self.path, "headers": headers,
                                 "body": text, "answered": None}
            viking.requests.append(self.request_seen)
        if not url.path.startswith(self.base + "/"):
            return self.answer(404, '{"detail":"Not Found"}')
        path = url.path[len(self.base):]
        commit = self.command == "POST" and path.endswith("/commit")
        admitted = True
        if commit:
            with viking.lock:
                bound = viking.limit["commits"]
                viking.commit_requests_now += 1
                viking.commit_requests_peak = max(viking.commit_requests_peak, viking.commit_requests_now)
                admitted = bound is None or viking.commits_now < bound
                viking.commits_now += admitted
                viking.commits_peak = max(viking.commits_peak, viking.commits_now)
        try:
            if not admitted:
                after = viking.limit.get("retry_after")
                return self.answer(429, json.dumps(Refused("RESOURCE_EXHAUSTED", "too many commits").body),
                                   {"Retry-After": str(after)} if after is not None else {})
            return self.by_rule(path, dict(urllib.parse.parse_qsl(url.query)), url.query, text)
        finally:
            if commit:
                with viking.lock:
                    viking.commit_requests_now -= 1
                    viking.commits_now -= admitted

    def by_rule(self, path, query, raw_query, text):
        viking = self.viking
        rule = viking.matching(self.command, path + ("?" + raw_query if raw_query else ""))
        what = rule.get("do")
        time.sleep(rule.get("delay_ms", 0) / 1000)
        viking.hold(rule.get("hold"))
        if what == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            return self.connection.close()
        status, body = 200, None
        if what not in ("reply", "error", "html", "redirect") or rule.get("act"):
            try:
                if what == "fail_late":
                    viking.fail_late(self.identity(), urllib.parse.unquote(path.split("/")[4]))
                body = self.act(path, query, json.loads(text or "{}"))
            except Refused as refused:
                status, body = refused.status, refused.body
        time.sleep(rule.get("answer_delay_ms", 0) / 1000)
        viking.hold(rule.get("hold_answer"))
        if what == "lose":
            self.close_connection = True
            return None
        if what in ("html", "redirect"):
            headers = {"Content-Type": "text/html"}
            if what == "redirect":
                headers["Location"] = rule.get("location", "http://127.0.0.1:1/")
            return self.answer(302 if what == "redirect" else rule.get("status", 200), "<html>a page</html>", headers)
        if what == "reply":
            body = rule.get("body", "")
            return self.answer(rule.get("status", 200), body if isinstance(body, str) else json.dumps(body),
                               rule.get("headers"))
        if what == "error":
            refused = Refused(rule.get("code", "INTERNAL"), rule.get("message", "as told"), rule.get("details"))
            status, body = rule.get("status", refused.status), refused.body
        if what == "huge":
            body = dict(body, profile="x" * 10_000_000)
        if viking.echo_keys and self.key():
            body = echoed(body, self.key())
        data = json.dumps(body)
        if what == "truncate":
            data = data[:len(data) // 2]
        if what == "deep":
            data = '{"status":"ok","result":' + "[" * 100_000 + "]" * 100_000 + "}"
        return self.answer(status, data, rule.get("headers"), cut=what == "cut")

    def control(self, path, text):
        viking = self.viking
        said = json.loads(text or "{}")
        result = {}
        try:
            if path == "/_script":
                viking.script(said)
            elif path == "/_release":
                with viking.lock:
                    viking.released.add(said["hold"])
                    viking.lock.notify_all()
            elif path == "/_effects":
                result = viking.effects()
            elif path == "/_requests":
                with viking.lock:
                    result = list(viking.requests)
        except (Refused, KeyError) as error:
            return self.answer(400, json.dumps({"error": str(error)}))
        return self.answer(200, json.dumps(result))

    do_GET = do_POST = do_PUT = do_DELETE = serve


def echoed(value, key):
    """The texts that a person would read get the key appended; those that name something stay as they are."""
    if isinstance(value, dict):
        return {name: text + " " + key if name in ("message", "error", "reason", "trace_id") and isinstance(text, str)
                else echoed(text, key) for name, text in value.items()}
    return [echoed(item, key) for item in value] if isinstance(value, list) else value


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 1024

    def handle_error(self, request, client_address):
        pass  # callers that went away


class UnixServer(Server):
    address_family = socket.AF_UNIX


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--version", default="0.4.16")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--unix")
    parser.add_argument("--api-key", action="append", default=[])
    parser.add_argument("--trusted", action="store_true")
    parser.add_argument("--base", default="")
    parser.add_argument("--extract-ms", type=int, default=0)
    options = parser.parse_args()
    Handler.viking, Handler.base = Viking(options), options.base
    if options.unix:
        server, place = UnixServer(options.unix, Handler), options.unix
    else:
        server = Server(("127.0.0.1", options.port), Handler)
        place = server.server_address[1]
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    parent = os.getppid()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(place, flush=True)
    while os.getppid() == parent:
        time.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main())
