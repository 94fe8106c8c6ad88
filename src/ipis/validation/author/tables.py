"""The tables that an author's rules run over: a folder with `<record>.csv` or `<record>.parquet`, of any register.

Texts are read as the municipality's extract is (`kernel.extract_flat`), with the supplied columns as columns of their
own; Parquet as the register stores it is taken as it stands. A record type without a file has no rows, and a column
that a file lacks no values: both are said. Of a register with persons, an extract in XML will do as well.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ipis.kernel import extract_csv, extract_parquet
from ipis.kernel.answers import SVAR
from ipis.kernel.errors import ExtractRefused, Rendered
from ipis.kernel.extract import Limits, read
from ipis.kernel.extract_batch import blank_to_null, new_tables, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from ipis.kernel.collection import Collection
    from ipis.kernel.layout import Layout, RecordType, Supplied

PERSON = "person"
_SUFFIXES = frozenset({".csv", ".parquet"})
_STORED = frozenset({"person_key", "_row", "_person"})
"""Columns by which Parquet as the register stores it is known."""
_NO_TABLES = frozenset({"lokal", SVAR})
"""What the register stores beside the records of a delivery: what the keys stand for, and the answers."""
_LISTS = frozenset({"faults.csv", "faults_ssb.csv"})
"""What `ipis synth` lists beside an extract that it draws."""
_ROWS = 50_000_000
"""Rows of one table: some years of a whole country."""


@dataclass(frozen=True, slots=True)
class Tables:
    """What was read: one table per record type, without identity fields; the header, if there.

    `missing` had no file; `missing_columns` are, by record type, those that its file lacks though it has rows.
    """

    tables: Mapping[str, pa.Table]
    header: Mapping[str, str | None] | None
    missing: tuple[str, ...]
    missing_columns: Mapping[str, tuple[str, ...]]


class TableRefused(ExtractRefused):
    """What the readers of extracts refuse, in an author's own table: there is no vendor to ask."""

    def render(self, language: str = "nb") -> Rendered:
        """Say what is found and expected as of an extract, and what the author does."""
        return replace(super().render(language), do=ExtractRefused("author.correct").render(language).do)


def read_tables(path: Path, collection: Collection) -> Tables:
    """Read an extract or a folder of tables; raises `ExtractRefused`, naming the file, and the line, row or column."""
    try:
        extracts = [] if PERSON not in collection.layout.records or tables_of(path) else extracts_of(path)
        if len(extracts) > 1:
            raise ExtractRefused("author.many_extracts", folder=path.name, count=len(extracts))
        return _of_extract(extracts[0], collection.layout) if extracts else _read(path, collection.layout)
    except ExtractRefused as error:
        if error.code.startswith("author."):
            raise
        raise TableRefused(error.code, rule=error.rule, **error.params) from error


def extracts_of(path: Path) -> list[Path]:
    """List the extracts in XML: the path itself, or the files of a folder."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return [file for file in files if file.suffix.lower() == ".xml" and file.is_file()]


def tables_of(path: Path) -> list[Path]:
    """List the tables of a folder, whatever their names; beside an extract in XML, the list of its faults is none."""
    lists = _LISTS if extracts_of(path) else frozenset()
    files = sorted(path.iterdir()) if path.is_dir() else []
    return [file for file in files if file.suffix.lower() in _SUFFIXES and file.name not in lists]


def _of_extract(file: Path, layout: Layout) -> Tables:
    """Read an extract in XML, which has every record type and no supplied column."""
    written = read(file, layout, limits=_limits(layout))
    tables = {name: _without_identity(table, layout.records[name]) for name, table in written.tables.items()}
    lacking = {name: tuple(_given_by_author(layout.records[name])) for name, table in tables.items() if table.num_rows}
    return Tables(tables, written.header, (), {name: columns for name, columns in lacking.items() if columns})


def _read(path: Path, layout: Layout) -> Tables:
    files = _files(path, layout)
    if not files:
        raise ExtractRefused("author.nothing_to_try", folder=path.name)
    limits = _limits(layout)
    packed = [file for file in files.values() if file.suffix.lower() == ".parquet"]
    extract_parquet.check_unpacked(packed, _as_stored(limits))
    tables: dict[str, pa.Table] = {}
    lacking: dict[str, tuple[str, ...]] = {}
    for name, record in layout.records.items():
        if name in files:
            table, given = _table(files[name], record, layout, limits, tables)
            tables[name] = _without_identity(table, record)
            gone = tuple(column for column in _expected(record) if column not in given)
            lacking |= {name: gone} if gone and table.num_rows else {}
    head = layout.header.name
    header = _header(files[head], layout.header, limits) if head in files else None
    return Tables(tables, header, tuple(name for name in layout.records if name not in files), lacking)


def _expected(record: RecordType) -> Iterator[str]:
    """Name the columns that an author's file should have: not those that only the register adds, nor identities."""
    yield from (name for name, field in record.fields.items() if not field.identity)
    yield from _given_by_author(record)


