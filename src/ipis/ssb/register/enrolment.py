"""Enrolment: SSB issues the PIN, seals it at once to the feedback worker, and keeps the registered address."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import Max

from ipis.kernel import canonical
from ipis.kernel.errors import OurFault, Refused
from ipis.kernel.fields import Reader
from ipis.kernel.sealed import Identity, Recipient, open_bytes, seal_bytes
from ipis.kernel.secret import Secret
from ipis.ssb.register.models import AuditEvent, Enrolment

if TYPE_CHECKING:
    from datetime import datetime

_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})+", re.ASCII)
_FORMS = {"kommune": r"[0-9]{4}", "bydel": r"[0-9]{2}", "orgnr": r"[89][0-9]{8}"}


@dataclass(frozen=True, slots=True)
class Enrolled:
    """Whom a PIN is issued to."""

    year: int
    kommune: str
    bydel: str
    orgnr: str
    address: str


def is_address(text: str) -> bool:
    """Tell whether a mail address has a form that a relay takes (K016)."""
    return len(text) <= 254 and _ADDRESS.fullmatch(text) is not None


def enrol(whom: Enrolled, pin: Secret, *, recipient: Recipient, at: datetime, generation: int | None = None) -> int:
    """Store a new generation of a PIN, sealed; gives the generation. Raises Refused for a misshapen field."""
    for field, form in _FORMS.items():
        if not re.fullmatch(form, getattr(whom, field), re.ASCII):
            raise Refused("ssb.enrol_field", field=field)
    if not is_address(whom.address):
        raise Refused("ssb.enrol_field", field="address")
    with transaction.atomic():
        rows = Enrolment.objects.filter(year=whom.year, kommune=whom.kommune, bydel=whom.bydel)
        newest = rows.aggregate(newest=Max("generation"))["newest"] or 0
        generation = newest + 1 if generation is None else generation
        if generation <= newest:
            raise Refused("ssb.generation", newest=newest)
        Enrolment.objects.create(
            year=whom.year,
            kommune=whom.kommune,
            bydel=whom.bydel,
            orgnr=whom.orgnr,
            generation=generation,
            sealed_pin=seal_bytes(_clear(whom, generation, pin), recipient),
            address=whom.address,
            enrolled_at=at,
        )
        AuditEvent.append(
            "enrolment", f"{whom.kommune}{whom.bydel}", actor="staff", year=whom.year, generation=generation
        )
    return generation


def newest(year: int, kommune: str, bydel: str) -> Enrolment | None:
    """Give the newest enrolment of a sender for a year, or None."""
    return Enrolment.objects.filter(year=year, kommune=kommune, bydel=bydel).order_by("-generation").first()


def of_generation(year: int, kommune: str, bydel: str, generation: int) -> Enrolment | None:
    """Give the enrolment of one generation, as R1 names it, or None where SSB holds none."""
    return Enrolment.objects.filter(year=year, kommune=kommune, bydel=bydel, generation=generation).first()


def open_pin(enrolment: Enrolment, identity: Identity) -> Secret:
    """Open an issued PIN in memory; only the feedback worker holds the identity."""
    clear = open_bytes(bytes(enrolment.sealed_pin), identity, part="pin")
    read = Reader(canonical.loads(clear, what="pin"), "pin")
    # The row and what was sealed must name the same sender: a swapped row must not lend one PIN to another.
    found = (
        read.values.get("year"),
        read.values.get("kommune"),
        read.values.get("bydel"),
        read.values.get("generation"),
    )
    if found != (enrolment.year, enrolment.kommune, enrolment.bydel, enrolment.generation):
        raise OurFault("ssb.pin_swapped")
    return Secret(read.free("pin", 100))


def _clear(whom: Enrolled, generation: int, pin: Secret) -> bytes:
    return canonical.dumps(
        {
            "year": whom.year,
            "kommune": whom.kommune,
            "bydel": whom.bydel,
            "generation": generation,
            # One length for all, so that a sealed PIN does not tell its own.
            "filling": "0" * max(0, 100 - len(pin.reveal())),
            "pin": pin.reveal(),
        }
    )
