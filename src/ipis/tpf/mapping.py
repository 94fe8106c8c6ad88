"""The worker's second step: identities opened in memory, judged and pseudonymised, the mapping sealed to SSB; R2.

What is wrong with a single number is its reason code in the mapping; a part that does not fit refuses all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pyarrow.compute as pc
from django.db import transaction
from django.db.models import Sum

from ipis.kernel.errors import IpisError, ParcelRefused
from ipis.kernel.identifiers import Reason
from ipis.kernel.manifest import MANIFEST, Manifest, commitment_of
from ipis.kernel.opening import join_identities, open_identity, seal_mapping
from ipis.kernel.receipt import Kind
from ipis.kernel.rows import keys_of
from ipis.lib.storage import flush_folder, measure
from ipis.tpf import notices, quota
from ipis.tpf.arrival import folder
from ipis.tpf.bench import ROOT_KEY
from ipis.tpf.faultpoint import reach
from ipis.tpf.models import Audit, Forsendelse, Job, Part, Step
from ipis.tpf.pseudonymise import Pseudonymiser
from ipis.tpf.signing import Draft
from ipis.tpf.together import each, in_groups
from ipis.tpf.transitions import ParcelState

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pyarrow as pa

    from ipis.kernel.seasonpack import SeasonPack
    from ipis.lib.storage import Stored
    from ipis.tpf.bench import Bench


_ROWS_PER_PART: Final = 2_000_000
_BYTES_TOGETHER: Final = 16 << 20
"""Sealed identities that a group opens in memory: half a million persons."""


@dataclass(frozen=True, slots=True)
class Mapped:
    """A forsendelse whose identities have been opened: the rows of its mapping, in memory only."""

    job: Job
    parcel: Forsendelse
    manifest: Manifest
    table: pa.Table
    maker: Pseudonymiser


@dataclass(frozen=True, slots=True)
class Sealed:
    """A forsendelse whose mapping lies sealed on disk: its files by name, its persons' marks, what R2 will say."""

    job: Job
    parcel: Forsendelse
    files: dict[str, Stored]
    marks: bytes | None
    """None once there is no key to count with."""
    counts: dict[str, str | int | None]


def pseudonymise_step(jobs: Sequence[Job], bench: Bench) -> Iterator[Job]:
    """Pseudonymise forsendelser; one that is held for staff, or rejected, leaves its group."""
    rows = Forsendelse.objects.select_related("enrolment").in_bulk([int(job.subject) for job in jobs])
    pairs = [(job, rows[int(job.subject)]) for job in jobs]
    over = [job for job, parcel in pairs if parcel.state != ParcelState.RECEIVED]
    with transaction.atomic():
        Job.finish_all(over)
    yield from over
    waiting = [(job, parcel) for job, parcel in pairs if parcel.state == ParcelState.RECEIVED]
    sealed = Part.objects.filter(forsendelse__in=[parcel for _, parcel in waiting], role="identity")
    sizes = dict(sealed.values_list("forsendelse_id").annotate(total=Sum("size")))
    for group in in_groups(waiting, lambda pair: sizes[pair[1].pk], _BYTES_TOGETHER, lambda pair: pair[1].pk):
        _pseudonymise(group, bench)
        yield from (job for job, _ in group)


def _pseudonymise(group: Sequence[tuple[Job, Forsendelse]], bench: Bench) -> None:
    """Seal the mapping of each, and let them go on in one transaction."""
    season, settings = bench.season.current(), bench.settings
    path = settings.worker_keys / ROOT_KEY
    registers = {parcel.register for _, parcel in group}
    makers = {register: Pseudonymiser.load(path, settings.environment, register) for register in registers}
    mapped = each(
        group,
        lambda pair: _mapped(*pair, makers[pair[1].register], bench),
        lambda pair, error: reject(*pair, error, bench),
    )
    sealed = [_seal(one, marks, season, bench) for one, marks in _within_quota(mapped, season, bench)]
    reach(settings, "pseudonymise:mapped")
    with transaction.atomic():
        _keep(sealed, makers)
        now = bench.clock.now()
        bench.receipts.issue(Kind.R2, [Draft(one.parcel, now, one.counts) for one in sealed])
        Job.queue_all(*((Step.ERASE, str(one.parcel.pk)) for one in sealed))
        Job.finish_all([one.job for one in sealed])
    reach(settings, "pseudonymise:committed")


