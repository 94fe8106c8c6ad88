"""Files on their way in: staged in the room's folder, acknowledged after fsync, continued at exactly the next byte.

The row's offset is the truth; what a cut connection or a killed process left beyond it is cut away first.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import os
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from django.db import transaction
from django.db.models import Sum
from django.http import UnreadablePostError

from ipis.kernel.errors import Refused, TryLater
from ipis.lib.storage import flush_folder, remove_durably
from ipis.tpf.models import Audit, Job, Step, Upload
from ipis.tpf.transitions import UploadState

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ipis.kernel.clock import Clock
    from ipis.tpf.desk import Desk
    from ipis.tpf.models import Session
    from ipis.tpf.settings import TpfSettings

_CHUNK = 1 << 20


class Stream(Protocol):
    """What a body is read from."""

    def read(self, size: int, /) -> bytes:
        """Give up to so many bytes, none at the end."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of an upload as it arrives: where it belongs, how long it says it is, its bytes, its SHA-256 if given."""

    offset: int
    length: int
    stream: Stream
    sha256: bytes | None = None


def staged(settings: TpfSettings, upload: Upload) -> Path:
    """Name the file that an upload is written to."""
    return settings.uploads / upload.public_id


def begin(session: Session, length: int, sha256: str, desk: Desk) -> Upload:
    """Open an upload; the same file of the same municipality finds the one it has open already.

    Raises Refused (tpf.upload_large), TryLater (tpf.upload_many, tpf.upload_full).
    """
    if not 0 < length <= desk.settings.max_upload_bytes:
        raise Refused("tpf.upload_large", bytes=length, most=desk.settings.max_upload_bytes)
    with transaction.atomic():
        open_ones = Upload.objects.filter(enrolment=session.enrolment, state=UploadState.RECEIVING)
        standing = open_ones.filter(sha256=sha256, length=length).exclude(sha256="").first()
        if standing is not None:
            standing.device_key, standing.pin_generation = session.device_key, session.pin_generation
            standing.save(update_fields=["device_key", "pin_generation"])
            return standing
        if open_ones.count() >= desk.settings.max_open_uploads:
            raise TryLater("tpf.upload_many", most=desk.settings.max_open_uploads)
        _require_share(session, length, desk)
        open_ones.filter(sha256=sha256).exclude(sha256="").update(sha256="")
        upload = _new(session, length, sha256, desk)
        # The name is there, and flushed, before its row: a HEAD never finds a row without a file.
        staged(desk.settings, upload).touch(mode=0o600)
        flush_folder(desk.settings.uploads)
        upload.save(force_insert=True)
    return upload


def find(public_id: str, session: Session) -> Upload:
    """Find one of the municipality's own uploads; raises Refused (tpf.no_upload)."""
    upload = Upload.objects.select_related("forsendelse").filter(public_id=public_id).first()
    if upload is None or upload.enrolment_id != session.enrolment_id:
        raise Refused("tpf.no_upload")
    return upload


def append(upload: Upload, chunk: Chunk, session: Session, desk: Desk) -> Upload:
    """Write one piece and give the upload as it then stands on disk.

    Raises Refused (tpf.upload_closed, tpf.offset, tpf.upload_overrun, tpf.checksum) or TryLater (tpf.upload_busy).
    """
    with _held(staged(desk.settings, upload)) as descriptor:
        upload.refresh_from_db()
        if upload.state != UploadState.RECEIVING:
            raise Refused("tpf.upload_closed")
        if chunk.offset != upload.offset:
            raise Refused("tpf.offset", given=chunk.offset, offset=upload.offset)
        if chunk.length > upload.length - upload.offset:
            raise Refused("tpf.upload_overrun", bytes=upload.length)
        upload.pin_generation = session.pin_generation
        written = _write(descriptor, upload.offset, chunk)
        _acknowledge(upload, upload.offset + written, desk.clock, desk.settings)
    return upload


def take_whole(session: Session, path: Path, length: int, desk: Desk) -> Upload:
    """Take over a file that the form page has already staged beside, durably."""
    with transaction.atomic():
        _require_share(session, length, desk)
        upload = _new(session, length, "", desk)
        with path.open("rb") as file:
            os.fsync(file.fileno())
        os.link(path, staged(desk.settings, upload))
        flush_folder(desk.settings.uploads)
        upload.save(force_insert=True)
        _acknowledge(upload, length, desk.clock, desk.settings)
    return upload


