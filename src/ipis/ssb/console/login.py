"""The staff login: attempts are counted, by real time, before a password is looked at.

Names share 256 buckets, so that made-up names neither fill the table nor cost work without end, and so that a lockout
says nothing of whether a name exists.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.contrib.auth.forms import AuthenticationForm
from django.core.exceptions import ValidationError
from django.db import transaction

from ipis.ssb.register.models import AuditEvent, StaffAttempts

ALLOWED: Final = 10
LOCKOUT: Final = timedelta(minutes=15)


class StaffLogin(AuthenticationForm):
    """User name and password; refused unread while there have been too many wrong ones."""

    def clean(self) -> dict[str, Any]:
        """Take an attempt, try the password, and forget the attempts after a right one."""
        name = str(self.cleaned_data.get("username", ""))
        if not take_attempt(name):
            raise ValidationError("locked", code="locked")
        found: dict[str, Any] = super().clean()
        StaffAttempts.objects.filter(bucket=_bucket(name)).delete()
        return found


def take_attempt(name: str) -> bool:
    """Count an attempt before its password is tried; tells whether there was one left."""
    now = datetime.now(UTC)
    with transaction.atomic():
        StaffAttempts.objects.get_or_create(bucket=_bucket(name), defaults={"last_at": now})
        row = StaffAttempts.objects.select_for_update().get(bucket=_bucket(name))
        if now - row.last_at >= LOCKOUT:
            row.failures = 0
        if row.failures >= ALLOWED:
            return False
        row.failures, row.last_at = row.failures + 1, now
        row.save()
        if row.failures == ALLOWED:
            AuditEvent.append("staff.locked", row.bucket, actor="web")
    return True


def _bucket(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:2]
