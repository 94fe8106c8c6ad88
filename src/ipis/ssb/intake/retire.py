"""Destroys the sealed contacts of a season when the next one begins: nobody asks about the earlier one any more."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from django.db import transaction

from ipis.ssb.intake.contact import CONTACT
from ipis.ssb.intake.models import Member
from ipis.ssb.intake.staging import Staging
from ipis.ssb.register.models import AuditEvent

if TYPE_CHECKING:
    from ipis.kernel.collection import Collection
    from ipis.ssb.settings import SsbSettings


def destroy_contacts(next_season: Collection, settings: SsbSettings, at: datetime) -> int:
    """Delete every contact of earlier years once the season's window is open; tells how many.

    A file is gone before its row says so. What is written later goes to the registered address.
    """
    if at < next_season.window.opens_at:
        return 0
    members = Member.objects.filter(
        name=CONTACT,
        deleted_at=None,
        forsendelse__register=next_season.register,
        forsendelse__year__lt=next_season.year,
    ).select_related("forsendelse")
    for member in members:
        forsendelse = member.forsendelse.forsendelse
        Staging.of(settings).remove(forsendelse, CONTACT)
        with transaction.atomic():
            Member.objects.filter(pk=member.pk).update(deleted_at=datetime.now(UTC))
            AuditEvent.append("contact.destroyed", forsendelse, actor="intake")
    return len(members)
