"""A control table as it is shown: keys in words, figures, what is left out, and why a side is empty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from ipis.ssb.feedback import cells
from ipis.ssb.tables.definition import Compares

if TYPE_CHECKING:
    from markupsafe import Markup

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

    @classmethod
    def of(cls, table: ControlTable, texts: Texts) -> Figures:
        """Put a table into words."""
        definition, language = table.definition, texts.language
        headings = [key.label[language] for key in definition.keys]
        words = table.labels(language)
        if len(definition.measures) == 1 and headings:
            words = words.drop_columns(["measure"])
        else:
            headings.append(texts["table.measure"])
        by_measure = {measure.id: measure.decimals for measure in definition.measures}
        named = pa.array(list(by_measure), pa.string())
        places = pc.index_in(table.frame["measure"].combine_chunks(), value_set=named)
        decimals = pa.array(list(by_measure.values()), pa.int8()).take(places)
        return cls(table, texts, words, tuple(headings), decimals)

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

    def heading(self, side: str) -> str:
        """Name a side: a table that compares with the delivery before does not say last year."""
        if side == "last_year" and self.table.definition.compares is Compares.PREVIOUS:
            side = "previous"
        return self.texts[f"table.{side}"]

    @property
    def sides(self) -> tuple[str, ...]:
        """List the sides that have figures; this delivery always stands."""
        frame = self.table.frame
        return tuple(side for side in SIDES if side == "this" or frame[side].null_count < frame.num_rows)

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

    @property
    def filled(self) -> pa.ChunkedArray:
        """Tell which rows have a figure other than 0 in this delivery or in what it is compared with."""
        frame = self.table.frame
        now, before = (pc.fill_null(pc.not_equal(frame[side], 0), False) for side in ("this", "last_year"))
        return pc.or_(now, before)

    @property
    def left_out(self) -> int:
        """Count the rows that the page leaves out since nobody is in them."""
        return int(self.table.frame.num_rows - (pc.sum(self.filled).as_py() or 0))

    def body(self) -> Markup:
        """Write the rows that somebody is in, as HTML."""
        shown = self.filled.combine_chunks()
        keys = self.keys.filter(shown)
        columns = [
            (column.combine_chunks(), '<th scope="row">' if place == 0 else "<td>")
            for place, column in enumerate(keys.columns)
        ]
        decimals, frame = self.decimals.filter(shown), self.table.frame.filter(shown)
        for side in self.sides:
            written = cells.numbers(frame[side].combine_chunks(), decimals, self.texts.language)
            columns.append((written, '<td class="n">'))
        return cells.rows(columns)
