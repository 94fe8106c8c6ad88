"""Packing a forsendelse: parts cut between person keys, sealed as they are written, then one manifest over all of them.

Clear rows and identities stay in memory; only sealed bytes touch the disk.
"""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ipis.kernel import container
from ipis.kernel.answers import SVAR
from ipis.kernel.contact import Contact
from ipis.kernel.errors import Misuse
from ipis.kernel.layout import Layout
from ipis.kernel.manifest import MANIFEST, NAMESPACE, SIGNATURE, Facts, Manifest, Part, commitment_of, part_name
from ipis.kernel.parquet import write_parquet
from ipis.kernel.parts import BLOCK, Content, clear_part
from ipis.kernel.rows import LOKAL, content_sha256, keys_of, used_local_keys
from ipis.kernel.sealed import Recipient, seal_bytes, seal_stream
from ipis.kernel.signature import SigningKey

RECORD: Final = 32
IDENTITIES: Final = "identities.bin"
CONTACT: Final = "contact.json"
Progress = Callable[[int, int], None]
_SEALED_BLOCK: Final = BLOCK + 16
_AGE_FRAME: Final = 1_100
"""What age adds to a part beside a tag for each block: its header and nonce, with the longest grease."""
_IN_ONE_PIECE: Final = 1 << 20
"""A clear part up to this size is sealed in memory: a stream with its thread would cost more than the cipher."""
_PART_FRAME: Final = 8_192
"""What header.json and the inner container add to a part's content, and more than that."""
_FILE_FRAME: Final = 8_192
_MANIFEST_ENTRY: Final = 600
"""What a part adds to manifest and directory of a file, and more than that."""


@dataclass(frozen=True, slots=True)
class Recipients:
    """To whom the parts are sealed."""

    tpf: Recipient
    ssb: Recipient
    feedback: Recipient


@dataclass(frozen=True, slots=True)
class Limits:
    """Largest sealed part and largest file, in bytes; none: one part, one file."""

    part: int | None = None
    file: int | None = None


@dataclass(frozen=True, slots=True)
class Rows:
    """What is packed: identity records (n × 32), record tables and `lokal`, sorted by person key; answers."""

    identities: NDArray[np.uint8]
    tables: Mapping[str, pa.Table]
    lokal: pa.Table
    layout: Layout
    answers: pa.Table | None = None


def pack(  # noqa: PLR0913, PLR0917 - what a forsendelse is made of, named at each call
    facts: Facts,
    rows: Rows,
    contact: Contact,
    recipients: Recipients,
    key: SigningKey,
    out: Path,
    limits: Limits | None = None,
    progress: Progress | None = None,
) -> list[Path]:
    """Write a forsendelse to `out` (`…-2`, `…-3` when split) and give the files; `progress` hears parts done, all."""
    limits = limits or Limits()
    with tempfile.TemporaryDirectory(prefix=".pakking-", dir=out.parent) as folder:
        parts = [
            *_identity_parts(facts, rows, limits),
            *_data_parts(facts, rows, limits),
            _contact_part(facts, contact),
        ]
        sealed = []
        for index, clear in enumerate(parts):
            sealed.append(_seal(clear, recipients, Path(folder)))
            if progress is not None:
                progress(index + 1, len(parts))
        return _write_files(facts, sealed, key, out, limits.file)


@dataclass(frozen=True, slots=True)
class _Clear:
    """A part about to be sealed."""

    role: str
    k: int
    n: int
    sources: list[container.Source]


@dataclass(frozen=True, slots=True)
class _Sealed:
    """A sealed part on disk."""

    part: Part
    source: container.Source


