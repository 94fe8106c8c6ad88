"""Parquet between parties: written without a trace of the writer's data, read only in exactly the form that was agreed.

The form is docs/spec/forsendelse.md §7. A stranger's file is read in a child process, since metadata lie.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ipis.kernel.columns import unwritable_row
from ipis.kernel.errors import ParcelRefused

ROWS_PER_GROUP: Final = 100_000
MAX_ROWS: Final = 20_000_000
MAX_STRING: Final = 1_000
MAX_FOOTER: Final = 4 << 20
MAX_GROUP_BYTES: Final = 1 << 30
_COMPRESSIONS: Final = ("UNCOMPRESSED", "ZSTD")
_DRAWN: Final = frozenset({pa.binary(16), pa.int64()})
_SMALL: Final = 128 << 10
"""Bytes of a table that is written as it is: on so few rows zstd gains nothing and takes most of the time."""


def write_parquet(table: pa.Table, *, dictionary: bool = True) -> pa.Buffer:
    """Write a table into memory: zstd where it pays, groups of 100,000 rows, no statistics, no metadata of its own.

    Without dictionaries of values a table is written in half the time, and zstd finds most of what repeats. Keys and
    numbers of 64 bits, which are drawn and seldom repeat, never have one.
    """
    sink = pa.BufferOutputStream()
    plain = table.replace_schema_metadata(None)
    compression = "none" if plain.nbytes <= _SMALL else "zstd"
    repeating = [field.name for field in plain.schema if field.type not in _DRAWN]
    pq.write_table(
        plain,
        sink,
        compression=compression,
        row_group_size=ROWS_PER_GROUP,
        use_dictionary=repeating if dictionary else False,
        write_statistics=False,
        store_schema=False,
    )
    return sink.getvalue()


def read_part_parquet(
    content: pa.Buffer | bytes, schema: pa.Schema, *, name: str, max_rows: int = MAX_ROWS
) -> pa.Table:
    """Read a table whose columns and physical types are exactly the schema's; `name` is the member's, for refusals.

    Raises ParcelRefused: `parcel.parquet` (no readable Parquet, or a feature not agreed), `parcel.columns`,
    `parcel.column_type`, `parcel.rows`, `parcel.string_length`, `parcel.character`. Call it in a child process for what
    a stranger sent.
    """
    buffer = content if isinstance(content, pa.Buffer) else pa.py_buffer(content)
    _check_footer(buffer, name)
    try:
        file = pq.ParquetFile(
            pa.BufferReader(buffer),
            thrift_string_size_limit=1 << 16,
            thrift_container_size_limit=1 << 20,
            page_checksum_verification=False,
        )
        _check_columns(file, schema, name)
        _check_groups(file.metadata, name, max_rows)
        groups = [_read_group(file, index, schema, name) for index in range(file.metadata.num_row_groups)]
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise ParcelRefused("parcel.parquet", part=name) from error
    return pa.concat_tables(groups) if groups else schema.empty_table()


def _check_footer(buffer: pa.Buffer, name: str) -> None:
    """Look at the trailer before a parser does; an encrypted footer ends in another word."""
    tail = buffer.slice(max(0, buffer.size - 8)).to_pybytes()
    if len(tail) < 8 or tail[4:] != b"PAR1" or struct.unpack("<I", tail[:4])[0] > min(MAX_FOOTER, buffer.size):
        raise ParcelRefused("parcel.parquet", part=name)


def _check_columns(file: pq.ParquetFile, schema: pa.Schema, name: str) -> None:
    """Compare names and physical types with those that our own writer gives the schema."""
    expected = _written_schema(schema)
    found = file.schema
    if file.metadata.metadata:
        raise ParcelRefused("parcel.parquet", part=name)
    if found.equals(expected):
        return
    if found.names != expected.names:
        raise ParcelRefused("parcel.columns", part=name, found=len(found.names), expected=len(expected.names))
    for index, column in enumerate(expected.names):
        if not found.column(index).equals(expected.column(index)):
            raise ParcelRefused("parcel.column_type", part=name, column=column)


@lru_cache(maxsize=64)
def _written_schema(schema: pa.Schema) -> pq.ParquetSchema:
    return pq.ParquetFile(pa.BufferReader(write_parquet(schema.empty_table()))).schema


def _check_groups(metadata: pq.FileMetaData, name: str, max_rows: int) -> None:
    groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
    if metadata.num_rows > max_rows or sum(group.num_rows for group in groups) != metadata.num_rows:
        raise ParcelRefused("parcel.rows", part=name)
    for group in groups:
        columns = [group.column(index) for index in range(group.num_columns)]
        if (
            not 0 <= group.num_rows <= ROWS_PER_GROUP
            or sum(c.total_uncompressed_size for c in columns) > MAX_GROUP_BYTES
        ):
            raise ParcelRefused("parcel.rows", part=name)
        if any(column.compression not in _COMPRESSIONS for column in columns):
            raise ParcelRefused("parcel.parquet", part=name)


def _read_group(file: pq.ParquetFile, index: int, schema: pa.Schema, name: str) -> pa.Table:
    table = file.read_row_group(index, use_threads=False)
    if table.num_rows != file.metadata.row_group(index).num_rows:
        raise ParcelRefused("parcel.rows", part=name)
    # Types that are the same need no cast; what may not be null is looked at below.
    table = pa.table(table.columns, schema=schema) if table.schema.types == schema.types else table.cast(schema)
    table.validate(full=True)
    for field, column in zip(schema, table.columns, strict=True):
        if pa.types.is_string(field.type) and _longest(column) > MAX_STRING:
            raise ParcelRefused("parcel.string_length", part=name, column=field.name)
        if pa.types.is_string(field.type) and any(unwritable_row(chunk) is not None for chunk in column.chunks):
            raise ParcelRefused("parcel.character", part=name, column=field.name)
        if not field.nullable and column.null_count:
            raise ParcelRefused("parcel.parquet", part=name)
    return table


def _longest(column: pa.ChunkedArray) -> int:
    """Give the characters of the longest text, or the bytes of it where these are few enough already."""
    most = 0
    for chunk in column.chunks:
        if offsets := chunk.buffers()[1]:
            places = np.frombuffer(offsets, np.int32)[chunk.offset : chunk.offset + len(chunk) + 1]
            most = max(most, int(np.diff(places).max(initial=0)))
    return most if most <= MAX_STRING else int(pc.max(pc.utf8_length(column)).as_py() or 0)