def _within_quota(mapped: Sequence[Mapped], season: SeasonPack, bench: Bench) -> Iterator[tuple[Mapped, bytes | None]]:
    """Give those whose municipality stays within its quota, with their persons' marks; hold the others for staff."""
    tally = quota.Tally([one.parcel for one in mapped], season.collection)
    for one in mapped:
        # After the final publication there is no key to count with, and no forsendelse passes but by staff.
        over = quota.is_over(bench, one.parcel.year)
        marks = None if over else quota.marks(one.table, quota.year_key(bench, one.parcel.year))
        if not one.parcel.quota_waived and (marks is None or not tally.admits(one.parcel, marks)):
            _hold(one, "publication" if over else "quota", bench)
            continue
        if marks is not None:
            tally.add(one.parcel, marks)
        yield one, marks


def _keep(sealed: Sequence[Sealed], makers: Mapping[str, Pseudonymiser]) -> None:
    """Store the marks, the new parts, and the forsendelser as pseudonymised."""
    quota.note([(one.parcel, one.marks) for one in sealed if one.marks is not None])
    parts = [
        Part(forsendelse=one.parcel, name=name, role="mapping", size=file.size, sha256=file.sha256)
        for one in sealed
        for name, file in one.files.items()
    ]
    same, fresh = ["forsendelse", "name"], ["role", "size", "sha256"]
    Part.objects.bulk_create(parts, update_conflicts=True, unique_fields=same, update_fields=fresh)
    for one in sealed:
        maker = makers[one.parcel.register]
        one.parcel.key_check, one.parcel.key_version = maker.key_check_value, maker.version
        one.parcel.go(ParcelState.PSEUDONYMISED)
    Forsendelse.objects.bulk_update([one.parcel for one in sealed], ["key_check", "key_version", "state"])


def reject(job: Job, parcel: Forsendelse, error: IpisError, bench: Bench) -> None:
    """Refuse what has its R1: the identities are deleted next, which R5 tells."""
    with transaction.atomic():
        parcel.go(ParcelState.REJECTED)
        parcel.note_problem(error)
        parcel.save()
        Audit.append("rejected", parcel.identifier, actor="worker", code=error.code)
        notices.refused(parcel.enrolment, f"parcel-{parcel.pk}", bench.clock.now())
        Job.queue(Step.ERASE, str(parcel.pk))
        job.finish()


def _mapped(job: Job, parcel: Forsendelse, maker: Pseudonymiser, bench: Bench) -> Mapped:
    """Open the identity parts in memory and map them; raises ParcelRefused."""
    where = folder(bench.settings, parcel)
    manifest = Manifest.parse((where / MANIFEST).read_bytes())
    opened = [
        open_identity((where / part.name).read_bytes(), part, manifest.facts, bench.identity)
        for part in manifest.by_role("identity")
    ]
    records = join_identities(opened)
    try:
        table = maker.mapping(records, parcel.identifier, parcel.year)
    except ValueError as error:
        raise ParcelRefused("tpf.identity_form") from error
    if _counts(table["id_reason"]).get(Reason.REAL_IN_TEST.text):
        raise ParcelRefused("tpf.real_in_test")
    return Mapped(job, parcel, manifest, table, maker)


def _hold(one: Mapped, reason: str, bench: Bench) -> None:
    parcel = one.parcel
    with transaction.atomic():
        parcel.go(ParcelState.HELD)
        parcel.held_for = reason
        parcel.save()
        Audit.append("held", parcel.identifier, actor="worker", reason=reason)
        notices.held(parcel, bench.clock.now())
        one.job.finish()


def _seal(one: Mapped, marks: bytes | None, season: SeasonPack, bench: Bench) -> Sealed:
    """Seal the mapping to SSB's intake, padded, in parts of two million rows."""
    where, table = folder(bench.settings, one.parcel), one.table
    whole = (commitment_of(keys_of(table).tobytes()), table.num_rows)
    pieces = [table.slice(at, _ROWS_PER_PART) for at in range(0, table.num_rows, _ROWS_PER_PART)] or [table]
    stored = {}
    for k, piece in enumerate(pieces, 1):
        name = f"mapping-{k:04d}.age"
        (where / name).unlink(missing_ok=True)
        seal_mapping(one.manifest.facts, piece, (k, len(pieces)), whole, season.recipients.ssb, where / name)
        stored[name] = measure(where / name)
    flush_folder(where)
    return Sealed(one.job, one.parcel, stored, marks, _said(one))


def _said(one: Mapped) -> dict[str, str | int | None]:
    """Say in R2 how many identifiers there were of each class and reason, and which key was used."""
    classes, reasons = _counts(one.table["id_class"]), _counts(one.table["id_reason"])
    return {
        "key_version": one.maker.version,
        "key_check_value": one.maker.key_check_value,
        **{f"class_{name}": count for name, count in sorted(classes.items())},
        **{f"reason_{name}": count for name, count in sorted(reasons.items())},
    }


def _counts(column: pa.ChunkedArray) -> dict[str, int]:
    """Count the values of a column."""
    counted = pc.value_counts(column)
    return dict(zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True))
