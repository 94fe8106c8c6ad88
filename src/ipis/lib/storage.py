"""Durable files: what is acknowledged has been written, flushed to disk, renamed into place, and its folder flushed."""

from __future__ import annotations

import hashlib
import os
import secrets
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Stored:
    """What stands on disk: its size in bytes and its SHA-256 in hex."""

    size: int
    sha256: str


def flush_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def durable(path: Path, mode: int = 0o600) -> Iterator[BinaryIO]:
    """Open a file that appears under its name only when the block ends well, and then survives a power cut."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        flush_folder(path.parent)
    finally:
        beside.unlink(missing_ok=True)


def write_durably(path: Path, content: bytes | Iterable[bytes], mode: int = 0o600) -> Stored:
    """Write bytes, or an iterable of them, durably; gives size and hash of what was written."""
    chunks = (content,) if isinstance(content, bytes) else content
    digest, size = hashlib.sha256(), 0
    with durable(path, mode) as file:
        for chunk in chunks:
            file.write(chunk)
            digest.update(chunk)
            size += len(chunk)
    return Stored(size, digest.hexdigest())


def measure(path: Path) -> Stored:
    """Give the size and hash of a file as it stands."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return Stored(path.stat().st_size, digest.hexdigest())


def remove_durably(path: Path) -> None:
    """Delete a file so that it stays deleted after a power cut; one that is gone already is fine."""
    path.unlink(missing_ok=True)
    if path.parent.is_dir():
        flush_folder(path.parent)
