"""Mails about a forsendelse, written by the feedback worker alone: it opens the sealed contact in memory.

What the contact holds reaches the database only as the address of an outbox row, emptied when the mail has left.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from django.db import transaction

from ipis.kernel.calendar import OSLO
from ipis.kernel.contact import Contact
from ipis.kernel.errors import OurFault, TryLater
from ipis.kernel.receipt import Kind
from ipis.ssb import kill
from ipis.ssb.intake import letters
from ipis.ssb.intake.contact import contact_of
from ipis.ssb.intake.models import DueMail, Forsendelse, MailKind
from ipis.ssb.intake.transitions import State
from ipis.ssb.packs import pack_of
from ipis.ssb.register import enrolment, kvittering
from ipis.ssb.register.enrolment import is_address
from ipis.ssb.register.models import Job, OutboxMail, Phase

if TYPE_CHECKING:
    from datetime import datetime

    from ipis.kernel.collection import Collection
    from ipis.kernel.contact import Contact
    from ipis.kernel.sealed import Identity
    from ipis.ssb.register.models import Enrolment, Kvittering
    from ipis.ssb.settings import SsbSettings

MAIL: Final = "mail"
"""The kind of job that writes one mail; its subject is `<forsendelse>:<kind>`."""


def queue_due(at: datetime) -> int:
    """Queue the writing of every mail that has fallen due by business time; tells how many stand."""
    due = DueMail.objects.filter(written_at=None, due_at__lte=at).select_related("forsendelse")
    for one in due:
        Job.queue(MAIL, f"{one.forsendelse.forsendelse}:{one.kind}")
    return len(due)


@dataclass(frozen=True, slots=True)
class Addressee:
    """Whom a mail about a forsendelse goes to, and in which language."""

    email: str
    language: str
    contact_invalid: bool


@dataclass(frozen=True, slots=True)
class MailWriter:
    """The feedback worker's step that writes receipt and refusal mails."""

    settings: SsbSettings
    identity: Identity

    def write(self, job: Job) -> None:
        """Write one due mail, and those that tell of a changed contact, in one transaction with its mark."""
        subject, _, kind = job.subject.partition(":")
        due = DueMail.objects.select_related("forsendelse").get(forsendelse__forsendelse=subject, kind=kind)
        row = due.forsendelse
        if due.written_at is not None or (kind == MailKind.KVITTERING and row.state == State.REFUSED):
            # Written already; or refused before the receipt fell due, which the refusal mail has told.
            _settle(due, job)
            return
        collection = pack_of(self.settings, row.register, row.year).collection
        enrolled = enrolment.newest(row.year, row.kommune, row.bydel)
        contact = contact_of(row.forsendelse, self.settings, self.identity)
        to = _addressee(collection, contact, enrolled)
        now = self.settings.business_clock().now()
        with transaction.atomic():
            if kind == MailKind.KVITTERING:
                self._kvittering(row, collection, contact, to, now)
                self._changed_contact(row, collection, contact, enrolled, now)
            else:
                self._avvist(row, collection, to, now)
                self._avvist_registered(row, collection, to, enrolled, now)
            _settle(due, job, now)
            kill.reach(self.settings, "mail:before-commit")
        kill.reach(self.settings, "mail:committed")

    def _kvittering(
        self, row: Forsendelse, collection: Collection, contact: Contact | None, to: Addressee, now: datetime
    ) -> None:
        r3 = kvittering.newest(row.forsendelse, Kind.R3)
        facts = (
            _facts(row, collection)
            | _loaded_facts(r3)
            | {
                "contact_invalid": to.contact_invalid,
                "pin_differs": self._pin_differs(row, contact),
                "phone_missing": contact is not None and not _phone_fits(collection, contact.phone),
            }
        )
        _queue(
            f"kvittering:{row.forsendelse}", to.email, letters.write(collection, "kvittering", to.language, facts), now
        )

    def _changed_contact(
        self,
        row: Forsendelse,
        collection: Collection,
        contact: Contact | None,
        enrolled: Enrolment | None,
        now: datetime,
    ) -> None:
        """Tell the old contact and the registered address when the contact is another than last time."""
        before = self._contact_before(row)
        if before is None or contact is None or before.email.lower() == contact.email.lower():
            return
        letter = letters.write(collection, "kontakt_endret", before.language, _facts(row, collection))
        if is_address(before.email):
            _queue(f"kontakt-gammel:{row.forsendelse}", before.email, letter, now)
        if enrolled is not None:
            _queue(f"kontakt-registrert:{row.forsendelse}", enrolled.address, letter, now)

    def _avvist(self, row: Forsendelse, collection: Collection, to: Addressee, now: datetime) -> None:
        facts = _facts(row, collection) | _refusal_facts(row, to.language)
        _queue(f"avvist:{row.forsendelse}", to.email, letters.write(collection, "avvist", to.language, facts), now)

    def _avvist_registered(
        self, row: Forsendelse, collection: Collection, to: Addressee, enrolled: Enrolment | None, now: datetime
    ) -> None:
        """Tell the registered address too: who sent something broken may have given a broken address."""
        if enrolled is None or enrolled.address == to.email:
            return
        facts = _facts(row, collection) | _refusal_facts(row, to.language) | {"do": ""}
        letter = letters.write(collection, "avvist", to.language, facts)
        _queue(f"avvist-registrert:{row.forsendelse}", enrolled.address, letter, now)

    def _pin_differs(self, row: Forsendelse, contact: Contact | None) -> bool:
        """Compare, in memory, the issued PIN that R1 names with the one sealed beside the contact (L17 §4.6)."""
        issued = enrolment.of_generation(row.year, row.kommune, row.bydel, row.pin_generation)
        return issued is not None and contact is not None and enrolment.open_pin(issued, self.identity) != contact.pin

    def _contact_before(self, row: Forsendelse) -> Contact | None:
        """Open the contact of the same sender's forsendelse before this one, of whatever year."""
        earlier = Forsendelse.objects.filter(kommune=row.kommune, bydel=row.bydel, pk__lt=row.pk)
        before = earlier.exclude(state=State.REFUSED).order_by("-pk").first()
        return None if before is None else contact_of(before.forsendelse, self.settings, self.identity)


