"""What stands in for the portal: a real HTTP server on loopback that checks SSB's signatures and can be told to misbehave."""

from __future__ import annotations

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from ipis.kernel.canonical import sha256
from ipis.kernel.push import NAMESPACE, PushNote, verify_request
from ipis.kernel.signature import PublicKey, verify


class FakePortal:
    """Takes pushes signed by one key; `answers` are given first, in turn, instead of what is right."""

    def __init__(self, key: PublicKey):
        self.key = key
        self.staged: dict[tuple[str, str], bytes] = {}
        self.shown: dict[str, PushNote] = {}
        self.asked: list[str] = []
        self.answers: list[int] = []
        self.events: bytes | None = None
        self.listed: list[dict[str, object]] = []
        portal = self

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self):
                self.answer(portal.put)

            def do_POST(self):
                self.answer(portal.post)

            def do_GET(self):
                self.answer(portal.get)

            def answer(self, what):
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                portal.asked.append(f"{self.command} {self.path}")
                status, content = (portal.answers.pop(0), b"{}") if portal.answers else what(self, body)
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def put(self, request, body):
        digest = request.headers["Ipis-SHA256"]
        self._check(request, "PUT", digest)
        assert digest == sha256(body)
        assert "chunked" not in request.headers.get("Transfer-Encoding", "")
        _, _, _, _, push_id, name = request.path.split("/")
        self.staged[push_id, name] = body
        return 200, b"{}"

    def post(self, request, body):
        said = json.loads(body)
        raw = base64.b64decode(said["push"])
        verify(raw, said["signature"].encode(), NAMESPACE, [self.key])
        note = PushNote.parse(raw)
        for member in note.members:
            assert sha256(self.staged[note.id, member.name]) == member.sha256
        assert self.shown.setdefault(note.id, note) == note, "a repeated push is the same note"
        return 200, b"{}"

    def get(self, request, _body):
        self._check(request, "GET", "")
        after = int(request.path.partition("after=")[2])
        rows = [row for row in self.listed if row["number"] > after]
        return 200, json.dumps(rows).encode() if self.events is None else self.events

    def happen(self, number, kind, push):
        """Let something happen to a push."""
        self.listed.append({"number": number, "kind": kind, "push": push, "kommune": "0403", "name": "", "at": ""})

    def zip_of(self, push_id):
        """What the municipality would download."""
        return self.staged[push_id, self.shown[push_id].zip.name]

    def _check(self, request, method, digest):
        headers = (request.headers["Authorization"], request.headers["Ipis-Time"])
        verify_request(headers, method, request.path, [self.key], body_sha256=digest)
