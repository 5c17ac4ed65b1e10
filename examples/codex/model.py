#!/usr/bin/env python3
"""A stand-in for the model behind Codex: one HTTP endpoint on the loopback, no network, no key.

POST /v1/responses is answered as a server-sent event stream with one short message, which says how many turns the
request's conversation holds. The port, chosen by the kernel, is the only line on standard output. Runs until SIGTERM.
"""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def answer(request):
    """The events of one response. The conversation comes whole with every request: its past answers are the turns."""
    turns = 1 + sum(item.get("role") == "assistant" for item in request.get("input", []))
    text = f"Hello, this is turn {turns} of our conversation."
    message = {
        "type": "message",
        "id": f"message-{turns}",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": text, "annotations": []}],
    }
    usage = {
        "input_tokens": 10,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 10,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 20,
    }
    response = {"id": f"response-{turns}", "object": "response", "status": "in_progress", "output": []}
    yield "response.created", {"response": response}
    yield "response.output_item.done", {"output_index": 0, "item": message}
    yield "response.completed", {"response": response | {"status": "completed", "output": [message], "usage": usage}}


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path != "/v1/responses":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for event, data in answer(json.loads(body)):
            self.wfile.write(f"event: {event}\ndata: {json.dumps({'type': event} | data)}\n\n".encode())


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
