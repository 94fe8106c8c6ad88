"""The worker's first step: a stored file is read strictly, its sealed parts laid out, and the whole receipted as R1.

Order: judge before anything is kept; parts durable before their rows; R1, the enrolment of the sender key and the next
job in one transaction; the staged file goes last, since until then it is the only proof of what came.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db import transaction

from ipis.kernel.canonical import sha256
from ipis.kernel.errors import IpisError, OurFault, Refused, TryLater
from ipis.kernel.forsendelse import Container, check_part, extract, read_container, verify
from ipis.kernel.manifest import MANIFEST, SIGNATURE
from ipis.kernel.receipt import Kind
from ipis.kernel.sealed import MAX_HEADER, check_header
from ipis.lib.storage import flush_folder, remove_durably, write_durably
from ipis.tpf import admission, notices
from ipis.tpf.admission import Offer, Sender
from ipis.tpf.faultpoint import reach
from ipis.tpf.models import Audit, Forsendelse, Job, Part, SenderKey, Step, Upload
from ipis.tpf.receive import staged
from ipis.tpf.transitions import ParcelState, UploadState

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from ipis.kernel.manifest import Part as ManifestPart
    from ipis.kernel.seasonpack import SeasonPack
    from ipis.tpf.bench import Bench
    from ipis.tpf.settings import TpfSettings


def folder(settings: TpfSettings, parcel: Forsendelse) -> Path:
    """Name the folder of a forsendelse's sealed parts."""
    return settings.parcels / str(parcel.pk)


def receive_step(job: Job, bench: Bench) -> None:
    """Take one stored file in, or refuse it; raises TryLater while there is no season pack."""
    upload = Upload.objects.select_related("enrolment").get(pk=job.subject)
    season = bench.season.current()
    if upload.state == UploadState.STORED:
        _receive(job, upload, season, bench)
    else:
        with transaction.atomic():
            job.finish()
    remove_durably(staged(bench.settings, upload))


def _receive(job: Job, upload: Upload, season: SeasonPack, bench: Bench) -> None:
    laid: _Laid | None = None
    try:
        laid = _unpack(upload, season, bench)
        _commit(job, upload, laid, season, bench)
        reach(bench.settings, "receive:committed")
        sweep_folders(bench.settings)
    except OurFault:
        raise
    except IpisError as error:
        _refuse(job, upload, error, laid, bench)


@dataclass(frozen=True, slots=True)
class _Laid:
    """A forsendelse and those of its parts that the file at hand brought; none where it stood already."""

    parcel: Forsendelse
    parts: tuple[ManifestPart, ...]


def _unpack(upload: Upload, season: SeasonPack, bench: Bench) -> _Laid:
    """Judge the file and lay its sealed parts out durably."""
    container = read_container(staged(bench.settings, upload))
    offer = admission.read_offer(container.manifest_bytes, container.signature)
    at = upload.stored_at or bench.clock.now()
    standing = admission.judge(offer, Sender.of_upload(upload), season, at)
    if standing is not None:
        return _Laid(standing, ())
    verify(container, sender=offer.signer, environment=season.environment)
    for part in container.parts:
        check_header(next(container.archive.chunks(part.name))[:MAX_HEADER])
    parcel = _arriving(offer, upload, at)
    _lay_out(container, parcel, bench)
    return _Laid(parcel, container.parts)


def _arriving(offer: Offer, upload: Upload, at: datetime) -> Forsendelse:
    """Find or make the row that the files of one manifest share."""
    facts = offer.manifest.facts
    return Forsendelse.objects.get_or_create(
        identifier=facts.forsendelse,
        manifest_sha256=offer.sha256,
        state=ParcelState.ARRIVING,
        defaults={
            "enrolment": upload.enrolment,
            "register": facts.register,
            "year": facts.year,
            "sequence": facts.sequence,
            "sender_key": offer.signer.openssh,
            "pin_generation": upload.pin_generation,
            "arrived_at": at,
        },
    )[0]


def _lay_out(container: Container, parcel: Forsendelse, bench: Bench) -> None:
    """Write manifest, signature and the file's parts, each durable under its name; what a crash left is overwritten."""
    to = folder(bench.settings, parcel)
    to.mkdir(mode=0o700, exist_ok=True)
    flush_folder(to.parent)
    write_durably(to / MANIFEST, container.manifest_bytes)
    write_durably(to / SIGNATURE, container.signature)
    for part in container.parts:
        extract(container, part.name, to / part.name)
        check_part(to / part.name, part)
        reach(bench.settings, "receive:half")
    reach(bench.settings, "receive:unpacked")


def _commit(job: Job, upload: Upload, laid: _Laid, season: SeasonPack, bench: Bench) -> None:
    """Note what is here, and receipt the whole when nothing is missing."""
    parcel = laid.parcel
    with transaction.atomic():
        upload.forsendelse = parcel
        upload.go(UploadState.UNPACKED)
        upload.save(update_fields=["forsendelse", "state"])
        if parcel.state == ParcelState.ARRIVING:
            offer = _offer(folder(bench.settings, parcel))
            _note_parts(laid, bench)
            parcel.arrived_at = upload.stored_at or parcel.arrived_at
            if parcel.parts.count() == len(offer.manifest.parts) + 2:
                _accept(parcel, offer, upload, season, bench)
            parcel.save()
        job.finish()


