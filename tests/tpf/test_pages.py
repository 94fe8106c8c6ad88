"""The form page: works without JavaScript; what a browser sends must be signed by the key that is enrolled."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from tests.tpf import season as cast

from ipis.kernel.collection import load
from ipis.kernel.definitions import DefinitionFolder
from ipis.tpf.desk import desk
from ipis.tpf.models import Forsendelse, Session, Upload
from ipis.tpf.season import Season
from ipis.tpf.transitions import ParcelState

LITE = Path(__file__).resolve().parents[1] / "definitions" / "lite" / "2017"


@pytest.fixture
def browser(testvik):
    return Client(enforce_csrf_checks=True)


def form_token(answer):
    return re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', answer.content.decode())[1]


def log_in(browser, testvik, **changes):
    token = form_token(browser.get("/"))
    return browser.post("/", testvik.fields | {"csrfmiddlewaretoken": token} | changes)


def send(browser, content, name="a.forsendelse"):
    token = form_token(browser.get("/send"))
    return browser.post("/send", {"csrfmiddlewaretoken": token, "fil": SimpleUploadedFile(name, content)})


def test_the_four_fields_let_a_browser_in(browser, testvik):
    answer = log_in(browser, testvik)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/send")
    cookie = answer.cookies["tpf_innlogging"]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Strict"
    page = browser.get("/send").content.decode()
    assert "0403" in page
    assert "<script" not in page


def test_a_wrong_field_shows_the_form_again_without_the_pin(browser, testvik):
    answer = log_in(browser, testvik, pin="MYWRONGPIN")
    assert answer.status_code == 401
    page = answer.content.decode()
    assert 'role="alert"' in page
    assert "MYWRONGPIN" not in page
    assert 'value="0403"' in page


def test_a_form_from_elsewhere_is_refused(browser, testvik):
    assert browser.post("/", testvik.fields).status_code == 403
    log_in(browser, testvik)
    assert browser.get("/send").status_code == 200
    assert Session.objects.count() == 1


def test_a_browser_sends_what_the_enrolled_key_has_signed(browser, testvik, work, room):
    testvik.log_in().upload(testvik.seal())
    work()
    log_in(browser, testvik)
    answer = send(browser, testvik.seal(sequence=2).read_bytes())
    place = answer.headers["Location"]
    assert "ikke klar" in browser.get(place).content.decode()
    work()
    page = browser.get(place).content.decode()
    parcel = Forsendelse.objects.get(sequence=2)
    assert parcel.state == ParcelState.DONE
    assert parcel.receipts.get(kind="R1").signed.short_code in page
    assert "publiseringen i mars" in page
    assert "publication in March" in browser.get(place + "?sprak=en").content.decode()
    assert not list(room.uploads.iterdir())


def test_a_browser_cannot_send_first(browser, testvik):
    """It has no key to prove: the page says to use the module."""
    log_in(browser, testvik)
    answer = browser.post("/send", {"fil": SimpleUploadedFile("a", b"x" * 10)})
    assert answer.status_code == 401
    assert "ipis kommune send" in answer.content.decode()


@pytest.fixture
def ready(browser, testvik, work):
    testvik.log_in().upload(testvik.seal())
    work()
    log_in(browser, testvik)
    return browser


def test_a_refused_file_tells_why(ready, testvik, work):
    place = send(ready, b"no zip at all").headers["Location"]
    work()
    page = ready.get(place).content.decode()
    assert "parcel.zip" in page
    assert 'role="alert"' in page


def test_an_empty_form_is_refused(ready):
    token = form_token(ready.get("/send"))
    answer = ready.post("/send", {"csrfmiddlewaretoken": token})
    assert "tpf.no_file" in answer.content.decode()
    assert send(ready, b"").status_code == 400


def test_a_file_that_is_too_large_is_refused_before_it_is_read(ready):
    answer = ready.post("/send", b"x", content_type="multipart/form-data; boundary=x", CONTENT_LENGTH=str(1 << 40))
    assert answer.status_code == 413


def test_before_the_window_the_page_says_when(ready, clock):
    clock(cast.BEFORE)
    answer = ready.post("/send", {"fil": SimpleUploadedFile("a", b"x")})
    assert "2018-01-02" in answer.content.decode()


def test_without_a_login_one_is_asked_for(browser, testvik):
    for path in ("/send", "/kvittering/" + "0" * 32):
        assert browser.get(path).headers["Location"] == "/"


def test_another_municipality_sees_nothing_of_a_receipt(ready, nabo, testvik):
    place = send(ready, testvik.seal(sequence=2).read_bytes()).headers["Location"]
    other = Client(enforce_csrf_checks=True)
    log_in(other, nabo)
    assert other.get(place).status_code == 404
    assert Upload.objects.count() == 2


def test_leaving_ends_the_session(ready):
    token = form_token(ready.get("/send"))
    for _ in range(2):
        answer = ready.post("/logg-ut", {"csrfmiddlewaretoken": token})
        assert answer.headers["Location"] == "/"
    assert not Session.objects.filter(device_key="").exists()
    assert ready.get("/send").headers["Location"] == "/"


def test_every_page_speaks_three_languages(browser, testvik):
    titles = {browser.get(f"/?sprak={each}").content for each in ("nb", "nn", "en")}
    assert len(titles) == 3
    import tomllib
    from importlib.resources import files

    texts = tomllib.loads(files("ipis.tpf.web").joinpath("texts.toml").read_text())
    assert set(texts["nb"]) == set(texts["nn"]) == set(texts["en"])


@pytest.mark.parametrize(
    ("language", "site"),
    [("nb", "Hjemmebesøk-innsending"), ("nn", "Heimebesøk-innsending"), ("en", "Home visits submission")],
)
def test_a_page_is_called_by_its_registers_title(browser, monkeypatch, language, site):
    lite = load(DefinitionFolder.from_path(LITE))
    monkeypatch.setattr(Season, "current", lambda _season: SimpleNamespace(collection=lite))
    page = browser.get(f"/?sprak={language}").content.decode()
    assert f"– {site}</title>" in page
    assert "IPLOS" not in page


def test_a_page_is_shown_while_the_pack_is_away(browser, monkeypatch):
    monkeypatch.setattr(desk().season, "_settings", desk().settings.model_copy(update={"pack": None}))
    assert "– SSB-innsending</title>" in browser.get("/").content.decode()


def test_the_web_process_can_reach_no_private_key():
    """The modules that serve requests import neither signing nor pseudonyms, in a process of their own."""
    import subprocess
    import sys

    program = (
        "import sys; from pathlib import Path; from ipis.tpf.site import configure; from ipis.tpf.settings import TpfSettings;"
        f"configure(TpfSettings.model_validate_json({desk().settings.model_dump_json()!r}));"
        "import ipis.tpf.urls;"
        "found = {'signing', 'bench', 'keys', 'pseudonymise', 'mapping', 'worker'} & {m.rpartition('.')[2] for m in sys.modules if m.startswith('ipis.tpf.')};"
        "sys.exit(str(found) if found else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
