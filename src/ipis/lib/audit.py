"""An append-only, hash-chained record of what was done, whose head stands in every receipt.

A room makes it a table by subclassing `AuditEvent`. Details hold ids, counts, codes and hashes – never an identifier,
a PIN, a pseudonym or the text of an exception.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Self

from django.db import models, transaction

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

GENESIS = "0" * 64


@dataclass(frozen=True, slots=True)
class Event:
    """Something that the audit is to tell."""

    event: str
    subject: str
    details: Mapping[str, object] = field(default_factory=dict)


class AuditEvent(models.Model):
    """One thing done: by whom, to what, when (real time), chained to the one before."""

    at = models.CharField(max_length=40)
    actor = models.CharField(max_length=80)
    event = models.CharField(max_length=60)
    subject = models.CharField(max_length=120)
    details = models.TextField(default="{}")
    previous = models.CharField(max_length=64)
    hash = models.CharField(max_length=64, unique=True)

    objects: ClassVar[models.Manager[Self]]

    class Meta:
        """Each room has its own table."""

        abstract = True
        ordering: ClassVar = ["id"]

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Store a new event; one that stands is never changed."""
        if not self._state.adding:
            raise TypeError("an audit event is never changed")
        super().save(*args, **kwargs)

    def delete(self, *_args: Any, **_kwargs: Any) -> tuple[int, dict[str, int]]:
        """Refuse: an audit event is never deleted."""
        raise TypeError("an audit event is never deleted")

    @classmethod
    def append(cls, event: str, subject: str, *, actor: str, **details: object) -> str:
        """Append within the caller's transaction and give the new head."""
        return cls.append_all([Event(event, subject, details)], actor=actor)[0]

    @classmethod
    def append_all(cls, events: Sequence[Event], *, actor: str) -> list[str]:
        """Append several within the caller's transaction, each chained to the one before; gives the head after each."""
        rows: list[Self] = []
        # No savepoint of its own: what fails here fails what it tells of.
        with transaction.atomic(savepoint=False):
            previous = cls.head()
            for each in events:
                # The type checker takes `cls(…)` of a Django model for the class it stands in.
                row: Self = cls(  # type: ignore[assignment]
                    at=datetime.now(UTC).isoformat(timespec="microseconds"),
                    actor=actor,
                    event=each.event,
                    subject=each.subject,
                    details=json.dumps(each.details, sort_keys=True, ensure_ascii=False),
                    previous=previous,
                )
                previous = row.hash = row.computed_hash()
                rows.append(row)
            cls.objects.bulk_create(rows)
        return [row.hash for row in rows]

    @classmethod
    def head(cls) -> str:
        """Give the hash of the newest event, or 64 zeros."""
        return cls.objects.order_by("-id").values_list("hash", flat=True).first() or GENESIS

    @classmethod
    def first_broken(cls) -> int | None:
        """Walk the chain and give the id of the first event that does not fit, or None."""
        previous = GENESIS
        for row in cls.objects.order_by("id").iterator():
            if row.previous != previous or row.hash != row.computed_hash():
                return int(row.pk)
            previous = row.hash
        return None

    def computed_hash(self) -> str:
        """Hash the event and its predecessor's hash."""
        fields = [self.previous, self.at, self.actor, self.event, self.subject, self.details]
        return hashlib.sha256(json.dumps(fields, ensure_ascii=False).encode()).hexdigest()
