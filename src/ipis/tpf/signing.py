"""Receipts, and nothing else, are signed here, with a key only the worker reads, in the transaction they tell of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ipis.kernel.receipt import CAUSED_BY, ISSUER, Kind, Receipt, sign
from ipis.kernel.signature import SigningKey
from ipis.lib.audit import Event
from ipis.tpf.models import Audit, ReceiptRow
from ipis.tpf.receipts import store

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from ipis.tpf.models import Forsendelse
    from ipis.tpf.settings import TpfSettings

KEY: Final = "tpf-receipt"


@dataclass(frozen=True, slots=True)
class Draft:
    """What a receipt is to say of a forsendelse beside what its row says."""

    parcel: Forsendelse
    at: datetime
    details: Mapping[str, str | int | None] = field(default_factory=dict)


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

    def issue(self, kind: Kind, drafts: Sequence[Draft]) -> None:
        """Sign and store receipts of a kind with their audit events, in the caller's transaction; what stands stays."""
        rows = ReceiptRow.objects.filter(forsendelse__in=[draft.parcel for draft in drafts])
        standing = {(pk, its): sha256 for pk, its, sha256 in rows.values_list("forsendelse_id", "kind", "sha256")}
        wanted = [draft for draft in drafts if (draft.parcel.pk, kind.value) not in standing]
        name = f"receipt_{kind.value.lower()}"
        events = [Event(name, draft.parcel.identifier, draft.details) for draft in wanted]
        heads = Audit.append_all(events, actor="worker")
        store(
            [
                (draft.parcel, sign(self._write(kind, draft, head, standing), self._key), kind)
                for draft, head in zip(wanted, heads, strict=True)
            ]
        )

    def _write(self, kind: Kind, draft: Draft, head: str, standing: Mapping[tuple[int, str], str]) -> Receipt:
        """Write a receipt; it names the one that caused it: the first kind that may and stands."""
        parcel = draft.parcel
        causes = [standing[parcel.pk, cause] for cause in CAUSED_BY[kind] if (parcel.pk, cause) in standing]
        return Receipt(
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
            at=draft.at,
            phase=parcel.phase,
            audit_head=head,
            causes=causes[0] if causes else None,
            details=draft.details,
        )
