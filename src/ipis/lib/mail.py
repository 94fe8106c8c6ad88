"""Mails leave through an outbox row, written in the transaction of the state change that they tell of.

A mail is handed over at least once; its Message-ID is fixed with the row, so that a second copy is recognised as one.
"""

from __future__ import annotations

import smtplib
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from typing import TYPE_CHECKING, ClassVar, Self

from django.db import models, transaction

from ipis.lib.log import get_logger

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ipis.kernel.clock import Clock

_LONGEST_WAIT_SECONDS = 300
_TIMEOUT_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail that is to be queued: what it is for, to whom, and its text."""

    purpose: str
    recipient: str
    subject: str
    body: str


class OutboxMail(models.Model):
    """One mail that shall leave; a room makes it a table by subclassing."""

    recipient = models.EmailField(max_length=254)
    subject = models.CharField(max_length=200)
    body = models.TextField()
    due_at = models.DateTimeField()
    """Business time."""
    message_id = models.CharField(max_length=200, unique=True)
    purpose = models.CharField(max_length=120, unique=True)
    """What the mail is for, once: queueing the same purpose again changes nothing."""
    sent_at = models.DateTimeField(null=True)
    attempt = models.PositiveIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True)

    objects: ClassVar[models.Manager[Self]]

    class Meta:
        """Each room has its own table."""

        abstract = True
        ordering: ClassVar = ["id"]

    @classmethod
    def queue(cls, purpose: str, recipient: str, subject: str, body: str, due_at: datetime) -> Self:
        """Queue within the caller's transaction."""
        fields = {
            "recipient": recipient,
            "subject": subject,
            "body": body,
            "due_at": due_at,
            "message_id": _message_id(),
        }
        return cls.objects.get_or_create(purpose=purpose, defaults=fields)[0]

    @classmethod
    def queue_all(cls, mails: Iterable[Mail], due_at: datetime) -> None:
        """Queue several by one statement within the caller's transaction, as `queue` does one."""
        # The type checker takes `cls(…)` of a Django model for the class it stands in.
        rows: list[Self] = [cls(**asdict(mail), due_at=due_at, message_id=_message_id()) for mail in mails]  # type: ignore[misc]
        cls.objects.bulk_create(rows, ignore_conflicts=True)

    @classmethod
    def deliver_due(cls, server: MailServer, clock: Clock) -> int:
        """Hand over what is due, oldest first; tells how many. A server that does not answer is tried again later."""
        now, real = clock.now(), datetime.now(UTC)
        due = cls.objects.filter(sent_at=None, due_at__lte=now).filter(
            models.Q(next_try_at=None) | models.Q(next_try_at__lte=real)
        )
        handed_over = 0
        for mail in due.order_by("id")[:200]:
            try:
                server.hand_over(mail.as_message(now))
            except (OSError, smtplib.SMTPException) as error:
                mail.postpone()
                get_logger().warning("mail waits", purpose=mail.purpose, error=type(error).__name__)
                continue
            with transaction.atomic():
                cls.objects.filter(pk=mail.pk).update(sent_at=now)
            handed_over += 1
        return handed_over

    def postpone(self) -> None:
        """Wait longer after each failure, up to five minutes."""
        wait = min(_LONGEST_WAIT_SECONDS, 2 ** min(self.attempt, 9))
        type(self).objects.filter(pk=self.pk).update(
            attempt=self.attempt + 1, next_try_at=datetime.now(UTC) + timedelta(seconds=wait)
        )

    def as_message(self, at: datetime) -> EmailMessage:
        """Write the mail as it travels, plain text in UTF-8."""
        message = EmailMessage()
        message["To"] = self.recipient
        message["Subject"] = self.subject
        message["Message-ID"] = self.message_id
        message["Date"] = format_datetime(at)
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(self.body)
        return message


@dataclass(frozen=True, slots=True)
class MailServer:
    """The relay that a room hands its mails to, and the sender they carry."""

    host: str
    port: int
    sender: str

    def hand_over(self, message: EmailMessage) -> None:
        """Give one mail to the relay; raises OSError or SMTPException when it does not take it."""
        message["From"] = self.sender
        with smtplib.SMTP(self.host, self.port, timeout=_TIMEOUT_SECONDS) as relay:
            relay.send_message(message)


def _message_id() -> str:
    return make_msgid(domain="ipis.invalid")
