"""TPF as real processes on loopback: granian and the worker, each started and killed by the test; SSB as a double beside it."""

from __future__ import annotations

import base64
import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import httpx2
from tests.ports import free_port
from tests.tpf import season as cast

from ipis.kernel.clock import turn
from ipis.kernel.demo import demo_address, demo_orgnr, demo_pin

_HANGS_AFTER_SECONDS = 120


class SsbDouble(http.server.ThreadingHTTPServer):
    """Takes what TPF hands on and remembers every request; `answers` may be set to fail or refuse."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Intake)
        self.members: dict[str, bytes] = {}
        self.notes: list[dict[str, str]] = []
        self.status = 202
        self.problem = {"code": "intake.hash", "found": "x", "expected": "y", "do": "z", "retry": False}
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def forward(self):
        """Give the newest forward.json."""
        return json.loads(base64.b64decode(self.notes[-1]["forward"]))

    def close(self):
        self.shutdown()
        self.server_close()


class _Intake(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_PUT(self):
        self.server.members[self.path.rpartition("/")[2]] = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(204)

    def do_POST(self):
        note = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.server.status == 202:
            self.server.notes.append(note)
        self._answer(self.server.status, {"state": "received"} if self.server.status == 202 else self.server.problem)

    def _answer(self, status, body=None):
        content = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        """Say nothing."""


@dataclass
class Room:
    """One TPF with its folder, port and processes."""

    folder: Path
    ssb: SsbDouble
    port: int = 0
    processes: dict[str, subprocess.Popen] = field(default_factory=dict)
    extra: dict[str, object] = field(default_factory=dict)

    def __post_init__(self):
        self.port = self.port or free_port()
        self.write_settings()
        self.run("init")
        self.season = cast.Season(self.folder, cast.read_keys(self.data))
        self.turn(cast.IN_WINDOW)

    @property
    def data(self):
        return self.folder / "tpf"

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def settings(self):
        return self.folder / "tpf.toml"

    def write_settings(self, **more):
        values = {
            "environment": "test",
            "data": str(self.data),
            "listen": f"127.0.0.1:{self.port}",
            "public_url": self.url,
            "ssb_url": self.ssb.url,
            "pack": str(self.folder / f"iplos-{cast.YEAR}.sesong"),
            "clock": str(self.folder / "clock.json"),
            "smtp_port": 1,
            **self.extra,
            **more,
        }
        self.settings.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items()))

    def turn(self, at: datetime):
        turn(self.folder / "clock.json", at)

    def run(self, *words, code=0):
        done = subprocess.run(
            _ipis("tpf", words[0], "--settings", str(self.settings), *words[1:]),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stderr
        return done

    def enrol(self, kommune=cast.TESTVIK, pin=None):
        pin_file = self.folder / f"pin-{kommune}"
        pin_file.write_text((pin or demo_pin(kommune)) + "\n")
        self.run(
            *("enrol", "--kommune", kommune, "--bydel", "00", "--orgnr", demo_orgnr(kommune), "--year", str(cast.YEAR)),
            *("--pin-file", str(pin_file), "--address", demo_address(kommune)),
        )
        return pin_file

    def start(self, verb, *words):
        log = (self.folder / f"{verb}.log").open("ab")
        with log:
            self.processes[verb] = subprocess.Popen(
                _ipis("tpf", verb, "--settings", str(self.settings), *words),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if verb == "serve":
            self._wait_until_ready()
        return self

    def stop(self, verb, sig=signal.SIGTERM):
        process = self.processes.pop(verb)
        os.killpg(process.pid, sig)
        process.wait(_HANGS_AFTER_SECONDS)

    def close(self):
        for verb in list(self.processes):
            self.stop(verb, signal.SIGKILL)

    def wait_for(self, condition, seconds=_HANGS_AFTER_SECONDS):
        """Wait until something is true of the room; gives it."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if found := condition():
                return found
            time.sleep(0.05)
        logs = {path.name: path.read_text()[-2000:] for path in self.folder.glob("*.log")}
        raise AssertionError(f"not in {seconds} s: {logs}")

    def _wait_until_ready(self):
        def ready():
            try:
                return httpx2.get(f"{self.url}/healthz", timeout=2, trust_env=False).status_code == 200
            except httpx2.TransportError:
                return False

        self.wait_for(ready)


def send_words(room, files, keyring, pin_file, kommune=cast.TESTVIK, **more):
    """Give the arguments of `ipis kommune send` (or another verb that logs in)."""
    return [
        *map(str, files),
        *("--url", room.url, "--kommune", kommune, "--bydel", "00", "--orgnr", demo_orgnr(kommune)),
        *("--pin-file", str(pin_file), "--keyring", str(keyring)),
        *(word for key, value in more.items() for word in (f"--{key.replace('_', '-')}", str(value))),
    ]


def _ipis(*words):
    return [sys.executable, "-m", "ipis", *words]
