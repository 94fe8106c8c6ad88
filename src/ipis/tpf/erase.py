"""Deletion: sealed identities once their mapping is sealed or all is refused (R5), the other parts once SSB has them.

A file is gone from disk before the receipt says so; a row that says "deleted" before a crash is never believed.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from django.db import transaction

from ipis.kernel.errors import Refused
from ipis.kernel.receipt import Kind
from ipis.lib.storage import remove_durably
from ipis.tpf import notices
from ipis.tpf.accept import folder, remove_folder
from ipis.tpf.faultpoint import reach
from ipis.tpf.forward import write_forward
from ipis.tpf.models import Audit, Forsendelse, Job, Step
from ipis.tpf.receive import staged
from ipis.tpf.transitions import ParcelState

if TYPE_CHECKING:
    from ipis.tpf.bench import Bench


_WAITING = (ParcelState.ARRIVING, ParcelState.RECEIVED, ParcelState.HELD)


def erase_step(job: Job, bench: Bench) -> None:
    """Delete the sealed identity parts and say so in R5; a rejected forsendelse is deleted whole."""
    parcel = Forsendelse.objects.select_related("enrolment").get(pk=job.subject)
    if parcel.state in (ParcelState.PSEUDONYMISED, ParcelState.REJECTED):
        _delete_identities(parcel, bench)
        reach(bench.settings, "erase:deleted")
        rejected = parcel.state == ParcelState.REJECTED
        if rejected:
            remove_folder(folder(bench.settings, parcel))
        with transaction.atomic():
            parcel.go(ParcelState.CLOSED if rejected else ParcelState.ERASED)
            parts = parcel.parts.all() if rejected else parcel.parts.filter(role="identity")
            parts.update(deleted_at=datetime.now(UTC))
            parcel.save()
            bench.receipts.issue(parcel, Kind.R5, bench.clock.now(), refused=parcel.problem_code or None)
            if not rejected:
                write_forward(parcel, bench)
                Job.queue(Step.FORWARD, str(parcel.pk))
            job.finish()
        reach(bench.settings, "erase:committed")
        return
    with transaction.atomic():
        job.finish()


def clear_step(job: Job, bench: Bench) -> None:
    """Delete what SSB has acknowledged as durable, or has refused for good."""
    parcel = Forsendelse.objects.get(pk=job.subject)
    if parcel.state in (ParcelState.FORWARDED, ParcelState.ERASED):
        for part in parcel.parts.filter(role__in=["data", "contact", "mapping"]):
            remove_durably(folder(bench.settings, parcel) / part.name)
            reach(bench.settings, "clear:half")
        remove_folder(folder(bench.settings, parcel))
        with transaction.atomic():
            parcel.go(ParcelState.DONE if parcel.state == ParcelState.FORWARDED else ParcelState.CLOSED)
            parcel.save()
            parcel.parts.filter(deleted_at=None).update(deleted_at=datetime.now(UTC))
            Audit.append("parts_deleted", parcel.identifier, actor="worker", state=parcel.state)
            job.finish()
        reach(bench.settings, "clear:committed")
        return
    with transaction.atomic():
        job.finish()


def end_overdue(bench: Bench) -> None:
    """Reject what has waited with its identities for longer than the collection allows, whatever held it up."""
    days = bench.season.current().collection.limits.keep_identities_days
    before = bench.clock.now() - timedelta(days=days)
    for parcel in Forsendelse.objects.select_related("enrolment").filter(state__in=_WAITING, arrived_at__lt=before):
        arriving = parcel.state == ParcelState.ARRIVING
        if arriving:
            remove_folder(folder(bench.settings, parcel))
        with transaction.atomic():
            parcel.go(ParcelState.REFUSED if arriving else ParcelState.REJECTED)
            parcel.note_problem(Refused("tpf.overdue", days=days))
            parcel.save()
            Audit.append("overdue", parcel.identifier, actor="worker", days=days)
            notices.refused(parcel.enrolment, f"parcel-{parcel.pk}", bench.clock.now())
            if not arriving:
                Job.again(Step.ERASE, str(parcel.pk))


def _delete_identities(parcel: Forsendelse, bench: Bench) -> None:
    """Delete the identity parts, and the staged containers that they came in should a crash have left one."""
    for part in parcel.parts.filter(role="identity"):
        remove_durably(folder(bench.settings, parcel) / part.name)
    for upload in parcel.uploads.all():
        remove_durably(staged(bench.settings, upload))