def expire_abandoned(settings: TpfSettings) -> None:
    """Delete unfinished uploads whose time is over, and staged files that no row knows any more."""
    now = datetime.now(UTC)
    for upload in Upload.objects.filter(state=UploadState.RECEIVING, expires_at__lt=now):
        with transaction.atomic():
            upload.go(UploadState.EXPIRED)
            upload.save(update_fields=["state"])
            Audit.append("upload_expired", upload.public_id, actor="worker", bytes=upload.offset)
        remove_durably(staged(settings, upload))
    waiting = Upload.objects.filter(state__in=[UploadState.RECEIVING, UploadState.STORED])
    known = set(waiting.values_list("public_id", flat=True))
    old = (now - timedelta(days=1)).timestamp()
    for path in settings.uploads.iterdir():
        if path.name not in known and path.stat().st_mtime < old:
            remove_durably(path)


def _require_share(session: Session, length: int, desk: Desk) -> None:
    """Keep what one municipality may fill before the worker has judged it; raises TryLater (tpf.upload_full)."""
    staged_ones = Upload.objects.filter(
        enrolment=session.enrolment, state__in=[UploadState.RECEIVING, UploadState.STORED]
    )
    filled = staged_ones.aggregate(bytes=Sum("length"))["bytes"] or 0
    if filled + length > desk.settings.max_staged_bytes:
        raise TryLater("tpf.upload_full", most=desk.settings.max_staged_bytes)


def _new(session: Session, length: int, sha256: str, desk: Desk) -> Upload:
    return Upload(
        enrolment=session.enrolment,
        device_key=session.device_key,
        length=length,
        sha256=sha256,
        pin_generation=session.pin_generation,
        expires_at=datetime.now(UTC) + timedelta(days=desk.settings.upload_days),
    )


@contextmanager
def _held(path: Path) -> Iterator[int]:
    """Hold the staged file alone: a cut request may still be running when its sender comes back."""
    try:
        descriptor = os.open(path, os.O_WRONLY)
    except FileNotFoundError as error:
        raise Refused("tpf.upload_closed") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield descriptor
    except BlockingIOError as error:
        raise TryLater("tpf.upload_busy") from error
    finally:
        os.close(descriptor)


def _write(descriptor: int, offset: int, chunk: Chunk) -> int:
    """Write what arrives, flush it, and tell how much counts: all that came, or nothing where a checksum fails."""
    os.ftruncate(descriptor, offset)
    os.lseek(descriptor, offset, os.SEEK_SET)
    digest, written = hashlib.sha256(), 0
    try:
        while written < chunk.length and (piece := _read(chunk, chunk.length - written)):
            written += _write_all(descriptor, piece)
            digest.update(piece)
    except OSError as error:
        os.ftruncate(descriptor, offset)
        raise TryLater("tpf.no_room") from error
    if chunk.sha256 is not None and not hmac.compare_digest(digest.digest(), chunk.sha256):
        os.ftruncate(descriptor, offset)
        raise Refused("tpf.checksum")
    os.fsync(descriptor)
    return written


def _read(chunk: Chunk, left: int) -> bytes:
    """Read on; a connection that was cut ends the piece, and what came before counts."""
    try:
        return chunk.stream.read(min(_CHUNK, left))
    except (UnreadablePostError, ConnectionError):
        return b""


def _write_all(descriptor: int, piece: bytes) -> int:
    view = memoryview(piece)
    while view:
        view = view[os.write(descriptor, view) :]
    return len(piece)


def _acknowledge(upload: Upload, offset: int, clock: Clock, settings: TpfSettings) -> None:
    """Store how far the file is; with the last byte the worker's step is queued in the same transaction."""
    with transaction.atomic():
        upload.offset = offset
        upload.expires_at = datetime.now(UTC) + timedelta(days=settings.upload_days)
        if offset == upload.length:
            upload.go(UploadState.STORED)
            upload.stored_at = clock.now()
            Job.queue(Step.RECEIVE, str(upload.pk))
        upload.save(update_fields=["offset", "expires_at", "state", "stored_at", "pin_generation"])