def _settle(due: DueMail, job: Job, at: datetime | None = None) -> None:
    with transaction.atomic():
        DueMail.objects.filter(pk=due.pk, written_at=None).update(written_at=at or due.due_at)
        job.finish()


def _addressee(collection: Collection, contact: Contact | None, enrolled: Enrolment | None) -> Addressee:
    """Choose the contact, or the registered address where that is none (K016); TryLater without either."""
    language = contact.language if contact is not None else "nb"
    if (
        contact is not None
        and is_address(contact.email)
        and re.fullmatch(collection.contact.email.pattern, contact.email)
    ):
        return Addressee(contact.email, language, contact_invalid=False)
    if enrolled is None:
        raise TryLater("ssb.no_address")
    return Addressee(enrolled.address, language, contact_invalid=True)


def _phone_fits(collection: Collection, phone: str | None) -> bool:
    """Tell whether the telephone is what the year asks for (K017); nothing is asked in some years."""
    asked = collection.contact.phone
    return not asked.asked or (phone is not None and re.fullmatch(asked.pattern, phone) is not None)


def _facts(row: Forsendelse, collection: Collection) -> dict[str, object]:
    return {
        "kommune": row.kommune,
        "kommune_name": collection.kommuner.get(row.kommune, row.kommune),
        "bydel": row.bydel,
        "year": row.year,
        "sequence": row.sequence,
        "forsendelse": row.forsendelse,
        "arrived_at": _shown(row.arrived_at),
        "late": row.phase == Phase.LATE,
        "closed": row.phase == Phase.CLOSED,
        "corrections_until": _shown(collection.window.corrections_until),
        "address": collection.addresses["ssb"],
        "portal": collection.addresses["portal"],
    }


def _loaded_facts(r3: Kvittering | None) -> dict[str, object]:
    """Give what R3 says, and its code for the phone; in a year of receipts on arrival there may be none yet."""
    if r3 is None:
        return {"loaded": False, "loaded_at": "", "short_code": "", "rows": {}, "same_content": False}
    receipt = kvittering.signed_of(r3).receipt
    rows = {key.removeprefix("rows_"): value for key, value in receipt.details.items() if key.startswith("rows_")}
    return {
        "loaded": True,
        "loaded_at": _shown(receipt.at),
        "short_code": r3.short_code,
        "rows": rows,
        "same_content": receipt.details.get("same_content_as") is not None,
    }


def _refusal_facts(row: Forsendelse, language: str) -> dict[str, object]:
    text = (row.told or OurFault("web.failed")).render(language)
    return {"code": row.problem, "rule": row.rule, "found": text.found, "do": text.do}


def _shown(at: datetime) -> str:
    return f"{at.astimezone(OSLO):%d.%m.%Y kl. %H.%M}"


def _queue(purpose: str, recipient: str, letter: letters.Letter, at: datetime) -> None:
    OutboxMail.queue(purpose, recipient, letter.subject, letter.body, at)
