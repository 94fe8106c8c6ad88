"""What the web process works with: settings, clock, the PIN hasher and its own secrets – and no private key."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from ipis.kernel.clock import Clock
from ipis.kernel.errors import Misuse
from ipis.lib.storage import write_durably
from ipis.tpf.pin import PinHasher
from ipis.tpf.season import Season
from ipis.tpf.settings import TpfSettings

_NONCE_LIFE = timedelta(minutes=5)
_STAMP = struct.Struct(">Q16s")


@dataclass(frozen=True, slots=True)
class Secrets:
    """The two secrets of the web process, each 32 random bytes in a file of its own."""

    pepper: bytes
    marks: bytes
    """Signs nonces and hides what login counts are about."""

    def __repr__(self) -> str:
        """Show nothing."""
        return "<Secrets>"

    @classmethod
    def make(cls, folder: Path) -> None:
        """Write what is missing; a pepper that stands is never replaced, since every PIN would be lost."""
        for name in ("pepper", "marks"):
            if not (folder / name).exists():
                write_durably(folder / name, secrets.token_bytes(32))

    @classmethod
    def load(cls, folder: Path) -> Secrets:
        """Read both; raises Misuse before `init` has made them."""
        try:
            return cls(*((folder / name).read_bytes() for name in ("pepper", "marks")))
        except FileNotFoundError as error:
            raise Misuse("tpf.not_initialised") from error


@dataclass(frozen=True)
class Desk:
    """The web process's working place."""

    settings: TpfSettings
    clock: Clock
    season: Season
    pins: PinHasher
    secrets: Secrets

    @classmethod
    def open(cls, settings: TpfSettings) -> Desk:
        """Open the desk of a room that has been initialised."""
        loaded = Secrets.load(settings.web_secrets)
        return cls(settings, settings.business_clock(), Season(settings), PinHasher(loaded.pepper), loaded)

    def new_nonce(self) -> str:
        """Give a nonce that proves its own age, so that strangers' asking stores nothing."""
        expires_at = datetime.now(UTC) + _NONCE_LIFE
        body = _STAMP.pack(int(expires_at.timestamp()), secrets.token_bytes(16))
        return urlsafe_b64encode(body + self._mark("nonce", body)).decode()

    def nonce_expiry(self, nonce: str) -> datetime | None:
        """Tell until when a nonce of ours holds; None for a foreign or expired one."""
        try:
            raw = urlsafe_b64decode(nonce.encode("ascii", errors="replace"))
        except ValueError:
            return None
        body, mark = raw[: _STAMP.size], raw[_STAMP.size :]
        if len(body) != _STAMP.size or not hmac.compare_digest(mark, self._mark("nonce", body)):
            return None
        expires_at = datetime.fromtimestamp(_STAMP.unpack(body)[0], UTC)
        return expires_at if expires_at > datetime.now(UTC) else None

    def scope(self, *words: str) -> str:
        """Hide what a login count is about."""
        return self._mark("scope", "\0".join(words).encode()).hex()

    def _mark(self, use: str, data: bytes) -> bytes:
        return hmac.digest(self.secrets.marks, use.encode() + b"\0" + data, hashlib.sha256)


@cache
def desk() -> Desk:
    """Give the process's desk, opened at the first request."""
    from ipis.tpf.site import room_settings

    return Desk.open(room_settings())
