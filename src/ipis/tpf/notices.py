"""The mails that TPF sends, all to the registered impersonal address and none with a detail of what was sent.

A notice is queued in the transaction of what it tells of; its texts are templates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.template.loader import render_to_string

from ipis.kernel.calendar import OSLO
from ipis.lib.mail import Mail
from ipis.tpf.models import Outbox

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ipis.tpf.bench import Bench
    from ipis.tpf.desk import Desk
    from ipis.tpf.models import Enrolment, Forsendelse, SenderKey

    Place = Bench | Desk
    """Where it is told from: its clock, and its season's register."""


def sender_keys_enrolled(enrolled: Iterable[tuple[Enrolment, SenderKey]], bench: Bench) -> None:
    """Tell each that a machine has been enrolled, with its fingerprint, so that a stranger's is noticed."""
    mails = (
        _written(f"sender-key-{key.pk}", "sender_key", enrolment, bench, fingerprint=key.fingerprint)
        for enrolment, key in enrolled
    )
    Outbox.queue_all(mails, bench.clock.now())


def foreign_key(enrolment: Enrolment, fingerprint: str, desk: Desk) -> None:
    """Tell that the right PIN came with a key that is not the enrolled one; once a key and day."""
    day = desk.clock.now().astimezone(OSLO).date().isoformat()
    _queue(f"foreign-key-{enrolment.pk}-{day}-{fingerprint}", "foreign_key", enrolment, desk, fingerprint=fingerprint)


def refused(enrolment: Enrolment, purpose: str, bench: Bench) -> None:
    """Tell that a forsendelse was refused; why is shown where it was sent from."""
    _queue(f"refused-{purpose}", "refused", enrolment, bench)


def held(parcel: Forsendelse, bench: Bench) -> None:
    """Tell that a forsendelse waits for TPF's staff."""
    _queue(f"held-{parcel.pk}", "held", parcel.enrolment, bench, forsendelse=parcel.identifier, reason=parcel.held_for)


def _queue(purpose: str, template: str, enrolment: Enrolment, place: Place, **facts: str) -> None:
    Outbox.queue_all([_written(purpose, template, enrolment, place, **facts)], place.clock.now())


def _written(purpose: str, template: str, enrolment: Enrolment, place: Place, **facts: str) -> Mail:
    register = place.season.register_title("nb")
    context = {"enrolment": enrolment, "year": str(enrolment.year), "register": register, **facts}
    text = render_to_string(f"tpf/mail/{template}.txt", context)
    subject, _, body = text.partition("\n")
    return Mail(purpose, enrolment.address, subject.strip(), body.strip() + "\n")
