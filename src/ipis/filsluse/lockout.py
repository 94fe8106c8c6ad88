"""Wrong passwords in a row are counted before a password is looked at, for known devices and for strangers apart.

So a stranger who guesses locks out strangers, and the municipality's own browser still gets in. Real time only.
"""

from __future__ import annotations

import hashlib

from django.db import transaction

from ipis.filsluse.models import Account, Attempts, KnownDevice
from ipis.filsluse.site import room_settings
from ipis.filsluse.tokens import new_token, real_now, token_hash
from ipis.kernel.errors import TryLater


def subject_of(username: str, device: str) -> tuple[str, int]:
    """Give whose attempts are counted, and how many are allowed: this device's if it is known, else all strangers'."""
    settings = room_settings()
    known = (
        bool(device) and KnownDevice.objects.filter(token_hash=token_hash(device), account__username=username).exists()
    )
    who = token_hash(device) if known else "stranger"
    subject = hashlib.sha256(f"{username}\0{who}".encode()).hexdigest()
    return subject, settings.device_attempts if known else settings.stranger_attempts


def take_attempt(username: str, device: str) -> bool:
    """Count one attempt before its password is tried; raises TryLater when there are none left.

    Tells whether it is the last before the lockout. Attempts taken at the same time are each counted.
    """
    subject, allowed = subject_of(username, device)
    settings, now = room_settings(), real_now()
    with transaction.atomic():
        row, _ = Attempts.objects.get_or_create(subject=subject, defaults={"last_at": now})
        if now - row.last_at >= settings.lockout:
            row.failures = 0
        if row.failures < allowed:
            row.failures += 1
            row.last_at = now
            row.save()
            return row.failures == allowed
    raise TryLater("filsluse.locked", minutes=settings.lockout_minutes)


def forget_attempts(username: str, device: str) -> None:
    """Start again at none, after a right password."""
    Attempts.objects.filter(subject=subject_of(username, device)[0]).delete()


def remember_device(account: Account) -> str:
    """Make the browser known; gives the token of its cookie."""
    token = new_token()
    KnownDevice.objects.create(account=account, token_hash=token_hash(token), created_at=real_now())
    return token


def is_known(account: Account, device: str) -> bool:
    """Tell whether the browser has been logged in to this account before."""
    return bool(device) and KnownDevice.objects.filter(account=account, token_hash=token_hash(device)).exists()
