"""Makes the tilbakemelding of a delivery: judge, list, tabulate, write, close with the PIN, sign R4, queue the push.

Files are durable before the row that names them; the row, R4 and the push job are one transaction. A worker that dies
leaves files without a row, which are swept, and the job is done again.
"""

from __future__ import annotations

import secrets
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db import transaction

from ipis.kernel.calendar import OSLO
from ipis.kernel.errors import LANGUAGES, TryLater
from ipis.kernel.receipt import Kind
from ipis.kernel.secret import Secret
from ipis.lib.storage import flush_folder, write_durably
from ipis.ssb.feedback.contents import Contents
from ipis.ssb.feedback.feilliste import with_first_seen
from ipis.ssb.feedback.judge import Judge
from ipis.ssb.feedback.models import Tilbakemelding
from ipis.ssb.feedback.package import close_zip, render_files, zip_name
from ipis.ssb.feedback.portal import PUSH
from ipis.ssb.feedback.texts import load_texts
from ipis.ssb.intake.contact import contact_of
from ipis.ssb.packs import pack_of
from ipis.ssb.register import enrolment, kvittering
from ipis.ssb.register.deliveries import FEEDBACK
from ipis.ssb.register.models import Delivery, Job

if TYPE_CHECKING:
    import pyarrow as pa

    from ipis.kernel.contact import Contact
    from ipis.kernel.seasonpack import SeasonPack
    from ipis.ssb.keys import FeedbackKeys
    from ipis.ssb.settings import SsbSettings
    from ipis.ssb.tables.compute import ControlTable

_GARBAGE_AFTER_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True)
class Maker:
    """The feedback worker's step: it alone opens PIN and contact, in memory."""

    settings: SsbSettings
    keys: FeedbackKeys

    def make(self, job: Job) -> None:
        """Make the tilbakemelding of a job whose subject is the forsendelse, or `<forsendelse>:<revision>`, once."""
        forsendelse, _, asked = job.subject.partition(":")
        delivery, revision = Delivery.objects.get(forsendelse=forsendelse), int(asked or 1)
        if Tilbakemelding.objects.filter(delivery=delivery, revision=revision).exists():
            with transaction.atomic():
                job.finish()
            return
        pack = pack_of(self.settings, delivery.register, delivery.year)
        contact = contact_of(forsendelse, self.settings, self.keys.identity)
        password = self._password(delivery, contact)
        language = LANGUAGES[0] if contact is None else contact.language
        judge = Judge(self.settings)
        judged = judge.judge(delivery, pack, language)
        feilliste = judge.feilliste(delivery, judged, pack, language)
        judge.keep_findings(delivery, revision, with_first_seen(judged.findings, feilliste))
        one = Tilbakemelding(
            delivery=delivery,
            revision=revision,
            push=secrets.token_hex(16),
            tenant=pack.successor_of(delivery.kommune),
            made_at=self.settings.business_clock().now(),
            verdicts_sha256=judged.verdicts_sha256,
        )
        tables = judge.control_tables(delivery, judged, pack)
        files = render_files(_contents(one, pack, language, feilliste, tables))
        self._commit(job, one, close_zip(files, password))

    def revalidate(self, job: Job) -> None:
        """Judge a delivery by the rules in place now; queue new feedback only where the verdict is another."""
        delivery = Delivery.objects.get(forsendelse=job.subject)
        newest = Tilbakemelding.objects.filter(delivery=delivery).order_by("-revision").first()
        pack = pack_of(self.settings, delivery.register, delivery.year)
        judged = Judge(self.settings).judge(delivery, pack, LANGUAGES[0])
        with transaction.atomic():
            # Without a first tilbakemelding there is nothing to renew: its own job will judge by the rules in place.
            if newest is not None and newest.verdicts_sha256 != judged.verdicts_sha256:
                Job.queue(FEEDBACK, f"{delivery.forsendelse}:{newest.revision + 1}")
            job.finish()

    def _password(self, delivery: Delivery, contact: Contact | None) -> Secret:
        """Give the PIN of the generation that R1 names, else the parcel's own, and the feedback code after it.

        Raises TryLater where SSB holds neither: feedback that nobody can open is not made.
        """
        issued = enrolment.of_generation(delivery.year, delivery.kommune, delivery.bydel, delivery.pin_generation)
        if issued is not None:
            pin = enrolment.open_pin(issued, self.keys.identity)
        elif contact is not None:
            pin = contact.pin
        else:
            raise TryLater("feedback.no_pin", kommune=delivery.kommune)
        code = None if contact is None else contact.feedback_code
        return Secret(pin.reveal() + ("" if code is None else code.reveal()))

    def _commit(self, job: Job, one: Tilbakemelding, closed: bytes) -> None:
        """Store row, R4 and push job in one transaction; files are written in it, since R4 holds its audit head."""
        folder, delivery = self.settings.data / "utgaaende" / one.push, one.delivery
        folder.mkdir(mode=0o700)
        flush_folder(folder.parent)
        with transaction.atomic():
            one.made_on = one.made_at.astimezone(OSLO).date()
            one.name = zip_name(delivery.register, delivery.kommune, delivery.bydel, one.made_at, _same_day(one))
            stored = write_durably(folder / one.name, closed)
            one.zip_sha256 = stored.sha256
            details: dict[str, str | int | None] = {
                "zip": one.name,
                "zip_sha256": stored.sha256,
                "zip_size": stored.size,
                "revision": one.revision,
            }
            receipt = kvittering.issue(Kind.R4, delivery, key=self.keys.receipt, at=one.made_at, details=details)
            write_durably(folder / f"{one.name}.kvittering", bytes(receipt.body))
            write_durably(folder / f"{one.name}.kvittering.sig", bytes(receipt.signature))
            one.save(force_insert=True)
            Job.queue(PUSH, one.push)
            job.finish()


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


def _same_day(one: Tilbakemelding) -> int:
    """Count what was made for the same sender the same day: a second zip gets another name."""
    its = one.delivery
    rows = Tilbakemelding.objects.filter(made_on=one.made_on, delivery__register=its.register)
    return rows.filter(delivery__kommune=its.kommune, delivery__bydel=its.bydel).count()


def _contents(
    one: Tilbakemelding, pack: SeasonPack, language: str, feilliste: pa.Table, tables: tuple[ControlTable, ...]
) -> Contents:
    collection, delivery = pack.collection, one.delivery
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
        made_at=one.made_at,
        corrections_until=collection.window.corrections_until,
        address=collection.addresses["ssb"],
        short_code=loaded.short_code if loaded else "",
        pack_version=pack.version,
        feilliste=feilliste,
        tables=tables,
        record_labels={name: record.label[language] for name, record in records.items()},
        field_labels={
            (name, field.name): field.label[language]
            for name, record in records.items()
            for field in record.fields.values()
        },
        texts=load_texts(collection, language),
    )
