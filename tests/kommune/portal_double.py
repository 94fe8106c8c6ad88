"""A portal of the tests on a real socket, which can be told to misbehave: cut a line, swap a file, list what is not there."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from ipis.kernel.canonical import sha256

USER, PASSWORD = "postmottak@testvik.kommune.test", "Sno-og-is-17"
DEVICE = "d" * 43


@dataclass
class Double:
    """What the portal shows, and how it misbehaves."""

    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    confirmed: set[str] = field(default_factory=set)
    cut_at: list[int] = field(default_factory=list)
    """For each download of a zip, in turn: break the line after so many bytes."""
    answers: dict[str, list[tuple[int, bytes]]] = field(default_factory=dict)
    """By path, in turn: another answer than the right one."""
    log: list[str] = field(default_factory=list)
    devices: list[str | None] = field(default_factory=list)
    """The device that each login named."""
    changed: dict[str, object] = field(default_factory=dict)
    """What the list says instead."""
    ranges: bool = True
    on_list: object = None

    def show(self, files: dict[str, bytes], push_id: str = "0" * 32) -> None:
        self.files[push_id] = files

    def __enter__(self) -> Self:
        self.server = _Quiet(("127.0.0.1", 0), type("Handler", (_Handler,), {"double": self}))
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def listing(self) -> list[dict[str, object]]:
        if callable(self.on_list):
            self.on_list(self)
        rows = []
        for push_id, files in self.files.items():
            name, data = next(iter(files.items()))
            row = {"id": push_id, "name": name, "size": len(data), "sha256": sha256(data)}
            row["confirmed_at"] = "2018-01-03T08:00:00Z" if push_id in self.confirmed else None
            rows.append(row | self.changed)
        return rows


class _Quiet(ThreadingHTTPServer):
    """A line that the client breaks is what some tests are about."""

    def handle_error(self, _request, _client_address):
        pass


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    double: Double

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.misbehaves():
            return
        if self.path == "/api/v1/innlogging":
            said = json.loads(body)
            self.double.devices.append(said.pop("device", None))
            good = said == {"user": USER, "password": PASSWORD}
            made = {} if self.double.devices[-1] == DEVICE else {"device": DEVICE}
            self.answer(200, {"token": "t" * 43} | made) if good else self.answer(401, {"code": "filsluse.login"})
        else:
            self.double.confirmed.add(self.path.split("/")[4])
            self.answer(200, {"state": "confirmed"})

    def do_GET(self):
        if self.misbehaves():
            return
        if self.headers.get("Authorization") != "Bearer " + "t" * 43:
            self.answer(401, {"code": "filsluse.session"})
        elif self.path == "/api/v1/filer":
            self.answer(200, self.double.listing())
        else:
            _, _, _, _, push_id, name = self.path.split("/")
            self.send(self.double.files[push_id][name], zip_=name.endswith(".zip"))

    def misbehaves(self):
        self.double.log.append(f"{self.command} {self.path} {self.headers.get('Range', '')}".strip())
        planned = self.double.answers.get(self.path)
        if not planned:
            return False
        status, body = planned.pop(0)
        if status == 0:
            self.close_connection = True
            self.connection.close()
            return True
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        return True

    def send(self, data, *, zip_):
        asked = self.headers.get("Range", "bytes=0-")
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if self.double.ranges else 0
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        cut = self.double.cut_at.pop(0) if zip_ and self.double.cut_at else len(data)
        self.wfile.write(data[start:cut])
        if cut < len(data):
            self.wfile.flush()
            self.close_connection = True

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args):
        pass