def _offer(where: Path) -> Offer:
    return admission.read_offer((where / MANIFEST).read_bytes(), (where / SIGNATURE).read_bytes())


def _note_parts(laid: _Laid, bench: Bench) -> None:
    where = folder(bench.settings, laid.parcel)
    small = [(name, (where / name).read_bytes()) for name in (MANIFEST, SIGNATURE)]
    rows = [(name, "manifest", len(content), sha256(content)) for name, content in small]
    rows += [(part.name, part.role, part.size, part.sha256) for part in laid.parts]
    for name, role, size, digest in rows:
        Part.objects.get_or_create(
            forsendelse=laid.parcel, name=name, defaults={"role": role, "size": size, "sha256": digest}
        )


def _accept(parcel: Forsendelse, offer: Offer, upload: Upload, season: SeasonPack, bench: Bench) -> None:
    """Receipt a whole forsendelse; what has changed since its files were judged one by one is judged once more."""
    if admission.judge(offer, Sender.of_upload(upload), season, parcel.arrived_at) is not None:
        raise Refused("tpf.id_taken", forsendelse=parcel.identifier)
    parcel.phase = admission.check_open(season, parcel.arrived_at).value
    parcel.pin_generation = upload.pin_generation
    parcel.go(ParcelState.RECEIVED)
    parcel.save()
    _enrol_sender_key(parcel, offer, bench)
    _end_overtaken(parcel)
    bench.receipts.issue(parcel, Kind.R1, parcel.arrived_at, pin_generation=parcel.pin_generation)
    Job.queue(Step.PSEUDONYMISE, str(parcel.pk))


def _end_overtaken(parcel: Forsendelse) -> None:
    """Refuse half-arrived forsendelser that this one has overtaken: no last file could complete them any more."""
    overtaken = Forsendelse.objects.filter(
        enrolment=parcel.enrolment, state=ParcelState.ARRIVING, sequence__lte=parcel.sequence
    )
    for other in overtaken.exclude(pk=parcel.pk):
        _refuse_whole(other, Refused("tpf.sequence", found=other.sequence, newest=parcel.sequence))


def _enrol_sender_key(parcel: Forsendelse, offer: Offer, bench: Bench) -> None:
    """Enrol the key of a first send: it signed the nonce of the login and now the manifest."""
    enrolment = parcel.enrolment
    if SenderKey.living(enrolment.kommune, enrolment.bydel) is not None:
        return
    key = SenderKey.objects.create(
        kommune=enrolment.kommune,
        bydel=enrolment.bydel,
        fingerprint=offer.signer.fingerprint,
        public=offer.signer.openssh,
    )
    Audit.append("sender_key_enrolled", enrolment.party, actor="worker", fingerprint=key.fingerprint)
    notices.sender_key_enrolled(enrolment, key, bench.clock.now())


def _refuse(job: Job, upload: Upload, error: IpisError, laid: _Laid | None, bench: Bench) -> None:
    """Refuse a file: its bytes go, its code stays to be told, and the registered address hears of a refusal.

    When the whole was refused at its last file (`laid`), the parts that its other files brought go too.
    """
    remove_durably(staged(bench.settings, upload))
    if laid is not None and laid.parts:
        remove_folder(folder(bench.settings, laid.parcel))
    with transaction.atomic():
        if laid is not None and laid.parts:
            _refuse_whole(Forsendelse.objects.get(pk=laid.parcel.pk), error)
        upload = Upload.objects.select_related("enrolment").get(pk=upload.pk)
        upload.go(UploadState.REFUSED)
        upload.note_problem(error)
        upload.save()
        Audit.append("upload_refused", upload.public_id, actor="worker", code=error.code)
        if not isinstance(error, TryLater):
            notices.refused(upload.enrolment, f"upload-{upload.public_id}", bench.clock.now())
        job.finish()


def _refuse_whole(parcel: Forsendelse, error: IpisError) -> None:
    parcel.go(ParcelState.REFUSED)
    parcel.note_problem(error)
    parcel.save()


def remove_folder(where: Path) -> None:
    """Delete what is left of a forsendelse, durably; a folder that is gone already is fine."""
    if not where.exists():
        return
    for file in where.iterdir():
        file.unlink()
    flush_folder(where)
    where.rmdir()
    flush_folder(where.parent)


def sweep_folders(settings: TpfSettings) -> None:
    """Delete the folders of forsendelser that have ended, should a crash or an overtaking have left one."""
    over = (ParcelState.REFUSED, ParcelState.DONE, ParcelState.CLOSED)
    # The names first: a row stands before its folder is made, so no folder of this list can lack the row it has.
    folders = list(settings.parcels.iterdir())
    living = {str(pk) for pk in Forsendelse.objects.exclude(state__in=over).values_list("pk", flat=True)}
    for where in folders:
        if where.name not in living:
            remove_folder(where)
