"""Puts finished tilbakemeldinger in the file portal and reads what became of them; the portal never calls inwards."""

from __future__ import annotations

import base64
import shutil
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx2
from django.db import transaction

from ipis.kernel.errors import OurFault, TryLater
from ipis.kernel.push import NAMESPACE, PushedFile, PushNote, names_of, sign_request
from ipis.lib.storage import measure
from ipis.ssb.feedback.models import PortalEvents, Tilbakemelding
from ipis.ssb.feedback.transitions import State, move

if TYPE_CHECKING:
    from pathlib import Path

    from ipis.kernel.signature import SigningKey
    from ipis.ssb.register.models import Job
    from ipis.ssb.settings import SsbSettings

PUSH = "push"
"""The kind of job that pushes a tilbakemelding; its subject is the push id."""
_TIMEOUT_SECONDS = 30.0
_KEPT = timedelta(days=90)
_REACHES = {"file_downloaded": State.DOWNLOADED, "file_confirmed": State.CONFIRMED}


def push(job: Job, settings: SsbSettings, key: SigningKey) -> None:
    """Push the three files, then the signed note that makes them visible; a portal that is down is tried again later.

    Every request may be repeated: the portal takes the same files under the same id once.
    """
    one = Tilbakemelding.objects.select_related("delivery").get(push=job.subject)
    folder = settings.data / "utgaaende" / one.push
    if one.state == State.MADE:
        note = _note(one, folder, key)
        with _portal(settings) as portal:
            for member in note.members:
                _put(portal, note.id, member, folder / member.name, key)
            body = {
                "push": base64.b64encode(note.to_bytes()).decode(),
                "signature": key.sign(note.to_bytes(), NAMESPACE).decode(),
            }
            _checked(portal.post(f"/api/v1/push/{note.id}", json=body))
    with transaction.atomic():
        if one.state == State.MADE:
            move(one, State.PUSHED, actor="feedback")
        job.finish()
    shutil.rmtree(folder, ignore_errors=True)


def read_events(settings: SsbSettings, key: SigningKey) -> int:
    """Read the portal's new events and move tilbakemeldinger on; tells how many. A portal that is down is fine."""
    mark = PortalEvents.objects.get_or_create(pk=1)[0]
    target = f"/api/v1/hendelser?after={mark.read_to}"
    try:
        with _portal(settings) as portal:
            events = _checked(portal.get(target, headers=sign_request(key, "GET", target))).json()
    except TryLater:
        return 0
    for event in events:
        with transaction.atomic():
            _note_event(event)
            PortalEvents.objects.filter(pk=1).update(read_to=int(event["number"]))
    return len(events)


def _note_event(event: dict[str, Any]) -> None:
    one = Tilbakemelding.objects.filter(push=event["push"]).first()
    reached = _REACHES.get(event["kind"])
    if one is None or reached is None or one.state in (reached, State.CONFIRMED):
        return
    if one.state == State.MADE:
        # The portal shows it, so the push went through; our own note of it was lost in a crash.
        move(one, State.PUSHED, actor="portal")
    move(one, reached, actor="portal")


def _note(one: Tilbakemelding, folder: Path, key: SigningKey) -> PushNote:
    members = []
    for name in names_of(one.name):
        if not (folder / name).is_file():
            raise OurFault("feedback.file_missing", push=one.push, file=name)
        stored = measure(folder / name)
        members.append(PushedFile(name, stored.size, stored.sha256))
    # From the row, not from now: a repeated push must be the same note to the byte.
    return PushNote(one.push, key.environment, one.tenant, one.made_at.replace(microsecond=0) + _KEPT, tuple(members))


def _put(portal: httpx2.Client, push_id: str, member: PushedFile, path: Path, key: SigningKey) -> None:
    target = f"/api/v1/push/{push_id}/{member.name}"
    headers = sign_request(key, "PUT", target, body_sha256=member.sha256)
    headers |= {"Ipis-SHA256": member.sha256, "Content-Type": "application/octet-stream"}
    _checked(portal.put(target, content=path.read_bytes(), headers=headers))


def _portal(settings: SsbSettings) -> httpx2.Client:
    if not settings.filsluse_url:
        raise TryLater("feedback.no_portal")
    return httpx2.Client(
        base_url=settings.filsluse_url, timeout=_TIMEOUT_SECONDS, trust_env=False, transport=_Guarded()
    )


class _Guarded(httpx2.HTTPTransport):
    """Turns every failure to reach the portal into one that is tried again."""

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request."""
        try:
            return super().handle_request(request)
        except httpx2.TransportError:
            raise TryLater("feedback.portal_down") from None


def _checked(response: httpx2.Response) -> httpx2.Response:
    if response.status_code >= httpx2.codes.BAD_REQUEST:
        raise TryLater("feedback.portal_refuses", status=response.status_code)
    return response