def _given_by_author(record: RecordType) -> Iterator[str]:
    """Name the supplied columns that an author's file should have."""
    yield from (name for name, declared in record.supplied.items() if declared.source != "register")


def _limits(layout: Layout) -> Limits:
    """Give the bounds of a stranger's file, with room for every column of a wide register and some years of all."""
    widest = max((len(record.fields) + len(record.supplied) for record in layout.records.values()), default=0)
    most = Limits()
    return Limits(fields=max(most.fields, widest), rows=_ROWS, unpacked_bytes=most.file_bytes)


def _as_stored(limits: Limits) -> Limits:
    """Widen the bounds for the register's own form, which has columns beside the layout's."""
    return replace(limits, fields=2 * limits.fields + len(_STORED))


def _files(path: Path, layout: Layout) -> dict[str, Path]:
    """Find each record type's file, whatever its capitals; one of another name or kind would silently go unjudged."""
    if not path.is_dir():
        raise ExtractRefused("author.no_data", folder=path.name)
    known = {name.lower(): name for name in layout.records}
    known |= {record.name.lower(): record.name for record in (layout.header, layout.trailer)}
    files: dict[str, Path] = {}
    for file in tables_of(path):
        if file.stem.lower() in _NO_TABLES:
            continue
        name = known.get(file.stem.lower())
        if name is None:
            raise ExtractRefused("author.unknown_table", folder=path.name, file=shown(file.name))
        if not file.is_file():
            raise ExtractRefused("author.odd_table", folder=path.name, file=shown(file.name))
        if name in files:
            raise ExtractRefused("extract.flat_twice", folder=path.name, record=name)
        files[name] = file
    for file in sorted(path.iterdir()):
        named = known.get(file.name.partition(".")[0].lower())
        if named is not None and named not in files and not file.is_dir():
            raise ExtractRefused("author.odd_table", folder=path.name, file=shown(file.name))
    size, most = sum(file.stat().st_size for file in files.values()), Limits().file_bytes
    if size > most:
        raise ExtractRefused("extract.too_big", file=path.name, bytes=size, most=most)
    return files


def _table(
    file: Path, record: RecordType, layout: Layout, limits: Limits, before: Mapping[str, pa.Table]
) -> tuple[pa.Table, set[str]]:
    """Read a table; gives also the columns that its file has."""
    if file.suffix.lower() == ".parquet" and _is_stored(file, limits):
        stored = _stored(file, record)
        return stored, set(stored.column_names)
    growing = new_tables([record])[record.name]
    supplied: dict[str, list[pa.Array]] = {name: [] for name in record.supplied}
    given: set[str] = set()
    for batch in _batches(file, record, limits):
        given |= set(batch.schema.names)
        texts = {name: _text(batch, name) for name in (*record.fields, *record.supplied)}
        for name, declared in record.supplied.items():
            supplied[name].append(_supplied(declared, texts.pop(name), file, growing.rows))
        growing.add(texts, pa.nulls(batch.num_rows, pa.int32()))
    table = growing.finish()
    for name in sorted(given & record.supplied.keys()):
        table = table.append_column(name, pa.chunked_array(supplied[name]))
    persons = _persons(table, record, layout, before)
    return table.set_column(table.column_names.index("_person"), "_person", persons), given


