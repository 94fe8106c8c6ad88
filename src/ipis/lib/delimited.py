"""CSV as a Norwegian spreadsheet reads it, written in whole columns: UTF-8 with its mark, `;`, lines ended by CR LF.

Text that a spreadsheet would run is marked, so that it shows it; reading takes the mark off.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

MARK = "'"
RUNS_PATTERN = r"^[=+\-@\t\r\n']"
_MARKED = r"^'([=+\-@\t\r\n'])"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_CHUNK = 100_000


def marked(values: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Mark texts that a spreadsheet would take for a formula."""
    return pc.if_else(
        pc.match_substring_regex(values, RUNS_PATTERN), pc.binary_join_element_wise(MARK, values, ""), values
    )


def unmarked(values: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Take off the mark that `marked` puts on."""
    return pc.replace_substring_regex(values, _MARKED, r"\1")


def write_csv(table: pa.Table, *, decimal: str = ".") -> bytes:
    """Write a table with its column names as heading; numbers with the decimal sign of the reader's language."""
    heading = pa.Table.from_arrays([pa.array([name]) for name in table.column_names], names=table.column_names)
    parts = [_lines(heading, decimal)]
    parts += [_lines(table.slice(start, _CHUNK), decimal) for start in range(0, table.num_rows, _CHUNK)]
    return _BYTE_ORDER_MARK + b"".join(parts)


def _lines(table: pa.Table, decimal: str) -> bytes:
    if not table.num_columns:
        return b""
    cells = [_cells(column, decimal) for column in table.columns]
    separated = [piece for cell in cells for piece in (cell, ";")][:-1]
    return bytes(joined_bytes(pc.binary_join_element_wise(*separated, "\r\n", "")))


def joined_bytes(texts: pa.Array) -> memoryview:
    """Give texts one after the other without copying them: they lie so in memory."""
    _, offsets, data = texts.buffers()
    if data is None:
        return memoryview(b"")
    ends = memoryview(offsets).cast("i")
    return memoryview(data)[ends[texts.offset] : ends[texts.offset + len(texts)]]


def _cells(column: pa.ChunkedArray, decimal: str) -> pa.Array:
    values = column.combine_chunks()
    if pa.types.is_floating(values.type):
        whole = pc.equal(values, pc.round(values))
        short = pc.if_else(whole, values.cast(pa.int64(), safe=False).cast(pa.string()), values.cast(pa.string()))
        return pc.fill_null(pc.replace_substring(short, ".", decimal), "")
    if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
        return pc.fill_null(values.cast(pa.string()), "")
    text = marked(pc.fill_null(values, ""))
    quoted = pc.binary_join_element_wise('"', pc.replace_substring(text, '"', '""'), '"', "")
    return pc.if_else(pc.match_substring_regex(text, '[";\\r\\n]'), quoted, text)
