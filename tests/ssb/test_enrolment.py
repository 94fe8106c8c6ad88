"""The PIN is sealed the moment SSB has it, opens for the feedback worker alone, and belongs to one sender."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.ssb.conftest import IN_WINDOW, enrol
from tests.ssb.fake_tpf import NABO, PIN, TESTVIK

from ipis.kernel.errors import OurFault, ParcelRefused, Refused
from ipis.kernel.sealed import Recipient
from ipis.kernel.secret import Secret
from ipis.ssb.keys import feedback_keys, feedback_recipient, intake_keys
from ipis.ssb.register import enrolment
from ipis.ssb.register.enrolment import Enrolled
from ipis.ssb.register.models import AuditEvent, Enrolment

WHOM = Enrolled(2017, TESTVIK, "00", "900040300", "postmottak@k0403.kommune.test")


def test_pin_stands_nowhere_in_clear(room, enrolled):
    """Not in the row, not in the audit."""
    row = Enrolment.objects.get()
    assert PIN.encode() not in bytes(row.sealed_pin)
    assert PIN not in "".join(str(value) for event in AuditEvent.objects.values() for value in event.values())


def test_feedback_worker_opens_it(room, enrolled):
    assert enrolment.open_pin(Enrolment.objects.get(), feedback_keys(room).identity) == Secret(PIN)


def test_intake_worker_cannot_open_it(room, enrolled):
    """Sealed to the feedback worker alone."""
    with pytest.raises(ParcelRefused) as caught:
        enrolment.open_pin(Enrolment.objects.get(), intake_keys(room).identity)
    assert caught.value.code == "parcel.sealed_for_another"


def test_each_new_pin_is_a_generation_of_its_own(room):
    """R1 names the generation, so an older one must stay to be found."""
    assert [enrol(room, pin=pin) for pin in ("AAAA1111", "BBBB2222")] == [1, 2]
    assert enrolment.newest(2017, TESTVIK, "00").generation == 2
    first = enrolment.of_generation(2017, TESTVIK, "00", 1)
    assert enrolment.open_pin(first, feedback_keys(room).identity) == Secret("AAAA1111")
    assert enrolment.of_generation(2017, TESTVIK, "00", 3) is None
    assert enrolment.newest(2016, TESTVIK, "00") is None


def test_sealed_pin_does_not_tell_its_length():
    """What is sealed is equally long for every PIN."""
    assert len({len(enrolment._clear(WHOM, 1, Secret(pin))) for pin in ("1234", "A" * 32, "B" * 100)}) == 1


def test_swapped_rows_lend_nobody_anothers_pin(room):
    """Who can write to the database can still not have Nabo's feedback closed with Testvik's PIN."""
    enrol(room)
    enrol(room, kommune=NABO, pin="NABO1234")
    testvik, nabo = Enrolment.objects.get(kommune=TESTVIK), Enrolment.objects.get(kommune=NABO)
    nabo.sealed_pin = testvik.sealed_pin
    with pytest.raises(OurFault) as caught:
        enrolment.open_pin(nabo, feedback_keys(room).identity)
    assert caught.value.code == "ssb.pin_swapped"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kommune", "403"), ("kommune", "04030"), ("kommune", "０４０３"), ("bydel", "0"), ("orgnr", "123456789"),
        ("orgnr", "97054000"), ("address", "postmottak"), ("address", "a@b"), ("address", "a@b.no\nBcc: c@d.no"),
        ("address", "a@" + "b" * 64 + ".no"),
    ],
)  # fmt: skip
def test_misshapen_field_is_refused_by_name(room, field, value):
    with pytest.raises(Refused) as caught:
        enrolment.enrol(
            replace(WHOM, **{field: value}), Secret(PIN), recipient=Recipient(feedback_recipient(room)), at=IN_WINDOW
        )
    assert caught.value.params == {"field": field}
    assert not Enrolment.objects.exists()
