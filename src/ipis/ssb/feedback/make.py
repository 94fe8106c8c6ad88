"""Makes the tilbakemelding of a delivery: judge, list, tabulate, write, close with the PIN, sign R4, queue the push.

Files are durable before the row that names them; the row, R4 and the push job are one transaction. A worker that dies
leaves files without a row, which are swept, and the job is done again.
"""

from __future__ import annotations

import hashlib
import secrets
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from django.db import transaction

from ipis.kernel.calendar import OSLO
from ipis.kernel.errors import LANGUAGES, TryLater
from ipis.kernel.receipt import Kind
from ipis.kernel.secret import Secret
from ipis.lib.storage import durable, flush_folder, write_durably
from ipis.ssb.feedback.contents import Contents
from ipis.ssb.feedback.feilliste import STORED, Keyed, make_feilliste, with_first_seen
from ipis.ssb.feedback.models import Tilbakemelding
from ipis.ssb.feedback.package import close_zip, render_files, zip_name
from ipis.ssb.feedback.portal import PUSH
from ipis.ssb.feedback.texts import load_texts
from ipis.ssb.intake.contact import contact_of
from ipis.ssb.packs import pack_of
from ipis.ssb.register import enrolment, kvittering
from ipis.ssb.register.deliveries import deliveries_as_of, lokal_keys, open_tables, previous_delivery
from ipis.ssb.register.models import Delivery, Job
from ipis.ssb.register.objects import ObjectStore
from ipis.ssb.tables.compute import ControlTable, compare, compute, outcomes_of
from ipis.ssb.tables.definition import load_tables
from ipis.validation import rulebook
from ipis.validation.effects import apply
from ipis.validation.run import run

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from ipis.kernel.collection import Collection
    from ipis.kernel.contact import Contact
    from ipis.kernel.seasonpack import SeasonPack
    from ipis.ssb.keys import FeedbackKeys
    from ipis.ssb.settings import SsbSettings

FEEDBACK = "feedback"
"""The kind of job that makes a tilbakemelding; its subject is the forsendelse, or `<forsendelse>:<revision>`."""
_GARBAGE_AFTER_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True)
class Judged:
    """A delivery as judged: its stored findings (STORED) and the control tables of what counts."""

    findings: pa.Table
    cells: Mapping[str, Mapping[tuple[str, ...], int]]

    @property
    def verdicts_sha256(self) -> str:
        """Hash which findings there are, whatever their wording: tells whether a changed rule changed anything."""
        columns = [self.findings[name].to_pylist() for name in ("rule", "record", "row", "field")]
        return hashlib.sha256(repr(sorted(zip(*columns, strict=True), key=repr)).encode()).hexdigest()


def make(job: Job, settings: SsbSettings, keys: FeedbackKeys) -> None:
    """Make the tilbakemelding that the job asks for; one that was made already is left as it is."""
    forsendelse, _, asked = job.subject.partition(":")
    delivery = Delivery.objects.get(forsendelse=forsendelse)
    revision = int(asked or 1)
    if Tilbakemelding.objects.filter(delivery=delivery, revision=revision).exists():
        with transaction.atomic():
            job.finish()
        return
    at = settings.business_clock().now()
    pack = pack_of(settings, delivery.register, delivery.year)
    contact = contact_of(delivery.forsendelse, settings, keys.identity)
    password = _password(delivery, contact, keys)
    language = contact.language if contact is not None else LANGUAGES[0]
    judged = judge(delivery, settings, pack, language)
    feilliste = _feilliste(delivery, judged, settings, pack, language)
    _store_findings(settings, delivery, revision, with_first_seen(judged.findings, feilliste))
    contents = _contents(delivery, pack, language, at, feilliste, _control_tables(delivery, judged, settings, pack))
    closed = close_zip(render_files(contents), password)
    _commit(job, delivery, revision, at, closed, judged.verdicts_sha256, settings, keys, pack)


