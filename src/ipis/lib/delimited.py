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
    starts = range(0, table.num_rows, _CHUNK)
    lines = (joined_bytes(lines_of(table.slice(start, _CHUNK), decimal=decimal)) for start in starts)
    return b"".join([heading(table.column_names), *lines])


def heading(names: Sequence[str]) -> bytes:
    """Write the first line of a CSV, with the mark of its encoding."""
    written = _written(pa.array(names, pa.string()), "").to_pylist()
    return _BYTE_ORDER_MARK + (";".join(written) + "\r\n").encode()


def lines_of(table: pa.Table, *, decimal: str = ".") -> pa.Array:
    """Write each row as a line, to stand under `heading`: rows of many files are written at once and cut apart."""
    written = _by_type([column.combine_chunks() for column in table.columns], decimal)
    separated = [piece for cell in written for piece in (cell, ";")][:-1]
    return pc.binary_join_element_wise(*separated, "\r\n", "") if separated else pa.array([], pa.string())


def joined_bytes(texts: pa.Array) -> memoryview:
    """Give texts one after the other without copying them: they lie so in memory."""
    _, offsets, data = texts.buffers()
    if data is None:
        return memoryview(b"")
    ends = memoryview(offsets).cast("i")
    return memoryview(data)[ends[texts.offset] : ends[texts.offset + len(texts)]]


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
    # What a cell says, many say: each text is looked at once.
    coded = pc.fill_null(values, "").dictionary_encode()
    return _quoted(coded.dictionary).take(coded.indices)


def _quoted(values: pa.Array) -> pa.Array:
    text = marked(values)
    quoted = pc.binary_join_element_wise('"', pc.replace_substring(text, '"', '""'), '"', "")
    return pc.if_else(pc.match_substring_regex(text, _QUOTED), quoted, text)
