"""The mails that TPF sends, all to the registered impersonal address and none with a detail of what was sent.

A notice is queued in the transaction of what it tells of; its texts are templates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.template.loader import render_to_string

from ipis.kernel.calendar import OSLO
from ipis.tpf.models import Outbox

if TYPE_CHECKING:
    from datetime import datetime

    from ipis.tpf.models import Enrolment, Forsendelse, SenderKey


def sender_key_enrolled(enrolment: Enrolment, key: SenderKey, at: datetime) -> None:
    """Tell that a machine has been enrolled, with its fingerprint, so that a stranger's is noticed."""
    _queue(f"sender-key-{key.pk}", "sender_key", enrolment, at, fingerprint=key.fingerprint)


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
    context = {"enrolment": enrolment, "year": str(enrolment.year), **facts}
    text = render_to_string(f"tpf/mail/{template}.txt", context)
    subject, _, body = text.partition("\n")
    Outbox.queue(purpose, enrolment.address, subject.strip(), body.strip() + "\n", at)
