"""Logging in and out: one answer for every wrong pair, a lockout that strangers cannot turn against the municipality."""

import json
from datetime import timedelta

import pytest
import time_machine
from tests.filsluse.conftest import NABO_USER, PASSWORD, TESTVIK_USER, log_in, new_browser, text_of

from ipis.filsluse.models import Account, Event, Session
from ipis.filsluse.tokens import real_now


def attempt(browser, user=TESTVIK_USER, password="galt passord 1"):
    return browser.post("/logg-inn", {"bruker": user, "passord": password})


def api(browser, user=TESTVIK_USER, password=PASSWORD, **more):
    body = {"user": user, "password": password, **more}
    return browser.post("/api/v1/innlogging", json.dumps(body), content_type="application/json")


def test_the_right_pair_leads_to_the_files(testvik, browser):
    answer = attempt(browser, password=PASSWORD)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/filer")
    assert TESTVIK_USER in text_of(browser.get("/filer"))


def test_the_user_name_is_read_as_people_type_it(testvik, browser):
    assert attempt(browser, user="  Postmottak@TESTVIK.kommune.test ", password=PASSWORD).status_code == 302


def test_an_unknown_user_a_wrong_password_and_a_closed_account_get_the_same_answer(testvik, nabo):
    Account.objects.filter(pk=nabo.pk).update(is_active=False)
    cases = [(TESTVIK_USER, "galt"), ("postmottak@finnes.ikke.test", PASSWORD), (NABO_USER, PASSWORD)]
    pages = []
    for user, password in cases:
        answer = attempt(new_browser(), user, password)
        assert answer.status_code == 422
        pages.append(text_of(answer).replace(user, "").partition("csrfmiddlewaretoken")[0])
    assert len(set(pages)) == 1


def test_an_unknown_user_costs_the_same_hash_as_a_known_one(testvik, monkeypatch):
    from ipis.filsluse import accounts

    checked = []
    monkeypatch.setattr(
        accounts, "check_password", lambda _password, encoded: bool(checked.append(encoded.split("$")[:4]))
    )
    attempt(new_browser())
    attempt(new_browser(), user="postmottak@finnes.ikke.test")
    assert len(checked) == 2
    assert checked[0] == checked[1], "algorithm and cost are the same"


def test_an_account_without_a_password_cannot_be_logged_in_to(browser):
    from ipis.filsluse.accounts import make_account

    made = make_account("0403", TESTVIK_USER)
    assert attempt(browser, password=made.password).status_code == 422


def test_strangers_are_locked_out_after_five_wrong_passwords_for_a_quarter_of_an_hour(testvik):
    for _ in range(5):
        assert attempt(new_browser()).status_code == 422
    assert "For mange gale passord" in text_of(attempt(new_browser(), password=PASSWORD))
    assert api(new_browser()).json()["code"] == "filsluse.locked"
    assert Event.objects.filter(kind="locked_out").count() == 1
    with time_machine.travel(real_now() + timedelta(minutes=15, seconds=1), tick=False):
        assert attempt(new_browser(), password=PASSWORD).status_code == 302


def test_strangers_do_not_lock_out_the_municipalitys_own_browser(testvik, browser):
    log_in(browser, TESTVIK_USER)
    browser.post("/logg-ut")
    for _ in range(6):
        attempt(new_browser())
    assert attempt(browser, password=PASSWORD).status_code == 302


def test_strangers_do_not_lock_out_the_municipalitys_own_program(testvik):
    """The user name is public: without a device of its own `fetch` could be kept out for ever."""
    device = api(new_browser()).json()["device"]
    for _ in range(6):
        assert api(new_browser(), password="galt").status_code in (401, 503)
    assert api(new_browser()).json()["code"] == "filsluse.locked"
    known = api(new_browser(), device=device)
    assert known.status_code == 200
    assert "device" not in known.json(), "a known device keeps its token"


@pytest.mark.parametrize("device", ["", "x", "0" * 43, "å" * 300])
def test_a_device_that_nobody_gave_is_a_stranger(testvik, device):
    assert set(api(new_browser(), device=device).json()) == {"token", "device"}


