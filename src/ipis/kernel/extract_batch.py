"""Rows in columns: a run of records with their attributes becomes Arrow arrays, field by field and never row by row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ipis.kernel import columns
from ipis.kernel.errors import ExtractRefused
from ipis.kernel.extract import Limits
from ipis.kernel.layout import RecordType

Ints = npt.NDArray[np.int64]

_NONE = np.empty(0, dtype=np.int64)


class Breach(Exception):
    """A record breaks the structure; the reader that knows the file adds the line."""

    def __init__(self, start: int, code: str, **params: object) -> None:
        """Name the number of the start tag, the code and the parameters of the text."""
        super().__init__(code)
        self.start = start
        self.code = code
        self.params = params


@dataclass(slots=True)
class Table:
    """A record type's table while it grows, batch by batch."""

    record: RecordType
    batches: list[pa.RecordBatch]
    schema: pa.Schema
    rows: int = 0

    def add(self, texts: Mapping[str, pa.Array], persons: pa.Array) -> None:
        """Add rows: texts by field name, all of one length, and the row numbers of their persons."""
        made: dict[str, pa.Array] = {}
        for each in self.record.fields.values():
            made |= columns.column(each, texts[each.name])
        self.append(made, persons)

    def append(self, made: Mapping[str, pa.Array], persons: pa.Array) -> None:
        """Add rows whose columns have their types, in any order."""
        count = len(persons)
        numbered = {"_row": pa.array(np.arange(self.rows, self.rows + count, dtype=np.int32)), "_person": persons}
        arrays = [(made if name in made else numbered)[name] for name in self.schema.names]
        self.batches.append(pa.RecordBatch.from_arrays(arrays, schema=self.schema))
        self.rows += count

    def finish(self) -> pa.Table:
        """Give the whole table, each column in one piece."""
        table = pa.Table.from_batches(self.batches, schema=self.schema)
        self.batches = []
        return table.combine_chunks()


def new_tables(records: Sequence[RecordType]) -> dict[str, Table]:
    """Begin an empty table for each record type, by its name."""
    return {record.name: Table(record, [], record.schema()) for record in records}


@dataclass(frozen=True, slots=True)
class Words:
    """The names of a layout by number: of elements (header, record types, trailer) and of fields, whosever they are."""

    elements: dict[str, int]
    fields: dict[str, int]

    @classmethod
    def of(cls, elements: Sequence[RecordType]) -> Self:
        """Give the names of these elements and their fields numbers, in order."""
        fields = dict.fromkeys(name for each in elements for name in each.fields)
        return cls(
            {each.element: number for number, each in enumerate(elements)},
            {name: number for number, name in enumerate(fields)},
        )


@dataclass(frozen=True, slots=True)
class Run:
    """Records one after the other, as they stand in the file: an entry a record, and an entry a value."""

    kinds: Ints
    """The number of the record's element; -1 for one that the layout does not know."""
    depths: Ints
    """How deep it stands, counted from where the run begins."""
    counts: Ints
    """How many values it has."""
    fields: Ints
    """For each value the number of its field's name; -1 for one that the layout does not know."""
    values: pa.StringArray
    depth: int
    """How deep the run ends."""
    names: tuple[Sequence[str], Sequence[str]] = ((), ())
    """The names of elements and fields as they stand; none where all are known."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of one record type in a batch: typed columns, the numbers of their start tags and of their persons."""

    columns: dict[str, pa.Array]
    starts: Ints
    persons: Ints


