"""From an extract's tables to the rows of a data part: fresh person keys, local keys for ids, sorted by person key.

File order by number would give birthdays away, and the same keys in two forsendelser would join them.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ipis.kernel.layout import Layout, RecordType
from ipis.kernel.rows import KEY_TYPE, LOKAL_SCHEMA, id_columns, part_schema

PERSON: Final = "person"
Draw = Callable[[int], bytes]
_Ids = dict[str, pa.Array]
"""The local keys of a record type's rows, by field."""


@dataclass(frozen=True, slots=True)
class Keyed:
    """Rows ready to be packed.

    `person_keys` (n × 16) stand in the order of the Person rows; `orphan_keys` belong to rows without a person.
    """

    tables: Mapping[str, pa.Table]
    lokal: pa.Table
    person_keys: NDArray[np.uint8]
    orphan_keys: NDArray[np.uint8]


def key_rows(tables: Mapping[str, pa.Table], layout: Layout, draw: Draw = secrets.token_bytes) -> Keyed:
    """Give each row of an extract its person key and each id its local key, and sort; `draw` gives the bytes."""
    orphans = {
        name: int(table["_person"].null_count)
        for name, table in tables.items()
        if name in layout.records and name != PERSON
    }
    persons = tables[PERSON].num_rows
    keys, rank = _draw_keys(persons + sum(orphans.values()), draw)
    lokal, ids = _local_keys(tables, layout, draw)
    keyed, next_orphan = {}, persons
    for name, record in layout.records.items():
        table = tables[name]
        if name == PERSON:
            owners = np.arange(persons)
        else:
            owners = _owners(table["_person"], next_orphan)
            next_orphan += orphans[name]
        order = np.argsort(rank[owners], kind="stable")
        keyed[name] = _sorted_rows(table, record, keys[owners[order]], pa.array(order), ids[name])
    drawn = keys.view(np.uint8).reshape(-1, 16)
    return Keyed(keyed, lokal, drawn[:persons], drawn[persons:])


def _draw_keys(count: int, draw: Draw) -> tuple[NDArray[np.void], NDArray[np.unsignedinteger]]:
    """Draw distinct keys, and tell the place of each among them sorted; in few bits, which sort faster.

    Two alike out of 2^128 would be a broken source, which is not to be papered over.
    """
    keys = np.frombuffer(draw(16 * count), "S16")
    order = np.argsort(keys)
    if (keys[order[1:]] == keys[order[:-1]]).any():
        raise AssertionError("the random source repeats itself")
    rank = np.empty(count, np.min_scalar_type(count))
    rank[order] = np.arange(count)
    return keys.view("V16"), rank


def _local_keys(tables: Mapping[str, pa.Table], layout: Layout, draw: Draw) -> tuple[pa.Table, dict[str, _Ids]]:
    """Give each distinct value of the id fields a random 64-bit number; the table is sorted by it."""
    places = [(name, column) for name, record in layout.records.items() for column in id_columns(record)]
    texts = [tables[name][column].cast(pa.string()) for name, column in places]
    # One dictionary for all columns: looking each up by itself would build the table of all values as often.
    joined = pa.concat_arrays([pa.array([], pa.string()), *(chunk for text in texts for chunk in text.chunks)])
    encoded = joined.dictionary_encode()
    numbers = draw_local_keys(len(encoded.dictionary), draw=draw)
    keys = pa.array(numbers).take(encoded.indices)
    ends = np.cumsum([0, *(len(text) for text in texts)])
    ids: dict[str, _Ids] = {name: {} for name in layout.records}
    for (name, column), start, end in zip(places, ends[:-1], ends[1:], strict=True):
        ids[name][column] = keys[start:end]
    order = np.argsort(numbers)
    columns = [pa.array(numbers[order]), encoded.dictionary.take(pa.array(order))]
    return pa.Table.from_arrays(columns, schema=LOKAL_SCHEMA), ids


def draw_local_keys(
    count: int, *, taken: NDArray[np.int64] | None = None, draw: Draw = secrets.token_bytes
) -> NDArray[np.int64]:
    """Draw distinct random numbers, none of those taken."""
    others = np.zeros(0, np.int64) if taken is None else taken
    numbers = np.frombuffer(draw(8 * count), np.int64)
    while _any_twice(np.concatenate([numbers, others])):
        numbers = np.frombuffer(draw(8 * count), np.int64)
    return numbers


def _any_twice(numbers: NDArray[np.int64]) -> bool:
    ordered = np.sort(numbers)
    return bool((ordered[1:] == ordered[:-1]).any())


def _owners(person: pa.ChunkedArray, next_orphan: int) -> NDArray[np.int64]:
    """Give nested rows the number of their Person, and each row without one the next of the orphans' numbers."""
    rows = np.asarray(pc.fill_null(person, -1).to_numpy(), np.int64).copy()
    alone = rows < 0
    rows[alone] = next_orphan + np.arange(int(alone.sum()))
    return rows


def _sorted_rows(table: pa.Table, record: RecordType, keys: NDArray[np.void], order: pa.Array, ids: _Ids) -> pa.Table:
    """Put rows in the order of their keys, which are in it already."""
    schema = part_schema(record)
    names = schema.names[1:]
    unsorted = pa.Table.from_arrays([ids[name] if name in ids else table[name] for name in names], names)
    key = pa.Array.from_buffers(KEY_TYPE, len(keys), [None, pa.py_buffer(keys)])
    return pa.Table.from_arrays([key, *unsorted.take(order).columns], schema=schema)
