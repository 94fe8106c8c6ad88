"""How often somebody may try to log in: counted in real time, before the costly comparison of the PIN runs.

Known devices and strangers are counted apart, so that strangers lock out strangers only.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import transaction

from ipis.kernel.errors import TryLater
from ipis.tpf.models import LoginCount


@dataclass(frozen=True, slots=True)
class Limit:
    """One thing that is counted: `scope` is a keyed hash, since it is made of what strangers typed."""

    scope: str
    attempts: int
    lockout: timedelta


def take(limits: list[Limit]) -> None:
    """Count one attempt under each limit; raises TryLater (tpf.locked) while one of them is used up."""
    now = datetime.now(UTC)
    with transaction.atomic():
        # Looked at first, so that a locked stranger's made-up municipalities leave no rows.
        standing = LoginCount.objects.select_for_update().filter(scope__in=[limit.scope for limit in limits])
        locked = [count.locked_until for count in standing if count.locked_until and count.locked_until > now]
        if not locked:
            for limit in limits:
                _add(limit, _count(limit, now), now)
    if locked:
        minutes = max(1, -(-int((max(locked) - now).total_seconds()) // 60))
        raise TryLater("tpf.locked", minutes=minutes)


def give_back(limits: list[Limit]) -> None:
    """Take one attempt off each count, with the lock that it made; what others did under them stands."""
    for limit in limits:
        count = LoginCount.objects.select_for_update().filter(scope=limit.scope).first()
        if count is not None and count.attempts:
            count.attempts -= 1
            count.locked_until = None if count.attempts < limit.attempts else count.locked_until
            count.save()


def clear(limits: list[Limit]) -> None:
    """Forget the attempts of somebody who got in."""
    LoginCount.objects.filter(scope__in=[limit.scope for limit in limits]).delete()


def sweep() -> None:
    """Delete the counts that no longer count."""
    now = datetime.now(UTC)
    LoginCount.objects.filter(window_ends_at__lt=now).exclude(locked_until__gt=now).delete()


def _count(limit: Limit, now: datetime) -> LoginCount:
    """Read the count, begun anew when its time is over."""
    count, _ = LoginCount.objects.select_for_update().get_or_create(
        scope=limit.scope, defaults={"window_ends_at": now + limit.lockout}
    )
    over = count.locked_until <= now if count.locked_until else count.window_ends_at <= now
    if over:
        count.attempts, count.locked_until, count.window_ends_at = 0, None, now + limit.lockout
    return count


def _add(limit: Limit, count: LoginCount, now: datetime) -> None:
    """Count one more; the last one that is allowed also locks, until a right login clears it."""
    count.attempts += 1
    if count.attempts >= limit.attempts:
        count.locked_until = now + limit.lockout
    count.save()
