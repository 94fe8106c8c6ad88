"""SSB as it runs: settings file, `init`, `serve` and `work` as processes of their own, looked at from outside."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import httpx2
from tests.ports import free_port
from tests.ssb.conftest import IN_WINDOW, make_pack
from tests.ssb.fake_tpf import PIN, TESTVIK, YEAR, Content, Parcel, Tpf, parcel

from ipis.kernel.canonical import sha256
from ipis.kernel.clock import turn
from ipis.kernel.demo import demo_orgnr
from ipis.kernel.messages import Put
from ipis.kernel.seasonpack import SeasonPack
from ipis.ssb.settings import SsbSettings

_HANGS_AFTER_SECONDS = 120


def ipis(*arguments: str | Path, check: bool = True, stdin: str | None = None, **environ: str):
    """Run `ipis ssb …` to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "ipis", "ssb", *map(str, arguments)],
        capture_output=True,
        text=True,
        input=stdin,
        env={**os.environ, **environ},
        check=False,
    )
    assert not check or done.returncode == 0, done.stderr
    return done


@dataclass
class Ssb:
    """One room in a folder, with its season pack and Testvik enrolled."""

    folder: Path
    tpf: Tpf
    settings: SsbSettings
    pack: SeasonPack

    @classmethod
    def make(cls, folder: Path, tpf: Tpf, **more: object) -> Ssb:
        port = free_port()
        values = {
            "environment": "test",
            "data": "ssb",
            "listen": f"127.0.0.1:{port}",
            "public_url": f"http://127.0.0.1:{port}",
            "pack": "packs",
            "clock": "clock.json",
            "smtp_port": 1,
            **more,
        }
        file = folder / "settings.toml"
        file.write_text(
            "".join(f"{k} = {v if isinstance(v, int) else chr(34) + str(v) + chr(34)}\n" for k, v in values.items())
        )
        ipis("init", "--settings", file)
        (folder / "packs").mkdir()
        settings = SsbSettings.load(file)
        turn(settings.clock, IN_WINDOW)
        ssb = cls(folder, tpf, settings, make_pack(settings, tpf, YEAR))
        (folder / "pin").write_text(PIN + "\n")
        ssb.run(
            "enrol", "--kommune", TESTVIK, "--bydel", "00", "--orgnr", demo_orgnr(TESTVIK), "--year", YEAR, "--pin-file",
            folder / "pin", "--address", "postmottak@k0403.kommune.test",
        )  # fmt: skip
        return ssb

    @property
    def file(self) -> Path:
        return self.folder / "settings.toml"

    def run(self, verb: str, *arguments: object, check: bool = True, stdin: str | None = None, **environ: str):
        return ipis(verb, "--settings", self.file, *map(str, arguments), check=check, stdin=stdin, **environ)

    def work(self, role: str, kill_at: str = "") -> int:
        """Work until nothing is due, or until killed at the named point; gives the exit code."""
        environ = {"IPIS_SSB_KILL_AT": kill_at} if kill_at else {}
        return self.run("work", "--once", "--only", role, check=False, **environ).returncode

    def serve(self) -> subprocess.Popen[bytes]:
        """Start the web process and wait until it answers."""
        process = subprocess.Popen(
            [sys.executable, "-m", "ipis", "ssb", "serve", "--settings", str(self.file)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        with httpx2.Client(transport=httpx2.HTTPTransport(retries=0), trust_env=False) as client:
            for _ in range(_HANGS_AFTER_SECONDS * 10):
                try:
                    if client.get(f"{self.settings.public_url}/healthz").status_code == 200:
                        return process
                except httpx2.TransportError:
                    assert process.poll() is None
                try:
                    process.wait(0.1)
                except subprocess.TimeoutExpired:
                    continue
        raise AssertionError("ssb serve never answered")

    def send(self, content: Content) -> Parcel:
        """Make a parcel and forward it over the socket, as TPF does."""
        made = parcel(self.folder, self.tpf, self.pack, content)
        place = f"{self.settings.public_url}/api/v1/inntak/{made.forsendelse}"
        with httpx2.Client(timeout=_HANGS_AFTER_SECONDS, trust_env=False) as client:
            for name, data in made.members.items():
                url = httpx2.URL(f"{place}/{name}")
                signed = Put(url.path, sha256(data), len(data)).sign(self.tpf.forward)
                answer = client.put(url, content=data, headers={"Ipis-SHA256": sha256(data), **signed})
                assert answer.status_code in (200, 201), answer.text
            answer = client.post(place, json=made.note())
            assert answer.status_code == 202, answer.text
        return made

    def rows(self, query: str) -> list[tuple]:
        """Ask the room's database from outside."""
        with sqlite3.connect(f"file:{self.settings.data / 'ssb.sqlite3'}?mode=ro", uri=True) as db:
            return db.execute(query).fetchall()
