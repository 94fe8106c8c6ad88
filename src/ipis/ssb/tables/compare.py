"""Puts figures side by side: this delivery, last year, the change, the nation; the whole grid and what lies outside.

All units and tables are joined in one query and sliced.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ipis.ssb.tables.compute import CELLS, KEYS
from ipis.ssb.tables.definition import Compares
from ipis.ssb.tables.keys import BLANK
from ipis.validation.engines.duckdb import DuckDB

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ipis.ssb.tables.definition import TableDefinition

FIGURES = ("this", "last_year", "change", "nation")
NONE, MERGED, NOT_PUBLISHED, NOT_COMPARED = "none", "merged", "not_published", "not_compared"
"""Why a side is empty or what it is made of: no delivery; a sum of predecessors; no published year; makes no sense."""


@dataclass(frozen=True, slots=True)
class Sides:
    """What one delivery stands beside: CELLS of last year, and of the delivery before; None where there is none."""

    this: pa.Table
    last_year: pa.Table | None = None
    previous: pa.Table | None = None
    merged: bool = False
    """Last year's figures are those of predecessors together."""


@dataclass(frozen=True, slots=True)
class ControlTable:
    """A finished table: `k0`… (codes), `measure`, and the figures of FIGURES, null where there is nothing to say."""

    definition: TableDefinition
    frame: pa.Table
    notes: Mapping[str, str | None] = field(default_factory=dict)
    """For last_year and nation: why it is empty or what it is made of (NONE, MERGED, NOT_PUBLISHED, NOT_COMPARED)."""

    def labels(self, language: str) -> pa.Table:
        """Give the key columns and the measure in words; a value outside the grid is shown as it stands."""
        columns = {
            f"k{place}": _in_words(self.frame[f"k{place}"], {code: text[language] for code, text in key.values})
            for place, key in enumerate(self.definition.keys)
        }
        measures = {measure.id: measure.label[language] for measure in self.definition.measures}
        return pa.table({**columns, "measure": _in_words(self.frame["measure"], measures)})

    def lines(self, language: str) -> list[tuple[list[str], list[float | None]]]:
        """Give the rows as shown: keys and measure in words, and the figures of FIGURES with the measure's decimals."""
        words = zip(*(column.to_pylist() for column in self.labels(language).columns), strict=True)
        figures = zip(*(self.frame[name].to_pylist() for name in FIGURES), strict=True)
        decimals = self.definition.decimals
        places = [decimals[measure] for measure in self.frame["measure"].to_pylist()]
        return [
            (list(said), [None if number is None else round(number, place or None) for number in numbers])
            for said, numbers, place in zip(words, figures, places, strict=True)
        ]


def compare(
    definitions: Sequence[TableDefinition], sides: Sides, nation: pa.Table | None = None
) -> tuple[ControlTable, ...]:
    """Make the finished tables of one delivery."""
    (made,) = compare_many(definitions, [sides], nation)
    return made


def compare_many(
    definitions: Sequence[TableDefinition], sides: Sequence[Sides], nation: pa.Table | None = None
) -> list[tuple[ControlTable, ...]]:
    """Make the finished tables of many deliveries; `nation` is CELLS of the nation as last published."""
    if not definitions or not sides:
        return [()] * len(sides)
    with DuckDB() as engine:
        engine.register("grid", _grid(definitions))
        engine.register("positions", _positions(definitions))
        engine.register("measures", _measures(definitions, published=nation is not None))
        engine.register("given", _given(definitions, sides))
        engine.register("now", _stacked([each.this for each in sides]))
        engine.register("last_year", _stacked([each.last_year for each in sides]))
        engine.register("previous", _stacked([each.previous for each in sides]))
        engine.register("nation", CELLS.empty_table() if nation is None else nation.select(CELLS.names))
        answer = engine.query(_JOIN)
    return _sliced(definitions, sides, answer, published=nation is not None)


_JOIN = """
WITH beside AS (
    SELECT _unit, tab, k0, k1, k2, measure, value AS this, NULL AS past FROM now
    UNION ALL SELECT _unit, tab, k0, k1, k2, measure, NULL, value FROM last_year JOIN given USING (_unit, tab)
        WHERE compares = 'last_year'
    UNION ALL SELECT _unit, tab, k0, k1, k2, measure, NULL, value FROM previous JOIN given USING (_unit, tab)
        WHERE compares = 'previous'
    UNION ALL SELECT _unit, tab, k0, k1, k2, measure, NULL, NULL FROM grid JOIN given USING (tab)
), cells AS (
    SELECT _unit, tab, k0, k1, k2, measure, MAX(this) AS this, MAX(past) AS past FROM beside GROUP BY ALL
), filled AS (
    SELECT c._unit, c.tab, c.k0, c.k1, c.k2, c.measure, m.place, m.number,
        p0.position AS p0, p1.position AS p1, p2.position AS p2,
        CASE WHEN m.counts OR m.divides AND MAX(c.this) OVER whole IS NOT NULL THEN COALESCE(c.this, 0)
             ELSE c.this END AS this,
        CASE WHEN v.has_past THEN CASE WHEN m.counts OR m.divides AND MAX(c.past) OVER whole IS NOT NULL
             THEN COALESCE(c.past, 0) ELSE c.past END END AS last_year,
        CASE WHEN m.has_nation THEN CASE WHEN n.measure IS NULL AND (m.counts OR m.divides) THEN 0
             ELSE n.value END END AS nation
    FROM cells c
    JOIN measures m USING (tab, measure)
    JOIN given v USING (_unit, tab)
    LEFT JOIN positions p0 ON p0.tab = c.tab AND p0.side = 0 AND p0.code = c.k0
    LEFT JOIN positions p1 ON p1.tab = c.tab AND p1.side = 1 AND p1.code = c.k1
    LEFT JOIN positions p2 ON p2.tab = c.tab AND p2.side = 2 AND p2.code = c.k2
    LEFT JOIN nation n ON n."table" = c.tab AND n.k0 = c.k0 AND n.k1 = c.k1 AND n.k2 = c.k2 AND n.measure = c.measure
    WINDOW whole AS (PARTITION BY c._unit, c.tab, c.measure)
)
SELECT _unit, place, k0, k1, k2, measure, this, last_year, this - last_year AS change, nation
FROM filled ORDER BY _unit, place, p0 NULLS LAST, k0, p1 NULLS LAST, k1, p2 NULLS LAST, k2, number
"""