def _identity_parts(facts: Facts, rows: Rows, limits: Limits) -> list[_Clear]:
    order = np.argsort(_keys(rows.identities), kind="stable")
    records = rows.identities[order]
    commitment = commitment_of(np.ascontiguousarray(records[:, :16]).tobytes())
    content = Content("identity", commitment, {"identity": len(records)})
    each = len(records) if limits.part is None else _room(limits.part) // RECORD
    pieces = [records[at : at + each] for at in range(0, len(records), each)] or [records]
    return [
        _Clear(
            "identity",
            k,
            len(pieces),
            clear_part(
                facts,
                content,
                (k, len(pieces)),
                {"identity": len(piece)},
                [container.Source.of_bytes(IDENTITIES, piece.tobytes())],
            ),
        )
        for k, piece in enumerate(pieces, 1)
    ]


@dataclass(frozen=True, slots=True)
class _Piece:
    """The rows of a range of person keys, as Parquet."""

    rows: dict[str, int]
    members: list[container.Source]


def _data_parts(facts: Facts, rows: Rows, limits: Limits) -> list[_Clear]:
    keys = np.sort(_keys(rows.identities))
    pieces = list(_cut(rows, keys, None if limits.part is None else _room(limits.part)))
    counted = {**rows.tables, LOKAL: rows.lokal, **({} if rows.answers is None else {SVAR: rows.answers})}
    content = Content(
        "data",
        commitment_of(keys.tobytes()),
        {name: table.num_rows for name, table in counted.items()},
        content_sha256(rows.tables, rows.lokal, rows.layout, rows.answers),
    )
    return [
        _Clear("data", k, len(pieces), clear_part(facts, content, (k, len(pieces)), piece.rows, piece.members))
        for k, piece in enumerate(pieces, 1)
    ]


