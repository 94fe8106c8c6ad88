"""The worker's first step: stored files are read strictly, their sealed parts laid out, and each whole receipted as R1.

Order: judge before anything is kept; parts durable before their rows; R1, the enrolment of the sender key and the next
job in one transaction, that of the group; the staged file goes last: until then it is the only proof of what came.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from django.db import transaction

from ipis.kernel.canonical import sha256
from ipis.kernel.errors import IpisError, Refused, TryLater
from ipis.kernel.manifest import MANIFEST, SIGNATURE
from ipis.kernel.receipt import Kind
from ipis.lib.audit import Event
from ipis.tpf import admission, notices
from ipis.tpf.admission import Known, Sender
from ipis.tpf.arrival import (
    Arrival,
    Laid,
    Proved,
    folder,
    lay_out,
    make_folders,
    prove,
    read,
    remove_folder,
    remove_staged,
)
from ipis.tpf.faultpoint import reach
from ipis.tpf.models import Audit, Forsendelse, Job, Part, SenderKey, Step, Upload, save_all
from ipis.tpf.signing import Draft
from ipis.tpf.together import each, in_groups
from ipis.tpf.transitions import ParcelState, UploadState

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ipis.kernel.seasonpack import SeasonPack
    from ipis.tpf.bench import Bench

_BYTES_TOGETHER: Final = 32 << 20
"""What a group may weigh: about a quarter of a second, for which a receipt waits for its neighbours."""
_REFUSALS: Final = (Refused, TryLater)
"""Before the window a file is refused like any other; its sender is told when to come again."""


def receive_step(jobs: Sequence[Job], bench: Bench) -> Iterator[Job]:
    """Take stored files in, or refuse them; raises TryLater while there is no season pack."""
    season, now = bench.season.current(), bench.clock.now()
    uploads = Upload.objects.select_related("enrolment").in_bulk([int(job.subject) for job in jobs])
    pairs = [(job, uploads[int(job.subject)]) for job in jobs]
    arrivals = [Arrival(job, upload, upload.stored_at or now) for job, upload in pairs]
    # A municipality's second file is judged by what its first one changes: never both in one group.
    for group in in_groups(arrivals, lambda one: one.upload.length, _BYTES_TOGETHER, lambda one: one.party):
        stored = [one for one in group if one.upload.state == UploadState.STORED]
        over = [one.job for one in group if one.upload.state != UploadState.STORED]
        _receive(stored, season, bench)
        with transaction.atomic():
            Job.finish_all(over)
        remove_staged([one.upload for one in group], bench.settings)
        yield from (one.job for one in group)


def _receive(group: Sequence[Arrival], season: SeasonPack, bench: Bench) -> None:
    """Take a group in; one that is refused, early or late, leaves it."""
    settings, refuse = bench.settings, partial(_refuse, bench=bench)
    offered = each(group, partial(read, settings=settings), refuse)
    known = Known.of([one.offer for one in offered])
    proved = each(offered, partial(prove, season=season, known=known, settings=settings), refuse, _REFUSALS)
    parcels = _arriving([one for one in proved if one.standing is None])
    make_folders(parcels.values(), settings)
    laid = each(proved, lambda one: lay_out(one, one.standing or parcels[one.offer.sha256], settings), refuse)
    for one, error in _commit(laid, season, bench):
        refuse(one, error)
    reach(settings, "receive:committed")


def _arriving(group: Sequence[Proved]) -> dict[str, Forsendelse]:
    """Find or make the rows that the files of one manifest share; gives them by its hash."""
    rows = Forsendelse.objects.select_related("enrolment").filter(
        manifest_sha256__in=[one.offer.sha256 for one in group],
        identifier__in=[one.offer.manifest.facts.forsendelse for one in group],
        state=ParcelState.ARRIVING,
    )
    standing = {row.manifest_sha256 for row in rows.all()}
    new = [_new(one) for one in group if one.offer.sha256 not in standing]
    Forsendelse.objects.bulk_create(new, ignore_conflicts=True)
    return {row.manifest_sha256: row for row in rows}


def _new(one: Proved) -> Forsendelse:
    facts = one.offer.manifest.facts
    return Forsendelse(
        identifier=facts.forsendelse,
        manifest_sha256=one.offer.sha256,
        enrolment=one.upload.enrolment,
        register=facts.register,
        year=facts.year,
        sequence=facts.sequence,
        sender_key=one.offer.signer.openssh,
        pin_generation=one.upload.pin_generation,
        arrived_at=one.at,
    )


def _commit(group: Sequence[Laid], season: SeasonPack, bench: Bench) -> list[tuple[Laid, IpisError]]:
    """Note what is here and receipt what is whole, in one transaction; gives what is refused at this late hour."""
    with transaction.atomic():
        group = _as_it_stands(group)
        arriving = [one for one in group if one.parcel.state == ParcelState.ARRIVING]
        whole = _whole(arriving)
        known = Known.of([one.offer for one in whole])
        accepted, late = _accept(whole, season, known)
        refused = {one.job.pk for one, _ in late}
        _keep_rows([one for one in arriving if one.job.pk not in refused])
        _enrol_sender_keys(accepted, known, bench)
        _end_overtaken([one.parcel for one in accepted], bench)
        drafts = [Draft(one.parcel, one.at, {"pin_generation": one.parcel.pin_generation}) for one in accepted]
        bench.receipts.issue(Kind.R1, drafts)
        Job.queue_all(*((Step.PSEUDONYMISE, str(one.parcel.pk)) for one in accepted))
        _let_go([one for one in group if one.job.pk not in refused])
    return late


def _as_it_stands(group: Sequence[Laid]) -> list[Laid]:
    """Read the rows again: another file of the same forsendelse may have completed it meanwhile."""
    rows = Forsendelse.objects.select_related("enrolment").select_for_update(of=("self",))
    parcels = rows.in_bulk([one.parcel.pk for one in group])
    return [replace(one, parcel=parcels[one.parcel.pk]) for one in group]


def _whole(arriving: Sequence[Laid]) -> list[Laid]:
    """Choose those of whose forsendelse nothing is missing now."""
    noted: dict[int, set[str]] = defaultdict(set)
    rows = Part.objects.filter(forsendelse__in=[one.parcel for one in arriving])
    for pk, name in rows.values_list("forsendelse_id", "name"):
        noted[pk].add(name)
    return [one for one in arriving if noted[one.parcel.pk] | set(one.container.archive.names) >= one.offer.members]


def _accept(whole: Sequence[Laid], season: SeasonPack, known: Known) -> tuple[list[Laid], list[tuple[Laid, IpisError]]]:
    """Let whole forsendelser in, as far as their rows in memory go; what has changed meanwhile refuses one even now."""
    accepted: list[Laid] = []
    late: list[tuple[Laid, IpisError]] = []
    for one in whole:
        try:
            if admission.judge_again(one.offer, Sender.of_upload(one.upload), season, one.at, known) is not None:
                raise Refused("tpf.id_taken", forsendelse=one.parcel.identifier)
            one.parcel.phase = admission.check_open(season, one.at).value
        except _REFUSALS as error:
            late.append((one, error))
        else:
            one.parcel.pin_generation = one.upload.pin_generation
            one.parcel.go(ParcelState.RECEIVED)
            accepted.append(one)
    return accepted, late


def _keep_rows(arriving: Sequence[Laid]) -> None:
    """Store the forsendelser as they are now, and the parts that their files brought."""
    parts = []
    for one in arriving:
        one.parcel.arrived_at = one.at
        small = {MANIFEST: one.offer.raw, SIGNATURE: one.offer.signature}
        rows = [(name, "manifest", len(content), sha256(content)) for name, content in small.items()]
        rows += [(part.name, part.role, part.size, part.sha256) for part in one.parts]
        parts += [Part(forsendelse=one.parcel, name=n, role=r, size=size, sha256=h) for n, r, size, h in rows]
    Part.objects.bulk_create(parts, ignore_conflicts=True)
    save_all([one.parcel for one in arriving], "state", "phase", "pin_generation", "arrived_at")


def _let_go(group: Sequence[Laid]) -> None:
    """Store that the uploads are parts of a forsendelse now, and that their jobs are done."""
    for one in group:
        one.upload.forsendelse = one.parcel
        one.upload.go(UploadState.UNPACKED)
    save_all([one.upload for one in group], "forsendelse", "state")
    Job.finish_all([one.job for one in group])


def _end_overtaken(accepted: Sequence[Forsendelse], bench: Bench) -> None:
    """Refuse half-arrived forsendelser that these have overtaken: no last file could complete them any more."""
    newest = {parcel.enrolment_id: parcel.sequence for parcel in accepted}
    for other in Forsendelse.objects.filter(enrolment__in=newest, state=ParcelState.ARRIVING):
        if other.sequence <= newest[other.enrolment_id]:
            _refuse_whole(
                other, Refused("tpf.sequence", found=other.sequence, newest=newest[other.enrolment_id]), bench
            )


def _enrol_sender_keys(accepted: Sequence[Laid], known: Known, bench: Bench) -> None:
    """Enrol the keys of first sends: each signed the nonce of the login and now the manifest."""
    senders = [(one.parcel.enrolment, one.offer.signer) for one in accepted]
    first = [(whose, key) for whose, key in senders if (whose.kommune, whose.bydel) not in known.keys]
    rows = [
        SenderKey(kommune=whose.kommune, bydel=whose.bydel, fingerprint=key.fingerprint, public=key.openssh)
        for whose, key in first
    ]
    SenderKey.objects.bulk_create(rows)
    events = [Event("sender_key_enrolled", whose.party, {"fingerprint": key.fingerprint}) for whose, key in first]
    Audit.append_all(events, actor="worker")
    enrolled = [(whose, row) for (whose, _), row in zip(first, rows, strict=True)]
    notices.sender_keys_enrolled(enrolled, bench)


def _refuse(one: Arrival, error: IpisError, bench: Bench) -> None:
    """Refuse a file: its code stays to be told, the registered address hears of a refusal, and then its bytes go.

    When the whole was refused at its last file, the parts that its other files brought go too.
    """
    whole = one.parcel if isinstance(one, Laid) and one.parts else None
    with transaction.atomic():
        if whole is not None:
            _refuse_whole(Forsendelse.objects.get(pk=whole.pk), error, bench)
        upload = Upload.objects.select_related("enrolment").get(pk=one.upload.pk)
        upload.go(UploadState.REFUSED)
        upload.note_problem(error)
        upload.save()
        Audit.append("upload_refused", upload.public_id, actor="worker", code=error.code)
        if not isinstance(error, TryLater):
            notices.refused(upload.enrolment, f"upload-{upload.public_id}", bench)
        one.job.finish()
    remove_staged([one.upload], bench.settings)


def _refuse_whole(parcel: Forsendelse, error: IpisError, bench: Bench) -> None:
    """Refuse a forsendelse in the caller's transaction; its folder goes when that stands."""
    parcel.go(ParcelState.REFUSED)
    parcel.note_problem(error)
    parcel.save()
    transaction.on_commit(partial(remove_folder, folder(bench.settings, parcel)))
