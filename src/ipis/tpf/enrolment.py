"""What TPF's staff do: enrol a municipality, release its sender key, let a held forsendelse go on; all audited."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction

from ipis.kernel.errors import Misuse
from ipis.tpf.models import Audit, Enrolment, Forsendelse, Job, SenderKey, Session, Step
from ipis.tpf.transitions import ParcelState

if TYPE_CHECKING:
    from ipis.kernel.secret import Secret
    from ipis.tpf.pin import PinHasher

_FORMS = {"kommune": r"[0-9]{4}", "bydel": r"[0-9]{2}", "orgnr": r"[0-9]{9}"}


@dataclass(frozen=True, slots=True)
class Login:
    """Which login of which year."""

    kommune: str
    bydel: str
    year: int

    @property
    def party(self) -> str:
        """Name the municipality as the audit does."""
        return f"kommune-{self.kommune}-{self.bydel}"


def enrol(login: Login, orgnr: str, pin: Secret, address: str, pins: PinHasher, generation: int | None = None) -> int:
    """Enrol a municipality or renew its enrolment; gives the generation of its PIN, one more at each enrolment.

    SSB counts the same way: R1 names the generation, and SSB closes the feedback with the PIN of that number.
    """
    _check(login, orgnr, address)
    if not 4 <= len(pin.reveal()) <= 100 or not pin.reveal().isprintable():
        raise Misuse("tpf.pin_form")
    with transaction.atomic():
        standing = _find(login)
        newest = 0 if standing is None else standing.pin_generation
        generation = newest + 1 if generation is None else generation
        if generation <= newest:
            raise Misuse("tpf.generation", newest=newest)
        Enrolment.objects.update_or_create(
            kommune=login.kommune,
            bydel=login.bydel,
            year=login.year,
            defaults={"orgnr": orgnr, "address": address, "pin_hash": pins.hash(pin), "pin_generation": generation},
        )
        Audit.append("enrolled", login.party, actor="staff", year=login.year, pin_generation=generation)
    return generation


def release_key(login: Login) -> str:
    """Release the enrolled sender key, so that the next first send enrols another; gives its fingerprint."""
    with transaction.atomic():
        key = SenderKey.living(login.kommune, login.bydel)
        if key is None:
            raise Misuse("tpf.no_key_to_release", party=login.party)
        key.released_at = datetime.now(UTC)
        key.save(update_fields=["released_at"])
        # Whoever showed the key, or the PIN beside it, shows anew what they have.
        Session.objects.filter(enrolment__kommune=login.kommune, enrolment__bydel=login.bydel).delete()
        Audit.append("sender_key_released", login.party, actor="staff", fingerprint=key.fingerprint)
    return key.fingerprint


def release_held(login: Login) -> list[str]:
    """Let the held forsendelser of a municipality go on in spite of the quota; gives their ids."""
    with transaction.atomic():
        held = list(
            Forsendelse.objects.filter(
                enrolment__kommune=login.kommune,
                enrolment__bydel=login.bydel,
                year=login.year,
                state=ParcelState.HELD,
            )
        )
        if not held:
            raise Misuse("tpf.nothing_held", party=login.party)
        for parcel in held:
            parcel.go(ParcelState.RECEIVED)
            parcel.quota_waived = True
            parcel.save()
            Audit.append("held_released", parcel.identifier, actor="staff")
            Job.again(Step.PSEUDONYMISE, str(parcel.pk))
    return [parcel.identifier for parcel in held]


def _find(login: Login) -> Enrolment | None:
    return Enrolment.objects.filter(kommune=login.kommune, bydel=login.bydel, year=login.year).first()


def _check(login: Login, orgnr: str, address: str) -> None:
    for field, value in (("kommune", login.kommune), ("bydel", login.bydel), ("orgnr", orgnr)):
        if not re.fullmatch(_FORMS[field], value, re.ASCII):
            raise Misuse("tpf.enrol_form", field=field)
    try:
        validate_email(address)
    except ValidationError as error:
        raise Misuse("tpf.enrol_form", field="address") from error
