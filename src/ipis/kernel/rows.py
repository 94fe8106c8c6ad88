"""The rows of a data part: columns by the year's layout, person keys they are sorted by, the sum over what they say.

The form is docs/spec/forsendelse.md §7.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ipis.kernel.answers import SVAR, SVAR_SCHEMA, keys_in
from ipis.kernel.errors import ParcelRefused
from ipis.kernel.layout import Field, Kind, Layout, RecordType

_FIXED: Final = ("-", "\n")
"""How a cell without a value stands in a row that is summed up, and what ends the row."""
_NOTHING_AT, _LINE_FEED_AT = 0, 1
_MUCH: Final = 1 << 30
"""Bytes of a column that is not put together as it is."""
KEY: Final = "person_key"
KEY_TYPE: Final = pa.binary(16)
LOKAL: Final = "lokal"
LOKAL_SCHEMA: Final = pa.schema(
    [pa.field("local_key", pa.int64(), nullable=False), pa.field("value", pa.string(), nullable=False)]
)


def travelling_fields(record: RecordType) -> list[Field]:
    """List the fields of a record type that a data part holds: all but the identity's."""
    return [field for field in record.fields.values() if not field.identity]


def part_schema(record: RecordType) -> pa.Schema:
    """Give the columns of `<record>.parquet`."""
    columns = [pa.field(KEY, KEY_TYPE, nullable=False)]
    for field in travelling_fields(record):
        columns.append(pa.field(field.name, pa.int64() if field.kind is Kind.ID else field.arrow_type))
        if field.has_raw:
            columns.append(pa.field(f"{field.name}__raw", pa.string()))
    return pa.schema(columns)


def part_schemas(layout: Layout) -> dict[str, pa.Schema]:
    """Give the columns of every table of a data part, in the order of its members."""
    return {**{name: part_schema(record) for name, record in layout.records.items()}, LOKAL: LOKAL_SCHEMA}


def id_columns(record: RecordType) -> list[str]:
    """List the fields that travel as local keys."""
    return [field.name for field in travelling_fields(record) if field.kind is Kind.ID]


def keys_of(table: pa.Table) -> NDArray[np.bytes_]:
    """Give the person keys of a table as 16-byte strings that compare bytewise."""
    return np.concatenate([_bytes16(chunk) for chunk in table[KEY].chunks] or [np.empty(0, "S16")])


def all_keys(tables: Mapping[str, pa.Table]) -> NDArray[np.bytes_]:
    """Give all person keys of the record tables, each once, sorted."""
    return np.unique(np.concatenate([np.unique(keys_of(table)) for table in tables.values()]))


def check_sorted(tables: Mapping[str, pa.Table], part: str) -> None:
    """Refuse a table that is not sorted by person key: file order by number would give birthdays away."""
    for table in tables.values():
        keys = keys_of(table)
        if (keys[1:] < keys[:-1]).any():
            raise ParcelRefused("parcel.row_order", part=part)


def check_local_keys(
    tables: Mapping[str, pa.Table], lokal: pa.Table, layout: Layout, part: str, answers: pa.Table | None = None
) -> None:
    """Refuse local keys without a value, values without a key, and doubles."""
    used = used_local_keys(tables, layout, answers)
    named = lokal["local_key"].to_numpy()
    if len(named) != len(used) or (named != used).any():
        raise ParcelRefused("parcel.local_keys", part=part)


def used_local_keys(
    tables: Mapping[str, pa.Table], layout: Layout, answers: pa.Table | None = None
) -> NDArray[np.int64]:
    """Give the local keys that occur in the tables and answers, each once, sorted."""
    found = [
        pc.unique(table[column]).drop_null().to_numpy(zero_copy_only=False)
        for name, table in tables.items()
        for column in id_columns(layout.records[name])
    ]
    return np.unique(np.concatenate([np.empty(0, np.int64), *found, *keys_in(answers)])).astype(np.int64)


def content_sha256(
    tables: Mapping[str, pa.Table], lokal: pa.Table, layout: Layout, answers: pa.Table | None = None
) -> str:
    """Sum up what rows and answers say, whatever their keys: the same for the same in any forsendelse (K014)."""
    parts = {
        name: [_column(tables[name], field) for field in travelling_fields(record)]
        for name, record in layout.records.items()
    }
    if answers is not None:
        parts[SVAR] = [answers[name] for name in SVAR_SCHEMA.names]
    cells, places = _cells([column for columns in parts.values() for column in columns], lokal)
    digest = hashlib.sha256()
    for name, columns in parts.items():
        digest.update(f"{name}\n".encode())
        digest.update(_canonical_rows(cells, list(islice(places, len(columns)))))
    return digest.hexdigest()


