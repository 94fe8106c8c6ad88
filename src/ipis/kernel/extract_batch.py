"""Rows in columns: a run of records with their attributes becomes Arrow arrays, field by field and never row by row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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

    def add(self, texts: dict[str, pa.Array], persons: pa.Array) -> None:
        """Add rows: texts by field name, all of one length, and the row numbers of their persons."""
        count = len(persons)
        made: dict[str, pa.Array] = {
            "_row": pa.array(np.arange(self.rows, self.rows + count, dtype=np.int32)),
            "_person": persons,
        }
        for each in self.record.fields.values():
            made |= columns.column(each, texts[each.name])
        self.batches.append(pa.RecordBatch.from_arrays([made[name] for name in self.schema.names], schema=self.schema))
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
class Rows:
    """The rows of one record type in a batch: texts per field, the numbers of their start tags and of their persons."""

    texts: dict[str, pa.Array]
    starts: Ints
    persons: Ints


class Pile:
    """Records of all types as they come from a parser, waiting to be spread over their columns.

    Gathered in short runs, while the texts are still in the processor's cache, and spread in long ones. Every field of
    every record type has a number of its own, so that one sort brings all values of a column together.
    """

    def __init__(self, elements: Sequence[RecordType], limits: Limits) -> None:
        """Take the record types in the order of their kinds."""
        self._elements = elements
        self._limits = limits
        self._names = {name: i for i, name in enumerate(dict.fromkeys(n for each in elements for n in each.fields))}
        self._first = np.cumsum([0, *(len(each.fields) for each in elements)])
        self._number = np.full((len(elements), len(self._names)), -1, dtype=np.int16)
        for kind, each in enumerate(elements):
            columns_of = [self._names[name] for name in each.fields]
            self._number[kind, columns_of] = np.arange(self._first[kind], self._first[kind + 1])
        self._values: list[pa.Array] = []
        self._numbers: list[npt.NDArray[np.int16]] = []
        self._rows: list[Ints] = []
        self._kinds: list[Ints] = []
        self._persons: list[Ints] = []
        self._start = 0
        self.waiting = 0

    def gather(self, flat: list[str], sizes: Ints, kinds: Ints, persons: Ints) -> None:
        """Take a run of records: their [name, value, name, value, …], and per record the length, kind and person."""
        counts = sizes // 2
        if len(counts) and counts.max() > self._limits.fields:
            raise Breach(self._at(counts.argmax()), "extract.too_many_fields", most=self._limits.fields)
        rows = np.repeat(np.arange(len(counts)), counts)
        self._numbers.append(self._field_numbers(flat[::2], rows, kinds))
        values = pa.array(flat[1::2], pa.string())
        self._check_lengths(values, rows)
        self._values.append(values)
        self._rows.append(rows + self.waiting)
        self._kinds.append(kinds)
        self._persons.append(persons)
        self.waiting += len(kinds)

    def spread(self) -> dict[str, Rows]:
        """Give the rows of each record type that were gathered, and begin anew."""
        values = pa.concat_arrays([pa.array([], pa.string()), *self._values])
        numbers = np.concatenate([_NONE.astype(np.int16), *self._numbers])
        kinds, persons, rows = (np.concatenate([_NONE, *each]) for each in (self._kinds, self._persons, self._rows))
        order = np.argsort(numbers, kind="stable")
        bounds = np.searchsorted(numbers[order], np.arange(self._first[-1] + 1))
        made: dict[str, Rows] = {}
        for kind, record in enumerate(self._elements):
            own = np.flatnonzero(kinds == kind)
            texts: dict[str, pa.Array] = {}
            for number, name in enumerate(record.fields, start=int(self._first[kind])):
                places = order[bounds[number] : bounds[number + 1]]
                texts[name] = _spread(values, places, np.searchsorted(own, rows[places]), len(own))
            made[record.name] = Rows(texts, self._start + own, persons[own])
        self._start += self.waiting
        self.waiting = 0
        for part in (self._values, self._numbers, self._rows, self._kinds, self._persons):
            part.clear()
        return made

    def _at(self, row: np.int64) -> int:
        return self._start + self.waiting + int(row)

    def _field_numbers(self, names: list[str], rows: Ints, kinds: Ints) -> npt.NDArray[np.int16]:
        try:
            columns_of = np.fromiter(map(self._names.__getitem__, names), np.int16, len(names))
            numbers = self._number[kinds[rows], columns_of]
        except KeyError:
            numbers = np.array(
                [
                    self._number[kinds[row], self._names[name]] if name in self._names else -1
                    for row, name in zip(rows, names, strict=True)
                ],
                dtype=np.int16,
            )
        if len(numbers) and numbers.min() < 0:
            place = int(numbers.argmin())
            record = self._elements[int(kinds[rows[place]])].element
            raise Breach(self._at(rows[place]), "extract.unknown_field", record=record, field=shown(names[place]))
        return numbers

    def _check_lengths(self, values: pa.Array, rows: Ints) -> None:
        longest = pc.max(pc.binary_length(values)).as_py()
        if longest is None or longest <= self._limits.value_chars:
            return
        chars = pc.utf8_length(values).to_numpy(zero_copy_only=False)
        if chars.max() > self._limits.value_chars:
            raise Breach(self._at(rows[chars.argmax()]), "extract.long_value", most=self._limits.value_chars)


def _spread(values: pa.Array, places: Ints, rows: Ints, count: int) -> pa.Array:
    """Put the values of one field on their rows; a row without one is null."""
    if len(places) == 0:
        return pa.nulls(count, pa.string())
    if len(places) == count:
        return blank_to_null(values.take(pa.array(places)))
    source = np.full(count, -1, dtype=np.int64)
    source[rows] = places
    return blank_to_null(values.take(pa.array(source, mask=source < 0)))


def blank_to_null(texts: pa.Array) -> pa.Array:
    """Make an empty text the absent one: XML may write `legeDato=""`, CSV writes nothing between two semicolons."""
    sizes = pc.binary_length(texts)
    if pc.min(sizes).as_py() != 0:
        return texts
    return pc.if_else(pc.equal(sizes, 0), pa.scalar(None, pa.string()), texts)


def shown(name: str) -> str:
    """Make a stranger's name fit for a message: short, and without runs of digits that could be somebody's number."""
    kept = "".join(c if c.isalpha() or c in "_-.:" or (c.isdigit() and i < 4) else "?" for i, c in enumerate(name[:40]))
    return kept + ("…" if len(name) > 40 else "")


def refusal(breach: Breach, file: str, line: int) -> ExtractRefused:
    """Give the refusal that a breach at a line of a file means (K004)."""
    return ExtractRefused(breach.code, rule="K004", file=file, line=line, **breach.params)
