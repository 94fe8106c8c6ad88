"""Rows in columns: a run of records with their attributes becomes Arrow arrays, field by field and never row by row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ipis.kernel import columns
from ipis.kernel.errors import ExtractRefused
from ipis.kernel.extract import Limits
from ipis.kernel.layout import RecordType

Ints = npt.NDArray[np.int64]


class Breach(Exception):
    """A row of a batch breaks the structure; the reader that knows the file adds the line."""

    def __init__(self, row: int, code: str, **params: object) -> None:
        """Name the row within the batch, the code and the parameters of the text."""
        super().__init__(code)
        self.row = row
        self.code = code
        self.params = params


@dataclass(slots=True)
class Table:
    """A record type's table while it grows, batch by batch."""

    record: RecordType
    batches: list[pa.RecordBatch]
    rows: int = 0

    def add(self, texts: dict[str, pa.Array], persons: pa.Array) -> None:
        """Add rows: texts by field name, all of one length, and the row numbers of their persons."""
        count = len(persons)
        made: dict[str, pa.Array] = {
            "_row": pa.array(np.arange(self.rows, self.rows + count, dtype=np.int32)),
            "_person": persons,
        }
        for field in self.record.fields.values():
            made |= columns.column(field, texts[field.name])
        schema = self.record.schema()
        self.batches.append(pa.RecordBatch.from_arrays([made[name] for name in schema.names], schema=schema))
        self.rows += count

    def finish(self) -> pa.Table:
        """Give the whole table, each column in one piece."""
        table = pa.Table.from_batches(self.batches, schema=self.record.schema())
        self.batches = []
        return table.combine_chunks()


def new_tables(records: Sequence[RecordType]) -> dict[str, Table]:
    """Begin an empty table for each record type, by its name."""
    return {record.name: Table(record, []) for record in records}


def split(record: RecordType, attributes: Sequence[Sequence[str]], limits: Limits) -> dict[str, pa.Array]:
    """Turn rows of [name, value, name, value, …] into one array of texts per field, null where absent or empty."""
    lengths = np.fromiter(map(len, attributes), np.int64, len(attributes)) // 2
    if len(lengths) and lengths.max() > limits.fields:
        raise Breach(int(lengths.argmax()), "extract.too_many_fields", most=limits.fields)
    flat = list(chain.from_iterable(attributes))
    codes = _field_codes(record, attributes, flat[::2])
    values = pa.array(flat[1::2], pa.string())
    row_of = np.repeat(np.arange(len(attributes)), lengths)
    values = _bounded(values, row_of, limits)
    order = np.argsort(codes, kind="stable")
    bounds = np.searchsorted(codes[order], np.arange(len(record.fields) + 1))
    texts: dict[str, pa.Array] = {}
    for number, name in enumerate(record.fields):
        places = order[bounds[number] : bounds[number + 1]]
        texts[name] = _spread(values, places, row_of[places], len(attributes))
    return texts


def _field_codes(record: RecordType, attributes: Sequence[Sequence[str]], names: list[str]) -> npt.NDArray[np.int16]:
    numbers = {name: number for number, name in enumerate(record.fields)}
    try:
        return np.fromiter(map(numbers.__getitem__, names), np.int16, len(names))
    except KeyError:
        row, name = next((i, n) for i, row in enumerate(attributes) for n in row[::2] if n not in numbers)
        raise Breach(row, "extract.unknown_field", record=record.element, field=shown(name)) from None


def _bounded(values: pa.Array, row_of: Ints, limits: Limits) -> pa.Array:
    """Refuse a value that is too long; an empty one is an absent one."""
    if len(values) == 0:
        return values
    sizes = pc.binary_length(values)
    bounds = pc.min_max(sizes).as_py()
    if bounds["max"] > limits.value_chars:
        chars = pc.utf8_length(values).to_numpy(zero_copy_only=False)
        if chars.max() > limits.value_chars:
            raise Breach(int(row_of[chars.argmax()]), "extract.long_value", most=limits.value_chars)
    if bounds["min"] == 0:
        return pc.if_else(pc.equal(sizes, 0), pa.scalar(None, pa.string()), values)
    return values


def _spread(values: pa.Array, places: Ints, rows: Ints, count: int) -> pa.Array:
    """Put the values of one field on their rows; a row without one is null."""
    if len(places) == count:
        return values.take(pa.array(places))
    if len(places) == 0:
        return pa.nulls(count, pa.string())
    source = np.full(count, -1, dtype=np.int64)
    source[rows] = places
    return values.take(pa.array(source, mask=source < 0))


def shown(name: str) -> str:
    """Make a stranger's name fit for a message: short, and without runs of digits that could be somebody's number."""
    kept = "".join(c if c.isalpha() or c in "_-.:" or (c.isdigit() and i < 4) else "?" for i, c in enumerate(name[:40]))
    return kept + ("…" if len(name) > 40 else "")


def refuse(breach: Breach, file: str, line: int) -> ExtractRefused:
    """Give the refusal that a breach at a line of a file means (K004)."""
    return ExtractRefused(breach.code, rule="K004", file=file, line=line, **breach.params)