def _batches(file: Path, record: RecordType, limits: Limits) -> Iterator[pa.RecordBatch]:
    if file.suffix.lower() == ".parquet":
        yield from extract_parquet.batches(file, record, limits, record.supplied)
        return
    encoding = extract_csv.encoding_of([file], limits)
    yield from extract_csv.batches(file, record, limits, encoding, record.supplied)


def _text(batch: pa.RecordBatch, name: str) -> pa.Array:
    if name not in batch.schema.names:
        return pa.nulls(batch.num_rows, pa.string())
    return blank_to_null(batch[name])


def _supplied(declared: Supplied, texts: pa.Array, file: Path, before: int) -> pa.Array:
    """Give a supplied column its type; nothing judges it later, so that a value of another type is refused here."""
    if not declared.type.startswith("int"):
        return texts
    whole = pc.match_substring_regex(texts, r"\A-?[0-9]{1,9}\z")
    wrong = np.flatnonzero(~np.asarray(pc.fill_null(whole, True)))
    if len(wrong):
        row = before + int(wrong[0]) + 1
        raise ExtractRefused("author.supplied", file=file.name, field=declared.name, row=row)
    return texts.cast(pa.int64())


def _persons(table: pa.Table, record: RecordType, layout: Layout, before: Mapping[str, pa.Table]) -> pa.Array:
    """Link each row to the first person with its number; a register without persons has no links."""
    if record.name == PERSON:
        return table["_row"].combine_chunks()
    person = layout.records.get(PERSON)
    key = person.key_fields[0] if person is not None and person.key_fields else ""
    if PERSON not in before or key not in table.column_names or key not in before[PERSON].column_names:
        return pa.nulls(table.num_rows, pa.int32())
    people = before[PERSON][key].combine_chunks()
    found = pc.index_in(table[key].combine_chunks(), value_set=people, skip_nulls=True)
    return before[PERSON]["_row"].combine_chunks().take(found)


def _header(file: Path, record: RecordType, limits: Limits) -> dict[str, str | None]:
    rows = [row for batch in _batches(file, record, limits) for row in batch.slice(0, 2).to_pylist()]
    if len(rows) != 1:
        raise ExtractRefused("extract.flat_one_row", file=file.name, rows="0" if not rows else "2+")
    return {name: rows[0].get(name) or None for name in record.fields}


def _is_stored(file: Path, limits: Limits) -> bool:
    """Tell whether a file is of the register's own form, by its columns beside the layout's."""
    names = extract_parquet.check_file(file, _as_stored(limits)).names
    return bool(_STORED & set(names)) or any(name.endswith("__raw") for name in names)


def _stored(file: Path, record: RecordType) -> pa.Table:
    """Read a table as the register stores it: typed columns, ids as local keys, what did not parse beside."""
    wanted = {*_STORED, *record.supplied, *record.fields, *(f"{name}__raw" for name in record.fields)}
    try:
        names = [name for name in pq.read_schema(file).names if name in wanted]
        table = pq.read_table(file, columns=names, partitioning=None)
    except (pa.ArrowException, OSError):
        raise ExtractRefused("extract.parquet", file=file.name) from None
    for field in table.schema:
        if pa.types.is_nested(field.type):
            raise ExtractRefused(
                "extract.parquet_type", file=file.name, field=shown(field.name), type=str(field.type)[:40]
            )
    return table


def _without_identity(table: pa.Table, record: RecordType) -> pa.Table:
    """Leave identity fields out: validation never sees an identity number."""
    hidden = {name for name, field in record.fields.items() if field.identity}
    named = [name for name in table.column_names if name.removesuffix("__raw") not in hidden]
    return table.select(named)
