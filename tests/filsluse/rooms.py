"""The portal as it runs: its own processes, a real SMTP listener, and SSB's pushes over the socket."""

from __future__ import annotations

import base64
import email
import email.policy
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import httpx2
from tests.filsluse.season import Season
from tests.ports import free_port
from tests.relay import Relay

from ipis.kernel.canonical import sha256
from ipis.kernel.push import PushNote, sign_request

_HANGS_AFTER_SECONDS = 120


@dataclass
class Mailbox:
    """Takes every mail; a test waits for the next one."""

    taken: list[email.message.EmailMessage] = field(default_factory=list)
    came: threading.Condition = field(default_factory=threading.Condition)

    async def handle_DATA(self, _server, _session, envelope):  # noqa: N802 - aiosmtpd's name
        with self.came:
            self.taken.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
            self.came.notify_all()
        return "250 OK"

    def wait_for(self, subject: str, nth: int = 1) -> email.message.EmailMessage:
        def found():
            return [mail for mail in self.taken if mail["Subject"] == subject]

        with self.came:
            assert self.came.wait_for(lambda: len(found()) >= nth, _HANGS_AFTER_SECONDS), [
                m["Subject"] for m in self.taken
            ]
            return found()[nth - 1]


class Portal:
    """`ipis filsluse serve` and `work`, stopped at the end."""

    def __init__(self, folder: Path, season: Season) -> None:
        self.folder, self.season, self.mailbox = folder, season, Mailbox()
        self.port, self.smtp = free_port(), Relay(self.mailbox)
        self.settings = folder / "settings.toml"
        values = {
            "environment": "demo",
            "data": "filsluse",
            "listen": f"127.0.0.1:{self.port}",
            "public_url": self.url,
            "smtp_port": self.smtp.port,
            "mail_from": "filsluse@ssb.test",
            "pack": str(season.pack),
            "clock": "filsluse/clock.json",
        }
        self.settings.write_text("".join(f"{k} = {v!r}\n" for k, v in values.items()).replace("'", '"'))
        self.processes: list[subprocess.Popen[bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self.smtp.start()
        self.run("init")
        for verb in ("serve", "work"):
            log = (self.folder / f"{verb}.log").open("wb")
            with log:
                command = [*_ipis(), "filsluse", verb, "--settings", str(self.settings)]
                self.processes.append(subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True))
        self._wait_until_ready()
        return self

    def __exit__(self, *_error: object) -> None:
        for process in self.processes:
            os.killpg(process.pid, signal.SIGTERM)
        for process in self.processes:
            process.wait(_HANGS_AFTER_SECONDS)
        self.smtp.stop()

    def run(self, verb: str, *arguments: str) -> None:
        subprocess.run(
            [*_ipis(), "filsluse", verb, "--settings", str(self.settings), *arguments],
            check=True,
            timeout=_HANGS_AFTER_SECONDS,
        )

    def push(self, files: dict[str, bytes], tenant: str) -> PushNote:
        note = self.season.note(files, tenant)
        with httpx2.Client(base_url=self.url, timeout=_HANGS_AFTER_SECONDS, trust_env=False) as http:
            for name, data in files.items():
                target = f"/api/v1/push/{note.id}/{name}"
                signed = sign_request(self.season.push, "PUT", target, body_sha256=sha256(data))
                http.put(target, content=data, headers=signed | {"Ipis-SHA256": sha256(data)}).raise_for_status()
            body = {"push": base64.b64encode(note.to_bytes()).decode(), "signature": self.season.sign(note).decode()}
            http.post(f"/api/v1/push/{note.id}", json=body).raise_for_status()
        return note

    def logs(self) -> str:
        return "".join((self.folder / f"{verb}.log").read_text() for verb in ("serve", "work"))

    def _wait_until_ready(self) -> None:
        for _ in range(_HANGS_AFTER_SECONDS * 10):
            try:
                if httpx2.get(f"{self.url}/healthz", trust_env=False).status_code == 200:
                    return
            except httpx2.TransportError:
                pass
            try:
                self.processes[0].wait(0.1)
            except subprocess.TimeoutExpired:
                continue
            break
        raise AssertionError(self.logs())


def _ipis() -> list[str]:
    return [sys.executable, "-m", "ipis"]
