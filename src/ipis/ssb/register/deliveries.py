"""What the register answers: which deliveries count as of an instant, their tables, and `lokal`.

What counts is a list of deliveries; a publication stores its list. Nothing here changes a delivery.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ipis.kernel.answers import SVAR
from ipis.kernel.errors import OurFault
from ipis.ssb.register.models import Delivery, Phase

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence
    from datetime import datetime

    from ipis.kernel.layout import Layout
    from ipis.ssb.register.objects import ObjectStore

FEEDBACK = "feedback"
"""The kind of job that makes feedback for a delivery; its subject is the forsendelse's id."""
REVALIDATE = "revalidate"
"""The kind of job that runs the rules again over a stored delivery; its subject is the forsendelse's id."""
LOKAL = "lokal.parquet"
_PERSON, _BRUKER = "person", "brukerNr"
_NO_RECORDS = frozenset({LOKAL, f"{SVAR}.parquet"})
LOKAL_SCHEMA = pa.schema([pa.field("local_key", pa.int64()), pa.field("value", pa.string())])


class Release(StrEnum):
    """The two publications of a year."""

    MARCH = "march"
    """Preliminary: what arrived in the window."""
    JUNE = "june"
    """Final: with corrections received before the correction date."""


COUNTS: dict[Release, frozenset[Phase]] = {
    Release.MARCH: frozenset({Phase.OPEN}),
    Release.JUNE: frozenset({Phase.OPEN, Phase.LATE}),
}
"""Which phases of arrival count for which release (L16, L17: until 15 January; until the correction date in March)."""


def deliveries_as_of(
    year: int, at: datetime, *, release: Release | None = None, register: str = "iplos"
) -> list[Delivery]:
    """List the newest loaded delivery of each kommune and bydel as of an instant (business time, itself excluded).

    With a release, only those that count for it: a late correction does not push the one in time out of March.
    """
    found: dict[tuple[str, str], Delivery] = {}
    rows = Delivery.objects.filter(register=register, year=year, loaded_at__lt=at).order_by("sequence")
    for delivery in rows:
        if release is None or counts_for(delivery, release):
            found[delivery.kommune, delivery.bydel] = delivery
    return [found[key] for key in sorted(found)]


def counts_for(delivery: Delivery, release: Release) -> bool:
    """Tell whether a delivery may count for a release; staff may reopen a closed one for June."""
    return delivery.phase in COUNTS[release] or (delivery.reopened and release is Release.JUNE)


def joined_tables(parts: Sequence[Mapping[str, pa.Table]]) -> dict[str, pa.Table]:
    """Put the tables of several deliveries together as if they were one: rows and persons are numbered on."""
    if len(parts) == 1:
        return dict(parts[0])
    joined = {}
    persons = np.cumsum([0, *(part[_PERSON].num_rows for part in parts)])
    for name in parts[0]:
        tables, rows = [part[name] for part in parts], 0
        for place, table in enumerate(tables):
            numbered = _moved(table, "_person", int(persons[place]))
            tables[place] = _moved(numbered, "_row", rows)
            rows += table.num_rows
        joined[name] = pa.concat_tables(tables)
    return joined


def _moved(table: pa.Table, column: str, by: int) -> pa.Table:
    moved = pc.add(table[column], pa.scalar(by, pa.int32()))
    return table.set_column(table.column_names.index(column), column, moved)


def newest_sequence(register: str, year: int, kommune: str, bydel: str) -> int:
    """Give the newest sequence loaded from a sender in a year, or 0."""
    rows = Delivery.objects.filter(register=register, year=year, kommune=kommune, bydel=bydel)
    return rows.order_by("-sequence").values_list("sequence", flat=True).first() or 0


def same_content(delivery_of: Delivery) -> Delivery | None:
    """Find an earlier delivery of the same sender and year with the same content (K014)."""
    same = Delivery.objects.filter(
        register=delivery_of.register,
        year=delivery_of.year,
        kommune=delivery_of.kommune,
        bydel=delivery_of.bydel,
        content_sha256=delivery_of.content_sha256,
    )
    return same.exclude(forsendelse=delivery_of.forsendelse).order_by("sequence").first()


def open_tables(delivery: Delivery, store: ObjectStore) -> dict[str, pa.Table]:
    """Read the tables of a delivery: record name -> table with the layout's columns, `_row` and `_person`."""
    names = [name for name in delivery.objects_sha256 if name not in _NO_RECORDS]
    return {name.removesuffix(".parquet"): _read(delivery, store, name) for name in names}


def lokal(delivery: Delivery, store: ObjectStore) -> pa.Table:
    """Read `lokal` (local_key int64 -> value string): for feedback alone, within the year; empty once destroyed."""
    if delivery.lokal_destroyed_at is not None:
        return LOKAL_SCHEMA.empty_table()
    return _read(delivery, store, LOKAL)


def key_tables(delivery: Delivery, store: ObjectStore, layout: Layout) -> dict[str, pa.Table]:
    """Read of each record's rows what `shown_keys` looks at."""
    records = {name: record for name, record in layout.records.items() if name in delivery.rows}
    return {
        name: columns_of(delivery, store, name, {"_row", _BRUKER, record.id_field}) for name, record in records.items()
    }


def shown_keys(rows: Mapping[str, pa.Table], id_fields: Mapping[str, str], known: pa.Table) -> dict[str, pa.Table]:
    """Give what feedback shows of rows of some records, which have an id field or none (empty); `known` is `lokal`.

    For each: `_row` int32, `brukerNr` and `id` string, null for none.
    """
    fields = {record: (_BRUKER, id_fields[record]) for record in rows}
    asked = [table[name] for record, table in rows.items() for name in fields[record] if _is_local_key(table, name)]
    wanted = pa.chunked_array([chunk for column in asked for chunk in column.chunks], pa.int64())
    some = known.filter(pc.is_in(known["local_key"], value_set=pc.unique(wanted)))
    return {
        record: pa.table(
            [table["_row"], *(_shown(table, name, some) for name in fields[record])], names=["_row", _BRUKER, "id"]
        )
        for record, table in rows.items()
    }


def _shown(table: pa.Table, field: str, known: pa.Table) -> pa.ChunkedArray | pa.Array:
    """Turn a key column into what the municipality wrote; a column that is no local key is shown as it is."""
    if field not in table.column_names:
        return pa.nulls(table.num_rows, pa.string())
    if not _is_local_key(table, field):
        return pc.cast(table[field], pa.string())
    return pc.take(known["value"], pc.index_in(table[field], value_set=known["local_key"], skip_nulls=True))


def _is_local_key(table: pa.Table, field: str) -> bool:
    return field in table.column_names and pa.types.is_int64(table[field].type)


def columns_of(delivery: Delivery, store: ObjectStore, record: str, columns: Container[str]) -> pa.Table:
    """Read some columns of a record's rows; those that it does not have are left out."""
    return _read(delivery, store, f"{record}.parquet", columns)


def _read(delivery: Delivery, store: ObjectStore, name: str, columns: Container[str] | None = None) -> pa.Table:
    path = store.file(delivery.folder, name)
    try:
        # One thread: the files are small, and starting threads costs more than reading them.
        with pq.ParquetFile(path, memory_map=True) as file:
            wanted = None if columns is None else [each for each in file.schema_arrow.names if each in columns]
            return file.read(wanted, use_threads=False)
    except FileNotFoundError:
        raise OurFault("ssb.object_missing", forsendelse=delivery.forsendelse, file=name) from None
