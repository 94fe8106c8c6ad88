"""The drawn extract as one CSV or Parquet file a record type: the same content as the XML file, names by the layout."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from ipis.kernel.layout import Layout, RecordType
from ipis.synth.rows import Draw, Rows

FORMS = ("csv", "parquet")
_ROWS_AT_A_TIME = 100_000


def write(draw: Draw, layout: Layout, folder: Path, form: str) -> None:
    """Write the folder; it appears under its name when it is whole."""
    beside = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    users = pa.concat_arrays([draw.rows["person"].columns["brukerNr"], pa.array(draw.orphans, pa.string())])
    _write(_one_row(layout.header, dict(draw.header)), beside / layout.header.name, form)
    for record in layout.records.values():
        rows = draw.rows.get(record.name)
        if rows is not None and len(rows):
            _write(_table(rows, record, users), beside / record.name, form)
    _write(_one_row(layout.trailer, _counts(draw, layout)), beside / layout.trailer.name, form)
    shutil.rmtree(folder, ignore_errors=True)
    beside.replace(folder)


def _table(rows: Rows, record: RecordType, users: pa.Array) -> pa.Table:
    """Give a record type's table; rows beside the person carry the user number themselves."""
    columns = dict(rows.columns)
    if "brukerNr" not in columns:
        columns["brukerNr"] = users.take(pa.array(rows.person))
    given = [name for name in record.fields if name in columns]
    return pa.table([columns[name] for name in given], names=given)


def _one_row(record: RecordType, values: dict[str, str | None]) -> pa.Table:
    given = [name for name in record.fields if values.get(name) is not None]
    return pa.table([pa.array([values[name]], pa.string()) for name in given], names=given)


def _counts(draw: Draw, layout: Layout) -> dict[str, str | None]:
    fields = layout.trailer.fields.values()
    return {field.name: str(len(draw.rows.get(field.counts, ()))) for field in fields if field.counts is not None}


def _write(table: pa.Table, path: Path, form: str) -> None:
    if form == "parquet":
        pq.write_table(table, path.with_suffix(".parquet"), row_group_size=_ROWS_AT_A_TIME, compression="zstd")
        return
    with path.with_suffix(".csv").open("wb") as file:
        file.write((";".join(table.column_names) + "\n").encode())
        # Nothing drawn holds a separator or a quotation mark.
        options = pa_csv.WriteOptions(include_header=False, delimiter=";", quoting_style="none")
        pa_csv.write_csv(table, file, options)
