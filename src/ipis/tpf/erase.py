"""Deletion: sealed identities once their mapping is sealed or all is refused (R5), the other parts once SSB has them.

A file is gone from disk before the receipt says so; a row that says "deleted" before a crash is never believed.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import Q

from ipis.kernel.errors import Refused
from ipis.kernel.receipt import Kind
from ipis.lib.storage import flush_folder, remove_durably
from ipis.tpf import notices
from ipis.tpf.arrival import folder, remove_folder, remove_staged
from ipis.tpf.faultpoint import reach
from ipis.tpf.forward import write_forward
from ipis.tpf.models import Audit, Forsendelse, Job, Part, Step, Upload, save_all
from ipis.tpf.signing import Draft
from ipis.tpf.transitions import ParcelState

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ipis.tpf.bench import Bench


_WITH_IDENTITIES = (ParcelState.PSEUDONYMISED, ParcelState.REJECTED)
_WAITING = (ParcelState.ARRIVING, ParcelState.RECEIVED, ParcelState.HELD)


def erase_step(jobs: Sequence[Job], bench: Bench) -> Iterator[Job]:
    """Delete the sealed identity parts and say so in R5; a rejected forsendelse is deleted whole."""
    rows = Forsendelse.objects.select_related("enrolment").in_bulk([int(job.subject) for job in jobs])
    parcels = [parcel for parcel in rows.values() if parcel.state in _WITH_IDENTITIES]
    rejected = [parcel for parcel in parcels if parcel.state == ParcelState.REJECTED]
    forwarded = [parcel for parcel in parcels if parcel.state != ParcelState.REJECTED]
    _delete_identities(parcels, bench)
    reach(bench.settings, "erase:deleted")
    for parcel in rejected:
        remove_folder(folder(bench.settings, parcel))
    with transaction.atomic():
        for parcel in parcels:
            parcel.go(ParcelState.CLOSED if parcel.state == ParcelState.REJECTED else ParcelState.ERASED)
        gone = Part.objects.filter(Q(forsendelse__in=forwarded, role="identity") | Q(forsendelse__in=rejected))
        gone.update(deleted_at=datetime.now(UTC))
        now = bench.clock.now()
        drafts = [Draft(parcel, now, {"refused": parcel.problem_code or None}) for parcel in parcels]
        bench.receipts.issue(Kind.R5, drafts)
        write_forward(forwarded, bench)
        save_all(parcels, "state", "forward", "forward_signature")
        Job.queue_all(*((Step.FORWARD, str(parcel.pk)) for parcel in forwarded))
        Job.finish_all(jobs)
    reach(bench.settings, "erase:committed")
    yield from jobs


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
        with transaction.atomic():
            parcel.go(ParcelState.REFUSED if arriving else ParcelState.REJECTED)
            parcel.note_problem(Refused("tpf.overdue", days=days))
            parcel.save()
            Audit.append("overdue", parcel.identifier, actor="worker", days=days)
            notices.refused(parcel.enrolment, f"parcel-{parcel.pk}", bench)
            if arriving:
                transaction.on_commit(partial(remove_folder, folder(bench.settings, parcel)))
            else:
                Job.again(Step.ERASE, str(parcel.pk))


def _delete_identities(parcels: Sequence[Forsendelse], bench: Bench) -> None:
    """Delete the identity parts, and the staged containers that they came in should a crash have left one."""
    parts = Part.objects.filter(forsendelse__in=parcels, role="identity").values_list("forsendelse_id", "name")
    names: dict[int, list[str]] = defaultdict(list)
    for pk, name in parts:
        names[pk].append(name)
    for parcel in parcels:
        where = folder(bench.settings, parcel)
        for name in names[parcel.pk]:
            (where / name).unlink(missing_ok=True)
        if where.is_dir():
            flush_folder(where)
    remove_staged(Upload.objects.filter(forsendelse__in=parcels), bench.settings)
