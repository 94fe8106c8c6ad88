"""The pages of a stranger's Parquet file, looked at before a reader unpacks them: 30 kB may claim, and give, gigabytes.

A reader allocates what a page's own header says, whatever the footer says; so the headers are read here, in the compact
form of Thrift, as far as their sizes go. Form: parquet-format, `PageHeader`; thrift-compact-protocol.md.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO, Final

import pyarrow.parquet as pq

MAX_FOOTER: Final = 8 << 20
MAX_PAGE: Final = 32 << 20
"""What one page may unpack to; writers aim at 1 MiB."""
MAX_PAGES: Final = 200_000
_MAX_HEADER: Final = 1 << 16
_SCHEMA: Final = 2
_UNCOMPRESSED, _COMPRESSED = 2, 3
_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 11, 12
_INTEGERS = frozenset({4, 5, 6})
_MAX_DEPTH: Final = 8


class PagesBroken(Exception):
    """The file's footer or the header of a page cannot be read."""


class ColumnsTooMany(Exception):
    """The footer lists too many columns."""


class FooterTooLong(Exception):
    """The footer is too long for any layout of ours."""


class PagesTooBig(Exception):
    """A page, or all of them, unpack to more than `most` bytes."""

    def __init__(self, most: int) -> None:
        """Name the bound."""
        super().__init__(most)
        self.most = most


def check_footer(file: Path, most_columns: int) -> None:
    """Refuse a file whose footer is no footer, or too long for any layout of ours, before a parser sees it."""
    size = file.stat().st_size
    with file.open("rb") as source:
        source.seek(max(0, size - 8))
        tail = source.read(8)
        length = struct.unpack("<I", tail[:4])[0] if len(tail) == 8 else size
        if tail[4:] != b"PAR1" or length > size - 8:
            raise PagesBroken
        source.seek(size - 8 - length)
        begins = _Compact(source.read(min(length, _MAX_HEADER)))
    # The list of columns begins with the root above them.
    if begins.count(_SCHEMA) > most_columns + 1:
        raise ColumnsTooMany
    if length > MAX_FOOTER:
        raise FooterTooLong


def check_pages(file: Path, metadata: pq.FileMetaData, most: int) -> int:
    """Add up what all pages say they unpack to; refuse a page, or a sum, that is too big. Gives the sum in bytes."""
    total = pages = 0
    with file.open("rb") as source:
        for group in range(metadata.num_row_groups):
            for number in range(metadata.num_columns):
                column = metadata.row_group(group).column(number)
                if metadata.row_group(group).num_rows == 0:
                    # Nothing is read of it, and writers differ in what they say of where it begins.
                    continue
                at = column.data_page_offset
                if column.dictionary_page_offset is not None and 0 < column.dictionary_page_offset < at:
                    at = column.dictionary_page_offset
                end = at + column.total_compressed_size
                while at < end:
                    length, unpacked, packed = _sizes(source, at)
                    pages, total, at = pages + 1, total + unpacked, at + length + packed
                    if unpacked > MAX_PAGE:
                        raise PagesTooBig(MAX_PAGE)
                    if pages > MAX_PAGES or total > most:
                        raise PagesTooBig(most)
    return total


def _sizes(source: BinaryIO, at: int) -> tuple[int, int, int]:
    """Read a page's header: its own length, and the page's length unpacked and packed."""
    source.seek(at)
    reader = _Compact(source.read(_MAX_HEADER))
    try:
        found = reader.struct(0)
    except IndexError:
        raise PagesBroken from None
    unpacked, packed = found.get(_UNCOMPRESSED, -1), found.get(_COMPRESSED, -1)
    if unpacked < 0 or packed < 0:
        raise PagesBroken
    return reader.at, unpacked, packed


class _Compact:
    """Thrift's compact form, as far as whole numbers of the outer struct are wanted and all else is stepped over."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def struct(self, depth: int) -> dict[int, int]:
        """Read a struct; gives its whole numbers by field."""
        found: dict[int, int] = {}
        field = 0
        while (head := self.byte()) != 0:
            step, kind = head >> 4, head & 0x0F
            field = field + step if step else self.number()
            if kind in _INTEGERS:
                found[field] = self.number()
            else:
                self.skip(kind, depth)
        return found

    def count(self, wanted: int) -> int:
        """Read a struct as far as the head of a list in it; gives its length, 0 where the struct has no such list."""
        field = 0
        try:
            while (head := self.byte()) != 0:
                step, kind = head >> 4, head & 0x0F
                field = field + step if step else self.number()
                if field == wanted and kind == _LIST:
                    return self.list_head()[0]
                self.skip(kind, 0)
        except IndexError:
            raise PagesBroken from None
        return 0

    def skip(self, kind: int, depth: int) -> None:
        """Step over a value."""
        if depth > _MAX_DEPTH:
            raise PagesBroken
        if kind in {_TRUE, _FALSE}:
            return
        if kind == _BYTE:
            self.forward(1)
        elif kind in _INTEGERS:
            self.varint()
        elif kind == _DOUBLE:
            self.forward(8)
        elif kind == _BINARY:
            self.forward(self.varint())
        elif kind in {_LIST, _SET}:
            self.items(depth)
        elif kind == _STRUCT:
            self.struct(depth + 1)
        else:
            raise PagesBroken

    def items(self, depth: int) -> None:
        """Step over a list."""
        count, kind = self.list_head()
        for _ in range(count):
            # In a list a truth value takes a byte.
            self.skip(_BYTE if kind in {_TRUE, _FALSE} else kind, depth + 1)

    def list_head(self) -> tuple[int, int]:
        """Read how many items a list has, and of which kind."""
        head = self.byte()
        count, kind = head >> 4, head & 0x0F
        return self.varint() if count == 15 else count, kind

    def byte(self) -> int:
        value = self.data[self.at]
        self.at += 1
        return value

    def forward(self, count: int) -> None:
        self.at += count
        if self.at > len(self.data):
            raise PagesBroken

    def varint(self) -> int:
        """Read a number of seven bits a byte, the lowest first."""
        value = shift = 0
        while True:
            part = self.byte()
            value |= (part & 0x7F) << shift
            shift += 7
            if part < 0x80:
                return value
            if shift > 63:
                raise PagesBroken

    def number(self) -> int:
        """Read a signed number, its sign in the lowest bit."""
        value = self.varint()
        return (value >> 1) ^ -(value & 1)