def test_a_device_of_another_municipality_is_a_stranger(testvik, nabo):
    device = api(new_browser(), user=NABO_USER).json()["device"]
    assert "device" in api(new_browser(), device=device).json()


def test_a_known_browser_is_locked_out_too_in_the_end(testvik, browser):
    log_in(browser, TESTVIK_USER)
    for _ in range(10):
        assert attempt(browser).status_code == 422
    assert "For mange gale" in text_of(attempt(browser, password=PASSWORD))


def test_names_that_nobody_has_are_locked_out_like_others(db):
    for _ in range(5):
        attempt(new_browser(), user="postmottak@finnes.ikke.test")
    assert "For mange gale" in text_of(attempt(new_browser(), user="postmottak@finnes.ikke.test"))
    assert not Event.objects.exists()


def test_a_right_password_starts_the_count_again(testvik, browser):
    for _ in range(3):
        for _ in range(4):
            attempt(new_browser())
        assert attempt(new_browser(), password=PASSWORD).status_code == 302


def test_logging_out_ends_the_session_everywhere(in_testvik):
    cookie = in_testvik.cookies["filsluse"].value
    assert in_testvik.post("/logg-ut").headers["Location"] == "/logg-inn"
    stolen = new_browser()
    stolen.cookies["filsluse"] = cookie
    assert stolen.get("/filer").headers["Location"] == "/logg-inn"


def test_a_session_ends_when_unused_and_lives_while_used(in_testvik):
    began = real_now()
    for minutes in (20, 40, 60):
        with time_machine.travel(began + timedelta(minutes=minutes), tick=False):
            assert in_testvik.get("/filer").status_code == 200
    with time_machine.travel(began + timedelta(minutes=91), tick=False):
        assert in_testvik.get("/filer").status_code == 302
    assert not Session.objects.exists()


def test_a_session_ends_after_ten_hours_however_it_is_used(in_testvik):
    Session.objects.update(created_at=real_now() - timedelta(hours=10, minutes=1))
    assert in_testvik.get("/filer").status_code == 302


def test_closing_the_account_ends_its_sessions_at_once(in_testvik, testvik):
    Account.objects.filter(pk=testvik.pk).update(is_active=False)
    assert in_testvik.get("/filer").status_code == 302


def test_cookies_are_out_of_reach_of_scripts_and_other_sites(testvik, browser):
    cookies = log_in(browser, TESTVIK_USER).cookies
    assert all(
        cookies[name]["httponly"] and cookies[name]["samesite"] == "Lax" for name in ("filsluse", "filsluse-enhet")
    )


def test_a_form_without_its_token_is_refused_with_a_page(testvik):
    from django.test import Client

    strict = Client(enforce_csrf_checks=True, headers={"host": "filsluse.test", "accept-language": "nb"})
    answer = attempt(strict, password=PASSWORD)
    assert answer.status_code == 403
    assert "last siden på nytt" in text_of(answer).casefold()


def test_a_session_token_is_kept_as_a_hash(in_testvik):
    cookie = in_testvik.cookies["filsluse"].value
    assert Session.objects.get().token_hash != cookie
    assert len(Session.objects.get().token_hash) == 64


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer x", "Basic abc", "Bearer æøå"])
def test_programs_without_a_session_are_told_to_log_in(testvik, browser, header):
    answer = browser.get("/api/v1/filer", headers={"Authorization": header})
    assert (answer.status_code, answer.json()["code"]) == (401, "filsluse.session")


def test_a_browsers_cookie_is_no_login_for_programs(in_testvik):
    assert in_testvik.get("/api/v1/filer").status_code == 401


@pytest.mark.parametrize(
    "body", ["", "[]", '{"user": "a"}', '{"user": "a", "password": 1}', '{"user":"a","password":"b","c":"d"}']
)
def test_a_login_that_is_no_login_is_misuse(browser, body):
    assert browser.post("/api/v1/innlogging", body, content_type="application/json").status_code == 400
