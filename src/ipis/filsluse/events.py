"""One door for what was done: the row of the log page and SSB's event list, and the audit row, in one transaction."""

from __future__ import annotations

from enum import StrEnum

from ipis.filsluse.models import Event, FilsluseAudit, Tilbakemelding
from ipis.filsluse.site import room_settings


class EventKind(StrEnum):
    """What can be done at the portal; each has its line in the texts of the log page."""

    ACCOUNT_MADE = "account_made"
    """SSB made the account."""
    LINK_SENT = "link_sent"
    """A password mail was sent."""
    PASSWORD_SET = "password_set"  # noqa: S105 - the name of an event
    """A password was chosen."""
    LOGGED_IN = "logged_in"
    """Somebody logged in."""
    LOCKED_OUT = "locked_out"
    """Too many wrong passwords in a row."""
    FILE_LISTED = "file_listed"
    """SSB put a tilbakemelding up for download."""
    FILE_DOWNLOADED = "file_downloaded"
    """A file was sent to the municipality."""
    FILE_CONFIRMED = "file_confirmed"
    """The municipality said that it holds the zip."""
    FILE_DELETED = "file_deleted"
    """The municipality took the tilbakemelding away."""
    FILE_EXPIRED = "file_expired"
    """Its time was over."""


OF_FILES = frozenset(kind for kind in EventKind if kind.value.startswith("file_"))
"""What SSB is told of."""


def record(kind: EventKind, kommune: str, *, actor: str = "", **details: object) -> None:
    """Record what was done in a municipality's account, within the caller's transaction."""
    _write(kind, kommune, subject=f"kommune {kommune}", actor=actor, details=details)


def record_file(kind: EventKind, one: Tilbakemelding, *, actor: str = "", name: str = "", **details: object) -> None:
    """Record what was done with a tilbakemelding, or with one of its files, within the caller's transaction."""
    details |= {"file": name or one.name}
    _write(kind, one.kommune, subject=one.pk, actor=actor, push=one.pk, name=name or one.name, details=details)


def _write(
    kind: EventKind,
    kommune: str,
    *,
    subject: str,
    actor: str,
    details: dict[str, object],
    push: str = "",
    name: str = "",
) -> None:
    at = room_settings().business_clock().now()
    Event.objects.create(kind=kind, kommune=kommune, push=push, name=name, at=at)
    FilsluseAudit.append(kind, subject, actor=actor or f"kommune {kommune}", **details)
