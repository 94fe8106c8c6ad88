"""The rows of a data part: columns by the year's layout, person keys they are sorted by, the sum over what they say.

The form is docs/spec/forsendelse.md §7.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ipis.kernel.answers import ID_COLUMNS, SVAR, SVAR_SCHEMA, keys_in
from ipis.kernel.errors import ParcelRefused
from ipis.kernel.layout import Field, Kind, Layout, RecordType

_NOTHING: Final = pa.scalar("-", pa.large_string())
"""How a cell without a value stands in a row that is summed up."""
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
    digest = hashlib.sha256()
    for name, record in layout.records.items():
        digest.update(name.encode() + b"\n")
        for line in _canonical_rows([_text(tables[name], lokal, field) for field in travelling_fields(record)]):
            digest.update(line)
    if answers is not None:
        digest.update(f"{SVAR}\n".encode())
        texts = [_value_of(answers[c], lokal) if c in ID_COLUMNS else answers[c] for c in SVAR_SCHEMA.names]
        for line in _canonical_rows(texts):
            digest.update(line)
    return digest.hexdigest()


def _canonical_rows(columns: Sequence[pa.ChunkedArray]) -> list[memoryview]:
    if not columns or not len(columns[0]):
        return []
    first, *others = columns
    cells = [_cell(first), *(_cell(column) if column.null_count < len(column) else _NOTHING for column in others)]
    line_feed = pa.scalar("\n", pa.large_string())
    rows = pc.binary_join_element_wise(*cells, line_feed, pa.scalar("", pa.large_string()))
    ordered = rows.take(pc.sort_indices(rows)).combine_chunks()
    chunks = ordered.chunks if isinstance(ordered, pa.ChunkedArray) else [ordered]
    return [_values(chunk) for chunk in chunks if len(chunk)]


def _values(chunk: pa.LargeStringArray) -> memoryview:
    """Give the bytes of all strings of a chunk, one after the other."""
    _, offsets, data = chunk.buffers()
    bounds = np.frombuffer(offsets, np.int64)[chunk.offset : chunk.offset + len(chunk) + 1]
    return memoryview(data)[int(bounds[0]) : int(bounds[-1])]


def _text(table: pa.Table, lokal: pa.Table, field: Field) -> pa.ChunkedArray:
    """Give a field's text: an id's value, what stood there unparsed, else the parsed value in one form."""
    column = table[field.name]
    if field.kind is Kind.ID:
        return _value_of(column, lokal)
    if not field.has_raw:
        return column
    raw = table[f"{field.name}__raw"]
    if column.null_count == len(column):
        return raw
    text = pc.cast(column, pa.string())
    return text if raw.null_count == len(raw) else pc.coalesce(text, raw)


def _value_of(local_keys: pa.ChunkedArray, lokal: pa.Table) -> pa.ChunkedArray:
    """Look up what stands behind local keys; `lokal` is sorted by them, and what it does not hold is null."""
    known, wanted = lokal["local_key"].to_numpy(), pc.fill_null(local_keys, 0).to_numpy()
    place = np.searchsorted(known, wanted)
    found = place < len(known)
    found[found] = known[place[found]] == wanted[found]
    found &= pc.is_valid(local_keys).to_numpy()
    return lokal["value"].take(pa.array(place, mask=~found))


def _cell(text: Any) -> Any:
    wide = pc.cast(text, pa.large_string())
    length = pc.cast(pc.utf8_length(wide), pa.large_string())
    return pc.fill_null(pc.binary_join_element_wise(length, wide, pa.scalar(":", pa.large_string())), _NOTHING)


def _bytes16(chunk: pa.FixedSizeBinaryArray) -> NDArray[np.bytes_]:
    data = np.frombuffer(chunk.buffers()[1] or b"", np.uint8)[chunk.offset * 16 : (chunk.offset + len(chunk)) * 16]
    return np.ascontiguousarray(data).view("S16")
