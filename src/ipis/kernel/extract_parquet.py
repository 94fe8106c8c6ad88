"""Parquet files of the flat extract: texts or plain typed columns, batch by batch, never unpacked whole on trust."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ipis.kernel.errors import ExtractRefused
from ipis.kernel.extract import Limits
from ipis.kernel.extract_batch import shown
from ipis.kernel.extract_csv import check_names
from ipis.kernel.layout import RecordType

_ROWS = 1 << 13


def batches(file: Path, record: RecordType, limits: Limits, also: Collection[str] = ()) -> Iterator[pa.RecordBatch]:
    """Read a file as texts; numbers and days become the texts that XML and CSV would have.

    `also`: columns that may stand there besides the record type's fields.
    """
    try:
        yield from _read(file, {*record.fields, *also}, limits)
    except (pa.ArrowException, OSError):
        raise ExtractRefused("extract.parquet", rule="K004", file=file.name) from None


def _read(file: Path, known: Collection[str], limits: Limits) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(file) as probe:
        schema = probe.schema_arrow
        unpacked = sum(probe.metadata.row_group(i).total_byte_size for i in range(probe.metadata.num_row_groups))
    check_names(schema.names, file, known)
    for field in schema:
        if not _is_plain(field.type):
            params = {"file": file.name, "field": shown(field.name), "type": str(field.type)[:40]}
            raise ExtractRefused("extract.parquet_type", rule="K004", **params)
    if unpacked > limits.file_bytes:
        raise ExtractRefused("extract.parquet_size", rule="K004", file=file.name, most=limits.file_bytes)
    # As dictionaries, a value that is repeated a million times is held once: the metadata may lie about sizes.
    texts = [field.name for field in schema if pa.types.is_string(_stored(field.type))]
    total = 0
    with pq.ParquetFile(file, read_dictionary=texts) as source:
        for batch in source.iter_batches(batch_size=_ROWS):
            made = pa.RecordBatch.from_arrays([_text(column, file, limits) for column in batch.columns], schema.names)
            total += made.nbytes
            if total > limits.file_bytes:
                raise ExtractRefused("extract.parquet_size", rule="K004", file=file.name, most=limits.file_bytes)
            yield made


def _text(column: pa.Array, file: Path, limits: Limits) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        values = column.dictionary.cast(pa.string())
        longest = max((len(value) for value in values.to_pylist() if value is not None), default=0)
        if longest > limits.value_chars:
            raise ExtractRefused("extract.long_field", rule="K004", file=file.name, row="?", most=limits.value_chars)
        return values.take(column.indices)
    return column.cast(pa.string())


def _stored(kind: pa.DataType) -> pa.DataType:
    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    return pa.string() if pa.types.is_large_string(plain) or pa.types.is_string(plain) else plain


def _is_plain(kind: pa.DataType) -> bool:
    plain = _stored(kind)
    checks = (pa.types.is_string, pa.types.is_integer, pa.types.is_decimal, pa.types.is_date32, pa.types.is_null)
    return any(check(plain) for check in checks)
