"""Computes the control tables of many deliveries in one go: the delivery is always the first key, then it is sliced.

A unit is one delivery, or several whose rows count together (the predecessors of a merged municipality, the nation).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ipis.ssb.tables.batch import Batch, Counted, batch
from ipis.ssb.tables.definition import load_tables
from ipis.ssb.tables.query import UNIT, Group, groups, numbers, statement

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

    from ipis.kernel.collection import Collection
    from ipis.ssb.tables.definition import TableDefinition
    from ipis.ssb.tables.measures import Measure
    from ipis.validation.catalogue import Rule

KEYS = ("k0", "k1", "k2")
CELLS = pa.schema(
    [
        pa.field("table", pa.string(), nullable=False),
        *(pa.field(key, pa.string(), nullable=False) for key in KEYS),
        pa.field("measure", pa.string(), nullable=False),
        pa.field("value", pa.float64()),
    ]
)
"""The figures of one unit in long form: a row for each cell that somebody fills; keys that a table lacks are empty."""

__all__ = ["CELLS", "Counted", "compute_many", "findings_of", "outcomes_of"]


def compute_many(
    collection: Collection,
    counted: Sequence[Counted],
    *,
    units: Sequence[int] | None = None,
    only: Container[str] | None = None,
) -> list[pa.Table]:
    """Compute every table (or `only` these) of many deliveries; one table of CELLS for each unit.

    `units[i]` is the unit of delivery i (default: each its own); a person counts once in each delivery of a unit.
    """
    tables = [table for table in load_tables(collection) if only is None or table.id in only]
    wanted = {column for table in tables for column in table.columns()}
    with batch(collection, counted, wanted, units) as rows:
        return cells_of(tables, rows)


def cells_of(tables: Sequence[TableDefinition], rows: Batch) -> list[pa.Table]:
    """Compute tables over relations that are open; one table of CELLS for each unit."""
    found = [part for table in tables for part in _compute(table, rows)]
    return _sliced(pa.concat_tables(found), rows.units) if found else [CELLS.empty_table()] * rows.units


def outcomes_of(tables: Mapping[str, pa.Table], findings: pa.Table, counted: Mapping[str, pa.Table]) -> pa.Table:
    """Make the pseudo-record `post`: for each record its type and whether it was left out, remarked on, or accepted.

    `findings` has columns record and row; `counted` are the tables that were left when the effects were applied.
    """
    parts = []
    for name, table in tables.items():
        rows = table["_row"].combine_chunks()
        remarked = findings.filter(pc.equal(findings["record"], name))["row"].combine_chunks()
        kept = counted[name]["_row"].combine_chunks() if name in counted else pa.array([], rows.type)
        outcome = pc.if_else(
            pc.is_in(rows, value_set=kept.cast(rows.type)),
            pc.if_else(pc.is_in(rows, value_set=remarked.cast(rows.type)), "merknad", "godtatt"),
            "utenfor",
        )
        parts.append(pa.table({"type": pa.repeat(pa.scalar(name), len(rows)), "utfall": outcome.cast(pa.string())}))
    return pa.concat_tables(parts) if parts else pa.table({"type": pa.array([], pa.string()), "utfall": []})


def findings_of(findings: pa.Table, rules: Mapping[str, Rule]) -> pa.Table:
    """Make the pseudo-record `funn`: rule, level, record and field of each finding that the municipality is told of."""
    told = [rule.id for rule in rules.values() if rule.audience == "kommune"]
    rows = findings.filter(pc.is_in(findings["rule"], value_set=pa.array(told, pa.string())))
    names = pa.array(list(rules), pa.string())
    levels = pa.array([rule.level.value for rule in rules.values()], pa.string())
    level = levels.take(pc.index_in(rows["rule"].combine_chunks(), value_set=names))
    return pa.table({"rule": rows["rule"], "level": level, "record": rows["record"], "field": rows["field"]})


def _compute(table: TableDefinition, rows: Batch) -> list[pa.Table]:
    return [part for group in groups(table) for part in _parts(group, rows)]


def _parts(group: Group, rows: Batch) -> list[pa.Table]:
    """Count a group of measures and turn the answer into long form, one part a measure."""
    answer = rows.query(statement(group, *rows.of(group.table.record)))
    keys = {
        name: answer[name].combine_chunks() if name in answer.column_names else _same("", answer.num_rows)
        for name in KEYS
    }
    known = [_grid_codes(group, place) for place in range(len(group.table.keys))]
    shown = np.ones(answer.num_rows, np.bool_)
    for place, blank_is_shown in enumerate(known):
        if not blank_is_shown:
            shown &= np.asarray(pc.not_equal(keys[f"k{place}"], ""))
    parts = []
    for place, measure in enumerate(group.measures):
        value = answer[f"m{place}"].combine_chunks()
        if measure.per is not None:
            value = _divided(value, answer[UNIT].combine_chunks(), measure, rows)
        parts.append(
            pa.table(
                {
                    UNIT: answer[UNIT].combine_chunks().cast(pa.int32()),
                    "table": _same(group.table.id, answer.num_rows),
                    **keys,
                    "measure": _same(measure.id, answer.num_rows),
                    "value": value,
                }
            ).filter(pa.array(shown))
        )
    return parts


def _grid_codes(group: Group, place: int) -> bool:
    """Tell whether rows without a value of this key are shown."""
    return "" in dict(group.table.keys[place].values)


def _divided(value: pa.Array, units: pa.Array, measure: Measure, rows: Batch) -> pa.Array:
    """Divide by the unit's one number; by nothing, or by 0, is empty."""
    assert measure.per is not None  # noqa: S101 -- asked for by the caller
    by = rows.query(numbers([(measure.per.aggregate, ())], *rows.of(measure.per.record)))
    divisor = by["m0"].combine_chunks().take(pc.index_in(units, value_set=by[UNIT].combine_chunks().cast(units.type)))
    divisor = pc.if_else(pc.equal(divisor, 0), pa.scalar(None, pa.float64()), divisor)
    return pc.multiply(pc.divide(value, divisor), measure.per.factor)


def _sliced(found: pa.Table, count: int) -> list[pa.Table]:
    units = np.asarray(found[UNIT])
    ordered = found.take(pa.array(np.argsort(units, kind="stable"))).drop_columns([UNIT]).cast(CELLS)
    ends = np.cumsum(np.bincount(units, minlength=count))
    return [ordered.slice(start, end - start) for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def _same(text: str, count: int) -> pa.Array:
    return pa.repeat(pa.scalar(text, pa.string()), count)
