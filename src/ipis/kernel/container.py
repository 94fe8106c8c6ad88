"""Containers: stored zip64 files in one exact form: names and contents give the bytes, and nothing can hide between.

The form is docs/spec/forsendelse.md §1. A reader builds headers and directory anew and refuses a file that differs.
"""

from __future__ import annotations

import io
import os
import re
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from ipis.kernel.errors import ParcelRefused

MAX_MEMBERS: Final = 20_000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*")
_CHUNK: Final = 1 << 20
_FULL: Final = 0xFFFFFFFF
_DATE: Final = 0x0021  # 1980-01-01: the container says nothing of when it was made
_UNIX_45: Final = 3 << 8 | 45
_PRIVATE_FILE: Final = 0o100600 << 16
_LOCAL = struct.Struct("<4sHHHHHIIIHHHHQQ")
_LOCAL_NAME_AT: Final = 30
_CENTRAL = struct.Struct("<4sHHHHHHIIIHHHHHII")
_CENTRAL_EXTRA = struct.Struct("<HHQQQ")
_END64 = struct.Struct("<4sQHHIIQQQQ")
_LOCATOR = struct.Struct("<4sIQI")
_END = struct.Struct("<4sHHHHIIH")
_TAIL: Final = _END64.size + _LOCATOR.size + _END.size


@dataclass(frozen=True, slots=True)
class Member:
    """A member where it lies: name, start of its content, size and CRC-32."""

    name: str
    start: int
    size: int
    crc32: int


@dataclass(frozen=True, slots=True)
class Source:
    """A member to be written: size and CRC-32 are known before its chunks are asked for."""

    name: str
    size: int
    crc32: int
    chunks: Callable[[], Iterable[bytes]]

    @classmethod
    def of_bytes(cls, name: str, content: bytes | memoryview) -> Source:
        """Make a member of what lies in memory."""
        view = memoryview(content)
        return cls(
            name,
            len(view),
            zlib.crc32(view),
            lambda: (bytes(view[i : i + _CHUNK]) for i in range(0, len(view), _CHUNK)),
        )

    @classmethod
    def of_file(cls, name: str, path: Path) -> Source:
        """Make a member of a file, which is read twice."""
        crc = size = 0
        for chunk in file_chunks(path):
            crc, size = zlib.crc32(chunk, crc), size + len(chunk)
        return cls(name, size, crc, lambda: file_chunks(path))


def stream(sources: Iterable[Source]) -> Iterator[bytes]:
    """Give the container's bytes in chunks."""
    at, members = 0, []
    for source in sources:
        header = _local(source.name, source.size, source.crc32)
        yield header
        yield from source.chunks()
        members.append(Member(source.name, at + len(header), source.size, source.crc32))
        at += len(header) + source.size
    yield _directory(members, at)


def size_of(sources: Iterable[Source]) -> int:
    """Tell how long the container will be."""
    listed = list(sources)
    return sum(_overhead(source.name) + source.size for source in listed) + _TAIL


