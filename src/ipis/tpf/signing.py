"""Receipts, and nothing else, are signed here, with a key only the worker reads, in the transaction they tell of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ipis.kernel.receipt import CAUSED_BY, ISSUER, Kind, Receipt, sign
from ipis.kernel.signature import SigningKey
from ipis.tpf.models import Audit
from ipis.tpf.receipts import store

if TYPE_CHECKING:
    from datetime import datetime

    from ipis.kernel.receipt import SignedReceipt
    from ipis.tpf.models import Forsendelse
    from ipis.tpf.settings import TpfSettings

KEY: Final = "tpf-receipt"


class ReceiptSigner:
    """Holds the receipt key; it signs R1, R2 and R5 of forsendelser that are in the table."""

    __slots__ = ("_environment", "_key")

    def __init__(self, settings: TpfSettings) -> None:
        """Read the key; a file of another role or environment is refused."""
        self._environment = settings.environment
        self._key = SigningKey.load(settings.worker_keys / KEY, KEY, settings.environment)

    def __repr__(self) -> str:
        """Show nothing."""
        return "<ReceiptSigner>"

    def issue(self, parcel: Forsendelse, kind: Kind, at: datetime, **details: str | int | None) -> SignedReceipt:
        """Sign and store a receipt and its audit event in the caller's transaction; one that stands is given again."""
        standing = parcel.receipts.filter(kind=kind).first()
        if standing is not None:
            return standing.signed
        head = Audit.append(f"receipt_{kind.value.lower()}", parcel.identifier, actor="worker", **details)
        causes = _cause(parcel, kind)
        receipt = Receipt(
            kind=kind,
            forsendelse=parcel.identifier,
            register=parcel.register,
            year=parcel.year,
            kommune=parcel.enrolment.kommune,
            bydel=parcel.enrolment.bydel,
            sequence=parcel.sequence,
            environment=self._environment,
            manifest_sha256=parcel.manifest_sha256,
            issuer=ISSUER[kind],
            at=at,
            phase=parcel.phase,
            audit_head=head,
            causes=causes,
            details=details,
        )
        signed = sign(receipt, self._key)
        store(parcel, signed, kind)
        return signed


def _cause(parcel: Forsendelse, kind: Kind) -> str | None:
    """Name the receipt that caused this one: the first kind that may and stands."""
    for cause in CAUSED_BY[kind]:
        row = parcel.receipts.filter(kind=cause.value).first()
        if row is not None:
            return row.sha256
    return None
