"""What the portal does by itself: mails, password links, expiry, erasing; each round may be repeated after a crash."""

from __future__ import annotations

from datetime import timedelta

from ipis.filsluse import files, notify, password_link, push
from ipis.filsluse.models import Attempts, FilsluseJob, Session
from ipis.filsluse.site import room_settings
from ipis.filsluse.tokens import real_now
from ipis.lib.jobs import Worker


def make_worker() -> Worker[FilsluseJob]:
    """Make the worker of one process."""
    return Worker(
        jobs=FilsluseJob,
        steps={password_link.JOB: password_link.answer, files.ERASE: files.erase},
        ticks=(notify.deliver, files.expire_due, Sweep()),
    )


class Sweep:
    """Forgets what is over, once an hour of real time."""

    def __init__(self) -> None:
        """Sweep at the first call."""
        self._next_at = real_now()

    def __call__(self) -> None:
        """Sweep when an hour has gone."""
        now = real_now()
        if now < self._next_at:
            return
        self._next_at = now + timedelta(hours=1)
        push.forget_signatures()
        push.sweep_staging()
        password_link.forget_old()
        Attempts.objects.filter(last_at__lt=now - timedelta(days=1)).delete()
        Session.objects.filter(created_at__lt=now - timedelta(hours=room_settings().session_hours)).delete()
