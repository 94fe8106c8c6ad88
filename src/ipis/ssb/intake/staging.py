"""Where members of a forsendelse stand until it is loaded: durable before they are acknowledged.

The same bytes may come any number of times. A member is signed for by TPF before its first byte is read
(`receive.prove_put`), but what it belongs to is only known with the hand-over, so what stands here is bounded.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final, Protocol

from ipis.kernel.errors import ParcelRefused, TryLater
from ipis.lib.storage import Stored, durable, flush_folder, measure, remove_durably
from ipis.ssb.intake.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from ipis.ssb.settings import SsbSettings

FORSENDELSE: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
MEMBER: Final = re.compile(
    r"manifest\.json(\.sig)?|(data|mapping)-[0-9]{4}\.age|contact\.age|R[12]\.json(\.sig)?", re.ASCII
)
LARGE: Final = (".age",)
"""How the members end that may be as large as the settings say; every other one is small."""
SMALL_MAX_BYTES: Final = 8 << 20
_SHA256: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_CHUNK: Final = 1 << 20
_UNCLAIMED_SECONDS: Final = 7 * 24 * 3600


class Claims(Protocol):
    """What the rows say of folders and members here; asked before a member is stored."""

    def stands(self, forsendelse: str, name: str, stored: Stored) -> bool:
        """Tell whether this very member belongs to a taken forsendelse; raises ParcelRefused for other bytes."""
        ...

    def unclaimed(self, forsendelser: Collection[str]) -> int:
        """Tell how many of these have not been taken."""
        ...


class _ClaimedMeanwhileError(Exception):
    """The forsendelse was taken while the member came in: what stands stays as it is."""


@dataclass(frozen=True, slots=True)
class Staging:
    """The folder of arriving members, one folder a forsendelse."""

    root: Path
    member_max_bytes: int
    standing_max_bytes: int
    unclaimed_max: int

    @classmethod
    def of(cls, settings: SsbSettings) -> Staging:
        """Take folder and bounds from the settings."""
        return cls(settings.intake, settings.member_max_bytes, settings.standing_max_bytes, settings.unclaimed_max)

    @property
    def tally(self) -> Tally:
        """Give the sum of what stands here."""
        return Tally(self.root)

    def folder(self, forsendelse: str) -> Path:
        """Give the folder of a forsendelse; raises ParcelRefused for what is no id."""
        if not FORSENDELSE.fullmatch(forsendelse):
            raise ParcelRefused("intake.address")
        return self.root / forsendelse

    def path(self, forsendelse: str, name: str) -> Path:
        """Give the path of a member; raises ParcelRefused for a name that no forsendelse has."""
        if not MEMBER.fullmatch(name):
            raise ParcelRefused("intake.address")
        return self.folder(forsendelse) / name

    @contextmanager
    def locked(self, forsendelse: str) -> Iterator[None]:
        """Be alone in giving members their place and in taking the forsendelse; raises TryLater where none stands."""
        try:
            descriptor = os.open(self.folder(forsendelse), os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            raise TryLater("intake.member_missing", member="manifest.json") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def put(self, forsendelse: str, name: str, stream: BinaryIO, length: int, sha256: str, claims: Claims) -> bool:
        """Store a member durably; tells whether it is new. On ParcelRefused or TryLater nothing is stored.

        Whether the forsendelse has been taken is asked before the first byte, and again under the lock right before
        the file comes to stand under its name: a slow transfer may have begun long before the hand-over.
        """
        path, wished = self.path(forsendelse, name), Stored(length, sha256)
        if claims.stands(forsendelse, name, wished):
            drain(stream, length)
            return False
        if not _SHA256.fullmatch(sha256):
            raise ParcelRefused("intake.hash_form")
        if not 0 <= length <= (self.member_max_bytes if name.endswith(LARGE) else SMALL_MAX_BYTES):
            raise ParcelRefused("intake.member_size", member=name)
        if path.exists() and measure(path) == wished:
            drain(stream, length)
            return False
        try:
            with ExitStack() as until_renamed, self._begun(path, length, claims) as file:
                _copy(stream, file, name, wished)
                until_renamed.enter_context(self.locked(forsendelse))
                if claims.stands(forsendelse, name, wished):
                    raise _ClaimedMeanwhileError
        except _ClaimedMeanwhileError:
            return False
        return True

    def remove(self, forsendelse: str, name: str) -> None:
        """Delete a member for good; one that is gone already is fine."""
        remove_durably(self.path(forsendelse, name))

    def drop(self, forsendelse: str, name: str) -> None:
        """Delete a member; that it stays deleted is only sure after `keep_only`. One that is gone already is fine."""
        self.path(forsendelse, name).unlink(missing_ok=True)

    def keep_only(self, forsendelse: str, names: Collection[str]) -> None:
        """Delete for good every other file of a forsendelse, also what was put here without belonging to it."""
        folder = self.folder(forsendelse)
        if not folder.is_dir():
            return
        for path in folder.iterdir():
            if path.name not in names:
                path.unlink(missing_ok=True)
        flush_folder(folder)

    def sweep(self, claimed: Collection[str]) -> int:
        """Delete folders that no forsendelse has claimed within a week (real time); tells how many."""
        swept = 0
        for folder in self.root.iterdir():
            if folder.name not in claimed and time.time() - folder.stat().st_mtime > _UNCLAIMED_SECONDS:
                shutil.rmtree(folder)
                swept += 1
        self.tally.count_anew()
        return swept

    @contextmanager
    def _begun(self, path: Path, length: int, claims: Claims) -> Iterator[BinaryIO]:
        """Open a member where there is room for it; it takes up all of it before its first byte has come.

        Raises TryLater when intake holds as much as it may.
        """
        with ExitStack() as opened:
            with self.tally.adding(length, self.standing_max_bytes):
                self._make_folder(path.parent, claims)
                file = opened.enter_context(durable(path))
                file.truncate(length)
            yield file

    def _make_folder(self, folder: Path, claims: Claims) -> None:
        """Make a forsendelse's folder where it is lacking; raises TryLater when too many wait for their hand-over."""
        if folder.exists():
            return
        names = [each.name for each in self.root.iterdir()]
        if len(names) >= self.unclaimed_max and claims.unclaimed(names) >= self.unclaimed_max:
            raise TryLater("intake.full")
        folder.mkdir(mode=0o700, exist_ok=True)
        flush_folder(self.root)


def _copy(stream: BinaryIO, file: BinaryIO, name: str, wished: Stored) -> None:
    digest, left = hashlib.sha256(), wished.size
    while left and (chunk := stream.read(min(left, _CHUNK))):
        file.write(chunk)
        digest.update(chunk)
        left -= len(chunk)
    if left:
        raise TryLater("intake.cut", member=name)
    if digest.hexdigest() != wished.sha256:
        raise ParcelRefused("intake.hash", member=name)


def drain(stream: BinaryIO, length: int) -> None:
    """Read what is already stored, so that the sender meets an answer and not a closed line."""
    while length > 0 and (chunk := stream.read(min(length, _CHUNK))):
        length -= len(chunk)
