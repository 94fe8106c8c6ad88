"""What findings do to the figures: fields that count as not given, records left out; in whole columns.

Nothing is removed from the delivery itself: the tables that come back are those that statistics are made from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ipis.validation import rulebook
from ipis.validation.catalogue import Effect
from ipis.validation.content import linked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ipis.kernel.collection import Collection
    from ipis.validation.findings import Findings

PERSON = "person"


def apply(tables: Mapping[str, pa.Table], findings: Findings, collection: Collection) -> dict[str, pa.Table]:
    """Give the tables as they count: `nullstill_felt` empties a field, `hold_utenfor` leaves a record out.

    A person left out takes along all rows that hang on the person; a finding about the delivery changes no row.
    """
    rules = rulebook.of(collection).rules
    by_effect = {
        effect: _of_rules(findings.table, [rule.id for rule in rules.values() if rule.effect is effect])
        for effect in (Effect.NULLSTILL_FELT, Effect.HOLD_UTENFOR)
    }
    persons = _rows(by_effect[Effect.HOLD_UTENFOR], PERSON)
    counted = {}
    for name, table in tables.items():
        emptied = _emptied(
            table, linked(name, table, tables, collection)["_row"], name, by_effect[Effect.NULLSTILL_FELT]
        )
        counted[name] = emptied.filter(
            _kept(name, linked(name, table, tables, collection), by_effect[Effect.HOLD_UTENFOR], persons)
        )
    return counted


def _of_rules(table: pa.Table, rules: list[str]) -> pa.Table:
    chosen = pc.is_in(table["rule"], value_set=pa.array(rules, pa.string()))
    return table.filter(pc.and_(chosen, pc.is_valid(table["row"])))


def _rows(found: pa.Table, record: str) -> pa.Array:
    return found.filter(pc.equal(found["record"], record))["row"].combine_chunks()


def _kept(name: str, table: pa.Table, left_out: pa.Table, persons: pa.Array) -> pa.Array:
    rows, owners = (table[column].combine_chunks() for column in ("_row", "_person"))
    gone = pc.is_in(rows, value_set=_rows(left_out, name))
    if name != PERSON:
        gone = pc.or_(gone, pc.is_in(owners, value_set=persons, skip_nulls=True))
    return pc.invert(gone)


def _emptied(table: pa.Table, rows: pa.ChunkedArray, name: str, found: pa.Table) -> pa.Table:
    of_record = found.filter(pc.equal(found["record"], name))
    for field in pc.unique(of_record["field"]).to_pylist():
        place = table.column_names.index(field) if field in table.column_names else -1
        if place < 0:
            continue
        hit = of_record.filter(pc.equal(of_record["field"], field))["row"].combine_chunks()
        mask = np.asarray(pc.is_in(rows.combine_chunks(), value_set=hit))
        column = table[field].combine_chunks()
        emptied = pc.if_else(pa.array(mask), pa.scalar(None, column.type), column)
        table = table.set_column(place, table.schema.field(place), emptied)
    return table
