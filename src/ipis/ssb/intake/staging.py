"""Where members of a forsendelse stand until it is loaded: durable before they are acknowledged.

The same bytes may come any number of times. Whoever reaches the address can put files here before TPF's signature is
seen, so what stands here is bounded.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final

from ipis.kernel.errors import ParcelRefused, TryLater
from ipis.lib.storage import Stored, durable, flush_folder, measure, remove_durably

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from ipis.ssb.settings import SsbSettings

FORSENDELSE: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
MEMBER: Final = re.compile(
    r"manifest\.json(\.sig)?|(data|mapping)-[0-9]{4}\.age|contact\.age|R[12]\.json(\.sig)?", re.ASCII
)
_SHA256: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_CHUNK: Final = 1 << 20
_UNCLAIMED_SECONDS: Final = 7 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Staging:
    """The folder of arriving members, one folder a forsendelse."""

    root: Path
    member_max_bytes: int
    standing_max_bytes: int

    @classmethod
    def of(cls, settings: SsbSettings) -> Staging:
        """Take folder and bounds from the settings."""
        return cls(settings.intake, settings.member_max_bytes, settings.standing_max_bytes)

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

    def put(self, forsendelse: str, name: str, stream: BinaryIO, length: int, sha256: str) -> bool:
        """Store a member durably; tells whether it is new. On ParcelRefused or TryLater nothing is stored."""
        path = self.path(forsendelse, name)
        if not _SHA256.fullmatch(sha256):
            raise ParcelRefused("intake.hash_form")
        if not 0 <= length <= self.member_max_bytes:
            raise ParcelRefused("intake.member_size", member=name)
        if path.exists() and measure(path) == Stored(length, sha256):
            drain(stream, length)
            return False
        if length + self._standing() > self.standing_max_bytes:
            raise TryLater("intake.full")
        if not path.parent.exists():
            path.parent.mkdir(mode=0o700)
            flush_folder(self.root)
        digest = hashlib.sha256()
        with durable(path) as file:
            left = length
            while left and (chunk := stream.read(min(left, _CHUNK))):
                file.write(chunk)
                digest.update(chunk)
                left -= len(chunk)
            if left:
                raise TryLater("intake.cut", member=name)
            if digest.hexdigest() != sha256:
                raise ParcelRefused("intake.hash", member=name)
        return True

    def remove(self, forsendelse: str, name: str) -> None:
        """Delete a member for good; one that is gone already is fine."""
        remove_durably(self.path(forsendelse, name))

    def sweep(self, claimed: Collection[str]) -> int:
        """Delete folders that no forsendelse has claimed within a week (real time); tells how many."""
        swept = 0
        for folder in self.root.iterdir():
            if folder.name not in claimed and time.time() - folder.stat().st_mtime > _UNCLAIMED_SECONDS:
                shutil.rmtree(folder)
                swept += 1
        return swept

    def _standing(self) -> int:
        """Sum up what stands here: deleted after R3, so that in a quiet hour it is little."""
        return sum(file.stat().st_size for file in self.root.glob("*/*") if file.name.endswith((".age", ".part")))


def drain(stream: BinaryIO, length: int) -> None:
    """Read what is already stored, so that the sender meets an answer and not a closed line."""
    while length > 0 and (chunk := stream.read(min(length, _CHUNK))):
        length -= len(chunk)
