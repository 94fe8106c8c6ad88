"""The municipality's extract as Arrow tables, from XML or a folder of flat files; read once, streamed, never trusted.

A file that cannot be an extract is refused whole here (K004, K011, K012); a bad or missing value never is, it reaches
the rules.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from ipis.kernel.errors import ExtractRefused
from ipis.kernel.layout import Layout

Progress = Callable[[int, int], None]
"""Called with bytes read and bytes in all."""

Judge = Callable[[Mapping[str, str | None]], object]
"""Called with the header as soon as it is read; raises to refuse the file before the rest is."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a stranger's file may ask of the machine (architecture §2.1)."""

    file_bytes: int = 2 << 30
    unpacked_bytes: int = 512 << 20
    """What Parquet files may hold in all; those of a large city hold a tenth."""
    unpacked_times: int = 50
    """How many times their own size they may hold, beyond `unpacked_freely`; ordinary ones hold less than ten."""
    unpacked_freely: int = 128 << 20
    prolog_bytes: int = 64 << 10
    silent_bytes: int = 1 << 20
    value_chars: int = 1_000
    fields: int = 100
    rows: int = 5_000_000


@dataclass(frozen=True, slots=True)
class Extract:
    """One municipality, district and year: the header as written, one table per record type, the trailer as written."""

    header: Mapping[str, str | None]
    tables: Mapping[str, pa.Table]
    trailer: Mapping[str, str | None]
    source: str
    encoding: str


def read(
    path: Path,
    layout: Layout,
    *,
    progress: Progress | None = None,
    judge: Judge | None = None,
    limits: Limits | None = None,
) -> Extract:
    """Read an XML file, or a folder with `<record>.csv|parquet`; raises `ExtractRefused` for a file that is no extract.

    Each table has the fields of its record type in typed columns, `<field>__raw` with the text of values that did not
    parse, `_row` (from 0, in file order) and `_person` (the row of its person; null when there is none).
    """
    # The readers import this module for its types; whoever only needs those pays for neither parser.
    from ipis.kernel import extract_flat, extract_xml

    bounds = limits or Limits()
    if path.is_dir():
        extract = extract_flat.read_folder(path, layout, bounds, progress, judge)
    elif path.is_file():
        extract = extract_xml.read_file(path, layout, bounds, progress, judge)
    else:
        raise ExtractRefused("extract.no_file", file=path.name)
    _check_counts(extract, layout)
    if extract.tables["person"].num_rows == 0:
        raise ExtractRefused("extract.no_persons", rule="K012", file=path.name)
    return extract


def _check_counts(extract: Extract, layout: Layout) -> None:
    """Compare the trailer's counts with the content; a count may be left out only where there is nothing to count."""
    for field in layout.trailer.fields.values():
        if field.counts is None:
            continue
        found = extract.tables[field.counts].num_rows
        stated = extract.trailer[field.name]
        if stated is None and found == 0:
            continue
        if stated is None or not (stated.isascii() and stated.isdigit() and len(stated) <= field.length):
            raise ExtractRefused("extract.count_missing", rule="K011", field=field.name, counted=found)
        if int(stated) != found:
            raise ExtractRefused("extract.count", rule="K011", field=field.name, stated=int(stated), counted=found)
