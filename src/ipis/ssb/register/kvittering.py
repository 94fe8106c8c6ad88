"""Receipts at SSB: TPF's are stored as they came, ours issued in the transaction of what they tell, then posted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction

from ipis.kernel.errors import OurFault
from ipis.kernel.receipt import CAUSED_BY, Kind, Receipt, SignedReceipt, sign
from ipis.ssb.register.models import AuditEvent, Job, Kvittering

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from ipis.kernel.signature import SigningKey
    from ipis.ssb.register.models import Delivery

POST = "post"
"""The kind of job that posts a receipt; its subject is the receipt's SHA-256."""


def store(signed: SignedReceipt) -> Kvittering:
    """Store another party's verified receipt, once."""
    standing = Kvittering.objects.filter(sha256=signed.sha256).first()
    return standing or _keep(signed, signed.receipt, ours=False)


def issue(
    kind: Kind, delivery: Delivery, *, key: SigningKey, at: datetime, details: Mapping[str, str | int | None]
) -> Kvittering:
    """Issue R3 or R4 for a delivery within the caller's transaction, and queue its posting.

    The cause is the newest receipt of the kind that must come before; an R4 is issued once for each feedback.
    """
    cause = newest(delivery.forsendelse, *CAUSED_BY[kind])
    if cause is None:
        raise OurFault("ssb.receipt_cause", kind=kind.value, forsendelse=delivery.forsendelse)
    with transaction.atomic(savepoint=False):
        head = AuditEvent.append(f"kvittering.{kind.value}", delivery.forsendelse, actor="ssb")
        receipt = Receipt(
            kind=kind,
            forsendelse=delivery.forsendelse,
            register=delivery.register,
            year=delivery.year,
            kommune=delivery.kommune,
            bydel=delivery.bydel,
            sequence=delivery.sequence,
            environment=key.environment,
            manifest_sha256=delivery.manifest_sha256,
            issuer="ssb",
            at=at,
            phase=delivery.phase,
            audit_head=head,
            causes=cause.sha256,
            details=details,
        )
        row = _keep(sign(receipt, key), receipt, ours=True)
        Job.queue(POST, row.sha256)
    return row


def _keep(signed: SignedReceipt, receipt: Receipt, *, ours: bool) -> Kvittering:
    return Kvittering.objects.create(
        sha256=signed.sha256,
        forsendelse=receipt.forsendelse,
        kind=receipt.kind.value,
        body=signed.data,
        signature=signed.signature,
        short_code=signed.short_code,
        issued_at=receipt.at,
        ours=ours,
    )


def newest(forsendelse: str, *kinds: Kind) -> Kvittering | None:
    """Give the newest receipt of one of the kinds for a forsendelse, or None."""
    return Kvittering.objects.filter(forsendelse=forsendelse, kind__in=[k.value for k in kinds]).order_by("-id").first()


def signed_of(row: Kvittering) -> SignedReceipt:
    """Give a stored receipt as it travels."""
    return SignedReceipt(bytes(row.body), bytes(row.signature))
