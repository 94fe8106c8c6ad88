"""What parties say to each other beside forsendelse and receipts, to the byte: the login challenge and forward.json."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from ipis.kernel import canonical, fields
from ipis.kernel.environment import Environment
from ipis.kernel.errors import ParcelRefused
from ipis.kernel.signature import PublicKey, SigningKey, verify

LOGIN: Final = "ipis-login@v1"
FORWARD: Final = "ipis-forward@v1"
FORWARD_FILE: Final = "forward.json"
SIGNED_FOR: Final = timedelta(minutes=5)
"""How far a put's time may be from the reader's clock (real time)."""
_MEMBER: Final = r"manifest\.json(\.sig)?|(data|mapping)-[0-9]{4}\.age|contact\.age|R[12]\.json(\.sig)?"
_MAX_MEMBERS: Final = 20_000


def login_bytes(kommune: str, bydel: str, orgnr: str, nonce: str) -> bytes:
    """Give what the sender key signs at a login (namespace `ipis-login@v1`)."""
    return canonical.dumps({"kommune": kommune, "bydel": bydel, "orgnr": orgnr, "nonce": nonce})


@dataclass(frozen=True, slots=True)
class File:
    """A file that goes with a forsendelse: its name, size in bytes and SHA-256."""

    name: str
    size: int
    sha256: str

    def as_dict(self) -> dict[str, object]:
        """Give the JSON object."""
        return {"name": self.name, "size": self.size, "sha256": self.sha256}

    @classmethod
    def read(cls, read: fields.Reader) -> File:
        """Read the JSON object."""
        read.only({"name", "size", "sha256"})
        return cls(read.text("name", _MEMBER), read.number("size", 0, 1 << 48), read.text("sha256", fields.HEX64))


@dataclass(frozen=True, slots=True)
class Forward:
    """`forward.json`: what TPF vouches for when it hands a forsendelse on (namespace `ipis-forward@v1`)."""

    environment: Environment
    forsendelse: str
    register: str
    year: int
    kommune: str
    bydel: str
    orgnr: str
    sequence: int
    manifest_sha256: str
    phase: str
    """The phase of the window in which it was received, as R1 says."""
    received_at: datetime
    """The instant of R1, to the second."""
    pin_generation: int
    """The generation of the PIN that logged in."""
    sender: str
    """The public sender key that TPF vouches for: `ssh-ed25519 …`, no comment."""
    key_version: int
    key_check: str
    """Check value of the national pseudonym key of that version: 3 bytes in hex."""
    members: tuple[File, ...]

    def to_bytes(self) -> bytes:
        """Give the canonical JSON that is signed."""
        plain: dict[str, object] = {name: getattr(self, name) for name in _FORWARD_KEYS}
        plain["received_at"] = fields.write_instant(self.received_at)
        plain["members"] = [member.as_dict() for member in self.members]
        return canonical.dumps({**plain, "format": 1})

    @classmethod
    def parse(cls, data: bytes) -> Forward:
        """Read the canonical JSON; proves nothing until its signature has been verified."""
        read = fields.Reader(canonical.loads(data, what=FORWARD_FILE), FORWARD_FILE)
        read.only(_FORWARD_KEYS | {"format"})
        read.number("format", 1, 1)
        members = tuple(File.read(item) for item in read.objects("members", _MAX_MEMBERS))
        names(members)
        return cls(
            environment=read.environment(),
            forsendelse=read.text("forsendelse", fields.HEX32),
            register=read.text("register", "[a-z0-9-]{1,20}"),
            year=read.number("year", 1900, 9999),
            kommune=read.text("kommune", fields.KOMMUNE),
            bydel=read.text("bydel", fields.BYDEL),
            orgnr=read.text("orgnr", fields.ORGNR),
            sequence=read.number("sequence", 1, 9999),
            manifest_sha256=read.text("manifest_sha256", fields.HEX64),
            phase=read.text("phase", "open|late|closed"),
            received_at=read.instant("received_at"),
            pin_generation=read.number("pin_generation", 1, 10**6),
            sender=read.text("sender", "ssh-ed25519 [A-Za-z0-9+/]{68}"),
            key_version=read.number("key_version", 1, 10**6),
            key_check=read.text("key_check", "[0-9a-f]{6}"),
            members=members,
        )


_FORWARD_KEYS: Final = frozenset(Forward.__dataclass_fields__)


def names(files: Iterable[File]) -> dict[str, File]:
    """Give files by name; a name that occurs twice is refused."""
    listed = list(files)
    by_name = {file.name: file for file in listed}
    if len(by_name) != len(listed):
        raise ParcelRefused("parcel.field", what=FORWARD_FILE, field="members")
    return by_name


def verify_environment(found: Environment, expected: Environment) -> None:
    """Refuse what belongs to another environment."""
    if found is not expected:
        raise ParcelRefused("parcel.environment", found=found, expected=expected)


@dataclass(frozen=True, slots=True)
class Put:
    """A member on its way to SSB: what TPF signs of the request that brings it (namespace `ipis-forward@v1`)."""

    path: str
    sha256: str
    size: int

    def to_bytes(self, at: str) -> bytes:
        """Give the canonical JSON that is signed; its keys are not those of forward.json."""
        request = {"method": "PUT", "path": self.path, "sha256": self.sha256, "size": self.size, "at": at}
        return canonical.dumps(request)

    def sign(self, key: SigningKey) -> dict[str, str]:
        """Make the headers that prove the request is TPF's, made now (real time)."""
        at = datetime.now(UTC).isoformat(timespec="microseconds")
        armored = key.sign(self.to_bytes(at), FORWARD)
        return {"Authorization": f"Ipis {base64.b64encode(armored).decode()}", "Ipis-Time": at}

    def verify(self, authorization: str, at: str, keys: Iterable[PublicKey]) -> None:
        """Refuse a request whose headers `Authorization` and `Ipis-Time` are not TPF's, or too old or too early."""
        scheme, _, encoded = authorization.partition(" ")
        try:
            if scheme != "Ipis" or abs(datetime.now(UTC) - datetime.fromisoformat(at)) > SIGNED_FOR:
                raise ParcelRefused("intake.unsigned")
            armored = base64.b64decode(encoded, validate=True)
        except (ValueError, TypeError, binascii.Error) as error:
            raise ParcelRefused("intake.unsigned") from error
        verify(self.to_bytes(at), armored, FORWARD, keys)
