"""A control table as it is shown: keys in words, figures, what is left out, and why a side is empty.

The tables of many deliveries are put into words at once: what a column costs is paid once and not by table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ipis.lib.delimited import lines_of
from ipis.ssb.feedback import cells
from ipis.ssb.tables.compare import ControlTable
from ipis.ssb.tables.compute import KEYS
from ipis.ssb.tables.definition import Compares

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markupsafe import Markup
    from numpy.typing import NDArray

    from ipis.ssb.feedback.texts import Texts
    from ipis.ssb.tables.definition import TableDefinition

TABLES = "kontrolltabeller.csv"
"""All control tables in long form: one list to filter; the workbook has a sheet for each."""
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
    lines: pa.Array
    """All rows in long form, as lines of a CSV under `long_heading`."""
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
    """Put the control tables of one delivery into words."""
    return figures_many([tables], texts)[0]


def figures_many(deliveries: Sequence[Sequence[ControlTable]], texts: Texts) -> list[list[Figures]]:
    """Put the control tables of deliveries into words, all rows at once; each delivery has the same tables in order."""
    if not deliveries or not deliveries[0]:
        return [[] for _ in deliveries]
    whole = [
        ControlTable(each.definition, pa.concat_tables([its[place].frame for its in deliveries]).combine_chunks())
        for place, each in enumerate(deliveries[0])
    ]
    lengths = [its[place].frame.num_rows for place in range(len(whole)) for its in deliveries]
    rows = _Rows.of(whole, np.cumsum([0, *lengths]), texts)
    return [
        [rows.part(table, place * len(deliveries) + number, texts) for place, table in enumerate(its)]
        for number, its in enumerate(deliveries)
    ]


def long_heading(texts: Texts) -> list[str]:
    """Name the columns of the long form: the table, its keys and measure, the figures."""
    keys = [texts["table.key"].format(number=place + 1) for place in range(len(KEYS))]
    named = [texts[f"table.{name}"] for name in ("this", "last_year", "previous", "change", "nation")]
    return [texts["table.id"], texts["table.title"], *keys, texts["table.measure"], *named]


@dataclass(frozen=True, slots=True)
class _Rows:
    """The rows of all tables of all deliveries: a table's stand together, delivery by delivery (a part)."""

    bounds: NDArray[np.int64]
    """Where each part starts, and the end."""
    keys: Sequence[pa.Table]
    starts: NDArray[np.int64]
    """Where the rows of each table start."""
    decimals: pa.Array
    has: NDArray[np.bool_]
    """Which sides (SIDES) each part has."""
    filled: NDArray[np.int64]
    """How many rows before each are shown on the page."""
    html: pa.Array
    lines: pa.Array

    @classmethod
    def of(cls, tables: Sequence[ControlTable], bounds: NDArray[np.int64], texts: Texts) -> _Rows:
        """Write rows; each of `tables` holds those of all deliveries, and `bounds` parts them."""
        frame = pa.concat_tables([table.frame.select(["measure", *SIDES]) for table in tables]).combine_chunks()
        words = [_words(table, texts) for table in tables]
        keys = [_shown(table.definition, its) for table, its in zip(tables, words, strict=True)]
        decimals, filled = _decimals(tables), np.asarray(_filled(frame))
        of_row = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
        has = np.column_stack([_any(frame[side], bounds) for side in SIDES])
        has[:, 0] = True
        html = _html(frame.filter(pa.array(filled)), keys, filled, decimals, has[of_row[filled]], texts.language)
        starts = np.cumsum([0, *(table.frame.num_rows for table in tables)])
        lines = lines_of(_long(tables, words, frame, decimals, texts), decimal=cells.decimal_sign(texts.language))
        return cls(bounds, keys, starts, decimals, has, np.r_[0, np.cumsum(filled)], html, lines)

    def part(self, table: ControlTable, number: int, texts: Texts) -> Figures:
        """Cut out one table of one delivery."""
        start, end = int(self.bounds[number]), int(self.bounds[number + 1])
        place = int(number // ((len(self.bounds) - 1) // len(self.keys)))
        first, last = int(self.filled[start]), int(self.filled[end])
        headings = tuple(key.label[texts.language] for key in table.definition.keys)
        return Figures(
            table=table,
            texts=texts,
            keys=self.keys[place].slice(start - int(self.starts[place]), end - start),
            headings=(*headings, texts["table.measure"]) if _measured(table.definition) else headings,
            decimals=self.decimals.slice(start, end - start),
            sides=tuple(side for side, there in zip(SIDES, self.has[number], strict=True) if there),
            body=cells.body(self.html, first, last),
            lines=self.lines.slice(start, end - start),
            left_out=end - start - (last - first),
        )


def _measured(definition: TableDefinition) -> bool:
    """Tell whether each row says its measure."""
    return len(definition.measures) > 1 or not definition.keys


def _words(table: ControlTable, texts: Texts) -> pa.Table:
    words = table.labels(texts.language)
    # A value outside the list is shown as it stands.
    columns = [cells.each_once(column.combine_chunks(), cells.without_numbers) for column in words.columns]
    return pa.Table.from_arrays(columns, names=words.column_names)


def _shown(definition: TableDefinition, words: pa.Table) -> pa.Table:
    return words if _measured(definition) else words.drop_columns(["measure"])


def _any(side: pa.ChunkedArray, bounds: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell which parts have a figure in a side."""
    before = np.r_[0, np.cumsum(np.asarray(pc.is_valid(side)))]
    there: NDArray[np.bool_] = before[bounds[1:]] > before[bounds[:-1]]
    return there


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


def _html(
    frame: pa.Table,
    keys: Sequence[pa.Table],
    filled: NDArray[np.bool_],
    decimals: pa.Array,
    has: NDArray[np.bool_],
    language: str,
) -> pa.Array:
    """Write the filled rows of all tables as HTML; `has` tells for each of them which sides it shows."""
    shown = pa.array(filled)
    columns: list[tuple[pa.Array, str, pa.Array | None]] = []
    for place in range(max(words.num_columns for words in keys)):
        texts = _column(keys, place).filter(shown)
        columns.append((texts, "<td>" if place else '<th scope="row">', pc.is_valid(texts)))
    figures = pa.concat_arrays([frame[side].combine_chunks() for side in SIDES])
    written = cells.numbers(figures, pa.concat_arrays([decimals.filter(shown)] * len(SIDES)), language)
    for number in range(len(SIDES)):
        column = written.slice(number * frame.num_rows, frame.num_rows)
        columns.append((column, '<td class="n">', pa.array(has[:, number])))
    return cells.rows(columns)


def _column(tables: Sequence[pa.Table], place: int) -> pa.Array:
    """Put the columns at a place of all tables under each other; null where a table has none."""
    parts = [
        words.column(place).combine_chunks() if place < words.num_columns else pa.nulls(words.num_rows, pa.string())
        for words in tables
    ]
    return pa.concat_arrays(parts)


def _long(
    tables: Sequence[ControlTable], words: Sequence[pa.Table], frame: pa.Table, decimals: pa.Array, texts: Texts
) -> pa.Table:
    """Put all tables into one form, figures with their own decimals: the columns that `long_heading` names."""
    language, counts = texts.language, [table.frame.num_rows for table in tables]
    definitions = [table.definition for table in tables]
    of_row = pa.array(np.repeat(np.arange(len(tables)), counts))
    named = [its.drop_columns(["measure"]) for its in words]
    headed = [
        pa.Table.from_arrays(
            [
                pc.binary_join_element_wise(key.label[language], column.combine_chunks(), ": ")
                for key, column in zip(each.keys, its.columns, strict=True)
            ],
            names=its.column_names,
        )
        if each.keys
        else its
        for each, its in zip(definitions, named, strict=True)
    ]
    scale = 10.0 ** np.asarray(decimals)
    figures = {
        side: pa.array(np.round(np.asarray(frame[side], np.float64) * scale) / scale, from_pandas=True)
        for side in SIDES
    }
    previous = pa.array([each.compares is Compares.PREVIOUS for each in definitions]).take(of_row)
    columns = [
        pa.array([each.id for each in definitions]).take(of_row),
        pa.array([each.title[language] for each in definitions]).take(of_row),
        *(_column(headed, place) for place in range(len(KEYS))),
        pa.concat_arrays([its["measure"].combine_chunks() for its in words]),
        figures["this"],
        pc.if_else(previous, None, figures["last_year"]),
        pc.if_else(previous, figures["last_year"], None),
        figures["change"],
        figures["nation"],
    ]
    return pa.Table.from_arrays(columns, names=long_heading(texts))
