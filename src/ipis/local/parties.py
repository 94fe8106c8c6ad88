"""The parties as processes: own folder, own settings, own keys, a cleaned environment, and logs to a file each."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2

from ipis.kernel.clock import TurnableClock, turn
from ipis.kernel.errors import OurFault

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOMS = ("ssb", "tpf", "filsluse")
_PORTS = {"ssb": 0, "tpf": 1, "filsluse": 2, "smtp": 3}
_START_SECONDS = 120.0
_STOP_SECONDS = 10.0
_held: list[socket.socket] = []


@dataclass
class Party:
    """One room's settings file, its address and its two processes."""

    room: str
    folder: Path
    port: int
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Give the address on loopback."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def settings(self) -> Path:
        """Give the path of the settings file."""
        return self.folder / "settings.toml"

    @property
    def clock(self) -> Path:
        """Give the path of the turnable clock's file."""
        return self.folder / "clock.json"

    def write_settings(self, values: dict[str, object]) -> None:
        """Write the settings file, readable by this user alone."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lines = [f"{key} = {_toml(value)}\n" for key, value in values.items()]
        self.settings.touch(mode=0o600)
        self.settings.write_text("".join(lines), encoding="utf-8")

    def run(self, verb: str, *arguments: str) -> None:
        """Run one verb of the room to its end; raises OurFault that names it and shows its last words."""
        run_ipis([self.room, verb, "--settings", str(self.settings), *arguments])

    def start(self, verb: str) -> None:
        """Start a verb that runs until stopped: serve or work."""
        log = (self.folder / f"{verb}.log").open("ab")
        with log:
            self.processes[verb] = subprocess.Popen(
                [*_program(), self.room, verb, "--settings", str(self.settings)],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=clean_environment(),
                start_new_session=True,
            )

    def wait_until_ready(self) -> None:
        """Wait until the room answers; raises OurFault with the log's place when it does not."""
        give_up_at = datetime.now(UTC).timestamp() + _START_SECONDS
        with httpx2.Client(timeout=2.0, trust_env=False) as client:
            while datetime.now(UTC).timestamp() < give_up_at:
                try:
                    if client.get(f"{self.url}/healthz").status_code == httpx2.codes.OK:
                        return
                except httpx2.TransportError:
                    pass
                if self._ended(0.1):
                    break
        raise OurFault("local.not_ready", room=self.room, log=str(self.folder / "serve.log"))

    def stop(self) -> None:
        """Ask the processes to end, and end those that do not."""
        for process in self.processes.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
        for process in self.processes.values():
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self.processes.clear()

    def _ended(self, seconds: float) -> bool:
        try:
            self.processes["serve"].wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True


def make_parties(folder: Path, base_port: int | None) -> tuple[dict[str, Party], int]:
    """Lay out the parties in a folder on four neighbouring ports, or on free ones; gives them and the mail port."""
    ports = {name: base_port + n for name, n in _PORTS.items()} if base_port else _free_ports()
    return {room: Party(room, folder / room, ports[room]) for room in ROOMS}, ports["smtp"]


def run_ipis(
    arguments: Sequence[str], accept: Sequence[int] = (0,), home: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `ipis …` in a cleaned environment; raises OurFault on another exit code than those accepted."""
    done = subprocess.run(
        [*_program(), *arguments], capture_output=True, text=True, env=clean_environment(home), check=False
    )
    if done.returncode not in accept:
        words = (done.stderr or done.stdout).strip()[-2000:]
        raise OurFault("local.command_failed", command=" ".join(arguments[:2]), ended=done.returncode, words=words)
    return done


def clean_environment(home: Path | None = None) -> dict[str, str]:
    """Give the few variables that a party's process may see; with a home of its own, what it keeps lies there."""
    kept = {
        name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "COVERAGE_PROCESS_CONFIG") if name in os.environ
    }
    own = {} if home is None else {"HOME": str(home)}
    return kept | own | {"LANG": "C.UTF-8", "PYTHONUTF8": "1"}


def turn_clocks(folder: Path, to: datetime) -> None:
    """Turn the clock of every room in a demo's folder."""
    for room in ROOMS:
        if (folder / room).is_dir():
            turn(folder / room / "clock.json", to)


def time_at(party: Party) -> datetime:
    """Tell what a room's clock shows."""
    return TurnableClock(party.clock).now()


def _program() -> list[str]:
    # -P: a file in the working folder, called as a module is, would else be run.
    return [sys.executable, "-P", "-m", "ipis"]


def _free_ports() -> dict[str, int]:
    """Find free ports by asking the system, which gives them to nobody else as long as this process lives.

    Let go, one could be another's before its party has started, or while it is started again. Bound and not listening,
    it answers nobody, and a server that listens there with SO_REUSEADDR, as ours do, is let in.
    """
    ports = {}
    for name in _PORTS:
        held = socket.socket()
        _held.append(held)
        held.bind(("127.0.0.1", 0))
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        ports[name] = held.getsockname()[1]
    return ports


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'
