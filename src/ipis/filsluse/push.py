"""What SSB pushes becomes visible in one commit: files first, flushed to disk, then the signed note and its rows.

A retry of any request gives the same answer; the same id with other content is refused.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from django.db import transaction

from ipis.filsluse import notify, trust
from ipis.filsluse.events import EventKind, record_file
from ipis.filsluse.files import folder_of, remove_folder
from ipis.filsluse.models import Member, Tilbakemelding, UsedSignature
from ipis.filsluse.site import room_settings
from ipis.filsluse.tokens import real_now, token_hash
from ipis.kernel import canonical
from ipis.kernel.errors import Refused
from ipis.kernel.push import NAMESPACE, SIGNED_FOR, PushNote, verify_request
from ipis.kernel.signature import verify
from ipis.lib.storage import Stored, measure, write_durably

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHUNK = 1 << 20


class Stream(Protocol):
    """A request's body."""

    def read(self, size: int, /) -> bytes:
        """Give up to so many bytes."""


def check_sender(headers: tuple[str, str], method: str, target: str, *, body_sha256: str = "") -> None:
    """Take a request signed by SSB, once; raises ParcelRefused for every other and Refused for a replayed one."""
    armored = verify_request(headers, method, target, trust.push_keys(), body_sha256=body_sha256)
    signature = token_hash(armored.decode("ascii", "replace"))
    with transaction.atomic():
        if not UsedSignature.objects.get_or_create(signature_hash=signature, defaults={"at": real_now()})[1]:
            raise Refused("filsluse.replayed")


def forget_signatures() -> None:
    """Forget signatures that are too old to be taken anyway."""
    UsedSignature.objects.filter(at__lt=real_now() - 3 * SIGNED_FOR).delete()


def receive(push_id: str, name: str, body: Stream, size: int, sha256: str) -> Stored:
    """Store one file durably, still invisible; raises Refused when it is too large or not what was announced."""
    if size > room_settings().largest_file:
        raise Refused("filsluse.too_large", name=name, most=room_settings().largest_file)
    shown = Member.objects.filter(tilbakemelding=push_id, name=name).first()
    if shown is not None or Tilbakemelding.objects.filter(pk=push_id).exists():
        if shown is None or (shown.size, shown.sha256) != (size, sha256):
            raise Refused("filsluse.other_content", push=push_id)
        return Stored(shown.size, shown.sha256)
    folder = folder_of(push_id)
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / name
    stored = write_durably(path, _chunks(body, size))
    if (stored.size, stored.sha256) != (size, sha256):
        path.unlink(missing_ok=True)
        raise Refused("filsluse.differs", name=name)
    return stored


def publish(push_id: str, data: bytes, signature: bytes) -> Tilbakemelding:
    """Show the files that the signed note names, and mail the municipality; the same note again changes nothing."""
    verify(data, signature, NAMESPACE, trust.push_keys())
    note = PushNote.parse(data)
    if note.id != push_id or note.environment is not room_settings().environment:
        raise Refused("filsluse.other_push", push=push_id)
    note_sha256 = canonical.sha256(data)
    shown = Tilbakemelding.objects.filter(pk=push_id).first()
    if shown is None:
        _check_files(note)
        shown = _show(note, note_sha256)
    if shown.note_sha256 != note_sha256:
        raise Refused("filsluse.other_content", push=push_id)
    return shown


def _check_files(note: PushNote) -> None:
    for member in note.members:
        path = folder_of(note.id) / member.name
        if not path.is_file() or measure(path) != Stored(member.size, member.sha256):
            raise Refused("filsluse.differs", name=member.name)


def _show(note: PushNote, note_sha256: str) -> Tilbakemelding:
    """Write rows, mail, event and audit in one transaction: before it nothing is visible, after it everything is."""
    with transaction.atomic():
        one, made = Tilbakemelding.objects.get_or_create(
            pk=note.id,
            defaults={
                "kommune": note.tenant,
                "name": note.zip.name,
                "size": note.zip.size,
                "sha256": note.zip.sha256,
                "note_sha256": note_sha256,
                "created_at": room_settings().business_clock().now(),
                "expires_at": note.expires_at,
            },
        )
        if made:
            Member.objects.bulk_create(
                Member(tilbakemelding=one, name=m.name, size=m.size, sha256=m.sha256) for m in note.members
            )
            record_file(EventKind.FILE_LISTED, one, actor="ssb", sha256=one.sha256, size=one.size)
            notify.tell_new_file(one)
    return one


def sweep_staging() -> int:
    """Erase files that no note made visible within the staging time; tells how many folders."""
    limit = datetime.now(UTC) - timedelta(days=room_settings().staging_days)
    stale = [f for f in room_settings().files.iterdir() if datetime.fromtimestamp(f.stat().st_mtime, UTC) < limit]
    shown = set(Tilbakemelding.objects.filter(pk__in=[f.name for f in stale]).values_list("pk", flat=True))
    lost = [folder for folder in stale if folder.name not in shown]
    for folder in lost:
        remove_folder(folder)
    return len(lost)


def _chunks(body: Stream, size: int) -> Iterator[bytes]:
    """Read exactly what was announced and not a byte more."""
    left = size
    while left and (chunk := body.read(min(_CHUNK, left))):
        left -= len(chunk)
        yield chunk
