"""Sealing and opening a part of 512 MiB against the age command line, file to file, with the peak of memory."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.pairs import Result, best
from ipis.kernel.environment import Environment
from ipis.kernel.sealed import Identity, load_identity, open_to_file, seal_stream

MIB = 1 << 20
LARGE, SMALL = 512 * MIB, 64 * MIB
FLAT = 16 * MIB
"""Eight times the bytes may take so much more memory and count as flat."""


def parts() -> Iterator[Result]:
    """Seal and open."""
    with tempfile.TemporaryDirectory(dir=_fast_disk()) as scratch:
        folder = Path(scratch)
        identity = Identity.generate("ssb", Environment.TEST)
        identity.save(folder / "ssb.key")
        for name, size in (("large", LARGE), ("small", SMALL)):
            _write(folder / name, size)
            _seal(folder, name, identity)
        note = {verb: _flat(folder, verb) for verb in ("seal", "open")}
        recipient = identity.recipient.text
        ours, peer = best(
            lambda: _seal(folder, "large", identity),
            lambda: _age("-r", recipient, "-o", folder / "peer.age", folder / "large"),
        )
        yield Result("seal 512 MiB", "MiB/s", 512 / ours, 512 / peer, "age CLI", 0.8, note["seal"])
        ours, peer = best(
            lambda: _open(folder, "large", identity),
            lambda: _age("-d", "-i", folder / "ssb.key", "-o", folder / "peer.clear", folder / "large.age"),
        )
        yield Result("open 512 MiB", "MiB/s", 512 / ours, 512 / peer, "age CLI", 0.8, note["open"])


def _fast_disk() -> str | None:
    """Prefer memory: the bench is about ciphers, and both sides write the same bytes."""
    room = Path("/dev/shm")  # noqa: S108 – scratch of a bench, in a folder of its own
    return str(room) if room.is_dir() and os.statvfs(room).f_bavail * os.statvfs(room).f_frsize > 4 * LARGE else None


def _write(path: Path, size: int) -> None:
    with path.open("wb") as file:
        for _ in range(size // MIB):
            file.write(os.urandom(MIB))


def _seal(folder: Path, name: str, identity: Identity) -> None:
    with (folder / name).open("rb", buffering=MIB) as reader, (folder / f"{name}.age").open("wb") as writer:
        seal_stream(reader, writer, identity.recipient)


def _open(folder: Path, name: str, identity: Identity) -> None:
    staged = folder / f"{name}.clear"
    staged.unlink(missing_ok=True)
    open_to_file(folder / f"{name}.age", identity, staged, part=name)


def _age(*arguments: object) -> None:
    subprocess.run(["age", *map(str, arguments)], check=True, stdin=subprocess.DEVNULL)


def _flat(folder: Path, verb: str) -> str:
    """Compare the peak of memory for a small and a large part, each in a process of its own."""
    small, large = (_peak(folder, verb, name) for name in ("small", "large"))
    if large - small > FLAT:
        raise AssertionError(f"{verb}: memory is not flat: {small // MIB} MiB for 64 MiB, {large // MIB} for 512")
    return f"peak memory {large // MIB} MiB, {(large - small) / MIB:+.1f} MiB against 64 MiB"


def _peak(folder: Path, verb: str, name: str) -> int:
    command = [sys.executable, "-m", "bench.parts", verb, str(folder), name]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main(verb: str, folder: Path, name: str) -> None:
    """Seal or open once and print the peak of memory in bytes."""
    identity = load_identity(folder / "ssb.key", "ssb", Environment.TEST)
    {"seal": _seal, "open": _open}[verb](folder, name, identity)
    print(_own_peak())


def _own_peak() -> int:
    """Read the peak of this program's own memory: ru_maxrss would begin with that of the process that started it."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
