"""The outbox: each purpose once, handed over when due, kept while the relay is down."""

from datetime import UTC, datetime, timedelta

import pytest
from tests.lib.room.models import Outbox

from ipis.lib.mail import Mail, MailServer

pytestmark = pytest.mark.django_db(transaction=True)
NOON = datetime(2030, 1, 2, 11, 0, tzinfo=UTC)


class FixedClock:
    """Business time that stands."""

    def __init__(self, at=NOON):
        self.at = at

    def now(self):
        """Give the instant."""
        return self.at


def queue(purpose="receipt:1", due=NOON):
    """Queue one mail."""
    return Outbox.queue(purpose, "iplos@k0403.kommune.test", "Kvittering – mottatt", "Takk.\næøå\n", due)


def test_a_due_mail_reaches_a_real_listener_once(sent_mails):
    """The mail arrives whole; a second round sends nothing."""
    port, taken = sent_mails
    queue()
    server = MailServer("127.0.0.1", port, "SSB <iplos@ssb.test>")
    assert Outbox.deliver_due(server, FixedClock()) == 1
    assert Outbox.deliver_due(server, FixedClock()) == 0
    assert len(taken) == 1
    assert b"To: iplos@k0403.kommune.test" in taken[0]
    assert Outbox.objects.get().sent_at == NOON


def test_a_mail_waits_until_it_is_due(sent_mails):
    """08:00 is 08:00."""
    port, taken = sent_mails
    queue(due=NOON + timedelta(seconds=1))
    server = MailServer("127.0.0.1", port, "ssb@ssb.test")
    assert Outbox.deliver_due(server, FixedClock()) == 0
    assert Outbox.deliver_due(server, FixedClock(NOON + timedelta(seconds=1))) == 1
    assert len(taken) == 1


def test_a_relay_that_is_down_loses_nothing(sent_mails):
    """The mail is postponed and goes out when the relay is back."""
    port, taken = sent_mails
    queue()
    down = MailServer("127.0.0.1", 1, "ssb@ssb.test")
    assert Outbox.deliver_due(down, FixedClock()) == 0
    waiting = Outbox.objects.get()
    assert waiting.sent_at is None
    assert waiting.attempt == 1
    Outbox.objects.update(next_try_at=None)
    assert Outbox.deliver_due(MailServer("127.0.0.1", port, "ssb@ssb.test"), FixedClock()) == 1
    assert len(taken) == 1


def test_the_same_purpose_is_queued_once():
    """A step done twice after a crash makes no second mail."""
    assert queue().pk == queue().pk
    assert queue("receipt:2").message_id != queue().message_id


def test_mails_queued_together_are_as_if_queued_one_by_one():
    """One of them stands already, and keeps its text and Message-ID."""
    standing = queue()
    fresh = [Mail(purpose, "iplos@k0301.kommune.test", "Tittel", "Tekst\n") for purpose in ("receipt:1", "receipt:2")]
    Outbox.queue_all(fresh, NOON)
    first, second = Outbox.objects.order_by("id")
    assert (first.message_id, first.subject) == (standing.message_id, standing.subject)
    assert (second.purpose, second.recipient, second.body, second.due_at) == (
        "receipt:2",
        "iplos@k0301.kommune.test",
        "Tekst\n",
        NOON,
    )
    assert second.message_id != first.message_id
