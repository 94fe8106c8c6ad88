"""What waits for TPF's staff: forsendelser that are held, and steps that keep failing; ids and codes only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from django.db.models import Q

from ipis.lib.jobs import JobState
from ipis.tpf.models import Forsendelse, Job, Step, Upload
from ipis.tpf.transitions import ParcelState

if TYPE_CHECKING:
    from datetime import datetime

_TRIES: Final = 5
"""A step that has been tried more often is told of; the first few are a restart or a short outage."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """One thing that waits: a forsendelse, or an upload that is none yet."""

    identifier: str
    party: str
    since: datetime
    code: str


def waiting() -> list[Waiting]:
    """List what waits, the oldest first."""
    held = Forsendelse.objects.select_related("enrolment").filter(state=ParcelState.HELD)
    found = [Waiting(each.identifier, each.enrolment.party, each.arrived_at, f"held.{each.held_for}") for each in held]
    failing = Q(state=JobState.FAILED) | (Q(attempt__gte=_TRIES) & ~Q(state=JobState.DONE) & ~Q(problem=""))
    found += [_of(job) for job in Job.objects.filter(failing)]
    return sorted(found, key=lambda each: each.since)


def try_again() -> None:
    """Queue every failed step again, once what made it fail is mended."""
    for job in Job.objects.filter(state=JobState.FAILED):
        Job.again(job.kind, job.subject)


def _of(job: Job) -> Waiting:
    if job.kind == Step.RECEIVE:
        upload = Upload.objects.select_related("enrolment").get(pk=job.subject)
        return Waiting(upload.public_id, upload.enrolment.party, upload.stored_at or upload.expires_at, job.problem)
    parcel = Forsendelse.objects.select_related("enrolment").get(pk=job.subject)
    return Waiting(parcel.identifier, parcel.enrolment.party, parcel.arrived_at, job.problem)
