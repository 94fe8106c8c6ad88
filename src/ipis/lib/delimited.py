"""CSV as a Norwegian spreadsheet reads it, written in whole columns: UTF-8 with its mark, `;`, lines ended by CR LF.

Text that a spreadsheet would run is marked, so that it shows it; reading takes the mark off.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

RUNS_PATTERN = r"^[=+\-@\t\r\n']"
"""What a spreadsheet would run, and the mark itself."""
_MARK = "'"
_MARKED = r"^'([=+\-@\t\r\n'])"
_QUOTED = '[";\\r\\n]'
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_CHUNK = 100_000
_EXACT = 2.0**53
"""Whole numbers below it are exact in double precision."""


def marked(values: pa.Array) -> pa.Array:
    """Mark texts that a spreadsheet would take for a formula."""
    runs = pc.match_substring_regex(values, RUNS_PATTERN)
    return pc.if_else(runs, pc.binary_join_element_wise(_MARK, values, ""), values)


def unmarked(values: pa.Array) -> pa.Array:
    """Take off the mark that `marked` puts on."""
    return pc.replace_substring_regex(values, _MARKED, r"\1")


def write_csv(table: pa.Table, *, decimal: str = ".") -> bytes:
    """Write a table with its column names as heading; numbers with the decimal sign of the reader's language."""
    starts = range(0, max(1, table.num_rows), _CHUNK)
    return b"".join([_heading(table), *(_lines([table.slice(start, _CHUNK)], decimal)[0] for start in starts)])


def write_many(tables: Sequence[pa.Table], *, decimal: str = ".") -> list[bytes]:
    """Write many small tables, each as `write_csv` would, at little more than the cost of one."""
    lines = _lines(tables, decimal)
    return [b"".join((_heading(table), part)) for table, part in zip(tables, lines, strict=True)]


def joined_bytes(texts: pa.Array) -> memoryview:
    """Give texts one after the other without copying them: they lie so in memory."""
    _, offsets, data = texts.buffers()
    if data is None:
        return memoryview(b"")
    ends = memoryview(offsets).cast("i")
    return memoryview(data)[ends[texts.offset] : ends[texts.offset + len(texts)]]


def _heading(table: pa.Table) -> bytes:
    names = _written(pa.array(table.column_names, pa.string()), "").to_pylist()
    return _BYTE_ORDER_MARK + (";".join(names) + "\r\n").encode()


def _lines(tables: Sequence[pa.Table], decimal: str) -> list[memoryview]:
    """Write the lines of tables, the cells of one type all at once."""
    cells = _by_type([column.combine_chunks() for table in tables for column in table.columns], decimal)
    lines = []
    for table in tables:
        own = [next(cells) for _ in range(table.num_columns)]
        separated = [piece for cell in own for piece in (cell, ";")][:-1]
        lines.append(joined_bytes(pc.binary_join_element_wise(*separated, "\r\n", "")) if own else memoryview(b""))
    return lines


def _by_type(columns: Sequence[pa.Array], decimal: str) -> Iterator[pa.Array]:
    made: dict[int, pa.Array] = {}
    kinds: dict[pa.DataType, list[int]] = {}
    for place, column in enumerate(columns):
        kinds.setdefault(column.type, []).append(place)
    for places in kinds.values():
        lengths = [len(columns[place]) for place in places]
        written = _written(pa.concat_arrays([columns[place] for place in places]), decimal)
        for place, end, length in zip(places, np.cumsum(lengths), lengths, strict=True):
            made[place] = written.slice(int(end) - length, length)
    return (made[place] for place in range(len(columns)))


def _written(values: pa.Array, decimal: str) -> pa.Array:
    if pa.types.is_floating(values.type):
        # A large whole number is written out, not as a power of ten.
        whole = pc.and_(pc.equal(values, pc.round(values)), pc.less(pc.abs(values), _EXACT))
        digits = pc.if_else(whole, values, None).cast(pa.int64()).cast(pa.string())
        return pc.fill_null(pc.coalesce(digits, pc.replace_substring(values.cast(pa.string()), ".", decimal)), "")
    if not pa.types.is_string(values.type):
        return pc.fill_null(values.cast(pa.string()), "")
    text = marked(pc.fill_null(values, ""))
    quoted = pc.binary_join_element_wise('"', pc.replace_substring(text, '"', '""'), '"', "")
    return pc.if_else(pc.match_substring_regex(text, _QUOTED), quoted, text)
