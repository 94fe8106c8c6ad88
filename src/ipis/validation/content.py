"""What is judged: one delivery's tables, and many of them stacked into one table per record type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ipis.validation.declared import PERSON

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from ipis.kernel.collection import Collection
    from ipis.kernel.layout import RecordType

ROW_KEYS = ("_delivery", "_row", "_person", "_at", "_owner")
"""The delivery's place among those judged together; the row's number in its delivery and its person's; the row's place
among the rows of all, and its person's."""


@dataclass(frozen=True)
class Content:
    """One delivery as it is judged: its tables by record type, its header as text, the tables of the year before.

    What is None was not handed in, and the rules that need it are not assessed.
    """

    tables: Mapping[str, pa.Table]
    header: Mapping[str, str | None] | None = None
    last_year: Mapping[str, pa.Table] | None = None


def rows_of(contents: Sequence[Content]) -> int:
    """Count the rows of deliveries, those of the year before among them."""
    given = (tables for content in contents for tables in (content.tables, content.last_year or {}))
    return sum(table.num_rows for tables in given for table in tables.values())


@dataclass(frozen=True, slots=True)
class Stacked:
    """The rows of one record type of many deliveries, one delivery after the other; `starts` is where each begins."""

    table: pa.Table
    starts: NDArray[np.int64]

    @property
    def deliveries(self) -> NDArray[np.int32]:
        """Give each row's delivery."""
        return np.repeat(np.arange(len(self.starts) - 1, dtype=np.int32), np.diff(self.starts))


def linked(name: str, table: pa.Table, tables: Mapping[str, pa.Table], collection: Collection) -> pa.Table:
    """Make sure that a table has `_row` and `_person`.

    At SSB they follow from the order and the person_key. Flat tables have neither: a row belongs to the first person
    with its user number.
    """
    if "_row" not in table.column_names:
        table = table.append_column("_row", pa.array(np.arange(table.num_rows, dtype=np.int32)))
    if "_person" not in table.column_names:
        table = table.append_column("_person", _persons(name, table, tables, collection))
    return table


def _persons(
    name: str, table: pa.Table, tables: Mapping[str, pa.Table], collection: Collection
) -> pa.Array | pa.ChunkedArray:
    if name == PERSON:
        return table["_row"]
    person = tables.get(PERSON)
    if person is None or PERSON not in collection.layout.records:
        return pa.nulls(table.num_rows, pa.int32())
    for key in ("person_key", *collection.layout.records[PERSON].key_fields[:1]):
        if key in table.column_names and key in person.column_names:
            known = person[key].combine_chunks()
            found = pc.index_in(table[key].combine_chunks(), value_set=known, skip_nulls=True)
            return linked(PERSON, person, {}, collection)["_row"].combine_chunks().take(found)
    return pa.nulls(table.num_rows, pa.int32())


def stack(record: RecordType, deliveries: Sequence[Mapping[str, pa.Table]], collection: Collection) -> Stacked:
    """Stack the tables of one record type; one not handed in has no rows."""
    empty = record.schema().empty_table()
    linked_tables = [linked(record.name, made.get(record.name, empty), made, collection) for made in deliveries]
    wanted = _columns(record, linked_tables)
    starts = np.cumsum([0, *(table.num_rows for table in linked_tables)])
    if linked_tables and _alike(linked_tables):
        # In one piece: what follows reads each column several times, and hundreds of deliveries are hundreds of chunks.
        return Stacked(pa.concat_tables(linked_tables).select(wanted).combine_chunks(), starts)
    columns = {name: _column(name, linked_tables, record) for name in wanted}
    return Stacked(pa.table(columns), starts)


def _alike(tables: Sequence[pa.Table]) -> bool:
    """Tell whether all tables have the same columns of plain types, so that they can be laid end to end."""
    schema = tables[0].schema
    plain = all(_plain(field.type) == field.type for field in schema)
    return plain and all(table.schema.equals(schema) for table in tables[1:])


