"""A municipality's own tilbakemeldinger: listed, downloaded, confirmed, deleted; another's do not exist for it."""

from __future__ import annotations

import shutil
from pathlib import Path

from django.db import transaction
from django.db.models import QuerySet

from ipis.filsluse.events import EventKind, record_file
from ipis.filsluse.models import FilsluseAudit, FilsluseJob, Member, Tilbakemelding
from ipis.filsluse.site import room_settings
from ipis.filsluse.transitions import GONE, VISIBLE, FileState, check_transition
from ipis.kernel.errors import Refused
from ipis.lib.storage import flush_folder

ERASE = "erase"


def listing(kommune: str) -> QuerySet[Tilbakemelding]:
    """List what the municipality can download, newest first."""
    now = room_settings().business_clock().now()
    return Tilbakemelding.objects.filter(kommune=kommune, state__in=VISIBLE, expires_at__gt=now)


def find(kommune: str, push_id: str) -> Tilbakemelding | None:
    """Find one of the municipality's own; another's, a deleted one and one that never was are all None."""
    return listing(kommune).filter(pk=push_id).first()


def path_of(member: Member) -> Path:
    """Give where the file stands."""
    return folder_of(member.tilbakemelding_id) / member.name


def folder_of(push_id: str) -> Path:
    """Give the folder of one push."""
    return room_settings().files / push_id


def note_download(one: Tilbakemelding, member: Member, *, offset: int = 0, by: str = "browser") -> None:
    """Record that a file leaves, before its first byte does; a resumed download tells where it went on."""
    with transaction.atomic():
        if member.name != one.name or offset:
            FilsluseAudit.append(
                EventKind.FILE_DOWNLOADED,
                one.pk,
                actor=f"kommune {one.kommune}",
                file=member.name,
                offset=offset,
                by=by,
            )
            return
        _hold(one)
        if one.state == FileState.LISTED:
            _move(one, FileState.DOWNLOADED, downloaded_at=room_settings().business_clock().now())
        record_file(EventKind.FILE_DOWNLOADED, one, by=by)


def confirm(one: Tilbakemelding) -> None:
    """Take the municipality's word that it holds the zip whole; a second time changes nothing."""
    with transaction.atomic():
        _hold(one)
        if one.state == FileState.CONFIRMED:
            return
        if one.state == FileState.LISTED:
            raise Refused("filsluse.not_downloaded", name=one.name)
        _move(one, FileState.CONFIRMED, confirmed_at=room_settings().business_clock().now())
        record_file(EventKind.FILE_CONFIRMED, one)


def delete(one: Tilbakemelding) -> None:
    """Take it off the list at the municipality's wish; the worker erases the files."""
    _take_away(one, FileState.DELETED, EventKind.FILE_DELETED)


def expire_due() -> int:
    """Take away what has stood its time by the business clock; tells how many."""
    now = room_settings().business_clock().now()
    due = list(Tilbakemelding.objects.filter(state__in=VISIBLE, expires_at__lte=now))
    for one in due:
        _take_away(one, FileState.EXPIRED, EventKind.FILE_EXPIRED)
    return len(due)


def erase(job: FilsluseJob) -> None:
    """Erase the files of a tilbakemelding that was taken away."""
    remove_folder(folder_of(job.subject))
    with transaction.atomic():
        job.finish()


def remove_folder(folder: Path) -> None:
    """Remove a push's folder so that it stays removed; one that is gone already is fine."""
    if folder.is_dir():
        shutil.rmtree(folder)
        flush_folder(folder.parent)


def _take_away(one: Tilbakemelding, state: FileState, kind: EventKind) -> None:
    with transaction.atomic():
        _hold(one)
        if one.state in GONE:
            return
        _move(one, state)
        actor = "worker" if kind is EventKind.FILE_EXPIRED else ""
        record_file(kind, one, actor=actor)
        FilsluseJob.queue(ERASE, one.pk)


def _hold(one: Tilbakemelding) -> None:
    """Read the row as it stands and keep others from changing it until the transaction ends."""
    one.refresh_from_db(from_queryset=Tilbakemelding.objects.select_for_update())


def _move(one: Tilbakemelding, state: FileState, **fields: object) -> None:
    """Change the state by the table, within the caller's transaction."""
    check_transition(FileState(one.state), state)
    Tilbakemelding.objects.filter(pk=one.pk).update(state=state, **fields)
    one.refresh_from_db()