def write(path: Path, sources: Iterable[Source]) -> None:
    """Write a container durably as a new private file; a file of that name is replaced only by the whole."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(handle, "wb", buffering=_CHUNK) as file:
            for chunk in stream(sources):
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


class Archive:
    """A container that has been read strictly; its contents are read when asked for."""

    __slots__ = ("_source", "members", "name")

    def __init__(self, source: Path | bytes, name: str) -> None:
        """Read the directory of a file, or of bytes that must not touch a disk; refuse what is not the exact form."""
        self._source = source
        self.name = name
        with self._open() as file:
            self.members = _read_members(file, name)

    def _open(self) -> BinaryIO:
        return io.BytesIO(self._source) if isinstance(self._source, bytes) else self._source.open("rb")

    def __getitem__(self, name: str) -> Member:
        """Give a member by its name; a missing one is refused."""
        for member in self.members:
            if member.name == name:
                return member
        raise ParcelRefused("parcel.member_missing", file=self.name, member=name)

    @property
    def names(self) -> tuple[str, ...]:
        """Give the names in their order."""
        return tuple(member.name for member in self.members)

    def chunks(self, name: str) -> Iterator[bytes]:
        """Read a member in chunks; its CRC-32 is checked at the end, so use nothing before."""
        member, crc = self[name], 0
        with self._open() as file:
            file.seek(member.start)
            left = member.size
            while left:
                chunk = file.read(min(left, _CHUNK))
                if not chunk:
                    raise ParcelRefused("parcel.zip_form", file=self.name)
                left -= len(chunk)
                crc = zlib.crc32(chunk, crc)
                yield chunk
        if crc != member.crc32:
            raise ParcelRefused("parcel.zip_crc", file=self.name, member=name)

    def read(self, name: str, most: int) -> bytes:
        """Read a small member whole; one of more than `most` bytes is refused."""
        if self[name].size > most:
            raise ParcelRefused("parcel.member_size", file=self.name, member=name)
        return b"".join(self.chunks(name))


def file_chunks(path: Path) -> Iterator[bytes]:
    """Read a file in chunks."""
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def _read_members(file: BinaryIO, name: str) -> tuple[Member, ...]:
    size = file.seek(0, os.SEEK_END)
    count, length, start = _read_tail(file, size, name)
    file.seek(start)
    directory = file.read(length)
    members = list(_parse_central(directory, count, name))
    at = 0
    for member in members:
        header = _local(member.name, member.size, member.crc32)
        if member.start != at + len(header):
            raise ParcelRefused("parcel.zip_gap", file=name)
        file.seek(at)
        if file.read(len(header)) != header:
            raise ParcelRefused("parcel.zip_form", file=name)
        at = member.start + member.size
    if at != start:
        raise ParcelRefused("parcel.zip_gap", file=name)
    file.seek(start)
    if file.read() != _directory(members, start):
        raise ParcelRefused("parcel.zip_form", file=name)
    return tuple(members)


def _read_tail(file: BinaryIO, size: int, name: str) -> tuple[int, int, int]:
    """Read the end records: number of members, length and start of the directory."""
    file.seek(max(0, size - _END.size - 0xFFFF))
    last = file.read()
    end = last.rfind(b"PK\5\6")
    if end < 0 or len(last) - end < _END.size:
        raise ParcelRefused("parcel.zip_cut", file=name)
    comment = _END.unpack_from(last, end)[7]
    if comment or len(last) - end != _END.size:
        raise ParcelRefused("parcel.zip_comment", file=name)
    tail = last[max(0, end - _END64.size - _LOCATOR.size) :]
    if len(tail) != _TAIL or tail[:4] != b"PK\6\6":
        raise ParcelRefused("parcel.zip_form", file=name)
    count, _, length, start = _END64.unpack_from(tail)[6:]
    if count > MAX_MEMBERS or start + length + _TAIL != size:
        raise ParcelRefused("parcel.zip_form", file=name)
    return count, length, start


def _parse_central(directory: bytes, count: int, name: str) -> Iterator[Member]:
    at, seen = 0, set()
    for _ in range(count):
        if len(directory) - at < _CENTRAL.size:
            raise ParcelRefused("parcel.zip_form", file=name)
        fields = _CENTRAL.unpack_from(directory, at)
        flags, method, crc, name_length, extra_length, comment_length = (fields[i] for i in (3, 4, 7, 10, 11, 12))
        if method or flags:
            raise ParcelRefused("parcel.zip_method", file=name)
        if comment_length:
            raise ParcelRefused("parcel.zip_comment", file=name)
        name_at = at + _CENTRAL.size
        extra_at = name_at + name_length
        at = extra_at + extra_length
        if fields[0] != b"PK\1\2" or extra_length != _CENTRAL_EXTRA.size or at > len(directory):
            raise ParcelRefused("parcel.zip_form", file=name)
        member = directory[name_at:extra_at].decode("ascii", errors="replace")
        if name_length > 200 or not _NAME.fullmatch(member):
            raise ParcelRefused("parcel.member_name", file=name)
        if member in seen:
            raise ParcelRefused("parcel.member_doubled", rule="K003", file=name, member=member)
        seen.add(member)
        _, _, content_size, _, offset = _CENTRAL_EXTRA.unpack_from(directory, extra_at)
        yield Member(member, offset + _LOCAL.size + name_length, content_size, crc)


def _local(name: str, size: int, crc: int) -> bytes:
    raw = name.encode("ascii")
    packed = _LOCAL.pack(b"PK\3\4", 45, 0, 0, 0, _DATE, crc, _FULL, _FULL, len(raw), 20, 1, 16, size, size)
    return packed[:_LOCAL_NAME_AT] + raw + packed[_LOCAL_NAME_AT:]


def _central(member: Member) -> bytes:
    raw = member.name.encode("ascii")
    offset = member.start - _LOCAL.size - len(raw)
    fixed = _CENTRAL.pack(
        b"PK\1\2", _UNIX_45, 45, 0, 0, 0, _DATE, member.crc32, _FULL, _FULL,
        len(raw), _CENTRAL_EXTRA.size, 0, 0, 0, _PRIVATE_FILE, _FULL,
    )  # fmt: skip
    return fixed + raw + _CENTRAL_EXTRA.pack(1, 24, member.size, member.size, offset)


def _directory(members: list[Member], start: int) -> bytes:
    central = b"".join(map(_central, members))
    count = len(members)
    return b"".join(
        (
            central,
            _END64.pack(b"PK\6\6", _END64.size - 12, _UNIX_45, 45, 0, 0, count, count, len(central), start),
            _LOCATOR.pack(b"PK\6\7", 0, start + len(central), 1),
            _END.pack(b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, _FULL, _FULL, 0),
        )
    )


def _overhead(name: str) -> int:
    return _LOCAL.size + _CENTRAL.size + _CENTRAL_EXTRA.size + 2 * len(name)