def _canonical_rows(cells: pa.LargeStringArray, places: Sequence[NDArray[np.int32]]) -> memoryview:
    """Write rows as lines in bytewise order; for each column the places of its cells."""
    if not places or not len(places[0]):
        return memoryview(b"")
    count, width = len(places[0]), len(places) + 1
    grid = np.full((count, width), _LINE_FEED_AT, np.int32)
    for at, column in enumerate(places):
        grid[:, at] = column
    # Taken row by row, the cells stand joined: every so many of their bounds is that of a row.
    _, bounds, text = cells.take(pa.array(grid.reshape(-1))).buffers()
    ends = np.frombuffer(bounds, np.int64)[: count * width + 1 : width].copy()
    rows = pa.Array.from_buffers(pa.large_string(), count, [None, pa.py_buffer(ends), text])
    return _values(rows.take(pc.sort_indices(rows)))


def _values(chunk: pa.LargeStringArray) -> memoryview:
    """Give the bytes of all strings of a chunk, one after the other."""
    _, offsets, data = chunk.buffers()
    bounds = np.frombuffer(offsets, np.int64)[chunk.offset : chunk.offset + len(chunk) + 1]
    return memoryview(data)[int(bounds[0]) : int(bounds[-1])]


def _cells(
    columns: Sequence[pa.ChunkedArray], lokal: pa.Table
) -> tuple[pa.LargeStringArray, Iterator[NDArray[np.int32]]]:
    """Give the cells of columns, each distinct value's once, and for each column the places of its own.

    Columns of one type share their cells. Whole numbers of 64 bits are local keys, which stand for their values.
    """
    made = [pa.array(_FIXED, pa.large_string())]
    places: dict[int, NDArray[np.int32]] = {}
    for kind in dict.fromkeys(column.type for column in columns):
        own = [number for number, column in enumerate(columns) if column.type == kind]
        whole = _joined([columns[number] for number in own], kind)
        if kind == pa.int64():
            texts, indices = lokal["value"].combine_chunks(), pc.index_in(whole, lokal["local_key"].combine_chunks())
        else:
            coded = whole.dictionary_encode()
            texts, indices = coded.dictionary, coded.indices
        before = sum(map(len, made))
        found = pc.fill_null(pc.add(indices, pa.scalar(before, pa.int32())), _NOTHING_AT).to_numpy()
        ends = np.cumsum([len(columns[number]) for number in own])
        places |= zip(own, np.split(found, ends[:-1]), strict=True)
        made.append(_cell(_text(texts)))
    return pa.concat_arrays(made), (places[number] for number in range(len(columns)))


def _joined(columns: Sequence[pa.ChunkedArray], kind: pa.DataType) -> pa.Array:
    """Put columns of one type together."""
    whole = pa.chunked_array([chunk for column in columns for chunk in column.chunks], kind)
    # Offsets of 32 bits end at 2 GiB of text.
    return (whole.cast(pa.large_string()) if whole.nbytes > _MUCH else whole).combine_chunks()


def _column(table: pa.Table, field: Field) -> pa.ChunkedArray:
    """Give a field's local keys, what stood there unparsed, or the parsed values."""
    column = table[field.name]
    raw = table[f"{field.name}__raw"] if field.kind is not Kind.ID and field.has_raw else None
    if raw is None or raw.null_count == len(raw):
        return column if field.kind is Kind.ID or column.type != pa.int64() else pc.cast(column, pa.string())
    return raw if column.null_count == len(column) else pc.coalesce(pc.cast(column, pa.string()), raw)


def _text(values: pa.Array) -> pa.LargeStringArray:
    known = pa.types.is_string(values.type) or pa.types.is_large_string(values.type)
    return pc.cast(values if known else pc.cast(values, pa.string()), pa.large_string())


def _cell(wide: pa.LargeStringArray) -> pa.LargeStringArray:
    """Write values, none null, as `<length in characters>:<text>`."""
    length = pc.cast(pc.utf8_length(wide), pa.large_string())
    return pc.binary_join_element_wise(length, wide, pa.scalar(":", pa.large_string()))


def _bytes16(chunk: pa.FixedSizeBinaryArray) -> NDArray[np.bytes_]:
    data = np.frombuffer(chunk.buffers()[1] or b"", np.uint8)[chunk.offset * 16 : (chunk.offset + len(chunk)) * 16]
    return np.ascontiguousarray(data).view("S16")
