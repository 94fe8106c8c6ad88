"""What SSB and the portal agree on: the note that makes pushed files visible, and the text that a request of SSB signs.

Both are signed by the push key in `ipis-push@v1`; a request's text starts with its method, which no note does.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Self

from ipis.kernel import canonical
from ipis.kernel.environment import Environment
from ipis.kernel.errors import ParcelRefused
from ipis.kernel.fields import HEX32, HEX64, KOMMUNE, Reader, write_instant
from ipis.kernel.signature import PublicKey, SigningKey, verify

if TYPE_CHECKING:
    from collections.abc import Iterable

NAMESPACE: Final = "ipis-push@v1"
ZIP_NAME: Final = r"[0-9]{6}_[a-z][a-z0-9-]{0,30}_tilbakemelding_[0-9]{8}(-[1-9][0-9]{0,2})?\.zip"
"""`<kommune><bydel>_iplos_tilbakemelding_<yyyymmdd>.zip`; a second one the same day ends in `-2` (L17 §4.5)."""
MEMBER_NAME: Final = ZIP_NAME + r"(\.kvittering(\.sig)?)?"
SIGNED_FOR: Final = timedelta(minutes=5)
"""How far a request's time may be from the reader's clock (real time)."""

_LARGEST = 4 << 30
_KEYS = frozenset({"environment", "expires_at", "id", "members", "tenant"})


@dataclass(frozen=True, slots=True)
class PushedFile:
    """One file of a push: its name, size in bytes and SHA-256."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class PushNote:
    """The order to show a municipality one feedback: the zip, its receipt and the receipt's signature."""

    id: str
    environment: Environment
    tenant: str
    """The municipality whose account gets it: after a merger the successor."""
    expires_at: datetime
    members: tuple[PushedFile, ...]

    @property
    def zip(self) -> PushedFile:
        """Give the file that the municipality opens."""
        return self.members[0]

    def to_bytes(self) -> bytes:
        """Write the note as it is signed: canonical JSON."""
        members = [{"name": m.name, "size": m.size, "sha256": m.sha256} for m in self.members]
        return canonical.dumps(
            {
                "environment": self.environment.value,
                "expires_at": write_instant(self.expires_at),
                "id": self.id,
                "members": members,
                "tenant": self.tenant,
            }
        )

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a note strictly: exactly the zip, its `.kvittering` and the `.sig`, in this order."""
        reader = Reader(canonical.loads(data, what="push.json", max_bytes=64 << 10), "push.json")
        reader.only(_KEYS)
        members = tuple(_read_member(one) for one in reader.objects("members", 3))
        name = members[0].name
        if not re.fullmatch(ZIP_NAME, name) or [m.name for m in members] != names_of(name):
            raise reader.refuse("members")
        return cls(
            id=reader.text("id", HEX32),
            environment=reader.environment(),
            tenant=reader.text("tenant", KOMMUNE),
            expires_at=reader.instant("expires_at"),
            members=members,
        )


def names_of(zip_name: str) -> list[str]:
    """Name the three files of one feedback."""
    return [zip_name, f"{zip_name}.kvittering", f"{zip_name}.kvittering.sig"]


def sign_request(key: SigningKey, method: str, target: str, *, body_sha256: str = "") -> dict[str, str]:
    """Make the headers that prove a request is SSB's: over method, path with query, body's SHA-256, real time."""
    at = datetime.now(UTC).isoformat(timespec="microseconds")
    armored = key.sign(_request_text(method, target, body_sha256, at), NAMESPACE)
    return {"Authorization": f"Ipis {base64.b64encode(armored).decode()}", "Ipis-Time": at}


def verify_request(
    headers: tuple[str, str], method: str, target: str, keys: Iterable[PublicKey], *, body_sha256: str = ""
) -> bytes:
    """Check `Authorization` and `Ipis-Time` of a request; gives the signature, which the caller takes once only."""
    authorization, at = headers
    scheme, _, encoded = authorization.partition(" ")
    try:
        if scheme != "Ipis" or abs(datetime.now(UTC) - datetime.fromisoformat(at)) > SIGNED_FOR:
            raise ParcelRefused("push.request")
        armored = base64.b64decode(encoded, validate=True)
    except (ValueError, TypeError, binascii.Error) as error:
        raise ParcelRefused("push.request") from error
    verify(_request_text(method, target, body_sha256, at), armored, NAMESPACE, keys)
    return armored


def _request_text(method: str, target: str, body_sha256: str, at: str) -> bytes:
    return " ".join(part for part in (method, target, body_sha256, at) if part).encode()


def _read_member(one: Reader) -> PushedFile:
    one.only({"name", "size", "sha256"})
    return PushedFile(one.text("name", MEMBER_NAME), one.number("size", 1, _LARGEST), one.text("sha256", HEX64))
