"""Mails that have left keep no address and no text: the row stays as proof of when, and for what, one was sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipis.lib.mail import MailServer
from ipis.ssb.register.models import OutboxMail

if TYPE_CHECKING:
    from ipis.kernel.clock import Clock
    from ipis.ssb.settings import SsbSettings

FORGOTTEN = "sent@invalid"
DEFAULT_SENDER = "Statistisk sentralbyrå <iplos@ssb.no>"


def deliver(settings: SsbSettings, clock: Clock) -> int:
    """Hand over what is due, then forget whom it went to; tells how many left."""
    server = MailServer(settings.smtp_host, settings.smtp_port, settings.mail_from or DEFAULT_SENDER)
    handed_over = OutboxMail.deliver_due(server, clock)
    if handed_over:
        forget_sent()
    return handed_over


def forget_sent() -> None:
    """Empty address and text of every mail that the relay has taken."""
    OutboxMail.objects.filter(sent_at__isnull=False).exclude(recipient=FORGOTTEN).update(recipient=FORGOTTEN, body="")
