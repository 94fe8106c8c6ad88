"""SSB's intake as a transport inside the process: takes members and notes, and fails or refuses where a test says so."""

from __future__ import annotations

import base64
import json

import httpx2


class SsbDouble(httpx2.BaseTransport):
    """Answers in place of SSB; `script` holds what the next requests get instead."""

    def __init__(self):
        self.members = {}
        self.notes = []
        self.requests = []
        self.puts = []
        """Every member's request: path, Authorization, Ipis-Time and content."""
        self.script = []

    def handle_request(self, request):
        content = b"".join(request.stream)
        self.requests.append((request.method, request.url.path))
        if self.script:
            answer = self.script.pop(0)
            if isinstance(answer, Exception):
                raise answer
            if answer is not None:
                return answer
        if request.method == "PUT":
            proof = (request.headers.get("Authorization", ""), request.headers.get("Ipis-Time", ""))
            self.puts.append((request.url.path, proof, content))
            self.members[request.url.path.rpartition("/")[2]] = content
            return httpx2.Response(204)
        self.notes.append(json.loads(content))
        return httpx2.Response(202, json={"state": "received"})

    @property
    def forward(self):
        return json.loads(base64.b64decode(self.notes[-1]["forward"]))
