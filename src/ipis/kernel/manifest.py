"""The manifest of a forsendelse: what it is, who sends it, and its sealed parts; no person data, no counts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from ipis.kernel import canonical, fields
from ipis.kernel.environment import Environment
from ipis.kernel.errors import ParcelRefused

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
SIGNATURE: Final = "manifest.json.sig"
NAMESPACE: Final = "ipis-manifest@v1"
ROLES: Final = ("identity", "data", "contact")
MAX_PARTS: Final = 9_999


@dataclass(frozen=True, slots=True)
class Facts:
    """What the manifest says and every part's inner header repeats."""

    environment: Environment
    forsendelse: str
    register: str
    year: int
    kommune: str
    bydel: str
    orgnr: str
    sequence: int
    replaces: str | None
    created_at: datetime
    program: str
    pack_version: int
    sender: str
    """Fingerprint of the sender key."""

    def as_dict(self) -> dict[str, object]:
        """Give the JSON fields."""
        plain: dict[str, object] = {name: getattr(self, name) for name in FACTS}
        return {**plain, "created_at": fields.write_instant(self.created_at), "format": FORMAT}

    @classmethod
    def read(cls, read: fields.Reader) -> Facts:
        """Read the JSON fields."""
        read.number("format", FORMAT, FORMAT)
        return cls(
            environment=read.environment(),
            forsendelse=read.text("forsendelse", fields.HEX32),
            register=read.text("register", "[a-z0-9-]{1,20}"),
            year=read.number("year", 1900, 9999),
            kommune=read.text("kommune", fields.KOMMUNE),
            bydel=read.text("bydel", fields.BYDEL),
            orgnr=read.text("orgnr", fields.ORGNR),
            sequence=read.number("sequence", 1, 9999),
            replaces=read.maybe("replaces", fields.HEX32),
            created_at=read.instant("created_at"),
            program=read.free("program", 60),
            pack_version=read.number("pack_version", 1, 10**6),
            sender=read.text("sender", fields.FINGERPRINT),
        )


FACTS: Final = frozenset(Facts.__dataclass_fields__)


@dataclass(frozen=True, slots=True)
class Part:
    """One sealed part as the manifest names it."""

    name: str
    role: str
    k: int
    n: int
    key_id: str
    size: int
    sha256: str
    file: int

    def as_dict(self) -> dict[str, object]:
        """Give the JSON object."""
        return {name: getattr(self, name) for name in _PART_KEYS}

    @classmethod
    def read(cls, read: fields.Reader) -> Part:
        """Read the JSON object."""
        read.only(_PART_KEYS)
        return cls(
            name=read.text("name", r"(identity|data)-[0-9]{4}\.age|contact\.age"),
            role=read.text("role", "|".join(ROLES)),
            k=read.number("k", 1, MAX_PARTS),
            n=read.number("n", 1, MAX_PARTS),
            key_id=read.text("key_id", "[0-9a-f]{16}"),
            size=read.number("size", 1, 1 << 48),
            sha256=read.text("sha256", fields.HEX64),
            file=read.number("file", 1, MAX_PARTS),
        )


_PART_KEYS: Final = frozenset(Part.__dataclass_fields__)


@dataclass(frozen=True, slots=True)
class Manifest:
    """The whole manifest; its raw bytes are what is signed."""

    facts: Facts
    files: int
    parts: tuple[Part, ...]

    def to_bytes(self) -> bytes:
        """Give the canonical JSON."""
        parts = [part.as_dict() for part in self.parts]
        return canonical.dumps({**self.facts.as_dict(), "files": self.files, "parts": parts})

    @classmethod
    def parse(cls, data: bytes) -> Manifest:
        """Read and check a manifest by itself; who signed it is asked by `forsendelse.verify_manifest`."""
        read = fields.Reader(canonical.loads(data, what=MANIFEST), MANIFEST)
        read.only(FACTS | {"format", "files", "parts"})
        found = cls(
            facts=Facts.read(read),
            files=read.number("files", 1, MAX_PARTS),
            parts=tuple(Part.read(item) for item in read.objects("parts", 2 * MAX_PARTS)),
        )
        found._check_parts()
        return found

    def by_role(self, role: str) -> tuple[Part, ...]:
        """Give the parts of a role, in order."""
        return tuple(part for part in self.parts if part.role == role)

    def part(self, name: str) -> Part:
        """Give a part by its name."""
        for part in self.parts:
            if part.name == name:
                return part
        raise ParcelRefused("parcel.member_unknown", file=MANIFEST, member=name[:80])

    def in_file(self, number: int) -> tuple[Part, ...]:
        """Give the parts that file `number` carries."""
        return tuple(part for part in self.parts if part.file == number)

    def _check_parts(self) -> None:
        """Refuse a list that is not identity, data, contact, each k of n in order, file numbers from 1 without gaps."""
        expected = [
            (part_name(role, k), role, k, max(1, len(self.by_role(role))))
            for role in ROLES
            for k in range(1, 1 + max(1, len(self.by_role(role))))
        ]
        if [(p.name, p.role, p.k, p.n) for p in self.parts] != expected or len(self.by_role("contact")) != 1:
            raise ParcelRefused("parcel.manifest_parts", rule="K003")
        numbers = [part.file for part in self.parts]
        if numbers != sorted(numbers) or set(numbers) != set(range(1, self.files + 1)):
            raise ParcelRefused("parcel.manifest_parts", rule="K003")


def part_name(role: str, k: int) -> str:
    """Name a sealed part."""
    return "contact.age" if role == "contact" else f"{role}-{k:04d}.age"


def commitment_of(sorted_keys: Iterable[bytes] | bytes | memoryview) -> str:
    """Give the SHA-256 over all person keys, sorted and each once, concatenated."""
    joined = sorted_keys if isinstance(sorted_keys, bytes | memoryview) else b"".join(sorted_keys)
    return canonical.sha256(bytes(joined))
