"""SSB gives a municipality its account; an address belongs to one municipality, a municipality has one open account."""

import pytest
from tests.filsluse.conftest import NABO, TESTVIK, TESTVIK_USER, log_in, mails, new_browser

from ipis.filsluse.accounts import make_account
from ipis.filsluse.models import Account, FilsluseAudit, PasswordLink
from ipis.filsluse.password_link import make_link
from ipis.kernel.errors import Misuse, Refused


def test_a_new_account_mails_the_new_user_in_the_same_transaction():
    make_account(TESTVIK, TESTVIK_USER)
    (mail,) = mails()
    assert (mail.recipient, mail.subject) == (
        TESTVIK_USER,
        "Ny bruker for IPLOS tilbakemelding fra Statistisk sentralbyrå",
    )
    assert FilsluseAudit.objects.filter(event="account_made", actor="ssb staff").count() == 1


def test_the_same_account_again_mails_again_and_keeps_the_password(testvik):
    """L17 §5.11: the first mail was taken by a spam filter."""
    make_account(TESTVIK, TESTVIK_USER.upper())
    assert Account.objects.count() == 1
    assert len(mails()) == 1
    log_in(new_browser(), TESTVIK_USER)


def test_another_address_closes_the_old_account(in_testvik, testvik):
    make_link(testvik)
    make_account(TESTVIK, "meldingsansvarlig@testvik.kommune.test")
    assert in_testvik.get("/filer").status_code == 302
    testvik.refresh_from_db()
    assert not testvik.is_active
    assert not testvik.has_usable_password()
    assert not PasswordLink.objects.exists()


def test_another_municipalitys_address_is_refused(testvik):
    with pytest.raises(Refused, match=r"filsluse\.address_taken"):
        make_account(NABO, TESTVIK_USER)


@pytest.mark.parametrize("kommune", ["", "403", "04033", "04a3", "٠٤٠٣"])
def test_a_number_that_is_none_is_misuse(kommune):
    with pytest.raises(Misuse, match=r"filsluse\.kommune"):
        make_account(kommune, TESTVIK_USER)


@pytest.mark.parametrize("user", ["", "postmottak", "a b@c.no", "a@b", "a@b.no\nBcc: x@y.no", "@b.no", "a@@b.no"])
def test_an_address_that_is_none_is_misuse(user):
    with pytest.raises(Misuse, match=r"filsluse\.address"):
        make_account(TESTVIK, user)
