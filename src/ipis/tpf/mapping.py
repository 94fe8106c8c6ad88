"""The worker's second step: identities opened in memory, judged and pseudonymised, the mapping sealed to SSB; R2.

What is wrong with a single number is its reason code in the mapping; a part that does not fit refuses all.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import pyarrow.compute as pc
from django.db import transaction
from django.db.models import Sum

from ipis.kernel.errors import IpisError, ParcelRefused
from ipis.kernel.identifiers import Reason, unpack_identities
from ipis.kernel.manifest import MANIFEST, Facts, Manifest, commitment_of
from ipis.kernel.opening import join_identities, open_identity, seal_mapping
from ipis.kernel.receipt import Kind
from ipis.kernel.rows import keys_of
from ipis.lib.storage import flush_folder, measure
from ipis.tpf import notices, quota
from ipis.tpf.arrival import folder
from ipis.tpf.bench import ROOT_KEY
from ipis.tpf.faultpoint import reach
from ipis.tpf.models import Audit, Forsendelse, Job, Part, Step, save_all
from ipis.tpf.pseudonymise import Pseudonymiser
from ipis.tpf.signing import Draft
from ipis.tpf.together import at_once, each, in_groups
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


@dataclass(frozen=True, slots=True, repr=False)
class Opened:
    """A forsendelse whose identities are open, in memory only."""

    job: Job
    parcel: Forsendelse
    facts: Facts
    records: bytes


@dataclass(frozen=True, slots=True, repr=False)
class Mapped:
    """A forsendelse with the rows of its mapping, and its persons' marks unless there is no key to count with."""

    job: Job
    parcel: Forsendelse
    facts: Facts
    table: pa.Table
    marks: bytes | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Sealed:
    """A forsendelse whose mapping lies sealed on disk: its files by name, and what R2 will say."""

    job: Job
    parcel: Forsendelse
    marks: bytes | None
    files: dict[str, Stored]
    counts: dict[str, int]


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
    mapped = _map(_open(group, bench), makers, bench)
    sealed = _seal(_within_quota(mapped, season, bench), season, bench)
    reach(settings, "pseudonymise:mapped")
    with transaction.atomic():
        _keep(sealed, makers)
        now = bench.clock.now()
        bench.receipts.issue(Kind.R2, [Draft(one.parcel, now, _said(one, makers)) for one in sealed])
        Job.queue_all(*((Step.ERASE, str(one.parcel.pk)) for one in sealed))
        Job.finish_all([one.job for one in sealed])
    reach(settings, "pseudonymise:committed")


def _open(group: Sequence[tuple[Job, Forsendelse]], bench: Bench) -> list[Opened]:
    """Open the identity parts of each in memory; one with a part or record that does not fit is rejected."""

    def read(pair: tuple[Job, Forsendelse]) -> Opened:
        job, parcel = pair
        where = folder(bench.settings, parcel)
        manifest = Manifest.parse((where / MANIFEST).read_bytes())
        parts = [
            open_identity((where / part.name).read_bytes(), part, manifest.facts, bench.identity)
            for part in manifest.by_role("identity")
        ]
        records = join_identities(parts)
        try:
            # Here and not where all are mapped at once, so that it is known whose record it is.
            unpack_identities(records)
        except ValueError as error:
            raise ParcelRefused("tpf.identity_form") from error
        return Opened(job, parcel, manifest.facts, records)

    return each(group, read, lambda pair, error: reject(*pair, error, bench))


def _map(opened: Sequence[Opened], makers: Mapping[str, Pseudonymiser], bench: Bench) -> list[Mapped]:
    """Judge and pseudonymise whole columns of all; one with a real number where none may be is rejected."""
    groups: dict[tuple[str, int], list[Opened]] = defaultdict(list)
    for one in opened:
        groups[one.parcel.register, one.parcel.year].append(one)
    mapped = []
    for (register, year), group in groups.items():
        tables = makers[register].mappings([(one.records, one.parcel.identifier) for one in group], year)
        for one, table in zip(group, tables, strict=True):
            if Reason.REAL_IN_TEST.text in _counted(table["id_reason"]):
                reject(one.job, one.parcel, ParcelRefused("tpf.real_in_test"), bench)
            else:
                mapped.append(Mapped(one.job, one.parcel, one.facts, table))
    return mapped


