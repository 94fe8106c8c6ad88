"""The child process: it serves many calls, is replaced after a breach, and lets no text of an error out."""

import pytest
from tests.kernel import confined_calls as calls

from ipis.kernel import confined
from ipis.kernel.confined import Confined
from ipis.kernel.errors import OurFault, ParcelRefused


@pytest.fixture(scope="module")
def child():
    with Confined(memory_bytes=400 << 20, cpu_seconds=2, wall_seconds=30) as child:
        yield child


def test_one_child_serves_many_calls(child):
    assert child.run(calls.add, 1, 2) == 3
    assert child.run(calls.process_id) == child.run(calls.process_id)


@pytest.mark.parametrize("call", [calls.eat, calls.eat_in_arrow, calls.eat_behind_a_refusal, calls.spin, calls.die])
def test_a_breach_is_refused_and_the_next_call_meets_a_new_child(child, call):
    before = child.run(calls.process_id)
    with pytest.raises(ParcelRefused) as caught:
        child.run(call)
    assert caught.value.code == "parcel.limits"
    assert child.run(calls.process_id) != before


def test_a_call_that_only_waits_ends_by_the_clock():
    with Confined() as child:
        child.run(calls.add, 1, 1)
        child._wall = 0.5
        with pytest.raises(ParcelRefused):
            child.run(calls.wait_for_ever)


def test_a_refusal_comes_through_and_the_child_stays(child):
    before = child.run(calls.process_id)
    with pytest.raises(ParcelRefused) as caught:
        child.run(calls.refuse)
    assert (caught.value.code, caught.value.params) == ("parcel.parquet", {"part": "data-0001.age"})
    assert child.run(calls.process_id) == before


def test_of_a_bug_only_its_kind_comes_out(child):
    with pytest.raises(OurFault) as caught:
        child.run(calls.bug)
    assert caught.value.params == {"kind": "ValueError"}
    assert "01815012352" not in str(caught.value)
    assert caught.value.__context__ is None


def test_what_cannot_be_sent_to_the_child_is_our_own_error(child):
    with pytest.raises(Exception, match=r"pickle|local object|lambda"):
        child.run(lambda: 1)
    assert child.run(calls.add, 2, 2) == 4


def test_a_child_that_cannot_start_is_our_own_fault(monkeypatch):
    monkeypatch.setattr(confined, "_serve", calls.die_at_start)
    with Confined() as child, pytest.raises(OurFault) as caught:
        child.run(calls.add, 1, 1)
    assert caught.value.params == {"kind": "start"}
