"""Forsendelser as a receiver meets them: the container read strictly, then signature, environment, every part's hash.

Packing is `kernel.packing`, opening the parts `kernel.opening`; the format is docs/spec/forsendelse.md.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ipis.kernel import canonical, signature
from ipis.kernel.container import Archive, file_chunks
from ipis.kernel.environment import Environment
from ipis.kernel.errors import ParcelRefused
from ipis.kernel.manifest import MANIFEST, NAMESPACE, SIGNATURE, Facts, Manifest, Part
from ipis.kernel.packing import Limits, Recipients, Rows, pack
from ipis.kernel.signature import PublicKey

__all__ = [
    "Container",
    "Facts",
    "Limits",
    "Manifest",
    "Part",
    "Recipients",
    "Rows",
    "check_complete",
    "check_part",
    "extract",
    "pack",
    "read_container",
    "verify",
    "verify_manifest",
]

_MAX_SIGNATURE: Final = 4096


@dataclass(frozen=True, slots=True)
class Container:
    """One file of a forsendelse whose form is right; nothing in it is proved before `verify`."""

    archive: Archive
    manifest: Manifest
    manifest_bytes: bytes
    signature: bytes
    number: int
    """Which of the manifest's files it is."""

    @property
    def manifest_sha256(self) -> str:
        """Give the hash that receipts name."""
        return canonical.sha256(self.manifest_bytes)

    @property
    def parts(self) -> tuple[Part, ...]:
        """Give the parts that this file carries."""
        return self.manifest.in_file(self.number)

    def read_part(self, part: Part) -> bytes:
        """Read a sealed part into memory and check its hash: for identity parts, which are opened there."""
        data = self.archive.read(part.name, part.size)
        if hashlib.sha256(data).hexdigest() != part.sha256:
            raise ParcelRefused("parcel.part_hash", rule="K001", part=part.name)
        return data


def read_container(path: Path) -> Container:
    """Read a file strictly: the exact form, the manifest's parts in order, once each, manifest and signature last."""
    archive = Archive(path, path.name)
    names = archive.names
    _check_ends(names, path.name)
    raw = archive.read(MANIFEST, canonical.MAX_BYTES)
    manifest = Manifest.parse(raw)
    number = _file_number(names[:-2], manifest, path.name)
    for part in manifest.in_file(number):
        if archive[part.name].size != part.size:
            raise ParcelRefused("parcel.part_size", rule="K001", part=part.name)
    return Container(archive, manifest, raw, archive.read(SIGNATURE, _MAX_SIGNATURE), number)


def verify(container: Container, *, sender: PublicKey, environment: Environment) -> Manifest:
    """Verify signature, environment and the hash of every part in the file; gives the manifest."""
    manifest = verify_manifest(container.manifest_bytes, container.signature, sender=sender, environment=environment)
    for part in container.parts:
        digest = hashlib.sha256()
        try:
            for chunk in container.archive.chunks(part.name):
                digest.update(chunk)
        except ParcelRefused as error:
            raise ParcelRefused("parcel.part_hash", rule="K001", part=part.name) from error
        if digest.hexdigest() != part.sha256:
            raise ParcelRefused("parcel.part_hash", rule="K001", part=part.name)
    return manifest


def verify_manifest(data: bytes, armored: bytes, *, sender: PublicKey, environment: Environment) -> Manifest:
    """Verify a manifest by itself: it is the environment's own, names the sender key, and that key signed it."""
    manifest = Manifest.parse(data)
    facts = manifest.facts
    if facts.environment is not environment:
        raise ParcelRefused("parcel.environment", found=facts.environment, expected=environment)
    if facts.sender != sender.fingerprint:
        raise ParcelRefused("parcel.sender", fingerprint=facts.sender)
    signature.verify(data, armored, NAMESPACE, [sender])
    return manifest


def check_part(path: Path, part: Part) -> None:
    """Compare a sealed part that lies in a file of its own with the manifest: size and SHA-256."""
    if path.stat().st_size != part.size:
        raise ParcelRefused("parcel.part_size", rule="K001", part=part.name)
    digest = hashlib.sha256()
    for chunk in file_chunks(path):
        digest.update(chunk)
    if digest.hexdigest() != part.sha256:
        raise ParcelRefused("parcel.part_hash", rule="K001", part=part.name)


def check_complete(containers: Sequence[Container]) -> Manifest:
    """Refuse files that are not all files of one forsendelse, each once; gives the manifest."""
    first = containers[0]
    if any(each.manifest_bytes != first.manifest_bytes for each in containers):
        raise ParcelRefused("parcel.files_mixed", rule="K003")
    missing = set(range(1, first.manifest.files + 1)) - {each.number for each in containers}
    if missing or len(containers) != first.manifest.files:
        raise ParcelRefused("parcel.files_missing", rule="K003", found=len(containers), expected=first.manifest.files)
    return first.manifest


def extract(container: Container, name: str, to: Path) -> None:
    """Copy a member durably into a new private file; a fault leaves none."""
    beside = to.with_name(f".{to.name}.{os.getpid()}.part")
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            for chunk in container.archive.chunks(name):
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(to)
    finally:
        beside.unlink(missing_ok=True)


def _check_ends(names: Sequence[str], file: str) -> None:
    for name in (MANIFEST, SIGNATURE):
        if name not in names:
            raise ParcelRefused("parcel.member_missing", rule="K003", file=file, member=name)
    if tuple(names[-2:]) != (MANIFEST, SIGNATURE):
        raise ParcelRefused("parcel.member_order", rule="K003", file=file)


def _file_number(names: Sequence[str], manifest: Manifest, file: str) -> int:
    """Find which of the manifest's files holds exactly these parts, and say what is wrong when none does."""
    known = {part.name: part for part in manifest.parts}
    for name in names:
        if name not in known:
            raise ParcelRefused("parcel.member_unknown", rule="K003", file=file, member=name)
    number = known[names[0]].file if names else 1
    expected = [part.name for part in manifest.in_file(number)]
    if list(names) == expected:
        return number
    if missing := _first(name for name in expected if name not in names):
        raise ParcelRefused("parcel.member_missing", rule="K003", file=file, member=missing)
    if foreign := _first(name for name in names if name not in expected):
        raise ParcelRefused("parcel.member_unknown", rule="K003", file=file, member=foreign)
    raise ParcelRefused("parcel.member_order", rule="K003", file=file)


def _first(names: Iterable[str]) -> str | None:
    return next(iter(names), None)
