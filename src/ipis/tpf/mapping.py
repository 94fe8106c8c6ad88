"""The worker's second step: identities opened in memory, judged and pseudonymised, the mapping sealed to SSB; R2.

What is wrong with a single number is its reason code in the mapping; a part that does not fit refuses all.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from django.db import transaction

from ipis.kernel.errors import ParcelRefused, Refused
from ipis.kernel.manifest import MANIFEST, Manifest, commitment_of
from ipis.kernel.opening import join_identities, open_identity, seal_mapping
from ipis.kernel.receipt import Kind
from ipis.kernel.rows import keys_of
from ipis.lib.storage import measure
from ipis.tpf import notices, quota
from ipis.tpf.accept import folder
from ipis.tpf.bench import ROOT_KEY
from ipis.tpf.faultpoint import reach
from ipis.tpf.models import Audit, Forsendelse, Job, Part, Step
from ipis.tpf.pseudonymise import Pseudonymiser
from ipis.tpf.transitions import ParcelState

if TYPE_CHECKING:
    import pyarrow as pa

    from ipis.kernel.seasonpack import SeasonPack
    from ipis.lib.storage import Stored
    from ipis.tpf.bench import Bench


_ROWS_PER_PART: Final = 2_000_000


def pseudonymise_step(job: Job, bench: Bench) -> None:
    """Pseudonymise one forsendelse, hold it for staff, or reject it."""
    parcel = Forsendelse.objects.select_related("enrolment").get(pk=job.subject)
    if parcel.state != ParcelState.RECEIVED:
        with transaction.atomic():
            job.finish()
        return
    season = bench.season.current()
    pseudonymiser = _pseudonymiser(bench, parcel)
    try:
        table = _mapping(parcel, pseudonymiser, bench)
    except Refused as error:
        reject(job, parcel, error, bench)
        return
    # After the final publication there is no key to count with, and no forsendelse passes but by staff.
    over = quota.is_over(bench, parcel.year)
    own = None if over else quota.digests(table, quota.year_key(bench, parcel.year))
    if not parcel.quota_waived and (own is None or _too_many(parcel, quota.count_with(parcel, own), season)):
        _hold(job, parcel, "publication" if over else "quota", bench)
        return
    stored = _seal(parcel, table, season, bench)
    reach(bench.settings, "pseudonymise:mapped")
    with transaction.atomic():
        if own is not None:
            quota.note(parcel, own)
        for name, facts in stored.items():
            Part.objects.update_or_create(
                forsendelse=parcel,
                name=name,
                defaults={"role": "mapping", "size": facts.size, "sha256": facts.sha256},
            )
        parcel.key_check = pseudonymiser.key_check_value
        parcel.key_version = pseudonymiser.version
        parcel.go(ParcelState.PSEUDONYMISED)
        parcel.save()
        bench.receipts.issue(parcel, Kind.R2, bench.clock.now(), **_counts(table, pseudonymiser))
        Job.queue(Step.ERASE, str(parcel.pk))
        job.finish()
    reach(bench.settings, "pseudonymise:committed")


def reject(job: Job, parcel: Forsendelse, error: Refused, bench: Bench) -> None:
    """Refuse what has its R1: the identities are deleted next, which R5 tells."""
    with transaction.atomic():
        parcel.go(ParcelState.REJECTED)
        parcel.note_problem(error)
        parcel.save()
        Audit.append("rejected", parcel.identifier, actor="worker", code=error.code)
        notices.refused(parcel.enrolment, f"parcel-{parcel.pk}", bench.clock.now())
        Job.queue(Step.ERASE, str(parcel.pk))
        job.finish()


def _pseudonymiser(bench: Bench, parcel: Forsendelse) -> Pseudonymiser:
    path = bench.settings.worker_keys / ROOT_KEY
    return Pseudonymiser.load(path, bench.settings.environment, parcel.register)


def _mapping(parcel: Forsendelse, pseudonymiser: Pseudonymiser, bench: Bench) -> pa.Table:
    """Open the identity parts in memory and map them; raises ParcelRefused."""
    where = folder(bench.settings, parcel)
    manifest = Manifest.parse((where / MANIFEST).read_bytes())
    opened = [
        open_identity((where / part.name).read_bytes(), part, manifest.facts, bench.identity)
        for part in manifest.by_role("identity")
    ]
    records = join_identities(opened)
    try:
        table = pseudonymiser.mapping(records, parcel.identifier, parcel.year)
    except ValueError as error:
        raise ParcelRefused("tpf.identity_form") from error
    if Counter(table["id_reason"].to_pylist())["real_in_test"]:
        raise ParcelRefused("tpf.real_in_test")
    return table


def _too_many(parcel: Forsendelse, distinct: int, season: SeasonPack) -> bool:
    return distinct > quota.allowance(season.collection, parcel.enrolment.kommune)


def _hold(job: Job, parcel: Forsendelse, reason: str, bench: Bench) -> None:
    with transaction.atomic():
        parcel.go(ParcelState.HELD)
        parcel.held_for = reason
        parcel.save()
        Audit.append("held", parcel.identifier, actor="worker", reason=reason)
        notices.held(parcel, bench.clock.now())
        job.finish()


def _seal(parcel: Forsendelse, table: pa.Table, season: SeasonPack, bench: Bench) -> dict[str, Stored]:
    """Seal the mapping to SSB's intake, padded, in parts of two million rows; gives the files by name."""
    where = folder(bench.settings, parcel)
    facts = Manifest.parse((where / MANIFEST).read_bytes()).facts
    whole = (commitment_of(keys_of(table).tobytes()), table.num_rows)
    pieces = [table.slice(at, _ROWS_PER_PART) for at in range(0, table.num_rows, _ROWS_PER_PART)] or [table]
    stored = {}
    for k, piece in enumerate(pieces, 1):
        name = f"mapping-{k:04d}.age"
        (where / name).unlink(missing_ok=True)
        seal_mapping(facts, piece, (k, len(pieces)), whole, season.recipients.ssb, where / name)
        stored[name] = measure(where / name)
    return stored


def _counts(table: pa.Table, pseudonymiser: Pseudonymiser) -> dict[str, str | int | None]:
    """Say in R2 how many identifiers there were of each class and reason, and which key was used."""
    classes = Counter(table["id_class"].to_pylist())
    reasons = Counter(table["id_reason"].to_pylist())
    return {
        "key_version": pseudonymiser.version,
        "key_check_value": pseudonymiser.key_check_value,
        **{f"class_{name}": count for name, count in sorted(classes.items())},
        **{f"reason_{name}": count for name, count in sorted(reasons.items())},
    }
