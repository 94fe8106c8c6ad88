"""The four-field login: one answer and the same work for any wrong field; the PIN alone never suffices.

Order: prove the device, take the limits, compare the PIN, judge all fields together, then look at the sender key –
so that nothing can be learnt of one field by getting another wrong, and no stranger makes us work beyond the limits.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from django.db import IntegrityError, transaction

from ipis.kernel import messages
from ipis.kernel.errors import LoginRefused, ParcelRefused
from ipis.kernel.secret import Secret
from ipis.kernel.signature import PublicKey, verify
from ipis.tpf import limits, notices
from ipis.tpf.models import Audit, Enrolment, SenderKey, Session, SpentNonce

if TYPE_CHECKING:
    from ipis.tpf.desk import Desk


@dataclass(frozen=True, slots=True)
class Attempt:
    """What somebody typed, and the proof of their sender key where they have one."""

    kommune: str
    bydel: str
    orgnr: str
    pin: Secret
    sender_key: str = ""
    nonce: str = ""
    signature: str = ""
    address: str = ""
    """Network address; counted, never stored; empty where it is not known."""


@dataclass(frozen=True, slots=True)
class _Device:
    """A sender key that signed our nonce."""

    public: str
    fingerprint: str
    known: bool


def login(attempt: Attempt, desk: Desk) -> str:
    """Let somebody in and give the session's token.

    Raises LoginRefused (tpf.login: some field is wrong; tpf.other_key: the fields are right, the key is not the
    enrolled one) or TryLater (tpf.locked).
    """
    device = _prove_device(attempt, desk)
    taken = _limits(attempt, device, desk)
    limits.take(taken)
    enrolment = _enrolment(attempt, desk)
    fits = desk.pins.fits(enrolment.pin_hash if enrolment else None, attempt.pin)
    fits &= hmac.compare_digest((enrolment.orgnr if enrolment else "").encode(), attempt.orgnr.encode())
    if enrolment is None or not fits or (attempt.sender_key and device is None):
        raise LoginRefused("tpf.login")
    _refuse_other_key(enrolment, device, desk)
    return _admit(enrolment, device, attempt, taken, desk)


def session_of(token: str) -> Session:
    """Find the session of a token; raises LoginRefused (tpf.session): none, over, or of an older PIN."""
    row = Session.objects.select_related("enrolment").filter(token_hash=_hash(token)).first()
    if row is None or row.expires_at <= datetime.now(UTC) or row.pin_generation != row.enrolment.pin_generation:
        raise LoginRefused("tpf.session")
    return row


def require_known_device(session: Session) -> None:
    """Refuse a session that showed the PIN only, or a key that is not the enrolled one."""
    enrolment = session.enrolment
    living = SenderKey.living(enrolment.kommune, enrolment.bydel)
    if living is None or not session.device_key or living.public != session.device_key:
        raise LoginRefused("tpf.needs_key")


def tell_foreign_key(enrolment: Enrolment, fingerprint: str, desk: Desk) -> None:
    """Write down, and tell the registered address, that the right PIN came with a key that is not the enrolled one."""
    with transaction.atomic():
        Audit.append("sender_key_refused", enrolment.party, actor="web", fingerprint=fingerprint)
        notices.foreign_key(enrolment, fingerprint, desk)


def sweep() -> None:
    """Delete sessions and nonces that are over."""
    now = datetime.now(UTC)
    Session.objects.filter(expires_at__lt=now).delete()
    SpentNonce.objects.filter(expires_at__lt=now).delete()
    limits.sweep()


def _prove_device(attempt: Attempt, desk: Desk) -> _Device | None:
    """Verify the signature over a nonce of ours that has not been used; None when that fails."""
    if not (attempt.sender_key and attempt.signature) or desk.nonce_expiry(attempt.nonce) is None:
        return None
    try:
        key = PublicKey.parse(attempt.sender_key)
        signed = messages.login_bytes(attempt.kommune, attempt.bydel, attempt.orgnr, attempt.nonce)
        verify(signed, attempt.signature.encode(), messages.LOGIN, [key])
    except ParcelRefused:
        return None
    living = SenderKey.living(attempt.kommune, attempt.bydel)
    return _Device(key.openssh, key.fingerprint, known=living is not None and living.public == key.openssh)


def _limits(attempt: Attempt, device: _Device | None, desk: Desk) -> list[limits.Limit]:
    """Choose what is counted: a known device by itself; a stranger by municipality and by network address."""
    settings = desk.settings
    where = (attempt.kommune, attempt.bydel)
    if device is not None and device.known:
        scope = desk.scope("device", *where, device.fingerprint)
        return [limits.Limit(scope, settings.device_attempts, settings.lockout)]
    stranger = limits.Limit(desk.scope("stranger", *where), settings.stranger_attempts, settings.lockout)
    if not attempt.address:
        return [stranger]
    address = limits.Limit(desk.scope("address", attempt.address), settings.address_attempts, settings.lockout)
    return [stranger, address]


def _enrolment(attempt: Attempt, desk: Desk) -> Enrolment | None:
    year = desk.season.current().collection.year
    return Enrolment.objects.filter(kommune=attempt.kommune, bydel=attempt.bydel, year=year).first()


def _refuse_other_key(enrolment: Enrolment, device: _Device | None, desk: Desk) -> None:
    living = SenderKey.living(enrolment.kommune, enrolment.bydel)
    if device is not None and living is not None and not device.known:
        tell_foreign_key(enrolment, device.fingerprint, desk)
        raise LoginRefused("tpf.other_key", fingerprint=device.fingerprint, enrolled=living.fingerprint)


def _admit(
    enrolment: Enrolment, device: _Device | None, attempt: Attempt, taken: list[limits.Limit], desk: Desk
) -> str:
    token = secrets.token_urlsafe(32)
    now = datetime.now(UTC)
    try:
        with transaction.atomic():
            if device is not None:
                SpentNonce.objects.create(
                    nonce_hash=_hash(attempt.nonce), expires_at=desk.nonce_expiry(attempt.nonce) or now
                )
            Session.objects.create(
                token_hash=_hash(token),
                enrolment=enrolment,
                device_key=device.public if device else "",
                pin_generation=enrolment.pin_generation,
                expires_at=now + timedelta(minutes=desk.settings.session_minutes),
            )
            # Of the network address only this attempt: a right login must not open the way to other municipalities.
            limits.clear(taken[:1])
            limits.give_back(taken[1:])
    except IntegrityError as error:
        raise LoginRefused("tpf.login") from error
    return token


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