class Pile:
    """Records of all types as they come from a parser, waiting to be spread over their columns.

    Gathered in short runs, while the texts are still in the processor's cache, and spread in long ones: every cell of
    every column has a place of its own in one pool, columns that are parsed alike beside each other, so that one `take`
    lays all values out and each form of text is parsed once a batch.
    """

    def __init__(self, elements: Sequence[RecordType], limits: Limits) -> None:
        """Take the record types in the order of their kinds; header and trailer, first and last, stay texts."""
        self._elements = elements
        self._limits = limits
        self.words = Words.of(elements)
        ends = (0, len(elements) - 1)
        placed = [
            (("", 0, 0) if kind in ends else columns.form(field), kind, field)
            for kind, each in enumerate(elements)
            for field in each.fields.values()
        ]
        self._placed = sorted(placed, key=itemgetter(0))
        self._kinds_of = np.array([kind for _, kind, _ in self._placed])
        # The last column stands for names that nobody knows: -1 leads there.
        self._number = np.full((len(elements), len(self.words.fields) + 1), -1, dtype=np.int16)
        for number, (_, kind, field) in enumerate(self._placed):
            self._number[kind, self.words.fields[field.name]] = number
        self._values: list[pa.Array] = []
        self._numbers: list[npt.NDArray[np.int16]] = []
        self._counts: list[Ints] = []
        self._kinds: list[Ints] = []
        self._persons: list[Ints] = []
        self._start = 0
        self.waiting = 0

    def gather(self, run: Run, persons: Ints) -> None:
        """Take a run of records, whose elements are all known, and the person that each stands under."""
        if len(run.counts) and run.counts.max() > self._limits.fields:
            raise Breach(self._at(run.counts.argmax()), "extract.too_many_fields", most=self._limits.fields)
        numbers = self._number[np.repeat(run.kinds, run.counts), run.fields]
        if len(numbers) and numbers.min() < 0:
            raise self._unknown_field(run, int(numbers.argmin()))
        self._check_lengths(run)
        self._numbers.append(numbers)
        self._values.append(run.values)
        self._counts.append(run.counts)
        self._kinds.append(run.kinds)
        self._persons.append(persons)
        self.waiting += len(run.kinds)

    def spread(self) -> dict[str, Rows]:
        """Give the rows of each record type that were gathered, and begin anew."""
        kinds, persons, counts = (np.concatenate([_NONE, *each]) for each in (self._kinds, self._persons, self._counts))
        own = [np.flatnonzero(kinds == kind) for kind in range(len(self._elements))]
        ends = np.cumsum([0, *(len(own[kind]) for kind in self._kinds_of)])
        columns_of = self._columns(self._pool(own, counts, ends), ends)
        made = {
            record.name: Rows(columns_of[kind], self._start + own[kind], persons[own[kind]])
            for kind, record in enumerate(self._elements)
        }
        self._start += self.waiting
        self.waiting = 0
        for part in (self._values, self._numbers, self._counts, self._kinds, self._persons):
            part.clear()
        return made

    def _pool(self, own: list[Ints], counts: Ints, ends: Ints) -> pa.Array:
        """Lay out all cells, column by column: the text of each, null where there is none or an empty one."""
        values = pa.concat_arrays([pa.array([], pa.string()), *self._values])
        place = np.empty(len(counts), np.int64)
        for rows in own:
            place[rows] = np.arange(len(rows))
        cells = ends[np.concatenate([_NONE, *self._numbers])] + np.repeat(place, counts)
        source = np.full(ends[-1], -1, np.int32)
        source[cells] = np.where(_byte_lengths(values) > 0, np.arange(len(values), dtype=np.int32), -1)
        return values.take(pa.array(source, mask=source < 0))

    def _columns(self, pool: pa.Array, ends: Ints) -> list[dict[str, pa.Array]]:
        """Cut the pool into the columns of each record type, parsing those of one form together."""
        made: list[dict[str, pa.Array]] = [{} for _ in self._elements]
        for form, group in groupby(range(len(self._placed)), lambda number: self._placed[number][0]):
            numbers = list(group)
            first = ends[numbers[0]]
            texts = pool.slice(first, ends[numbers[-1] + 1] - first)
            values, raw = columns.parse(self._placed[numbers[0]][2], texts) if any(form) else (texts, None)
            for number in numbers:
                _, kind, field = self._placed[number]
                at, size = ends[number] - first, ends[number + 1] - ends[number]
                made[kind][field.name] = values.slice(at, size)
                if raw is not None:
                    made[kind][f"{field.name}__raw"] = raw.slice(at, size)
        return made

    def _at(self, row: np.int64) -> int:
        return self._start + self.waiting + int(row)

    def _unknown_field(self, run: Run, place: int) -> Breach:
        row = np.searchsorted(np.cumsum(run.counts), place, side="right")
        number = int(run.fields[place])
        name = run.names[1][place] if number < 0 else list(self.words.fields)[number]
        record = self._elements[int(run.kinds[row])].element
        return Breach(self._at(row), "extract.unknown_field", record=record, field=shown(name))

    def _check_lengths(self, run: Run) -> None:
        if _byte_lengths(run.values).max(initial=0) <= self._limits.value_chars:
            return
        chars = pc.utf8_length(run.values).to_numpy(zero_copy_only=False)
        if chars.max() > self._limits.value_chars:
            row = np.searchsorted(np.cumsum(run.counts), chars.argmax(), side="right")
            raise Breach(self._at(row), "extract.long_value", most=self._limits.value_chars)


def _byte_lengths(values: pa.StringArray) -> npt.NDArray[np.int32]:
    """Give the bytes of each text; none is null."""
    lengths: npt.NDArray[np.int32] = pc.binary_length(values).to_numpy(zero_copy_only=False)
    return lengths


def blank_to_null(texts: pa.Array) -> pa.Array:
    """Make an empty text the absent one: XML may write `legeDato=""`, CSV writes nothing between two semicolons."""
    sizes = pc.binary_length(texts)
    if pc.min(sizes).as_py() != 0:
        return texts
    return pc.if_else(pc.equal(sizes, 0), pa.scalar(None, pa.string()), texts)


def check_characters(texts: Iterable[pa.Array], file: str, before: int) -> None:
    """Refuse columns with a character that XML 1.0 cannot hold, naming the row; `before` of them were read already."""
    for column in texts:
        row = columns.unwritable_row(column)
        if row is not None:
            raise ExtractRefused("extract.character", rule="K004", file=file, row=before + row + 1)


def shown(name: str) -> str:
    """Make a stranger's name fit for a message: short, and without runs of digits that could be somebody's number."""
    kept = "".join(c if c.isalpha() or c in "_-.:" or (c.isdigit() and i < 4) else "?" for i, c in enumerate(name[:40]))
    return kept + ("…" if len(name) > 40 else "")


def refusal(breach: Breach, file: str, line: int) -> ExtractRefused:
    """Give the refusal that a breach at a line of a file means (K004)."""
    return ExtractRefused(breach.code, rule="K004", file=file, line=line, **breach.params)
