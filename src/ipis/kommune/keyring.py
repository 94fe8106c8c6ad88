"""The municipality's keyring: sender key, what has been sealed, and which roots and pack versions have been seen.

A private folder. What it says of past forsendelser decides the next sequence, and which feedback is one's own.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from ipis.kernel import canonical, fields
from ipis.kernel.environment import Environment
from ipis.kernel.errors import Misuse, PackRefused
from ipis.kernel.seasonpack import SeasonPack
from ipis.kernel.secret import Secret
from ipis.kernel.signature import PublicKey, SigningKey, allowed_signers
from ipis.kommune.settings import KommuneSettings
from ipis.lib.storage import flush_folder, write_durably

_KEY: Final = "sender.key"
_SIGNERS: Final = "sender.allowed_signers"
_CATALOGUE: Final = "forsendelser.jsonl"
_TRUST: Final = "packs.json"


@dataclass(frozen=True, slots=True)
class Sealed:
    """One forsendelse that has been sealed here."""

    forsendelse: str
    environment: Environment
    register: str
    year: int
    kommune: str
    bydel: str
    sequence: int
    manifest_sha256: str
    sealed_at: datetime
    feedback_code: Secret | None = None

    def to_bytes(self) -> bytes:
        """Give the line of the catalogue."""
        plain: dict[str, object] = {name: getattr(self, name) for name in _FIELDS}
        code = None if self.feedback_code is None else self.feedback_code.reveal()
        return canonical.dumps({**plain, "sealed_at": fields.write_instant(self.sealed_at), "feedback_code": code})

    @classmethod
    def parse(cls, line: bytes) -> Sealed:
        """Read a line of the catalogue."""
        read = fields.Reader(canonical.loads(line, what=_CATALOGUE), _CATALOGUE)
        read.only(_FIELDS)
        code = read.maybe("feedback_code", "[0-9A-HJKMNP-TV-Z]{12}")
        return cls(
            forsendelse=read.text("forsendelse", fields.HEX32),
            environment=read.environment(),
            register=read.text("register", "[a-z0-9-]{1,20}"),
            year=read.number("year", 1900, 9999),
            kommune=read.text("kommune", fields.KOMMUNE),
            bydel=read.text("bydel", fields.BYDEL),
            sequence=read.number("sequence", 1, 9999),
            manifest_sha256=read.text("manifest_sha256", fields.HEX64),
            sealed_at=read.instant("sealed_at"),
            feedback_code=None if code is None else Secret(code),
        )


_FIELDS: Final = frozenset(Sealed.__dataclass_fields__)


class Keyring:
    """The folder, opened; made with mode 0700 when it is not there."""

    def __init__(self, folder: Path) -> None:
        """Open the folder; refuse one that others may read."""
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise Misuse("keyring.no_folder", folder=folder.name) from None
        if folder.stat().st_mode & 0o077:
            raise Misuse("keyring.readable", folder=folder.name)
        self.folder = folder

    @classmethod
    def open(cls, wish: Path | None, settings: KommuneSettings | None = None) -> Keyring:
        """Open the keyring asked for, else the settings', else the user's own."""
        return cls((settings or KommuneSettings.load()).keyring_folder(wish))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the keyring alone, so that two runs cannot take one sequence; the lock ends with the process."""
        handle = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def sender_key(self, environment: Environment) -> SigningKey:
        """Give the sender key, made at first use."""
        path = self.folder / _KEY
        if not path.exists():
            SigningKey.generate("sender", environment).save(path)
            flush_folder(self.folder)
        return SigningKey.load(path, "sender", environment)

    def note_signer(self, kommune: str, bydel: str, key: SigningKey) -> None:
        """Write under which name one's own signatures verify, for `ssh-keygen -Y verify`."""
        path = self.folder / _SIGNERS
        line = allowed_signers([(f"kommune-{kommune}-{bydel}", "sender", key.public)])
        known = path.read_text(encoding="ascii") if path.exists() else ""
        if line not in known:
            write_durably(path, (known + line).encode("ascii"))

    def trust(self, pack: SeasonPack) -> PublicKey | None:
        """Refuse another root than before or an older version, note what is new; gives a root trusted only now.

        A demo makes a root of its own each time it is laid out, so there another root is a first time again.
        """
        with self.locked():
            seen = self._seen()
            roots = seen.setdefault("roots", {})
            versions = seen.setdefault("versions", {})
            trusted = PublicKey.parse(str(roots[pack.environment])) if pack.environment in roots else None
            season = f"{pack.environment}/{pack.register}/{pack.year}"
            if trusted != pack.root and pack.environment is Environment.DEMO:
                trusted = None
                versions.pop(season, None)
            if trusted is not None and trusted != pack.root:
                raise PackRefused("seasonpack.root_changed", found=pack.root.fingerprint, trusted=trusted.fingerprint)
            pack.refuse_older(int(versions.get(season, 0)))
            roots[pack.environment], versions[season] = pack.root.openssh, pack.version
            if seen != self._seen():
                write_durably(self.folder / _TRUST, json.dumps(seen, indent=1, sort_keys=True).encode("ascii"))
        return pack.root if trusted is None else None

    def sealed(self) -> list[Sealed]:
        """Give all that has been sealed, oldest first; a line cut by a power failure is left out."""
        path = self.folder / _CATALOGUE
        if not path.exists():
            return []
        *whole, _cut = path.read_bytes().split(b"\n")
        return [Sealed.parse(line) for line in whole if line]

    def find(self, forsendelse: str) -> Sealed | None:
        """Give a forsendelse by its id."""
        return next((each for each in self.sealed() if each.forsendelse == forsendelse), None)

    def newest(self, pack: SeasonPack, kommune: str, bydel: str) -> Sealed | None:
        """Give the newest of the same kommune, bydel and year: the highest sequence, and of those the last."""
        wanted = (pack.environment, pack.register, pack.year, kommune, bydel)
        own = [s for s in self.sealed() if (s.environment, s.register, s.year, s.kommune, s.bydel) == wanted]
        return max(own, key=lambda each: (each.sequence, own.index(each)), default=None)

    def add(self, sealed: Sealed) -> None:
        """Write a forsendelse to the catalogue, durably."""
        path = self.folder / _CATALOGUE
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        with os.fdopen(handle, "r+b") as file:
            content = file.read()
            # A line that a power failure cut has no end: it was never acknowledged, and the next one must not join it.
            file.seek(content.rfind(b"\n") + 1)
            file.truncate()
            file.write(sealed.to_bytes() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        flush_folder(self.folder)

    def _seen(self) -> dict[str, dict[str, str | int]]:
        path = self.folder / _TRUST
        if not path.exists():
            return {}
        try:
            found: dict[str, dict[str, str | int]] = json.loads(path.read_text(encoding="ascii"))
        except ValueError as error:
            raise Misuse("keyring.damaged", file=path.name) from error
        return found
