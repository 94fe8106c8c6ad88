"""Makes the tilbakemelding of a delivery: judge, list, tabulate, write, close with the PIN, sign R4, queue the push.

Files are durable before the row that names them; the row, R4 and the push job are one transaction. A worker that dies
leaves files without a row, which are swept, and the job is done again.
"""

from __future__ import annotations

import secrets
import shutil
import time as clock
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import partial
from typing import TYPE_CHECKING, Self

import pyarrow.compute as pc
from django.db import transaction

from ipis.kernel.calendar import OSLO
from ipis.kernel.errors import LANGUAGES, TryLater
from ipis.kernel.receipt import Kind
from ipis.kernel.secret import Secret
from ipis.lib.jobs import JobState
from ipis.lib.storage import write_durably
from ipis.ssb import kill
from ipis.ssb.feedback.contents import Contents
from ipis.ssb.feedback.count import Counter, Counts
from ipis.ssb.feedback.feilliste import as_stored, unanswered
from ipis.ssb.feedback.figures import figures_many
from ipis.ssb.feedback.models import Tilbakemelding
from ipis.ssb.feedback.outgoing import OUTGOING, outgoing
from ipis.ssb.feedback.package import close_zip, render_files, zip_name
from ipis.ssb.feedback.portal import PUSH
from ipis.ssb.feedback.texts import load_texts
from ipis.ssb.intake.contact import contact_of
from ipis.ssb.packs import pack_of, packs
from ipis.ssb.register import enrolment, kvittering
from ipis.ssb.register.deliveries import FEEDBACK
from ipis.ssb.register.models import Delivery, Job, Kvittering
from ipis.ssb.tables import indicators
from ipis.validation import rulebook

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Mapping, Sequence

    import pyarrow as pa

    from ipis.kernel.collection import Collection
    from ipis.kernel.contact import Contact
    from ipis.kernel.seasonpack import SeasonPack
    from ipis.ssb.feedback.figures import Figures
    from ipis.ssb.feedback.judge import Judge, Judged
    from ipis.ssb.feedback.texts import Texts
    from ipis.ssb.keys import FeedbackKeys
    from ipis.ssb.settings import SsbSettings
    from ipis.ssb.tables.indicators import IndicatorResult

_AT_ONCE = "at_once"
_HELD_BACK = "feedback.held_back"
_GARBAGE_AFTER_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True)
class _Wish:
    """A tilbakemelding that is to be made, and what closes it."""

    job: Job
    delivery: Delivery
    revision: int
    pack: SeasonPack
    language: str
    password: Secret
    short_code: str


@dataclass(frozen=True, slots=True)
class _Standing:
    """What stands of the deliveries of jobs when a run begins: asked for all at once."""

    deliveries: Mapping[str, Delivery]
    """By forsendelse."""
    made: Container[tuple[str, int]]
    """The tilbakemeldinger that are made: forsendelse and revision."""
    short_codes: Mapping[str, str]
    """Of the newest R3 of a forsendelse."""

    @classmethod
    def of(cls, jobs: Sequence[Job]) -> Self:
        asked = {_asked(job)[0] for job in jobs}
        made = Tilbakemelding.objects.filter(delivery__forsendelse__in=asked)
        receipts = Kvittering.objects.filter(forsendelse__in=asked, kind=Kind.R3.value).order_by("id")
        return cls(
            {one.forsendelse: one for one in Delivery.objects.filter(forsendelse__in=asked)},
            set(made.values_list("delivery__forsendelse", "revision")),
            dict(receipts.values_list("forsendelse", "short_code")),
        )