def place_persons(stacked: Stacked, persons: Stacked | None, *, own: bool) -> Stacked:
    """Add the columns by which rows are told apart among those of all deliveries; `own`: they are the persons."""
    table, deliveries = stacked.table, stacked.deliveries
    at = np.arange(table.num_rows, dtype=np.int32)
    owner = pa.nulls(table.num_rows, pa.int32())
    if own:
        owner = pa.array(at)
    elif persons is not None:
        numbers = np.asarray(table["_person"].fill_null(-1)).astype(np.int64)
        owner = _owners(deliveries, numbers, persons)
    table = table.append_column("_delivery", pa.array(deliveries)).append_column("_at", pa.array(at))
    return Stacked(table.append_column("_owner", owner), stacked.starts)


def _owners(deliveries: NDArray[np.int32], numbers: NDArray[np.int64], persons: Stacked) -> pa.Array:
    """Find each row's person by delivery and number among the persons of all deliveries (a negative number: none).

    A person without a row of its own gets a place behind them all: its rows still belong together.
    """
    rows = np.asarray(persons.table["_row"])
    first, counts = persons.starts[:-1], np.diff(persons.starts)
    if bool(np.array_equal(rows, np.arange(len(rows)) - np.repeat(first, counts))):
        # Persons are numbered as they stand.
        found = (first[deliveries] + numbers).astype(np.int32)
        unknown = numbers >= counts[deliveries]
    else:
        found, unknown = _sought(deliveries, numbers, persons.deliveries, rows)
    if unknown.any():
        _, behind = np.unique(deliveries[unknown].astype(np.int64) << 32 | numbers[unknown], return_inverse=True)
        found[unknown] = len(rows) + behind
    return pa.array(found, mask=numbers < 0)


def _sought(
    deliveries: NDArray[np.int32], numbers: NDArray[np.int64], of: NDArray[np.int32], rows: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Seek each row's delivery and number among those of the persons; give the place, and where there is none."""
    known = of.astype(np.int64) << 32 | rows
    wanted = deliveries.astype(np.int64) << 32 | np.maximum(numbers, 0)
    order = np.argsort(known, kind="stable").astype(np.int32)
    if not len(order):
        return np.zeros(len(wanted), np.int32), np.ones(len(wanted), np.bool_)
    found = order[np.minimum(np.searchsorted(known, wanted, sorter=order), len(known) - 1)]
    return found, known[found] != wanted


def _columns(record: RecordType, tables: Sequence[pa.Table]) -> list[str]:
    """List the columns of the record type that at least one delivery has."""
    given = {name for table in tables for name in table.column_names}
    fields = [each.name for each in record.fields.values() if not each.identity]
    raws = [f"{each.name}__raw" for each in record.fields.values() if each.has_raw and not each.identity]
    return [name for name in ("_row", "_person", *fields, *raws, *record.supplied) if name in given]


def _column(name: str, tables: Sequence[pa.Table], record: RecordType) -> pa.ChunkedArray:
    """Put a column of all deliveries together, as plain texts where it is text; where one lacks it, it is null."""
    given = [table[name] if name in table.column_names else None for table in tables]
    kinds = {_plain(column.type) for column in given if column is not None and len(column)}
    kinds = kinds or {_plain(column.type) for column in given if column is not None}
    kind = kinds.pop() if len(kinds) == 1 else _common(name, record)
    chunks = []
    for table, column in zip(tables, given, strict=True):
        made = pa.chunked_array([pa.nulls(table.num_rows, kind)]) if column is None else column
        chunks += (made if made.type == kind else made.cast(kind)).chunks
    return pa.chunked_array(chunks, kind)


def _plain(kind: pa.DataType) -> pa.DataType:
    """Give texts as plain strings: what is dictionary-encoded or large is judged as any other."""
    of = kind.value_type if pa.types.is_dictionary(kind) else kind
    is_text = pa.types.is_large_string(of) or pa.types.is_string_view(of) or pa.types.is_string(of)
    return pa.string() if is_text else of


def _common(name: str, record: RecordType) -> pa.DataType:
    """Give the type that a column has where deliveries differ in it: the layout's own."""
    known = record.fields.get(name)
    return known.arrow_type if known is not None else pa.int32() if name.startswith("_") else pa.string()
