"""The audit chain: appended only, and any change is found."""

import pytest
from tests.lib.room.models import Audit

from ipis.lib.audit import GENESIS, Event

pytestmark = pytest.mark.django_db


def test_head_of_an_empty_chain_is_genesis():
    """The first receipt has something to name."""
    assert Audit.head() == GENESIS
    assert Audit.first_broken() is None


def test_each_event_names_the_one_before():
    """The head moves with each event and the chain is whole."""
    first = Audit.append("received", "abc", actor="worker", size=3)
    second = Audit.append("loaded", "abc", actor="worker")
    assert Audit.head() == second != first
    assert Audit.objects.get(hash=second).previous == first
    assert Audit.first_broken() is None


def test_events_appended_together_are_chained_like_any_others():
    """Each has a head of its own, which its receipt names."""
    Audit.append("received", "abc", actor="worker")
    heads = Audit.append_all([Event("loaded", "abc", {"size": 3}), Event("loaded", "def")], actor="worker")
    assert heads == list(Audit.objects.filter(event="loaded").values_list("hash", flat=True))
    assert heads[-1] == Audit.head()
    Audit.append("forwarded", "abc", actor="worker")
    assert Audit.first_broken() is None
    assert Audit.append_all([], actor="worker") == []


def test_a_changed_event_is_found():
    """Whoever edits the table breaks the chain from there on."""
    Audit.append("received", "abc", actor="worker")
    changed = Audit.objects.get(hash=Audit.append("loaded", "abc", actor="worker"))
    Audit.append("forwarded", "abc", actor="worker")
    Audit.objects.filter(pk=changed.pk).update(subject="other")
    assert Audit.first_broken() == changed.pk


def test_a_removed_event_is_found():
    """A gap in the chain is a break."""
    for number in range(3):
        Audit.append("event", str(number), actor="worker")
    Audit.objects.filter(subject="1").delete()
    assert Audit.first_broken() == Audit.objects.get(subject="2").pk


def test_an_event_can_neither_be_saved_again_nor_deleted():
    """The row object refuses what the table is not for."""
    Audit.append("received", "abc", actor="worker")
    row = Audit.objects.get()
    with pytest.raises(TypeError, match="never changed"):
        row.save()
    with pytest.raises(TypeError, match="never deleted"):
        row.delete()