def _within_quota(mapped: Sequence[Mapped], season: SeasonPack, bench: Bench) -> list[Mapped]:
    """Choose those whose municipality stays within its quota, and mark their persons; hold the others for staff."""
    tally, passing = quota.Tally([one.parcel for one in mapped], season.collection), []
    for one in mapped:
        # After the final publication there is no key to count with, and no forsendelse passes but by staff.
        over = quota.is_over(bench, one.parcel.year)
        marks = None if over else quota.marks(one.table, quota.year_key(bench, one.parcel.year))
        if not one.parcel.quota_waived and (marks is None or not tally.admits(one.parcel, marks)):
            _hold(one, "publication" if over else "quota", bench)
            continue
        tally.add(one.parcel, marks or b"")
        passing.append(replace(one, marks=marks))
    return passing


def _seal(mapped: Sequence[Mapped], season: SeasonPack, bench: Bench) -> list[Sealed]:
    """Seal each mapping to SSB's intake, padded, in parts of two million rows; durable when given."""

    def seal(one: Mapped) -> Sealed:
        where, table = folder(bench.settings, one.parcel), one.table
        whole = (commitment_of(keys_of(table).tobytes()), table.num_rows)
        pieces = [table.slice(at, _ROWS_PER_PART) for at in range(0, table.num_rows, _ROWS_PER_PART)] or [table]
        files = {}
        for k, piece in enumerate(pieces, 1):
            name = f"mapping-{k:04d}.age"
            (where / name).unlink(missing_ok=True)
            seal_mapping(one.facts, piece, (k, len(pieces)), whole, season.recipients.ssb, where / name)
            files[name] = measure(where / name)
        flush_folder(where)
        classes, reasons = _counted(table["id_class"]), _counted(table["id_reason"])
        counts = {f"class_{name}": count for name, count in sorted(classes.items())}
        counts |= {f"reason_{name}": count for name, count in sorted(reasons.items())}
        return Sealed(one.job, one.parcel, one.marks, files, counts)

    return at_once(mapped, seal)


def _counted(column: pa.ChunkedArray) -> dict[str, int]:
    """Count the values of a column."""
    counted = pc.value_counts(column)
    return dict(zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True))


def _said(one: Sealed, makers: Mapping[str, Pseudonymiser]) -> dict[str, str | int | None]:
    """Say in R2 which key was used, and how many identifiers there were of each class and reason."""
    maker = makers[one.parcel.register]
    return {"key_version": maker.version, "key_check_value": maker.key_check_value, **one.counts}


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
    save_all([one.parcel for one in sealed], "key_check", "key_version", "state")


def reject(job: Job, parcel: Forsendelse, error: IpisError, bench: Bench) -> None:
    """Refuse what has its R1: the identities are deleted next, which R5 tells."""
    with transaction.atomic():
        parcel.go(ParcelState.REJECTED)
        parcel.note_problem(error)
        parcel.save()
        Audit.append("rejected", parcel.identifier, actor="worker", code=error.code)
        notices.refused(parcel.enrolment, f"parcel-{parcel.pk}", bench)
        Job.queue(Step.ERASE, str(parcel.pk))
        job.finish()


def _hold(one: Mapped, reason: str, bench: Bench) -> None:
    parcel = one.parcel
    with transaction.atomic():
        parcel.go(ParcelState.HELD)
        parcel.held_for = reason
        parcel.save()
        Audit.append("held", parcel.identifier, actor="worker", reason=reason)
        notices.held(parcel, bench)
        one.job.finish()