def _cut(rows: Rows, keys: NDArray[np.bytes_], room: int | None) -> Iterator[_Piece]:
    """Give rows, which are those of the keys, in pieces that fit; one that does not is halved between two persons."""
    piece = _piece(rows)
    size = sum(member.size for member in piece.members)
    if room is None or size <= room:
        yield piece
        return
    if len(keys) < 2:
        raise Misuse("seal.part_size", least=_least_part(size))
    first, second = keys[: len(keys) // 2], keys[len(keys) // 2 :]
    yield from _cut(_between(rows, first), first, room)
    # All answers stand in the first part: they are of findings, not of persons.
    rest = rows if rows.answers is None else replace(rows, answers=rows.answers.slice(0, 0))
    yield from _cut(_between(rest, second), second, room)


def _piece(rows: Rows) -> _Piece:
    tables = {**rows.tables, LOKAL: rows.lokal, **({} if rows.answers is None else {SVAR: rows.answers})}
    members = [
        # No value of `lokal` repeats itself.
        container.Source.of_bytes(f"{name}.parquet", memoryview(write_parquet(table, dictionary=name != LOKAL)))
        for name, table in tables.items()
    ]
    return _Piece({name: table.num_rows for name, table in tables.items()}, members)


def _between(rows: Rows, keys: NDArray[np.bytes_]) -> Rows:
    """Give the rows from the first key to the last, and the local keys that they use."""
    tables = {name: _rows_between(table, keys) for name, table in rows.tables.items()}
    used = used_local_keys(tables, rows.layout, rows.answers)
    places = np.searchsorted(rows.lokal["local_key"].to_numpy(), used)
    return replace(rows, tables=tables, lokal=rows.lokal.take(pa.array(places)))


def _rows_between(table: pa.Table, keys: NDArray[np.bytes_]) -> pa.Table:
    own = keys_of(table)
    first, last = np.searchsorted(own, keys[0], "left"), np.searchsorted(own, keys[-1], "right")
    return table.slice(int(first), int(last - first))


def _contact_part(facts: Facts, contact: Contact) -> _Clear:
    members = [container.Source.of_bytes(CONTACT, contact.to_bytes())]
    return _Clear("contact", 1, 1, clear_part(facts, Content("contact", None, {}), (1, 1), {}, members))


def _seal(clear: _Clear, recipients: Recipients, folder: Path) -> _Sealed:
    to = {"identity": recipients.tpf, "data": recipients.ssb, "contact": recipients.feedback}[clear.role]
    name = part_name(clear.role, clear.k)
    size, sha256, crc = seal_container(clear.sources, to, folder / name, passing=True)
    part = Part(name, clear.role, clear.k, clear.n, to.key_id, size, sha256, 1)
    return _Sealed(part, container.Source(name, size, crc, lambda: container.file_chunks(folder / name)))


def seal_container(
    sources: Sequence[container.Source], to: Recipient, path: Path, *, passing: bool = False
) -> tuple[int, str, int]:
    """Seal a clear part into a new file as it is made; gives size, SHA-256 and CRC-32 of the sealed bytes.

    The file is durable, unless it is only a passing one that is copied into another at once.
    """
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        meter = _Meter(file)
        if container.size_of(sources) <= _IN_ONE_PIECE:
            meter.write(seal_bytes(b"".join(container.stream(sources)), to))
        else:
            seal_stream(io.BufferedReader(_Chunks(container.stream(sources)), 1 << 20), meter, to)
        if not passing:
            file.flush()
            os.fsync(file.fileno())
    return meter.size, meter.sha256.hexdigest(), meter.crc


def _write_files(facts: Facts, sealed: list[_Sealed], key: SigningKey, out: Path, most: int | None) -> list[Path]:
    numbers = _file_numbers([each.part for each in sealed], most)
    parts = tuple(replace(each.part, file=number) for each, number in zip(sealed, numbers, strict=True))
    manifest = Manifest(facts, max(numbers), parts).to_bytes()
    closing = [
        container.Source.of_bytes(MANIFEST, manifest),
        container.Source.of_bytes(SIGNATURE, key.sign(manifest, NAMESPACE)),
    ]
    files = []
    for number in range(1, max(numbers) + 1):
        path = out if number == 1 else out.with_name(f"{out.stem}-{number}{out.suffix}")
        own = [each.source for each, its in zip(sealed, numbers, strict=True) if its == number]
        container.write(path, [*own, *closing])
        files.append(path)
    return files


def _file_numbers(parts: Sequence[Part], most: int | None) -> list[int]:
    """Fill files in the order of the parts; a part larger than a file may be is refused."""
    numbers: list[int] = []
    number, filled, frame = 1, 0, _FILE_FRAME + _MANIFEST_ENTRY * len(parts)
    for part in parts:
        if most is not None and part.size + frame > most:
            raise Misuse("seal.file_size", least=part.size + frame)
        if most is not None and filled and filled + part.size + frame > most:
            number, filled = number + 1, 0
        numbers.append(number)
        filled += part.size
    return numbers


def _room(most: int) -> int:
    """Tell how many bytes of content fit into a sealed part of so many bytes: whole blocks less a frame."""
    blocks = (most - _AGE_FRAME) // _SEALED_BLOCK
    if blocks < 1:
        raise Misuse("seal.part_size", least=_least_part(1))
    return blocks * BLOCK - _PART_FRAME


def _least_part(content: int) -> int:
    """Tell how large a sealed part must be allowed to be for so much content."""
    return -(-(content + _PART_FRAME) // BLOCK) * _SEALED_BLOCK + _AGE_FRAME


def _keys(records: NDArray[np.uint8]) -> NDArray[np.bytes_]:
    return np.ascontiguousarray(records[:, :16]).view("S16").reshape(-1)


class _Chunks(io.RawIOBase):
    """Read an iterator of chunks as a stream."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any, /) -> int:
        while not self._left:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._left = memoryview(chunk)
        size = min(len(target), len(self._left))
        target[:size] = self._left[:size]
        self._left = self._left[size:]
        return size


class _Meter:
    """Write on, and measure what is written."""

    def __init__(self, to: BinaryIO) -> None:
        self._to = to
        self.size = 0
        self.crc = 0
        self.sha256 = hashlib.sha256()

    def write(self, data: Any, /) -> int:
        self._to.write(data)
        self.size += len(data)
        self.crc = zlib.crc32(data, self.crc)
        self.sha256.update(data)
        return len(data)
