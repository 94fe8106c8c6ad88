"""The contact and its secrets: judged by the year's rules, shown to nobody."""

import copy
import dataclasses
import pickle

import pytest
from tests.kernel import parcel_cast as cast

from ipis.kernel import messages
from ipis.kernel.canonical import dumps, loads
from ipis.kernel.collection import packaged
from ipis.kernel.contact import Contact, contact_faults
from ipis.kernel.errors import ParcelRefused
from ipis.kernel.secret import Secret


@pytest.fixture(scope="module")
def contact():
    return Contact("faglig@k0403.kommune.test", "40000000", Secret("PIN-MARK-1"), Secret("0123456789AB"), "nn")


def test_a_contact_reads_back(contact):
    assert Contact.parse(contact.to_bytes()) == contact
    plain = dataclasses.replace(contact, phone=None, feedback_code=None)
    assert Contact.parse(plain.to_bytes()) == plain


@pytest.mark.parametrize(
    "change",
    [{"language": "sv"}, {"pin": ""}, {"pin": 1}, {"email": "x" * 300}, {"feedback_code": "ILOU56789012"}, {"more": 1}],
)
def test_a_contact_that_is_not_as_agreed_is_refused(contact, change):
    raw = dumps({**loads(contact.to_bytes(), what="c"), **change})
    with pytest.raises(ParcelRefused):
        Contact.parse(raw)


def test_secrets_show_and_carry_nothing(contact):
    for text in (repr(contact), str(contact), f"{contact.pin} {contact.pin!r} {contact.pin:>20}", str(contact.pin)):
        assert "PIN-MARK-1" not in text
        assert "0123456789AB" not in text
    for carry in (pickle.dumps, copy.copy, copy.deepcopy, lambda pin: dataclasses.asdict(contact), hash):
        with pytest.raises(TypeError):
            carry(contact.pin)


def test_secrets_are_compared_by_their_text():
    assert Secret("æ") == Secret("æ")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"


@pytest.mark.parametrize(
    ("year", "email", "phone", "faults"),
    [
        (2017, "a@b.no", "90000000", ()),
        (2017, "a@b.no", "+47 900 00 000", ()),
        (2017, "a@b.no", "62 00 00 00", ()),
        (2017, "a@b.no", "112", ("K017",)),
        (2017, "a@b.no", None, ("K017",)),
        (2017, "a@b", "90000000", ("K016",)),
        (2017, "a b@c.no", None, ("K016", "K017")),
        (2016, "a@b.no", None, ()),
        (2016, "ab.no", None, ("K016",)),
    ],
)
def test_contact_rules_follow_the_year(year, email, phone, faults):
    """The telephone is asked for from 2017 on (L17), not in 2016 (L16)."""
    contact = Contact(email, phone, Secret("x"), None, "nb")
    assert contact_faults(contact, packaged("iplos", year).contact) == faults


def test_the_login_challenge_is_canonical():
    assert (
        messages.login_bytes("0403", "00", "987654321", "ab")
        == b'{"bydel":"00","kommune":"0403","nonce":"ab","orgnr":"987654321"}'
    )


def test_a_broken_random_source_is_not_papered_over():
    from ipis.kernel import keying

    with pytest.raises(AssertionError):
        keying.key_rows(cast.extract_tables(3), cast.layout(), bytes)


def test_two_equal_local_keys_are_drawn_again():
    """The first draw for local keys repeats itself; the second is taken."""
    import itertools
    import secrets

    from ipis.kernel import keying

    calls = itertools.count()
    keyed = keying.key_rows(
        cast.extract_tables(3),
        cast.layout(),
        lambda count: bytes(count) if next(calls) == 1 else secrets.token_bytes(count),
    )
    assert len(set(keyed.lokal["local_key"].to_pylist())) == keyed.lokal.num_rows
