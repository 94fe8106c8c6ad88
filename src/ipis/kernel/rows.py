"""The rows of a data part: columns by the year's layout, person keys they are sorted by, the sum over what they say.

The form is docs/spec/forsendelse.md §7.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ipis.kernel.answers import SVAR, SVAR_SCHEMA, keys_in
from ipis.kernel.errors import ParcelRefused
from ipis.kernel.layout import Field, Kind, Layout, RecordType

_NOTHING: Final = pa.scalar("-", pa.large_string())
"""How a cell without a value stands in a row that is summed up."""
_EMPTY: Final = pa.array([], pa.large_string())
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
    digest, known = hashlib.sha256(), _Known.of(lokal)
    for name, record in layout.records.items():
        digest.update(name.encode() + b"\n")
        columns = [_column(tables[name], field) for field in travelling_fields(record)]
        digest.update(_canonical_rows(columns, known))
    if answers is not None:
        digest.update(f"{SVAR}\n".encode())
        digest.update(_canonical_rows([answers[name] for name in SVAR_SCHEMA.names], known))
    return digest.hexdigest()


def _canonical_rows(columns: Sequence[pa.ChunkedArray], known: _Known) -> memoryview:
    """Write rows as lines in bytewise order; columns of whole numbers are local keys, all others text."""
    if not columns or not len(columns[0]):
        return memoryview(b"")
    texts = _text_cells([column for column in columns if column.type != pa.int64()])
    cells = [known.cells_at(column) if column.type == pa.int64() else next(texts) for column in columns]
    line_feed = pa.scalar("\n", pa.large_string())
    rows = pc.binary_join_element_wise(*cells, line_feed, pa.scalar("", pa.large_string()))
    return _values(rows.take(pc.sort_indices(rows)))


def _values(chunk: pa.LargeStringArray) -> memoryview:
    """Give the bytes of all strings of a chunk, one after the other."""
    _, offsets, data = chunk.buffers()
    bounds = np.frombuffer(offsets, np.int64)[chunk.offset : chunk.offset + len(chunk) + 1]
    return memoryview(data)[int(bounds[0]) : int(bounds[-1])]


@dataclass(frozen=True, slots=True)
class _Known:
    """What stands behind local keys, as cells that are made once: the same value stands in many rows."""

    keys: NDArray[np.int64]
    cells: pa.LargeStringArray

    @classmethod
    def of(cls, lokal: pa.Table) -> _Known:
        """Take `lokal`, which is sorted by its keys; the last cell is that of a key it does not hold."""
        cells = [_cell(_text(lokal["value"].combine_chunks())), pa.array([_NOTHING.as_py()], pa.large_string())]
        return cls(lokal["local_key"].to_numpy(), pa.concat_arrays(cells))

    def cells_at(self, local_keys: pa.ChunkedArray) -> pa.LargeStringArray:
        """Look up the cells of local keys."""
        wanted = pc.fill_null(local_keys, 0).to_numpy()
        place = np.searchsorted(self.keys, wanted)
        found = place < len(self.keys)
        found[found] = self.keys[place[found]] == wanted[found]
        if local_keys.null_count:
            found &= pc.is_valid(local_keys).to_numpy()
        return self.cells.take(pa.array(np.where(found, place, len(self.keys))))


def _column(table: pa.Table, field: Field) -> pa.ChunkedArray:
    """Give a field's local keys, what stood there unparsed, or the parsed values."""
    column = table[field.name]
    raw = table[f"{field.name}__raw"] if field.kind is not Kind.ID and field.has_raw else None
    if raw is None or raw.null_count == len(raw):
        return column if field.kind is Kind.ID or column.type != pa.int64() else pc.cast(column, pa.string())
    return raw if column.null_count == len(column) else pc.coalesce(pc.cast(column, pa.string()), raw)


def _text_cells(columns: Sequence[pa.ChunkedArray]) -> Iterator[pa.LargeStringArray]:
    """Give the cells of columns: those of all are made in one go, and where values repeat each distinct one's once."""
    parts = [_distinct(column) for column in columns]
    cells = _cell(pa.concat_arrays([values for values, _ in parts])) if parts else _EMPTY
    at = 0
    for values, indices in parts:
        own = cells.slice(at, len(values))
        at += len(values)
        yield own if indices is None else own.take(indices)


def _distinct(column: pa.ChunkedArray) -> tuple[pa.Array, pa.Array | None]:
    """Give a column's distinct values as text, with their places; or all of them where few repeat."""
    # Offsets of 32 bits end at 2 GiB of text.
    whole = (pc.cast(column, pa.large_string()) if column.nbytes > _MUCH else column).combine_chunks()
    coded = whole.dictionary_encode(null_encoding="encode")
    if 2 * len(coded.dictionary) > len(whole):
        return _text(whole), None
    return _text(coded.dictionary), coded.indices


def _text(values: pa.Array) -> pa.LargeStringArray:
    known = pa.types.is_string(values.type) or pa.types.is_large_string(values.type)
    return pc.cast(values if known else pc.cast(values, pa.string()), pa.large_string())


def _cell(wide: pa.LargeStringArray) -> pa.LargeStringArray:
    """Write values as `<length in characters>:<text>`, or `-` for none."""
    length = pc.cast(pc.utf8_length(wide), pa.large_string())
    return pc.fill_null(pc.binary_join_element_wise(length, wide, pa.scalar(":", pa.large_string())), _NOTHING)


def _bytes16(chunk: pa.FixedSizeBinaryArray) -> NDArray[np.bytes_]:
    data = np.frombuffer(chunk.buffers()[1] or b"", np.uint8)[chunk.offset * 16 : (chunk.offset + len(chunk)) * 16]
    return np.ascontiguousarray(data).view("S16")
