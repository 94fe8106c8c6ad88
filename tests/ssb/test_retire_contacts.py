"""The sealed contact, with the copy of the PIN, lives until the next season's window opens."""

from datetime import timedelta

import pytest

from ipis.ssb.intake.models import Forsendelse
from ipis.ssb.packs import pack_of
from ipis.ssb.register.models import AuditEvent
from ipis.ssb.work import _sweep


@pytest.fixture
def opens_at(room):
    """Give the instant at which the window after the earlier year's opens."""
    return pack_of(room, "iplos", 2017).collection.window.opens_at


def test_contact_is_destroyed_when_the_next_window_opens(load, room, at, opens_at):
    """Gone from disk, noted in its row and in the audit chain, once."""
    row, made = load(year=2016)
    contact = room.intake / made.forsendelse / "contact.age"
    at(opens_at - timedelta(minutes=5))
    _sweep(room)
    assert contact.exists()
    at(opens_at)
    _sweep(room)
    _sweep(room)
    assert not contact.exists()
    assert row.members.get(name="contact.age").deleted_at is not None
    assert list(AuditEvent.objects.filter(event="contact.destroyed").values_list("subject", flat=True)) == [
        made.forsendelse
    ]


def test_contact_of_this_season_stays(load, room, at, opens_at):
    """It is asked for by every mail and every feedback of the season."""
    _, made = load()
    at(opens_at + timedelta(days=300))
    _sweep(room)
    assert (room.intake / made.forsendelse / "contact.age").exists()


def test_held_forsendelse_of_last_season_is_still_loaded(make, door, intake, room, at, opens_at):
    """Without the contact everything else still stands as TPF signed it."""
    door.send(make(year=2016))
    at(opens_at)
    _sweep(room)
    intake.run(once=True)
    assert Forsendelse.objects.get().state == "cleared"
