"""A control table as it is shown: keys in words, figures, what is left out, and why a side is empty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ipis.ssb.feedback import cells
from ipis.ssb.tables.definition import Compares

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markupsafe import Markup
    from numpy.typing import NDArray

    from ipis.ssb.feedback.texts import Texts
    from ipis.ssb.tables.compare import ControlTable

SIDES = ("this", "last_year", "change", "nation")


@dataclass(frozen=True, slots=True)
class Figures:
    """One control table in one language."""

    table: ControlTable
    texts: Texts
    keys: pa.Table
    """The key columns in words and, where the table has more than one, the measure."""
    headings: tuple[str, ...]
    decimals: pa.Array
    sides: tuple[str, ...]
    """The sides that have figures; this delivery always stands."""
    body: Markup
    """The rows that somebody is in, as HTML."""
    left_out: int
    """Rows that the page leaves out since nobody is in them, neither now nor in what they are compared with."""

    @property
    def id(self) -> str:
        """Give the table's id."""
        return self.table.definition.id

    @property
    def title(self) -> str:
        """Give the table's title."""
        return self.table.definition.title[self.texts.language]

    @property
    def measured(self) -> str:
        """Give the one measure in words, or nothing where there are several and each row says its own."""
        measures = self.table.definition.measures
        return measures[0].label[self.texts.language] if len(measures) == 1 else ""

    @property
    def is_empty(self) -> bool:
        """Tell whether nobody is in the table."""
        return bool(self.left_out == self.table.frame.num_rows)

    def heading(self, side: str) -> str:
        """Name a side: a table that compares with the delivery before does not say last year."""
        if side == "last_year" and self._compares_previous:
            side = "previous"
        return self.texts[f"table.{side}"]

    @property
    def reasons(self) -> list[str]:
        """Say why a side is empty, or what it is made of."""
        said = []
        for side, code in self.table.notes.items():
            if code:
                at = "previous" if side == "last_year" and self._compares_previous else side
                said.append(self.texts[f"why.{at}_{code}"])
        return said

    @property
    def _compares_previous(self) -> bool:
        return self.table.definition.compares is Compares.PREVIOUS


def figures_of(tables: Sequence[ControlTable], texts: Texts) -> list[Figures]:
    """Put control tables into words, all their rows at once."""
    if not tables:
        return []
    frame = pa.concat_tables([table.frame.select(["measure", *SIDES]) for table in tables]).combine_chunks()
    keys = [_keys(table, texts) for table in tables]
    decimals = _decimals(tables)
    sides = [tuple(side for side in SIDES if side == "this" or _any(table, side)) for table in tables]
    bounds = np.cumsum([0, *(table.frame.num_rows for table in tables)])
    of_row = np.repeat(np.arange(len(tables)), np.diff(bounds))
    filled = np.asarray(_filled(frame))
    lines = _lines(frame, keys, decimals, sides, of_row, filled, texts.language)
    ends = np.r_[0, np.cumsum(filled)]
    made = []
    for place, table in enumerate(tables):
        start, end = int(bounds[place]), int(bounds[place + 1])
        measured = len(table.definition.measures) > 1 or not table.definition.keys
        headings = tuple(key.label[texts.language] for key in table.definition.keys)
        made.append(
            Figures(
                table=table,
                texts=texts,
                keys=keys[place],
                headings=(*headings, texts["table.measure"]) if measured else headings,
                decimals=decimals.slice(start, end - start),
                sides=sides[place],
                body=cells.body(lines, int(ends[start]), int(ends[end])),
                left_out=int(end - start - (ends[end] - ends[start])),
            )
        )
    return made


def _keys(table: ControlTable, texts: Texts) -> pa.Table:
    words = table.labels(texts.language)
    alone = len(table.definition.measures) == 1 and table.definition.keys
    shown = words.drop_columns(["measure"]) if alone else words
    # A value outside the list is shown as it stands.
    columns = [cells.without_numbers(column.combine_chunks()) for column in shown.columns]
    return pa.Table.from_arrays(columns, names=shown.column_names)


def _any(table: ControlTable, side: str) -> bool:
    return bool(table.frame[side].null_count < table.frame.num_rows)


def _decimals(tables: Sequence[ControlTable]) -> pa.Array:
    """Give the decimals of each row of all tables: those of its measure."""
    parts = []
    for table in tables:
        by_measure = {measure.id: measure.decimals for measure in table.definition.measures}
        places = pc.index_in(table.frame["measure"].combine_chunks(), value_set=pa.array(list(by_measure), pa.string()))
        parts.append(pa.array(list(by_measure.values()), pa.int8()).take(places))
    return pa.concat_arrays(parts)


def _filled(frame: pa.Table) -> pa.Array:
    """Tell which rows have a figure other than 0 in this delivery or in what it is compared with."""
    now, before = (pc.fill_null(pc.not_equal(frame[side].combine_chunks(), 0), False) for side in ("this", "last_year"))
    return pc.or_(now, before)


def _lines(
    frame: pa.Table,
    keys: Sequence[pa.Table],
    decimals: pa.Array,
    sides: Sequence[tuple[str, ...]],
    of_row: NDArray[np.int64],
    filled: NDArray[np.bool_],
    language: str,
) -> pa.Array:
    """Write the filled rows of all tables as HTML."""
    shown = pa.array(filled)
    columns: list[tuple[pa.Array, str, pa.Array | None]] = []
    for place in range(max(words.num_columns for words in keys)):
        column = [
            words.column(place).combine_chunks() if place < words.num_columns else pa.nulls(words.num_rows, pa.string())
            for words in keys
        ]
        texts = pa.concat_arrays(column).filter(shown)
        columns.append((texts, "<td>" if place else '<th scope="row">', pc.is_valid(texts)))
    for side in SIDES:
        has = np.array([side in each for each in sides])[of_row[filled]]
        written = cells.numbers(frame[side].combine_chunks().filter(shown), decimals.filter(shown), language)
        columns.append((written, '<td class="n">', pa.array(has)))
    return cells.rows(columns)