def judge(delivery: Delivery, settings: SsbSettings, pack: SeasonPack, language: str) -> Judged:
    """Run every rule that runs at SSB over a delivery, and count what its findings leave in."""
    collection, store = pack.collection, ObjectStore(settings.objects)
    tables = open_tables(delivery, store)
    earlier = _last_years(delivery)
    last_year = open_tables(earlier, store) if earlier is not None else None
    report = run(collection, tables, at="S", last_year=last_year, header=delivery.header)
    rules = rulebook.of(collection).rules
    told = report.findings.table
    rule_ids = told["rule"].to_pylist()
    stored = pa.table(
        {
            "rule": told["rule"],
            "level": pa.array([rules[rule].level.value for rule in rule_ids], pa.string()),
            "effect": pa.array([rules[rule].effect.value for rule in rule_ids], pa.string()),
            "record": told["record"],
            "row": told["row"],
            "field": told["field"],
            "value": told["value"],
            "message": report.findings.messages(language),
            "first_seen": pa.repeat(pa.scalar(delivery.sequence, pa.int32()), told.num_rows),
        },
        schema=STORED,
    )
    shown_to_kommune = pa.array([rules[rule].audience == "kommune" for rule in rule_ids], pa.bool_())
    counted = apply(tables, report.findings, collection)
    left_out = {name: _missing_rows(tables[name], counted[name]) for name in tables}
    cells = compute(load_tables(collection), counted, outcomes_of(tables, told, left_out))
    return Judged(stored.filter(shown_to_kommune), cells)


def sweep(settings: SsbSettings) -> int:
    """Delete outgoing folders that no row names and that are older than a day; tells how many."""
    named = set(Tilbakemelding.objects.values_list("push", flat=True))
    old = [
        folder
        for folder in (settings.data / "utgaaende").glob("*")
        if folder.name not in named and time.time() - folder.stat().st_mtime > _GARBAGE_AFTER_SECONDS
    ]
    for folder in old:
        shutil.rmtree(folder)
    return len(old)


def _feilliste(
    delivery: Delivery, judged: Judged, settings: SsbSettings, pack: SeasonPack, language: str
) -> pa.Table:
    """Compare with the delivery before; findings that were never kept (its feedback failed) are made anew."""
    before = previous_delivery(delivery)
    if before is None:
        return make_feilliste(_keyed(delivery, judged.findings, settings, pack.collection), None)
    kept = _kept_findings(settings, before)
    earlier = judge(before, settings, pack, language).findings if kept is None else kept
    return make_feilliste(
        _keyed(delivery, judged.findings, settings, pack.collection),
        _keyed(before, earlier, settings, pack.collection),
    )


def _keyed(delivery: Delivery, findings: pa.Table, settings: SsbSettings, collection: Collection) -> Keyed:
    store = ObjectStore(settings.objects)
    named = [name for name in pc.unique(findings["record"]).to_pylist() if name in collection.layout.records]
    keys = {name: lokal_keys(delivery, store, name, collection.layout.records[name].id_field) for name in named}
    return Keyed(findings, keys)


def _control_tables(
    delivery: Delivery, judged: Judged, settings: SsbSettings, pack: SeasonPack
) -> tuple[ControlTable, ...]:
    earlier = _last_years(delivery)
    before = None
    if earlier is not None:
        its_pack = pack_of(settings, earlier.register, earlier.year)
        before = judge(earlier, settings, its_pack, "nb").cells
    # The nation is shown from the first publication on; until there is one, the column is empty and the page says why.
    return tuple(
        compare(table, dict(judged.cells[table.id]), dict(before[table.id]) if before and table.id in before else None)
        for table in load_tables(pack.collection)
    )


def _last_years(delivery: Delivery) -> Delivery | None:
    """Give the sender's newest delivery of the year before, as it stood when this one was loaded."""
    rows = deliveries_as_of(delivery.year - 1, delivery.loaded_at, register=delivery.register)
    return next((row for row in rows if (row.kommune, row.bydel) == (delivery.kommune, delivery.bydel)), None)


