"""The drawn extract as an XML file: column by column to text, then the rows in their order; names by the layout."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ipis.kernel.layout import Layout, RecordType
from ipis.synth.rows import Draw, Ints, Rows

_PERSONS_AT_A_TIME = 20_000


def write(draw: Draw, layout: Layout, path: Path) -> None:
    """Write the file; it appears under its name when it is whole."""
    beside = path.with_name(f".{path.name}.part")
    digest = hashlib.sha256()
    with beside.open("wb") as file:
        for chunk in _chunks(draw, layout):
            digest.update(chunk)
            file.write(chunk)
        file.write(_trailer(draw, layout, digest.hexdigest()))
    beside.replace(path)


def _chunks(draw: Draw, layout: Layout) -> Iterator[bytes | memoryview]:
    header = _start(layout.header.element, {name: draw.header.get(name) for name in layout.header.fields})
    yield f'<?xml version="1.0" encoding="UTF-8"?>\n{header}>\n'.encode()
    for first in range(0, draw.persons, _PERSONS_AT_A_TIME):
        yield _persons(draw, layout, first, min(first + _PERSONS_AT_A_TIME, draw.persons))


def _persons(draw: Draw, layout: Layout, first: int, last: int) -> memoryview:
    """Render some persons with their rows; every line is one element, in the order of the file."""
    lines: list[pa.Array] = []
    places: list[Ints] = []
    kinds = len(layout.records) + 2
    for number, record in enumerate(layout.records.values(), start=1):
        rows = draw.rows.get(record.name)
        if rows is None:
            continue
        low, high = np.searchsorted(rows.person, [first, last])
        part = Rows(rows.person[low:high], {name: column[low:high] for name, column in rows.columns.items()})
        if len(part):
            lines.append(_lines(part, record, ending=">\n" if number == 1 else "/>\n"))
            places.append(part.person * kinds + number)
    persons = np.arange(first, last)
    lines.append(pa.array([f"</{layout.records['person'].element}>\n"] * len(persons)))
    places.append(persons * kinds + kinds - 1)
    order = np.argsort(np.concatenate(places), kind="stable")
    whole = pa.concat_arrays(lines).cast(pa.large_string()).take(pa.array(order))
    offsets = np.frombuffer(whole.buffers()[1], np.int64)
    return memoryview(whole.buffers()[2])[int(offsets[whole.offset]) : int(offsets[whole.offset + len(whole)])]


def _lines(rows: Rows, record: RecordType, ending: str) -> pa.Array:
    """Join each row's attributes to one element; an absent value leaves no attribute."""
    parts: list[pa.Array | str] = []
    text = f"<{record.element}"
    for name in record.fields:
        column = rows.columns.get(name)
        if column is None or column.null_count == len(column):
            continue
        if column.null_count:
            parts += [text, pc.binary_join_element_wise(f' {name}="', column, '"', "")]
            text = ""
        else:
            parts += [f'{text} {name}="', column]
            text = '"'
    parts = [part for part in [*parts, text + ending] if not isinstance(part, str) or part]
    if all(isinstance(part, str) for part in parts):
        return pa.array(["".join(parts)] * len(rows), pa.string())
    return pc.binary_join_element_wise(*parts, "", null_handling="skip")


def _start(element: str, values: Mapping[str, str | None]) -> str:
    given = "".join(f" {name}={quoteattr(value)}" for name, value in values.items() if value is not None)
    return f"<{element}{given}"


def _trailer(draw: Draw, layout: Layout, sha256: str) -> bytes:
    """Write counts by the layout, and the hash over all that stands before."""
    values: dict[str, str | None] = {}
    for field in layout.trailer.fields.values():
        if field.counts is not None:
            rows = draw.rows.get(field.counts)
            values[field.name] = str(len(rows)) if rows is not None else "0"
    values["sha256"] = sha256
    return f"{_start(layout.trailer.element, values)}/>\n</{layout.header.element}>\n".encode()
