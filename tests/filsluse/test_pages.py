"""What every page keeps: language, security headers, no script, no cache, and words that exist in three languages."""

import re
from pathlib import Path

import pytest
from tests.filsluse.conftest import new_browser, text_of
from tests.filsluse.season import ZIP

from ipis.filsluse.events import EventKind
from ipis.filsluse.web import texts, views

TEMPLATES = Path(texts.__file__).parent / "templates"
OPEN = ["/logg-inn", "/ny-bruker", "/glemt-passord", "/passord/x", "/finnes-ikke"]
CLOSED = ["/filer", "/logg"]


@pytest.mark.parametrize("path", OPEN)
@pytest.mark.parametrize("language", ["nb", "nn", "en"])
def test_every_open_page_is_whole_in_every_language(path, language):
    page = new_browser(language).get(path)
    html = text_of(page)
    assert f'<html lang="{language}"' in html
    assert len(re.findall(r"<h1", html)) == 1
    assert "<script" not in html
    assert "style=" not in html
    assert "onclick" not in html


@pytest.mark.parametrize("path", CLOSED)
def test_closed_pages_lead_to_the_login(browser, path):
    assert browser.get(path).headers["Location"] == "/logg-inn"


@pytest.mark.parametrize("path", CLOSED)
@pytest.mark.parametrize("language", ["nb", "nn", "en"])
def test_closed_pages_are_whole_in_every_language(in_testvik, ssb, path, language):
    ssb.push()
    html = text_of(in_testvik.get(f"{path}?sprak={language}"))
    assert f'<html lang="{language}"' in html
    assert ZIP in html


def test_the_front_page_leads_on(browser, in_testvik):
    assert new_browser().get("/").headers["Location"] == "/logg-inn"
    assert in_testvik.get("/").headers["Location"] == "/filer"


@pytest.mark.parametrize("path", OPEN)
def test_headers_keep_scripts_frames_and_caches_out(browser, path):
    headers = browser.get(path).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_what_a_person_typed_is_shown_as_text(browser):
    html = text_of(browser.post("/ny-bruker", {"bruker": '"><script>alert(1)</script>@x.no'}))
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


def test_the_language_of_a_link_is_kept_in_a_cookie(browser):
    browser.get("/logg-inn?sprak=nn")
    assert 'lang="nn"' in text_of(browser.get("/logg-inn"))
    browser.get("/logg-inn?sprak=de")
    assert 'lang="nn"' in text_of(browser.get("/logg-inn"))


def test_a_failure_of_ours_is_a_page_without_its_cause(testvik, browser, monkeypatch, caplog):
    def fail(*_args):
        raise ValueError("a person's value")

    monkeypatch.setattr(views.accounts, "log_in", fail)
    answer = browser.post("/logg-inn", {"bruker": "a@b.no", "passord": "x"})
    assert answer.status_code == 500
    assert "a person" not in text_of(answer) + caplog.text


def test_the_health_check_answers(browser):
    assert browser.get("/healthz").json() == {"room": "filsluse"}


def test_only_the_methods_that_a_page_has(in_testvik):
    assert in_testvik.get("/logg-ut").status_code == 405
    assert in_testvik.post("/filer").status_code == 405
    assert in_testvik.put("/logg-inn").status_code == 405


class TestTexts:
    def test_every_text_stands_in_three_languages_with_the_same_parameters(self):
        for page, keys in texts.texts().items():
            for key, words in keys.items():
                assert set(words) == {"nb", "nn", "en"}, f"{page}.{key}"
                gaps = {language: sorted(re.findall(r"{(\w+)}", word)) for language, word in words.items()}
                assert gaps["nb"] == gaps["nn"] == gaps["en"], f"{page}.{key}"

    def test_templates_say_only_what_exists_and_everything_that_exists_is_said(self):
        said = set()
        for path in TEMPLATES.rglob("*.html"):
            said |= set(re.findall(r"{% say [\"']([a-z_0-9.]+)[\"']", path.read_text(encoding="utf-8")))
        known = {f"{page}.{key}" for page, keys in texts.texts().items() for key in keys}
        assert said <= known
        assert known - said == {f"log.{kind}" for kind in EventKind}

    def test_mails_exist_in_every_language(self):
        names = {
            language: sorted(p.name for p in (TEMPLATES / "filsluse/mail" / language).iterdir())
            for language in ("nb", "nn", "en")
        }
        assert names["nb"] == names["nn"] == names["en"] == ["new_file.txt", "new_password.txt", "new_user.txt"]
