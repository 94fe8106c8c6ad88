"""Posts SSB's receipts to TPF, from where the municipality fetches them; again and again until TPF has them."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import httpx2
from django.db import transaction

from ipis.kernel.errors import TryLater
from ipis.ssb import kill
from ipis.ssb.register import kvittering
from ipis.ssb.register.models import AuditEvent, Kvittering

if TYPE_CHECKING:
    from ipis.ssb.register.models import Job
    from ipis.ssb.settings import SsbSettings

_TIMEOUT_SECONDS = 20.0
_REFUSED = "kvittering.refused"
_REFUSED_FOR = timedelta(days=1)
"""Real time: how long a receipt that TPF refuses is sent again."""


@dataclass(frozen=True, slots=True)
class Poster:
    """The step that posts one receipt; TPF takes the same one any number of times."""

    settings: SsbSettings

    def post(self, job: Job) -> None:
        """Post the receipt whose SHA-256 is the job's subject; raises TryLater while TPF does not answer."""
        row = Kvittering.objects.get(sha256=job.subject)
        if row.posted_at is None:
            _wait_for_cause(row)
            status = self._send(row)
            kill.reach(self.settings, "post:answered")
            if status >= httpx2.codes.INTERNAL_SERVER_ERROR or status == httpx2.codes.TOO_MANY_REQUESTS:
                raise TryLater("ssb.tpf_away")
            if status >= httpx2.codes.BAD_REQUEST:
                _refused(job, row)
                return
        with transaction.atomic():
            Kvittering.objects.filter(pk=row.pk, posted_at=None).update(posted_at=datetime.now(UTC))
            job.finish()

    def _send(self, row: Kvittering) -> int:
        if not self.settings.tpf_url:
            raise TryLater("ssb.tpf_away")
        body = {
            "receipt": base64.b64encode(bytes(row.body)).decode(),
            "signature": bytes(row.signature).decode("ascii"),
        }
        try:
            with httpx2.Client(timeout=_TIMEOUT_SECONDS, trust_env=False) as client:
                return client.post(f"{self.settings.tpf_url}/api/v1/kvitteringer", json=body).status_code
        except httpx2.TransportError as error:
            raise TryLater("ssb.tpf_away") from error


def _wait_for_cause(row: Kvittering) -> None:
    """Keep the order of the tree: TPF takes no receipt before the one that caused it."""
    causes = kvittering.signed_of(row).receipt.causes
    if Kvittering.objects.filter(sha256=causes or "", ours=True, posted_at=None).exists():
        raise TryLater("ssb.cause_unposted")


def _refused(job: Job, row: Kvittering) -> None:
    """Try a refused receipt for a day more, since TPF may have an older season pack; then leave it to staff."""
    with transaction.atomic():
        first = AuditEvent.objects.filter(event=_REFUSED, subject=row.forsendelse, details__contains=row.sha256).first()
        if first is None:
            AuditEvent.append(_REFUSED, row.forsendelse, actor="intake", kind=row.kind, sha256=row.sha256)
        given_up = first is not None and datetime.now(UTC) - datetime.fromisoformat(first.at) > _REFUSED_FOR
        if given_up:
            AuditEvent.append("kvittering.not-taken", row.forsendelse, actor="intake", kind=row.kind)
            job.fail("ssb.receipt_not_taken")
    if not given_up:
        raise TryLater("ssb.receipt_not_taken")
