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
    from datetime import datetime

    from ipis.tpf.models import Enrolment, Forsendelse, SenderKey


def sender_keys_enrolled(enrolled: Iterable[tuple[Enrolment, SenderKey]], at: datetime) -> None:
    """Tell each that a machine has been enrolled, with its fingerprint, so that a stranger's is noticed."""
    mails = (
        _written(f"sender-key-{key.pk}", "sender_key", enrolment, fingerprint=key.fingerprint)
        for enrolment, key in enrolled
    )
    Outbox.queue_all(mails, at)


def foreign_key(enrolment: Enrolment, fingerprint: str, at: datetime) -> None:
    """Tell that the right PIN came with a key that is not the enrolled one; once a key and day."""
    day = at.astimezone(OSLO).date().isoformat()
    _queue(f"foreign-key-{enrolment.pk}-{day}-{fingerprint}", "foreign_key", enrolment, at, fingerprint=fingerprint)


def refused(enrolment: Enrolment, purpose: str, at: datetime) -> None:
    """Tell that a forsendelse was refused; why is shown where it was sent from."""
    _queue(f"refused-{purpose}", "refused", enrolment, at)


def held(parcel: Forsendelse, at: datetime) -> None:
    """Tell that a forsendelse waits for TPF's staff."""
    _queue(f"held-{parcel.pk}", "held", parcel.enrolment, at, forsendelse=parcel.identifier, reason=parcel.held_for)


def _queue(purpose: str, template: str, enrolment: Enrolment, at: datetime, **facts: str) -> None:
    Outbox.queue_all([_written(purpose, template, enrolment, **facts)], at)


def _written(purpose: str, template: str, enrolment: Enrolment, **facts: str) -> Mail:
    context = {"enrolment": enrolment, "year": str(enrolment.year), **facts}
    text = render_to_string(f"tpf/mail/{template}.txt", context)
    subject, _, body = text.partition("\n")
    return Mail(purpose, enrolment.address, subject.strip(), body.strip() + "\n")
