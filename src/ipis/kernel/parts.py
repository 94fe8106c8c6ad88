"""The clear form of a part: a container of an inner header, the content members of its role, and padding to 64 KiB.

The header binds a part to its forsendelse, so that parts of two cannot be mixed (docs/spec/forsendelse.md §5).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ipis.kernel import canonical, container, fields
from ipis.kernel.errors import ParcelRefused
from ipis.kernel.manifest import FACTS, Facts

HEADER: Final = "header.json"
PADDING: Final = "padding"
BLOCK: Final = 1 << 16
ROLES: Final = ("identity", "data", "contact", "mapping")
_MAX_HEADER: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Header:
    """The inner header of a part."""

    facts: Facts
    role: str
    k: int
    n: int
    commitment: str | None
    rows: Mapping[str, int]
    part_rows: Mapping[str, int]
    content_sha256: str | None

    def to_bytes(self) -> bytes:
        """Give the canonical JSON."""
        own: dict[str, object] = {name: getattr(self, name) for name in _OWN - {"rows", "part_rows"}}
        return canonical.dumps(
            {**self.facts.as_dict(), **own, "rows": dict(self.rows), "part_rows": dict(self.part_rows)}
        )

    @classmethod
    def parse(cls, data: bytes) -> Header:
        """Read the canonical JSON."""
        read = fields.Reader(canonical.loads(data, what=HEADER, max_bytes=_MAX_HEADER), HEADER)
        read.only(FACTS | _OWN | {"format"})
        return cls(
            facts=Facts.read(read),
            role=read.text("role", "|".join(ROLES)),
            k=read.number("k", 1, 9_999),
            n=read.number("n", 1, 9_999),
            commitment=read.maybe("commitment", fields.HEX64),
            rows=read.counts("rows"),
            part_rows=read.counts("part_rows"),
            content_sha256=read.maybe("content_sha256", fields.HEX64),
        )


_OWN: Final = frozenset(Header.__dataclass_fields__) - {"facts"}


@dataclass(frozen=True, slots=True)
class Content:
    """What a role's parts have in common: role, commitment, rows in the whole forsendelse, content hash."""

    role: str
    commitment: str | None
    rows: Mapping[str, int]
    content_sha256: str | None = None


def clear_part(
    facts: Facts,
    content: Content,
    place: tuple[int, int],
    part_rows: Mapping[str, int],
    members: Sequence[container.Source],
) -> list[container.Source]:
    """Give the members of clear part k of n (`place`), header first and padding last."""
    header = Header(facts, content.role, *place, content.commitment, content.rows, part_rows, content.content_sha256)
    sources = [container.Source.of_bytes(HEADER, header.to_bytes()), *members]
    empty = container.size_of([*sources, container.Source.of_bytes(PADDING, b"")])
    return [*sources, container.Source.of_bytes(PADDING, bytes(-empty % BLOCK))]


@dataclass(frozen=True, slots=True)
class ClearPart:
    """A part that has been opened: its header has been compared with the manifest, its content not yet read."""

    header: Header
    archive: container.Archive


def read_clear(
    source: Path | bytes,
    facts: Facts,
    role: str,
    place: tuple[int, int],
    members: Sequence[str],
    *,
    part: str,
    last: str | None = None,
) -> ClearPart:
    """Read an opened part strictly and refuse one of another forsendelse, role or place (`parcel.part_mixed`).

    `last` names a member that may follow the others.
    """
    archive = container.Archive(source, part)
    fixed = (HEADER, *members)
    if archive.names not in {(*fixed, PADDING), (*fixed, last, PADDING)}:
        raise ParcelRefused("parcel.part_members", part=part)
    header = Header.parse(archive.read(HEADER, _MAX_HEADER))
    if header.facts != facts or (header.role, header.k, header.n) != (role, *place):
        raise ParcelRefused("parcel.part_mixed", rule="K003", part=part)
    padding = archive.read(PADDING, BLOCK - 1)
    length = len(source) if isinstance(source, bytes) else source.stat().st_size
    if padding.strip(b"\0") or length % BLOCK:
        raise ParcelRefused("parcel.padding", part=part)
    return ClearPart(header, archive)


def check_whole(headers: Sequence[Header], *, role: str) -> Header:
    """Refuse headers that are not all of one whole: each k of n, one commitment, rows that add up; gives the first."""
    first = headers[0] if headers else None
    if first is None or [header.k for header in headers] != list(range(1, first.n + 1)):
        raise ParcelRefused("parcel.part_missing", rule="K003", role=role)
    for header in headers:
        same = (header.facts, header.role, header.n, header.commitment, header.rows, header.content_sha256)
        if same != (first.facts, first.role, first.n, first.commitment, first.rows, first.content_sha256):
            raise ParcelRefused("parcel.part_mixed", rule="K003", part=f"{role} {header.k}")
    for table, total in first.rows.items():
        if table != "lokal" and sum(header.part_rows.get(table, -1) for header in headers) != total:
            raise ParcelRefused("parcel.rows", part=role)
    return first
