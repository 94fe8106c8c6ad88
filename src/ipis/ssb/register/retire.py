"""Destroys `lokal` when the year is over: from then on nobody at SSB can say which row was whose record."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING

from django.db import transaction

from ipis.kernel.calendar import OSLO
from ipis.lib.storage import remove_durably
from ipis.ssb.register.deliveries import LOKAL
from ipis.ssb.register.models import AuditEvent, Delivery

if TYPE_CHECKING:
    from ipis.kernel.collection import Collection
    from ipis.ssb.register.objects import ObjectStore


def destroyed_from(collection: Collection) -> datetime:
    """Give the instant from which a year's `lokal` may not exist any more."""
    day = collection.publication.final_on + timedelta(days=collection.limits.keep_lokal_days)
    return datetime.combine(day, time(0), OSLO)


def destroy_lokal(collection: Collection, store: ObjectStore, at: datetime) -> int:
    """Delete every `lokal` of a year whose time has come; tells how many. A file is gone before its row says so."""
    if at < destroyed_from(collection):
        return 0
    rows = Delivery.objects.filter(register=collection.register, year=collection.year, lokal_destroyed_at=None)
    for delivery in rows:
        remove_durably(store.file(delivery.folder, LOKAL))
        with transaction.atomic():
            Delivery.objects.filter(pk=delivery.pk).update(lokal_destroyed_at=at)
            AuditEvent.append("lokal.destroyed", delivery.forsendelse, actor="intake")
    return len(rows)
