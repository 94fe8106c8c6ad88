"""Parquet files of the flat extract: texts or plain typed columns, batch by batch, never unpacked whole on trust."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ipis.kernel.errors import ExtractRefused
from ipis.kernel.extract import Limits
from ipis.kernel.extract_batch import check_characters, shown
from ipis.kernel.extract_csv import check_names
from ipis.kernel.layout import RecordType
from ipis.kernel.parquet_pages import (
    MAX_FOOTER,
    ColumnsTooMany,
    FooterTooLong,
    PagesBroken,
    PagesTooBig,
    check_footer,
    check_pages,
)

_ROWS = 1 << 13
_MEASURED_ROWS = 1 << 16
_CELL = 4
"""Bytes that a cell takes besides its text, or where it has none."""
_MOST_ITEMS = 1 << 16
"""Items of any list in the footer: columns, row groups."""


def batches(file: Path, record: RecordType, limits: Limits, also: Collection[str] = ()) -> Iterator[pa.RecordBatch]:
    """Read a file as texts; numbers and days become the texts that XML and CSV would have.

    `also`: columns that may stand there besides the record type's fields.
    """
    try:
        yield from _read(file, {*record.fields, *also}, limits)
    except (pa.ArrowException, OSError):
        raise ExtractRefused("extract.parquet", rule="K004", file=file.name) from None


def check_unpacked(files: Sequence[Path], limits: Limits) -> None:
    """Measure what all files of a folder hold before anything of it is kept; raises `ExtractRefused` for too much.

    A dictionary says a long text once and a number for each row that has it: 220 kB became 10 GB.
    """
    packed = sum(file.stat().st_size for file in files)
    most = min(limits.unpacked_bytes, max(limits.unpacked_freely, limits.unpacked_times * packed))
    held = 0
    for file in files:
        schema = check_file(file, limits)
        try:
            for size in _held(file, schema):
                held += size
                if held > most:
                    raise ExtractRefused("extract.parquet_size", rule="K004", file=file.name, most=most)
        except (pa.ArrowException, OSError):
            raise ExtractRefused("extract.parquet", rule="K004", file=file.name) from None


def _held(file: Path, schema: pa.Schema) -> Iterator[int]:
    """Give what the cells of a file take, then, some rows at a time, their texts, each long one held once meanwhile."""
    texts = [field.name for field in schema if pa.types.is_string(_stored(field.type))]
    with pq.ParquetFile(file, read_dictionary=texts) as source:
        yield source.metadata.num_rows * sum(_width(field.type) for field in schema)
        for batch in source.iter_batches(batch_size=_MEASURED_ROWS, columns=texts) if texts else ():
            yield sum(pc.sum(_lengths(column)).as_py() or 0 for column in batch.columns)


def _lengths(column: pa.Array) -> pa.Array:
    if not pa.types.is_dictionary(column.type):
        return pc.binary_length(column)
    return pc.binary_length(column.dictionary).take(column.indices)


def _width(kind: pa.DataType) -> int:
    plain = _stored(kind)
    return max(_CELL, plain.byte_width) if pa.types.is_primitive(plain) or pa.types.is_decimal(plain) else _CELL


def check_file(file: Path, limits: Limits) -> pa.Schema:
    """Look at footer and page headers before anything is unpacked; gives the columns. Raises `ExtractRefused`."""
    try:
        check_footer(file, limits.fields)
        with pq.ParquetFile(file, thrift_string_size_limit=1 << 20, thrift_container_size_limit=_MOST_ITEMS) as probe:
            metadata = probe.metadata
            if metadata.num_columns > limits.fields:
                raise ColumnsTooMany
            rows = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
            if min(rows, default=0) < 0 or sum(rows) != metadata.num_rows:
                raise PagesBroken
            if metadata.num_rows > limits.rows:
                raise ExtractRefused("extract.too_many_rows", rule="K004", file=file.name, most=limits.rows)
            check_pages(file, metadata, limits.file_bytes)
            return probe.schema_arrow
    except ColumnsTooMany:
        raise ExtractRefused("extract.too_many_columns", rule="K004", file=file.name, most=limits.fields) from None
    except FooterTooLong:
        raise ExtractRefused("extract.parquet_footer", rule="K004", file=file.name, most=MAX_FOOTER) from None
    except PagesTooBig as error:
        raise ExtractRefused("extract.parquet_size", rule="K004", file=file.name, most=error.most) from None
    except (PagesBroken, pa.ArrowException, OSError):
        raise ExtractRefused("extract.parquet", rule="K004", file=file.name) from None


def _read(file: Path, known: Collection[str], limits: Limits) -> Iterator[pa.RecordBatch]:
    schema = check_file(file, limits)
    check_names(schema.names, file, known)
    for field in schema:
        if not _is_plain(field.type):
            params = {"file": file.name, "field": shown(field.name), "type": str(field.type)[:40]}
            raise ExtractRefused("extract.parquet_type", rule="K004", **params)
    # As dictionaries, a value that is repeated a million times is held once.
    texts = [field.name for field in schema if pa.types.is_string(_stored(field.type))]
    rows = 0
    with pq.ParquetFile(file, read_dictionary=texts) as source:
        for batch in source.iter_batches(batch_size=_ROWS):
            columns = [_text(column, file, limits, rows) for column in batch.columns]
            made = pa.RecordBatch.from_arrays(columns, schema.names)
            # Arrow takes any bytes of a Parquet file for UTF-8.
            made.validate(full=True)
            check_characters(made.columns, file.name, rows)
            rows += made.num_rows
            if rows > limits.rows:
                raise ExtractRefused("extract.too_many_rows", rule="K004", file=file.name, most=limits.rows)
            yield made


def _text(column: pa.Array, file: Path, limits: Limits, before: int) -> pa.Array:
    if not pa.types.is_dictionary(column.type):
        return column.cast(pa.string())
    values = column.dictionary.cast(pa.string())
    long = pc.greater(pc.utf8_length(values), limits.value_chars)
    if pc.any(long).as_py():
        rows = np.flatnonzero(np.asarray(pc.fill_null(long.take(column.indices), False)))
        row = before + int(rows[0]) + 1 if len(rows) else before + 1
        raise ExtractRefused("extract.long_field", rule="K004", file=file.name, row=row, most=limits.value_chars)
    return values.take(column.indices)


def _stored(kind: pa.DataType) -> pa.DataType:
    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    return pa.string() if pa.types.is_large_string(plain) or pa.types.is_string(plain) else plain


def _is_plain(kind: pa.DataType) -> bool:
    plain = _stored(kind)
    checks = (pa.types.is_string, pa.types.is_integer, pa.types.is_decimal, pa.types.is_date32, pa.types.is_null)
    return any(check(plain) for check in checks)