def _grid(definitions: Sequence[TableDefinition]) -> pa.Table:
    """List every cell of every table; those that are shown only when somebody fills them are left out."""
    rows: list[tuple[str, str, str, str, str]] = []
    for table in definitions:
        if any(key.sparse for key in table.keys):
            continue
        for codes in itertools.product(*([code for code, _ in key.values] for key in table.keys)):
            k0, k1, k2 = (*codes, "", "", "")[:3]
            if BLANK not in codes:
                rows.extend((table.id, k0, k1, k2, each.id) for each in table.measures)
    columns = list(zip(*rows, strict=True)) if rows else [()] * 5
    return pa.table([pa.array(each, pa.string()) for each in columns], names=["tab", *KEYS, "measure"])


def _positions(definitions: Sequence[TableDefinition]) -> pa.Table:
    """List the place of each value among those of its key."""
    rows = [
        (table.id, side, code, position)
        for table in definitions
        for side, key in enumerate(table.keys)
        for position, (code, _) in enumerate(key.values)
    ]
    columns = list(zip(*rows, strict=True)) if rows else [()] * 4
    types = (pa.string(), pa.int32(), pa.string(), pa.int32())
    arrays = [pa.array(each, kind) for each, kind in zip(columns, types, strict=True)]
    return pa.table(arrays, names=["tab", "side", "code", "position"])


def _measures(definitions: Sequence[TableDefinition], *, published: bool) -> pa.Table:
    """List the measures: the table's place, their own number, whether they count, whether the nation has them."""
    rows = [
        (table.id, measure.id, place, number, measure.counts, measure.per is not None, published and table.nation)
        for place, table in enumerate(definitions)
        for number, measure in enumerate(table.measures)
    ]
    names = ("tab", "measure", "place", "number", "counts", "divides", "has_nation")
    return pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))


def _given(definitions: Sequence[TableDefinition], sides: Sequence[Sides]) -> pa.Table:
    """List what stands beside each table of each unit."""
    units = np.repeat(np.arange(len(sides), dtype=np.int32), len(definitions))
    past = [_past(table, each) is not None for each in sides for table in definitions]
    return pa.table(
        {
            "_unit": units,
            "tab": [table.id for table in definitions] * len(sides),
            "compares": [table.compares.value for table in definitions] * len(sides),
            "has_past": past,
        }
    )


def _past(table: TableDefinition, sides: Sides) -> pa.Table | None:
    return sides.previous if table.compares is Compares.PREVIOUS else sides.last_year


def _stacked(cells: Sequence[pa.Table | None]) -> pa.Table:
    """Put the figures of the units under each other; nothing where a unit has none."""
    parts = [CELLS.empty_table() if each is None else each for each in cells]
    units = np.repeat(np.arange(len(parts), dtype=np.int32), [part.num_rows for part in parts])
    stacked = pa.concat_tables(parts).append_column("_unit", pa.array(units))
    return stacked.rename_columns(["tab" if name == "table" else name for name in stacked.column_names])


def _sliced(
    definitions: Sequence[TableDefinition], sides: Sequence[Sides], answer: pa.Table, *, published: bool
) -> list[tuple[ControlTable, ...]]:
    count = len(definitions)
    number = np.asarray(answer["_unit"]).astype(np.int64) * count + np.asarray(answer["place"])
    bounds = np.searchsorted(number, np.arange(len(sides) * count + 1))
    made = []
    for unit, each in enumerate(sides):
        tables = []
        for place, table in enumerate(definitions):
            start, end = bounds[unit * count + place : unit * count + place + 2]
            columns = [f"k{n}" for n in range(len(table.keys))] + ["measure", *FIGURES]
            frame = answer.slice(start, end - start).select(columns)
            tables.append(ControlTable(table, frame, _notes(table, each, published=published)))
        made.append(tuple(tables))
    return made


def _notes(table: TableDefinition, sides: Sides, *, published: bool) -> dict[str, str | None]:
    past = _past(table, sides)
    merged = sides.merged and table.compares is Compares.LAST_YEAR
    nation = None if published else NOT_PUBLISHED
    return {
        "last_year": NONE if past is None else MERGED if merged else None,
        "nation": nation if table.nation else NOT_COMPARED,
    }


def _in_words(codes: pa.ChunkedArray, words: Mapping[str, str]) -> pa.Array:
    known, named = pa.array(list(words), pa.string()), pa.array(list(words.values()), pa.string())
    found = codes.combine_chunks()
    return pc.coalesce(named.take(pc.index_in(found, value_set=known)), found)
