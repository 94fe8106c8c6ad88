"""The flat forms of the extract: a folder with `<record>.csv` or `<record>.parquet`, header and trailer included.

The same content gives the same tables as XML; what only flat files can show are rows whose person does not exist.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ipis.kernel import extract_csv, extract_parquet
from ipis.kernel.errors import ExtractRefused
from ipis.kernel.extract import Extract, Judge, Limits, Progress
from ipis.kernel.extract_batch import blank_to_null, new_tables, shown
from ipis.kernel.layout import Layout, RecordType

_SUFFIXES = {".csv": "csv", ".parquet": "parquet"}


@dataclass(frozen=True, slots=True)
class _Folder:
    """The files of a folder by the name of their record type, all of one kind."""

    path: Path
    files: dict[str, Path]
    source: str

    def size(self) -> int:
        return sum(file.stat().st_size for file in self.files.values())


def read_folder(path: Path, layout: Layout, limits: Limits, progress: Progress | None, judge: Judge | None) -> Extract:
    """Read a folder of flat files; raises `ExtractRefused`."""
    folder = _open(path, layout, limits)
    if folder.source == "parquet":
        extract_parquet.check_unpacked(list(folder.files.values()), limits)
    encoding = extract_csv.encoding_of(sorted(folder.files.values()), limits) if folder.source == "csv" else "utf-8"
    total, done = folder.size(), 0
    header = _one_row(folder, layout.header, limits, encoding)
    if judge is not None:
        judge(header)
    trailer = _one_row(folder, layout.trailer, limits, encoding)
    if trailer.get("sha256") is not None:
        raise ExtractRefused("extract.checksum_flat", rule="K011", file=folder.files[layout.trailer.name].name)
    tables = new_tables(list(layout.records.values()))
    people = pa.array([], pa.string())
    for name, record in layout.records.items():
        if name not in folder.files:
            continue
        for batch in _batches(folder, record, limits, encoding):
            if name == "person":
                start = tables[name].rows
                persons = pa.array(np.arange(start, start + batch.num_rows, dtype=np.int32))
            else:
                persons = _first_rows(people, batch["brukerNr"])
            tables[name].add({field: batch[field] for field in record.fields}, persons)
        if name == "person":
            people = _column(tables[name].batches, "brukerNr")
        done += folder.files[name].stat().st_size
        if progress is not None:
            progress(done, total)
    made = {name: table.finish() for name, table in tables.items()}
    return Extract(header, made, trailer, folder.source, encoding)


def _open(path: Path, layout: Layout, limits: Limits) -> _Folder:
    """Take stock of the folder: only record types, each once, all of one kind; header, persons and trailer there."""
    known = {record.name: record for record in layout.by_element().values()}
    files: dict[str, Path] = {}
    for file in sorted(path.iterdir()):
        name, suffix = file.stem.lower(), file.suffix.lower()
        if name not in known or suffix not in _SUFFIXES or not file.is_file():
            raise ExtractRefused("extract.flat_unknown", rule="K004", folder=path.name, file=shown(file.name))
        if name in files:
            raise ExtractRefused("extract.flat_twice", rule="K004", folder=path.name, record=name)
        files[name] = file
    for needed in (layout.header.name, "person", layout.trailer.name):
        if needed not in files:
            raise ExtractRefused("extract.flat_missing", rule="K004", folder=path.name, member=needed)
    kinds = {_SUFFIXES[file.suffix.lower()] for file in files.values()}
    if len(kinds) > 1:
        raise ExtractRefused("extract.flat_mixed", rule="K004", folder=path.name)
    folder = _Folder(path, files, kinds.pop())
    if folder.size() > limits.file_bytes:
        size, most = folder.size(), limits.file_bytes
        raise ExtractRefused("extract.too_big", rule="K004", file=path.name, bytes=size, most=most)
    return folder


def _batches(folder: _Folder, record: RecordType, limits: Limits, encoding: str) -> Iterator[pa.RecordBatch]:
    """Give the rows of a record type as texts, with every field of the layout, nulls for columns that are not there."""
    file = folder.files[record.name]
    if folder.source == "csv":
        raw = extract_csv.batches(file, record, limits, encoding)
    else:
        raw = extract_parquet.batches(file, record, limits)
    row = 0
    for batch in raw:
        texts = [_text(batch, name) for name in record.fields]
        for array in texts:
            _check_length(array, file, row, limits)
        row += batch.num_rows
        yield pa.RecordBatch.from_arrays(texts, names=list(record.fields))


def _text(batch: pa.RecordBatch, name: str) -> pa.Array:
    if name not in batch.schema.names:
        return pa.nulls(batch.num_rows, pa.string())
    return blank_to_null(batch[name])


def _check_length(array: pa.Array, file: Path, start: int, limits: Limits) -> None:
    longest = pc.max(pc.utf8_length(array)).as_py()
    if longest is not None and longest > limits.value_chars:
        row = start + int(np.argmax(pc.utf8_length(array).fill_null(0).to_numpy(zero_copy_only=False))) + 1
        raise ExtractRefused("extract.long_field", rule="K004", file=file.name, row=row, most=limits.value_chars)


def _one_row(folder: _Folder, record: RecordType, limits: Limits, encoding: str) -> dict[str, str | None]:
    rows = [row for batch in _batches(folder, record, limits, encoding) for row in batch.slice(0, 2).to_pylist()]
    if len(rows) != 1:
        file = folder.files[record.name].name
        raise ExtractRefused("extract.flat_one_row", rule="K004", file=file, rows="0" if not rows else "2+")
    return dict(rows[0])


def _column(batches: list[pa.RecordBatch], name: str) -> pa.Array:
    if not batches:
        return pa.array([], pa.string())
    return pa.concat_arrays([batch[name] for batch in batches])


def _first_rows(people: pa.Array, wanted: pa.Array) -> pa.Array:
    """Give the row of the first person with each number; null for an orphan and for a row without a number."""
    encoded = people.dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    known, first = np.unique(codes, return_index=True)
    rows = np.zeros(len(encoded.dictionary), dtype=np.int32)
    rows[known[known >= 0]] = first[known >= 0]
    places = pc.index_in(wanted, value_set=encoded.dictionary, skip_nulls=True)
    return pa.array(rows).take(places)
