"""The link that sets a password: one hour, once, opened by scanners without harm, the same answer for every name."""

import re
from datetime import timedelta

import pytest
import time_machine
from tests.filsluse.conftest import PASSWORD, TESTVIK_USER, log_in, mails, new_browser, text_of

from ipis.filsluse import password_link
from ipis.filsluse.accounts import close_account, make_account
from ipis.filsluse.models import LinkRequest, PasswordLink, Session
from ipis.filsluse.tokens import real_now
from ipis.kernel.errors import TryLater

NEW = "Fjell-og-fjord-8"


@pytest.fixture
def link(testvik, browser, work):
    """Ask for a link as Testvik and give its path."""

    def ask(path="/glemt-passord", user=TESTVIK_USER):
        answer = browser.post(path, {"bruker": user})
        assert answer.status_code == 200
        work()
        return re.search(r"http://filsluse\.test(/passord/\S+)", mails()[-1].body)[1]

    return ask


def choose(browser, path, password=NEW, again=None):
    return browser.post(path, {"passord": password, "igjen": password if again is None else again})


def test_the_link_sets_a_password_that_logs_in(link, browser):
    assert choose(browser, link()).headers["Location"] == "/logg-inn?passord=satt"
    assert "Passordet er lagret" in text_of(browser.get("/logg-inn?passord=satt"))
    log_in(browser, TESTVIK_USER, NEW)


def test_opening_the_link_any_number_of_times_does_not_use_it_up(link, browser):
    """A mail scanner opens every link by GET or HEAD; the person comes afterwards."""
    path = link()
    for _ in range(3):
        assert new_browser().get(path).status_code == 200
        new_browser().head(path)
    assert choose(browser, path).status_code == 302


def test_a_link_is_used_once(link, browser):
    path = link()
    choose(browser, path)
    assert choose(browser, path, "Et-annet-passord-2").status_code == 410
    assert new_browser().get(path).status_code == 410
    log_in(new_browser(), TESTVIK_USER, NEW)


def test_a_link_lives_sixty_minutes_of_real_time(link, browser, at):
    path = link()
    at(real_now() + timedelta(days=400))
    made = PasswordLink.objects.get().created_at
    with time_machine.travel(made + timedelta(minutes=59, seconds=59), tick=False):
        assert browser.get(path).status_code == 200
    with time_machine.travel(made + timedelta(minutes=60), tick=False):
        answer = browser.get(path)
        assert answer.status_code == 410
        assert "/glemt-passord" in text_of(answer)
        assert choose(browser, path).status_code == 410


def test_a_new_password_ends_sessions_and_other_links(link, in_testvik, browser):
    first, second = link(), link()
    choose(browser, second)
    assert not Session.objects.exists()
    assert new_browser().get(first).status_code == 410


def test_a_password_that_breaks_the_rules_leaves_the_link_usable(link, browser):
    path = link()
    answer = choose(browser, path, "testvik")
    assert answer.status_code == 422
    text = text_of(answer)
    assert "må ha minst ett tall" in text
    assert "ikke inneholde eller ligne på brukernavnet" in text
    assert choose(browser, path).status_code == 302


def test_two_different_passwords_are_refused(link, browser):
    answer = choose(browser, link(), NEW, NEW + "x")
    assert answer.status_code == 422
    assert "De to passordene er ikke like" in text_of(answer)


def test_the_answer_and_the_rows_are_the_same_for_a_name_that_nobody_has(testvik, browser):
    pages = []
    for user in (TESTVIK_USER, "postmottak@finnes.ikke.test"):
        answer = browser.post("/glemt-passord", {"bruker": user})
        assert answer.status_code == 200
        pages.append(text_of(answer).replace(user, ""))
    assert pages[0] == pages[1]
    assert LinkRequest.objects.count() == 2


def test_a_name_that_nobody_has_gets_no_mail_and_is_forgotten(browser, work):
    browser.post("/ny-bruker", {"bruker": "postmottak@finnes.ikke.test"})
    work()
    assert mails() == []
    assert not LinkRequest.objects.exists()


def test_a_closed_account_gets_no_link(testvik, browser, work):
    close_account(testvik)
    browser.post("/glemt-passord", {"bruker": TESTVIK_USER})
    work()
    assert mails() == []


def test_a_name_that_is_no_address_is_corrected_at_once(browser):
    answer = browser.post("/ny-bruker", {"bruker": "hamar"})
    assert answer.status_code == 422
    assert "ikke en e-postadresse" in text_of(answer)


def test_an_account_gets_five_links_an_hour_at_most(testvik, browser, work):
    for _ in range(8):
        browser.post("/glemt-passord", {"bruker": TESTVIK_USER})
    work()
    assert len(mails()) == 5
    with time_machine.travel(real_now() + timedelta(minutes=61), tick=False):
        browser.post("/glemt-passord", {"bruker": TESTVIK_USER})
        work()
    assert len(mails()) == 6


def test_a_flood_of_requests_is_told_to_come_back(monkeypatch, browser):
    monkeypatch.setattr(password_link, "_MOST_WAITING", 1)
    password_link.ask("a@b.test", "nb", new_user=True)
    with pytest.raises(TryLater, match=r"filsluse\.busy"):
        password_link.ask("a@b.test", "nb", new_user=True)
    assert browser.post("/ny-bruker", {"bruker": "a@b.test"}).status_code == 503


def test_a_request_answered_twice_after_a_crash_is_answered_once(testvik, browser, work):
    from ipis.filsluse.models import FilsluseJob

    browser.post("/glemt-passord", {"bruker": TESTVIK_USER})
    work()
    FilsluseJob.objects.update(state="queued")
    work()
    assert len(mails()) == 1


def test_the_token_stands_nowhere_but_in_the_unsent_mail(link):
    token = link().rpartition("/")[2]
    assert PasswordLink.objects.get().token_hash != token
    assert token in mails()[-1].body


def test_the_link_works_at_a_first_password_too(browser, work):
    make_account("0403", TESTVIK_USER)
    browser.post("/ny-bruker", {"bruker": TESTVIK_USER})
    work()
    path = re.search(r"http://filsluse\.test(/passord/\S+)", mails()[-1].body)[1]
    assert choose(browser, path).status_code == 302
    log_in(browser, TESTVIK_USER, NEW)


def test_an_invented_link_is_over(browser):
    assert browser.get("/passord/" + "x" * 43).status_code == 410


def test_old_links_are_forgotten_after_a_day(link):
    link()
    with time_machine.travel(real_now() + timedelta(hours=26), tick=False):
        password_link.forget_old()
    assert not PasswordLink.objects.exists()


def test_the_mail_is_in_the_language_of_the_page_that_asked(testvik, work):
    new_browser("en").post("/glemt-passord", {"bruker": TESTVIK_USER})
    work()
    assert "genuine" in mails()[-1].body
    assert mails()[-1].subject == "IPLOS-tilbakemelding: Nytt passord - NB! Utløper på tid"
    assert PASSWORD not in mails()[-1].body
