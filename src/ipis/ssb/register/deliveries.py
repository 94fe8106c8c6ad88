"""What the register answers: which deliveries count as of an instant, their tables, the one before, and `lokal`.

What counts is a list of deliveries; a publication stores its list. Nothing here changes a delivery.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ipis.kernel.answers import SVAR
from ipis.kernel.errors import OurFault
from ipis.ssb.register.models import Delivery, Phase

if TYPE_CHECKING:
    from datetime import datetime

    from django.db.models import QuerySet

    from ipis.ssb.register.objects import ObjectStore

FEEDBACK = "feedback"
"""The kind of job that makes feedback for a delivery; its subject is the forsendelse's id."""
REVALIDATE = "revalidate"
"""The kind of job that runs the rules again over a stored delivery; its subject is the forsendelse's id."""
LOKAL = "lokal.parquet"
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


def previous_delivery(delivery: Delivery) -> Delivery | None:
    """Give the delivery of the same sender and year with the nearest lower sequence, or None."""
    return _same_sender(delivery).filter(sequence__lt=delivery.sequence).order_by("-sequence").first()


def newest_sequence(register: str, year: int, kommune: str, bydel: str) -> int:
    """Give the newest sequence loaded from a sender in a year, or 0."""
    rows = Delivery.objects.filter(register=register, year=year, kommune=kommune, bydel=bydel)
    return rows.order_by("-sequence").values_list("sequence", flat=True).first() or 0


def same_content(delivery_of: Delivery) -> Delivery | None:
    """Find an earlier delivery of the same sender and year with the same content (K014)."""
    return _same_sender(delivery_of).filter(content_sha256=delivery_of.content_sha256).order_by("sequence").first()


def open_tables(delivery: Delivery, store: ObjectStore) -> dict[str, pa.Table]:
    """Read the tables of a delivery: record name -> table with the layout's columns, `_row` and `_person`."""
    names = [name for name in delivery.objects_sha256 if name not in _NO_RECORDS]
    return {name.removesuffix(".parquet"): _read(delivery, store, name) for name in names}


def lokal(delivery: Delivery, store: ObjectStore) -> pa.Table:
    """Read `lokal` (local_key int64 -> value string): for feedback alone, within the year; empty once destroyed."""
    if delivery.lokal_destroyed_at is not None:
        return LOKAL_SCHEMA.empty_table()
    return _read(delivery, store, LOKAL)


def lokal_keys(delivery: Delivery, store: ObjectStore, record: str, id_field: str) -> pa.Table:
    """Give what feedback shows of a record's rows: `_row` int32, `brukerNr` and `id` string, null for none."""
    table, known = open_tables(delivery, store)[record], lokal(delivery, store)
    columns = {"_row": table["_row"], "brukerNr": _shown(table, "brukerNr", known)}
    columns["id"] = _shown(table, id_field, known) if id_field else pa.nulls(table.num_rows, pa.string())
    return pa.table(columns)


def _shown(table: pa.Table, field: str, known: pa.Table) -> pa.ChunkedArray | pa.Array:
    """Turn a key column into what the municipality wrote; a column that is no local key is shown as it is."""
    if field not in table.column_names:
        return pa.nulls(table.num_rows, pa.string())
    column = table[field]
    if not pa.types.is_int64(column.type):
        return pc.cast(column, pa.string())
    return pc.take(known["value"], pc.index_in(column, value_set=known["local_key"]))


def _read(delivery: Delivery, store: ObjectStore, name: str) -> pa.Table:
    path = store.file(delivery.folder, name)
    if not path.exists():
        raise OurFault("ssb.object_missing", forsendelse=delivery.forsendelse, file=name)
    return pq.read_table(path, memory_map=True, partitioning=None)


def _same_sender(delivery: Delivery) -> QuerySet[Delivery]:
    rows = Delivery.objects.filter(
        register=delivery.register, year=delivery.year, kommune=delivery.kommune, bydel=delivery.bydel
    )
    return rows.exclude(forsendelse=delivery.forsendelse)
