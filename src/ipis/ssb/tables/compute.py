"""Computes control tables with one scan each, in DuckDB over Arrow; a cell of the grid that nobody fills is 0."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from ipis.ssb.tables.definition import POST

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ipis.ssb.tables.definition import Key, TableDefinition

Cells = dict[tuple[str, ...], int]
"""Key values, in the order of the table's keys -> the measure."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a finished table: key values and the four figures; None where there is nothing to compare with."""

    keys: tuple[str, ...]
    this: int
    last_year: int | None
    change: int | None
    nation: int | None


@dataclass(frozen=True, slots=True)
class ControlTable:
    """A finished table."""

    definition: TableDefinition
    rows: tuple[Row, ...]

    def labels(self, row: Row, language: str) -> list[str]:
        """Give a row's keys in words; a value outside the grid is shown as it stands."""
        names = [dict(key.values) for key in self.definition.keys]
        return [known[code][language] if code in known else code for known, code in zip(names, row.keys, strict=True)]


def compute(
    definitions: tuple[TableDefinition, ...], tables: Mapping[str, pa.Table], outcomes: pa.Table
) -> dict[str, Cells]:
    """Compute every table of one delivery: id -> cells. `tables` are what counts, `outcomes` the records `post`."""
    with duckdb.connect(config={"enable_external_access": "false", "threads": "2"}) as engine:
        for name, table in {**tables, POST: outcomes}.items():
            engine.register(name, table)
        engine.execute("SET lock_configuration = true")
        return {table.id: _cells(engine, table) for table in definitions}


def compare(
    definition: TableDefinition, this: Cells, last_year: Cells | None, nation: Cells | None = None
) -> ControlTable:
    """Put this delivery beside last year and the nation, over the whole grid and what lies outside it."""
    grid = list(itertools.product(*([code for code, _ in key.values] for key in definition.keys)))
    outside = sorted(set(this) | set(last_year or ())) if definition.keys else []
    seen = set(grid)
    rows = [_row(keys, this, last_year, nation) for keys in [*grid, *(keys for keys in outside if keys not in seen)]]
    return ControlTable(definition, tuple(row for row in rows if "" not in row.keys or row.this or row.last_year))


def outcomes_of(tables: Mapping[str, pa.Table], findings: pa.Table, left_out: Mapping[str, pa.Array]) -> pa.Table:
    """Make the pseudo-record `post`: for each record its type and whether it was left out, remarked on, or accepted.

    `findings` has columns record and row; `left_out` gives, for each record type, the rows that do not count.
    """
    parts = []
    for name, table in tables.items():
        rows = table.column("_row").combine_chunks()
        remarked = findings.filter(pc.equal(findings["record"], name))["row"].combine_chunks()
        outside = left_out.get(name, pa.array([], rows.type))
        outcome = pc.if_else(
            pc.is_in(rows, value_set=outside.cast(rows.type)),
            "utenfor",
            pc.if_else(pc.is_in(rows, value_set=remarked.cast(rows.type)), "merknad", "godtatt"),
        )
        types = pa.repeat(pa.scalar(name), len(rows))
        parts.append(pa.table({"type": types, "utfall": outcome.cast(pa.string())}))
    return pa.concat_tables(parts)


def _cells(engine: duckdb.DuckDBPyConnection, table: TableDefinition) -> Cells:
    keys = ", ".join(f"{_key_sql(key)} AS k{n}" for n, key in enumerate(table.keys))
    measure = f"count(DISTINCT {_name(table.distinct)})" if table.distinct else "count(*)"
    groups = ", ".join(str(n + 1) for n in range(len(table.keys)))
    rows = engine.execute(f"SELECT {keys}, {measure} FROM {_name(table.record)} GROUP BY {groups}").fetchall()
    return {tuple(row[:-1]): row[-1] for row in rows}


def _key_sql(key: Key) -> str:
    column = _name(key.column)
    if not key.bands:
        return f"coalesce(CAST({column} AS VARCHAR), '')"
    cases = " ".join(f"WHEN {column} >= {bound} THEN '{bound}'" for bound in reversed(key.bands))
    return f"CASE {cases} ELSE '' END"


def _row(keys: tuple[str, ...], this: Cells, last_year: Cells | None, nation: Cells | None) -> Row:
    now = this.get(keys, 0)
    before = None if last_year is None else last_year.get(keys, 0)
    return Row(
        keys=keys,
        this=now,
        last_year=before,
        change=None if before is None else now - before,
        nation=None if nation is None else nation.get(keys, 0),
    )


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
