"""Receipts R1–R5: small signed files, each naming the one that caused it; `ssh-keygen -Y verify` checks them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from ipis.kernel import canonical, fields
from ipis.kernel.environment import Environment
from ipis.kernel.errors import ParcelRefused
from ipis.kernel.signature import PublicKey, SigningKey, verify

NAMESPACE: Final = "ipis-receipt@v1"
_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class Kind(StrEnum):
    """What a receipt says has happened."""

    R1 = "R1"
    """Received and durable at TPF."""
    R2 = "R2"
    """Pseudonymised."""
    R3 = "R3"
    """Loaded at SSB."""
    R4 = "R4"
    """Feedback made; holds the zip's SHA-256."""
    R5 = "R5"
    """The sealed identity parts are deleted."""


ISSUER: Final = {Kind.R1: "tpf", Kind.R2: "tpf", Kind.R3: "ssb", Kind.R4: "ssb", Kind.R5: "tpf"}
CAUSED_BY: Final[dict[Kind, tuple[Kind, ...]]] = {
    Kind.R1: (),
    Kind.R2: (Kind.R1,),
    Kind.R3: (Kind.R2,),
    Kind.R4: (Kind.R3,),
    # After a refusal the identities are deleted without having been pseudonymised.
    Kind.R5: (Kind.R2, Kind.R1),
}
"""The tree of receipts (architecture §3)."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """One receipt; `details` holds texts, whole numbers and null, never a value from a person's record."""

    kind: Kind
    forsendelse: str
    register: str
    year: int
    kommune: str
    bydel: str
    sequence: int
    environment: Environment
    manifest_sha256: str
    issuer: str
    at: datetime
    phase: str
    audit_head: str
    causes: str | None
    """SHA-256 of the receipt that caused this one; none for R1."""
    details: Mapping[str, str | int | None] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Give the canonical JSON that is signed, stored and shown."""
        return canonical.dumps(
            {
                "format": 1,
                "kind": self.kind,
                "forsendelse": self.forsendelse,
                "register": self.register,
                "year": self.year,
                "kommune": self.kommune,
                "bydel": self.bydel,
                "sequence": self.sequence,
                "environment": self.environment,
                "manifest_sha256": self.manifest_sha256,
                "issuer": self.issuer,
                "at": fields.write_instant(self.at),
                "phase": self.phase,
                "audit_head": self.audit_head,
                "causes": self.causes,
                "details": dict(self.details),
            }
        )

    @classmethod
    def parse(cls, data: bytes) -> Receipt:
        """Read a receipt; proves nothing until `verify`."""
        read = fields.Reader(canonical.loads(data, what="receipt", max_bytes=1 << 16), "receipt")
        read.only(_KEYS)
        read.number("format", 1, 1)
        kind = Kind(read.text("kind", "R[1-5]"))
        found = cls(
            kind=kind,
            forsendelse=read.text("forsendelse", fields.HEX32),
            register=read.text("register", "[a-z0-9-]{1,20}"),
            year=read.number("year", 1900, 9999),
            kommune=read.text("kommune", fields.KOMMUNE),
            bydel=read.text("bydel", fields.BYDEL),
            sequence=read.number("sequence", 1, 9999),
            environment=read.environment(),
            manifest_sha256=read.text("manifest_sha256", fields.HEX64),
            issuer=read.text("issuer", ISSUER[kind]),
            at=read.instant("at"),
            phase=read.text("phase", "[a-z_]{0,20}"),
            audit_head=read.text("audit_head", f"({fields.HEX64})?"),
            causes=read.maybe("causes", fields.HEX64),
            details=_details(read),
        )
        if (found.causes is None) != (kind is Kind.R1):
            raise read.refuse("causes")
        return found

    @property
    def file_name(self) -> str:
        """Give the name it is stored under when several forsendelser share a folder."""
        return f"{self.forsendelse}.{self.kind}.json"


_KEYS: Final = frozenset(Receipt.__dataclass_fields__) | {"format"}


@dataclass(frozen=True, slots=True)
class SignedReceipt:
    """A receipt's bytes and signature as they travel."""

    data: bytes
    signature: bytes

    @property
    def receipt(self) -> Receipt:
        """Read what it says; proves nothing until `verify`."""
        return Receipt.parse(self.data)

    @property
    def sha256(self) -> str:
        """Give the hash by which a later receipt names this one."""
        return canonical.sha256(self.data)

    @property
    def short_code(self) -> str:
        """Give the code for the phone."""
        return short_code(self.data)

    def verify(self, keys: Iterable[PublicKey], environment: Environment) -> Receipt:
        """Verify signature and environment; `keys` are the issuer's receipt keys of the season pack."""
        verify(self.data, self.signature, NAMESPACE, keys)
        receipt = self.receipt
        if receipt.environment is not environment:
            raise ParcelRefused("parcel.environment", found=receipt.environment, expected=environment)
        return receipt


def sign(receipt: Receipt, key: SigningKey) -> SignedReceipt:
    """Sign a receipt with the issuer's receipt key."""
    data = receipt.to_bytes()
    return SignedReceipt(data, key.sign(data, NAMESPACE))


def short_code(data: bytes) -> str:
    """Give 12 letters of Crockford's alphabet: the first 60 bits of the receipt's SHA-256."""
    number = int.from_bytes(hashlib.sha256(data).digest()[:8], "big") >> 4
    return "".join(_CROCKFORD[number >> shift & 31] for shift in range(55, -1, -5))


def check_tree(receipts: Iterable[SignedReceipt]) -> None:
    """Refuse verified receipts that do not form a tree: a cause missing, of a wrong kind, or of another forsendelse."""
    by_hash = {signed.sha256: signed.receipt for signed in receipts}
    for receipt in by_hash.values():
        if receipt.causes is None:
            continue
        cause = by_hash.get(receipt.causes)
        if (
            cause is None
            or cause.kind not in CAUSED_BY[receipt.kind]
            or (cause.forsendelse, cause.manifest_sha256) != (receipt.forsendelse, receipt.manifest_sha256)
        ):
            raise ParcelRefused("parcel.receipt_tree", kind=receipt.kind)


def _details(read: fields.Reader) -> dict[str, str | int | None]:
    value = read.values["details"]
    if not isinstance(value, dict) or not all(v is None or isinstance(v, str | int) for v in value.values()):
        raise read.refuse("details")
    return dict(value)