@dataclass(frozen=True, slots=True)
class Maker:
    """The feedback worker's step: it alone opens PIN and contact, in memory."""

    settings: SsbSettings
    keys: FeedbackKeys
    judge: Judge

    def make_many(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Callable[[], None]]]:
        """Judge the deliveries of jobs together, a year at a time, and give each job with what makes its feedback.

        A job's subject is the forsendelse, or `<forsendelse>:<revision>`; what stands already is not made again.
        """
        wishes: dict[tuple[str, int], list[_Wish]] = {}
        standing = _Standing.of(jobs)
        for job in jobs:
            try:
                wish = self._wish(job, standing)
            except Exception as error:  # noqa: BLE001 - it is this job's own, and is dealt with as such
                yield job, partial(_raise, error)
                continue
            if wish is None:
                yield job, partial(_finish, job)
            else:
                wishes.setdefault((wish.delivery.register, wish.delivery.year), []).append(wish)
        for its in wishes.values():
            pack = its[0].pack
            judged = self.judge.judge_many([each.delivery for each in its], pack, [each.language for each in its])
            counts = Counter(self.judge).count_many(judged, pack)
            shown = _figures(counts, [load_texts(pack.collection, each.language) for each in its])
            for wish, one, count, figures in zip(its, judged, counts, shown, strict=True):
                yield wish.job, partial(self._make, wish, one, count, figures)

    def _wish(self, job: Job, standing: _Standing) -> _Wish | None:
        """Say what a job wishes, or None where it is made; TryLater for what is held back or nobody could open."""
        forsendelse, revision = _asked(job)
        if (forsendelse, revision) in standing.made:
            return None
        delivery = standing.deliveries[forsendelse]
        pack, now = pack_of(self.settings, delivery.register, delivery.year), self.settings.business_clock().now()
        held_until = held_back_until(pack.collection)
        if held_until is not None and now < held_until:
            raise TryLater(_HELD_BACK, at=f"{held_until:%Y-%m-%d}")
        contact = contact_of(forsendelse, self.settings, self.keys.identity)
        language = LANGUAGES[0] if contact is None else contact.language
        password, short_code = self._password(delivery, contact), standing.short_codes.get(forsendelse, "")
        return _Wish(job, delivery, revision, pack, language, password, short_code)

    def _make(self, wish: _Wish, judged: Judged, counts: Counts, figures: Sequence[Figures]) -> None:
        """List, write, close and commit one tilbakemelding."""
        delivery = wish.delivery
        feilliste = self.judge.feilliste(judged, wish.pack, wish.language)
        self.judge.kept.keep_findings(delivery, wish.revision, as_stored(feilliste))
        self.judge.kept.keep_staff(delivery, judged.staff)
        one = Tilbakemelding(
            delivery=delivery,
            revision=wish.revision,
            push=secrets.token_hex(16),
            tenant=wish.pack.successor_of(delivery.kommune),
            made_at=self.settings.business_clock().now(),
            verdicts_sha256=judged.verdicts_sha256,
        )
        files = render_files(_contents(one, wish, feilliste, counts), figures)
        self._commit(wish.job, one, close_zip(files, wish.password))
        kill.reach(self.settings, "feedback:committed")

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
        delivery = one.delivery
        with transaction.atomic():
            one.made_on = one.made_at.astimezone(OSLO).date()
            one.name = zip_name(delivery.register, delivery.kommune, delivery.bydel, one.made_at, _same_day(one))
            zip_file, kvittering_file, signature_file = outgoing(self.settings, one).make()
            stored = write_durably(zip_file, closed)
            one.zip_sha256 = stored.sha256
            details: dict[str, str | int | None] = {
                "zip": one.name,
                "zip_sha256": stored.sha256,
                "zip_size": stored.size,
                "revision": one.revision,
            }
            receipt = kvittering.issue(Kind.R4, delivery, key=self.keys.receipt, at=one.made_at, details=details)
            write_durably(kvittering_file, bytes(receipt.body))
            write_durably(signature_file, bytes(receipt.signature))
            kill.reach(self.settings, "feedback:written")
            one.save(force_insert=True)
            Job.queue(PUSH, one.push)
            job.finish()
            kill.reach(self.settings, "feedback:before-commit")


