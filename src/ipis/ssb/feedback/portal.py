"""Puts finished tilbakemeldinger in the file portal and reads what became of them; the portal never calls inwards."""

from __future__ import annotations

import base64
import json
import shutil
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import httpx2
from django.db import transaction

from ipis.kernel.errors import OurFault, Refused, TryLater
from ipis.kernel.push import NAMESPACE, PushedFile, PushNote, sign_request
from ipis.lib.log import get_logger
from ipis.lib.storage import measure
from ipis.ssb import kill
from ipis.ssb.feedback.models import PortalEvents, Tilbakemelding
from ipis.ssb.feedback.outgoing import outgoing
from ipis.ssb.feedback.transitions import State, move
from ipis.ssb.register.models import AuditEvent

if TYPE_CHECKING:
    from pathlib import Path

    from ipis.kernel.errors import IpisError
    from ipis.kernel.signature import SigningKey
    from ipis.ssb.feedback.outgoing import Outgoing
    from ipis.ssb.register.models import Job
    from ipis.ssb.settings import SsbSettings

PUSH = "push"
"""The kind of job that pushes a tilbakemelding; its subject is the push id."""
_TIMEOUT_SECONDS = 30.0
_KEPT = timedelta(days=90)
_BUSY = {httpx2.codes.REQUEST_TIMEOUT, httpx2.codes.TOO_EARLY, httpx2.codes.TOO_MANY_REQUESTS}
_LARGEST_NUMBER = (1 << 63) - 1
_REACHES = {"file_downloaded": State.DOWNLOADED, "file_confirmed": State.CONFIRMED}


def push(job: Job, settings: SsbSettings, key: SigningKey) -> None:
    """Push the three files, then the signed note that makes them visible.

    A portal that is down or busy is tried again later; one that says no, and files that are gone, are left to staff
    (`ipis ssb revalidate`). Every request may be repeated: the portal takes the same files under the same id once.
    """
    one = Tilbakemelding.objects.select_related("delivery").get(push=job.subject)
    waiting = outgoing(settings, one)
    if one.state == State.MADE:
        try:
            _send(one, waiting, settings, key)
        except (Refused, OurFault) as error:
            _leave_to_staff(job, one, error)
            return
    with transaction.atomic():
        if one.state == State.MADE:
            move(one, State.PUSHED, actor="feedback")
        job.finish()
        kill.reach(settings, "push:before-commit")
    kill.reach(settings, "push:committed")
    shutil.rmtree(waiting.folder, ignore_errors=True)


def read_events(settings: SsbSettings, key: SigningKey) -> int:
    """Read the portal's new events and move tilbakemeldinger on; tells how many.

    A portal that is down or answers nonsense is met again at the next tick: nothing that it says stops the worker.
    """
    mark = PortalEvents.objects.get_or_create(pk=1)[0]
    target = f"/api/v1/hendelser?after={mark.read_to}"
    try:
        with _portal(settings) as portal:
            answer = _checked(portal.get(target, headers=sign_request(key, "GET", target)))
            events = _parse(answer.content, mark.read_to)
    except (TryLater, Refused) as error:
        get_logger().info("events not read", code=error.code)
        return 0
    for event in events:
        with transaction.atomic():
            _note_event(event)
            PortalEvents.objects.filter(pk=1).update(read_to=event.number)
    return len(events)


@dataclass(frozen=True, slots=True)
class _Event:
    """What the portal tells of one push."""

    number: int
    kind: str
    push: str


def _parse(body: bytes, after: int) -> list[_Event]:
    """Read the portal's list; raises Refused for anything else, since whoever took the portal writes it."""
    try:
        events = [_Event(int(one["number"]), str(one["kind"]), str(one["push"])) for one in json.loads(body)]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise Refused("feedback.portal_answer") from error
    numbers = [after, *(event.number for event in events)]
    if any(earlier >= later for earlier, later in pairwise(numbers)) or numbers[-1] > _LARGEST_NUMBER:
        raise Refused("feedback.portal_answer")
    return events


def _send(one: Tilbakemelding, waiting: Outgoing, settings: SsbSettings, key: SigningKey) -> None:
    note = _note(one, waiting, key)
    with _portal(settings) as portal:
        for member, path in zip(note.members, waiting.files, strict=True):
            _put(portal, note.id, member, path, key)
            kill.reach(settings, "push:half")
        body = {
            "push": base64.b64encode(note.to_bytes()).decode(),
            "signature": key.sign(note.to_bytes(), NAMESPACE).decode(),
        }
        _checked(portal.post(f"/api/v1/push/{note.id}", json=body))
    kill.reach(settings, "push:answered")


def _leave_to_staff(job: Job, one: Tilbakemelding, error: IpisError) -> None:
    get_logger().error("push left to staff", push=one.push, code=error.code)
    with transaction.atomic():
        AuditEvent.append("tilbakemelding.not-taken", one.push, actor="feedback", code=error.code)
        job.fail(error.code)


def _note_event(event: _Event) -> None:
    one = Tilbakemelding.objects.filter(push=event.push).first()
    reached = _REACHES.get(event.kind)
    if one is None or reached is None or one.state in (reached, State.CONFIRMED):
        return
    if one.state == State.MADE:
        # The portal shows it, so the push went through; our own note of it was lost in a crash.
        move(one, State.PUSHED, actor="portal")
    move(one, reached, actor="portal")


def _note(one: Tilbakemelding, waiting: Outgoing, key: SigningKey) -> PushNote:
    if not waiting.is_whole:
        raise OurFault("feedback.file_missing", push=one.push)
    stored = [measure(file) for file in waiting.files]
    members = tuple(PushedFile(name, s.size, s.sha256) for name, s in zip(waiting.names, stored, strict=True))
    # From the row, not from now: a repeated push must be the same note to the byte.
    return PushNote(one.push, key.environment, one.tenant, one.made_at.replace(microsecond=0) + _KEPT, members)


def _put(portal: httpx2.Client, push_id: str, member: PushedFile, path: Path, key: SigningKey) -> None:
    target = f"/api/v1/push/{push_id}/{member.name}"
    headers = sign_request(key, "PUT", target, body_sha256=member.sha256)
    headers |= {"Ipis-SHA256": member.sha256, "Content-Type": "application/octet-stream"}
    with path.open("rb") as file:
        _checked(portal.put(target, content=file, headers=headers))


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
    """Give an answer that says yes; raises TryLater where waiting may help, Refused where it cannot."""
    if response.is_success:
        return response
    status = response.status_code
    if status >= httpx2.codes.INTERNAL_SERVER_ERROR or status in _BUSY:
        raise TryLater("feedback.portal_busy", status=status)
    raise Refused("feedback.portal_refuses", status=status)
