"""Receipts as the municipality reads them, and those of SSB taken in: verified first, stored once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction

from ipis.kernel.errors import Refused
from ipis.kernel.receipt import CAUSED_BY, ISSUER
from ipis.tpf.models import Audit, Forsendelse, ReceiptRow
from ipis.tpf.transitions import UNACCEPTED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ipis.kernel.receipt import Kind, SignedReceipt
    from ipis.kernel.seasonpack import SeasonPack
    from ipis.tpf.models import Session


def find_parcel(identifier: str, session: Session) -> Forsendelse:
    """Find a forsendelse of the municipality's own; of several tries the accepted one, else the newest."""
    own = session.enrolment
    tries = Forsendelse.objects.select_related("enrolment").filter(
        identifier=identifier, enrolment__kommune=own.kommune, enrolment__bydel=own.bydel
    )
    found = tries.exclude(state__in=UNACCEPTED).first() or tries.order_by("-pk").first()
    if found is None:
        raise Refused("tpf.no_parcel")
    return found


def take_in(signed: SignedReceipt, season: SeasonPack) -> bool:
    """Store R3 or R4 of SSB's; tells whether it was new.

    Raises ParcelRefused when the signature is not SSB's, Refused (tpf.receipt_unfit) when it hangs on no receipt here.
    """
    receipt = signed.verify(season.signing_keys("ssb-receipt"), season.environment)
    if ISSUER[receipt.kind] != "ssb":
        raise Refused("tpf.receipt_unfit", kind=receipt.kind.value)
    with transaction.atomic():
        if ReceiptRow.objects.filter(sha256=signed.sha256).exists():
            return False
        parcel = Forsendelse.objects.filter(
            identifier=receipt.forsendelse, manifest_sha256=receipt.manifest_sha256, receipts__kind="R2"
        ).first()
        causes = [kind.value for kind in CAUSED_BY[receipt.kind]]
        if parcel is None or not parcel.receipts.filter(sha256=receipt.causes, kind__in=causes).exists():
            raise Refused("tpf.receipt_unfit", kind=receipt.kind.value)
        if receipt.kind.value == "R3" and parcel.receipts.filter(kind="R3").exists():
            raise Refused("tpf.receipt_unfit", kind=receipt.kind.value)
        Audit.append("receipt_taken_in", parcel.identifier, actor="ssb", kind=receipt.kind.value, sha256=signed.sha256)
        store([(parcel, signed, receipt.kind)])
    return True


def store(told: Sequence[tuple[Forsendelse, SignedReceipt, Kind]]) -> None:
    """Keep receipts byte for byte, in the caller's transaction."""
    ReceiptRow.objects.bulk_create(
        ReceiptRow(
            forsendelse=parcel,
            kind=kind.value,
            content=signed.data,
            signature=signed.signature.decode(),
            sha256=signed.sha256,
        )
        for parcel, signed, kind in told
    )