def _contents(
    delivery: Delivery,
    pack: SeasonPack,
    language: str,
    at: datetime,
    feilliste: pa.Table,
    tables: tuple[ControlTable, ...],
) -> Contents:
    collection = pack.collection
    loaded = kvittering.newest(delivery.forsendelse, Kind.R3)
    records = {collection.layout.header.name: collection.layout.header, **collection.layout.records}
    return Contents(
        kommune=delivery.kommune,
        kommune_name=collection.kommuner.get(delivery.kommune, ""),
        bydel=delivery.bydel,
        year=delivery.year,
        sequence=delivery.sequence,
        forsendelse=delivery.forsendelse,
        phase=delivery.phase,
        arrived_at=delivery.arrived_at,
        made_at=at,
        corrections_until=collection.window.corrections_until,
        address=collection.addresses["ssb"],
        short_code=loaded.short_code if loaded else "",
        pack_version=pack.version,
        feilliste=feilliste,
        tables=tables,
        record_labels={name: record.label[language] for name, record in records.items()},
        field_labels={
            (name, field.name): field.label[language] for name, record in records.items() for field in record.fields.values()
        },
        texts=load_texts(collection, language),
    )


def _password(delivery: Delivery, contact: Contact | None, keys: FeedbackKeys) -> Secret:
    """Give the PIN of the generation that R1 names, else the one sealed with the parcel, and the feedback code after it.

    Raises TryLater where SSB holds neither: feedback that nobody can open is not made.
    """
    issued = enrolment.of_generation(delivery.year, delivery.kommune, delivery.bydel, delivery.pin_generation)
    if issued is None and contact is None:
        raise TryLater("feedback.no_pin", kommune=delivery.kommune)
    pin = enrolment.open_pin(issued, keys.identity) if issued is not None else contact.pin
    code = contact.feedback_code if contact is not None else None
    return Secret(pin.reveal() + ("" if code is None else code.reveal()))


def _commit(
    job: Job,
    delivery: Delivery,
    revision: int,
    at: datetime,
    closed: bytes,
    verdicts_sha256: str,
    settings: SsbSettings,
    keys: FeedbackKeys,
    pack: SeasonPack,
) -> None:
    """Write the zip, then row, R4 and push job in one transaction, R4's files inside it: they hold the audit head."""
    push, day = secrets.token_hex(16), at.astimezone(OSLO).date()
    folder = settings.data / "utgaaende" / push
    folder.mkdir(mode=0o700)
    flush_folder(folder.parent)
    tenant = pack.successor_of(delivery.kommune)
    with transaction.atomic():
        same_day = Tilbakemelding.objects.filter(
            delivery__kommune=delivery.kommune, delivery__bydel=delivery.bydel, delivery__register=delivery.register,
            made_on=day,
        )  # fmt: skip
        name = zip_name(delivery.register, delivery.kommune, delivery.bydel, at, same_day.count())
        stored = write_durably(folder / name, closed)
        details: dict[str, str | int | None] = {
            "zip": name, "zip_sha256": stored.sha256, "zip_size": stored.size, "revision": revision,
        }  # fmt: skip
        receipt = kvittering.issue(Kind.R4, delivery, key=keys.receipt, at=at, details=details)
        write_durably(folder / f"{name}.kvittering", bytes(receipt.body))
        write_durably(folder / f"{name}.kvittering.sig", bytes(receipt.signature))
        Tilbakemelding.objects.create(
            delivery=delivery,
            revision=revision,
            push=push,
            tenant=tenant,
            name=name,
            made_on=day,
            made_at=at,
            zip_sha256=stored.sha256,
            verdicts_sha256=verdicts_sha256,
        )
        Job.queue(PUSH, push)
        job.finish()


def _missing_rows(all_rows: pa.Table, counted: pa.Table) -> pa.Array:
    rows = all_rows["_row"].combine_chunks()
    return rows.filter(pc.invert(pc.is_in(rows, value_set=counted["_row"].combine_chunks())))


def _store_findings(settings: SsbSettings, delivery: Delivery, revision: int, findings: pa.Table) -> None:
    path = _findings_path(settings, delivery, revision)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with durable(path) as file:
        pq.write_table(findings, file, compression="zstd")


def _kept_findings(settings: SsbSettings, delivery: Delivery) -> pa.Table | None:
    """Read the findings kept with the newest tilbakemelding of a delivery, or None."""
    newest = Tilbakemelding.objects.filter(delivery=delivery).order_by("-revision").first()
    path = _findings_path(settings, delivery, newest.revision) if newest else None
    return pq.read_table(path) if path is not None and path.exists() else None


def _findings_path(settings: SsbSettings, delivery: Delivery, revision: int) -> Path:
    return settings.data / "funn" / delivery.forsendelse / f"{revision:04d}.parquet"