def held_back_until(collection: Collection) -> datetime | None:
    """Give the instant before which a year's feedback is not made, or None where it is made at once."""
    day = collection.feedback.available
    return None if day == _AT_ONCE else datetime.combine(date.fromisoformat(str(day)), time(0), OSLO)


def release(settings: SsbSettings) -> int:
    """Wake the jobs that a date held back when it has come by the business clock; tells how many."""
    now, woken = settings.business_clock().now(), 0
    for pack, _ in packs(settings):
        held_until = held_back_until(pack.collection)
        if held_until is not None and now >= held_until:
            its = Delivery.objects.filter(register=pack.register, year=pack.year).values("forsendelse")
            held = Job.objects.filter(kind=FEEDBACK, state=JobState.QUEUED, problem=_HELD_BACK, subject__in=its)
            if held.exclude(next_try_at=None).exists():
                # Held back is not tried: they are made together, as any others that were never begun.
                woken += held.update(next_try_at=None, attempt=0)
    return woken


def sweep(settings: SsbSettings) -> int:
    """Delete outgoing folders that no row names and that are older than a day; tells how many."""
    named = set(Tilbakemelding.objects.values_list("push", flat=True))
    old = [
        folder
        for folder in (settings.data / OUTGOING).glob("*")
        if folder.name not in named and clock.time() - folder.stat().st_mtime > _GARBAGE_AFTER_SECONDS
    ]
    for folder in old:
        shutil.rmtree(folder)
    return len(old)


def _asked(job: Job) -> tuple[str, int]:
    """Read a job's subject: the forsendelse, and which revision of its feedback is wished."""
    forsendelse, _, revision = job.subject.partition(":")
    return forsendelse, int(revision or 1)


def _finish(job: Job) -> None:
    with transaction.atomic():
        job.finish()


def _raise(error: Exception) -> None:
    raise error


def _same_day(one: Tilbakemelding) -> int:
    """Count what was made for the same sender the same day: a second zip gets another name."""
    its = one.delivery
    rows = Tilbakemelding.objects.filter(made_on=one.made_on, delivery__register=its.register)
    return rows.filter(delivery__kommune=its.kommune, delivery__bydel=its.bydel).count()


def _figures(counts: Sequence[Counts], texts: Sequence[Texts]) -> list[list[Figures]]:
    """Put the tables of deliveries into the words of each, all of one language at once."""
    made: dict[int, list[Figures]] = {}
    for language in dict.fromkeys(each.language for each in texts):
        places = [place for place, each in enumerate(texts) if each.language == language]
        its = figures_many([counts[place].tables for place in places], texts[places[0]])
        made.update(zip(places, its, strict=True))
    return [made[place] for place in range(len(counts))]


def _contents(one: Tilbakemelding, wish: _Wish, feilliste: pa.Table, counts: Counts) -> Contents:
    pack, language, delivery = wish.pack, wish.language, wish.delivery
    collection = pack.collection
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
        short_code=wish.short_code,
        pack_version=pack.version,
        feilliste=feilliste,
        tables=counts.tables,
        indicators=_indicators(pack, feilliste, counts),
        guide=collection.addresses.get("guidance", ""),
        record_labels={name: record.label[language] for name, record in records.items()},
        field_labels={
            (name, field.name): field.label[language]
            for name, record in records.items()
            for field in record.fields.values()
        },
        texts=load_texts(collection, language),
    )


def _indicators(pack: SeasonPack, feilliste: pa.Table, counts: Counts) -> tuple[IndicatorResult, ...]:
    """Say what would be published if this were final; an answered finding is not open."""
    counted = pc.value_counts(unanswered(feilliste)["rule"].combine_chunks()).to_pylist()
    return indicators.results(
        pack.collection,
        counts.figures,
        uncorrected=counts.uncorrected,
        last_year=counts.last_year,
        nation=counts.nation,
        open_findings={each["values"]: each["counts"] for each in counted},
        rules=rulebook.of(pack.collection).rules,
    )
