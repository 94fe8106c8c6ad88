"""What findings do to the figures: fields that count as not given, records left out; in whole columns.

Nothing is removed from the delivery itself: the tables that come back are those that statistics are made from. They are
made all together or not at all: what is left out is settled for every table before the first one is touched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ipis.kernel.layout import Kind
from ipis.validation import rulebook
from ipis.validation.catalogue import Effect
from ipis.validation.content import linked
from ipis.validation.declared import PERSON

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ipis.kernel.collection import Collection
    from ipis.kernel.layout import Layout
    from ipis.validation.findings import Findings


def apply(tables: Mapping[str, pa.Table], findings: Findings, collection: Collection) -> dict[str, pa.Table]:
    """Give the tables as they count: `nullstill_felt` empties a field, `hold_utenfor` leaves a record out.

    A record left out takes along what hangs on it: all rows of a person, the stops of a service. A finding about the
    delivery changes no row.
    """
    rules = rulebook.of(collection).rules
    emptied, left_out = (
        _of_rules(findings.table, [rule.id for rule in rules.values() if rule.effect is effect])
        for effect in (Effect.NULLSTILL_FELT, Effect.HOLD_UTENFOR)
    )
    numbered = {name: linked(name, table, tables, collection) for name, table in tables.items()}
    gone = _gone(numbered, left_out, collection.layout)
    counted = {}
    for name, table in tables.items():
        made = _emptied(table, numbered[name]["_row"].combine_chunks(), name, emptied)
        counted[name] = made.filter(pa.array(~gone[name])) if gone[name].any() else made
    return counted


def hangs_on(layout: Layout, name: str) -> tuple[str, ...]:
    """Name the record types whose id is among the keys of this one: its rows are nothing without theirs."""
    record = layout.records[name]
    ids = {field for field in record.key_fields if record.fields[field].kind is Kind.ID}
    before = [other for other in layout.records.values() if other.name != name and other.id_field in ids]
    earlier = list(layout.records)[: list(layout.records).index(name)]
    return tuple(other.name for other in before if other.name in earlier)


def _of_rules(table: pa.Table, rules: list[str]) -> pa.Table:
    chosen = pc.is_in(table["rule"], value_set=pa.array(rules, pa.string()))
    return table.filter(pc.and_(chosen, pc.is_valid(table["row"])))


def _rows(found: pa.Table, record: str) -> pa.Array:
    return found.filter(pc.equal(found["record"], record))["row"].combine_chunks()


def _gone(tables: Mapping[str, pa.Table], left_out: pa.Table, layout: Layout) -> dict[str, NDArray[np.bool_]]:
    """Settle which rows of each table do not count; record types stand in the order in which they hang together."""
    persons = _rows(left_out, PERSON)
    gone: dict[str, NDArray[np.bool_]] = {}
    for name in [*(name for name in layout.records if name in tables), *(tables.keys() - layout.records.keys())]:
        table = tables[name]
        gone[name] = _is_in(table["_row"], _rows(left_out, name))
        if name != PERSON:
            gone[name] |= _is_in(table["_person"], persons)
        for other in hangs_on(layout, name) if name in layout.records else ():
            if other in gone:
                gone[name] |= _without_its(tables[other], gone[other], table, layout.records[other].id_field)
    return gone


def _without_its(above: pa.Table, gone: NDArray[np.bool_], table: pa.Table, key: str) -> NDArray[np.bool_]:
    """Tell which rows name an id that only left-out rows have."""
    if key not in above.column_names or key not in table.column_names or not gone.any():
        return np.zeros(table.num_rows, np.bool_)
    ids = above[key].combine_chunks()
    lost, kept = ids.filter(pa.array(gone)), ids.filter(pa.array(~gone))
    return _is_in(table[key], lost) & ~_is_in(table[key], kept)


def _is_in(column: pa.ChunkedArray, values: pa.Array) -> NDArray[np.bool_]:
    if not len(values):
        return np.zeros(len(column), np.bool_)
    return np.asarray(pc.is_in(column.combine_chunks(), value_set=values.cast(column.type), skip_nulls=True))


def _emptied(table: pa.Table, rows: pa.Array, name: str, found: pa.Table) -> pa.Table:
    """Empty fields, the text of what did not parse included."""
    of_record = found.filter(pc.equal(found["record"], name))
    for field in pc.unique(of_record["field"]).to_pylist():
        hit = of_record.filter(pc.equal(of_record["field"], field))["row"].combine_chunks()
        mask = pc.is_in(rows, value_set=hit.cast(rows.type))
        for named in {field, f"{field}__raw"} & set(table.column_names):
            place = table.column_names.index(named)
            column = table[named].combine_chunks()
            emptied = pc.if_else(mask, pa.scalar(None, column.type), column)
            table = table.set_column(place, table.schema.field(place), emptied)
    return table
