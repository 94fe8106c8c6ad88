"""The portal as it runs, and `ipis kommune fetch` against it: processes, sockets, SMTP."""

import re
import sqlite3
from contextlib import closing

import httpx2
import pytest
from tests.filsluse.rooms import Portal
from tests.filsluse.season import ZIP, Season

from ipis.__main__ import run
from ipis.kernel.push import names_of

USER, PASSWORD = "postmottak@testvik.kommune.test", "Sno-og-is-17"
NEW_PASSWORD = "IPLOS-tilbakemelding: Nytt passord - NB! Utløper på tid"
NEW_FILE = "IPLOS-tilbakemelding: Ny fil for nedlasting"


@pytest.fixture(autouse=True)
def portal():
    """Leave the portal of this process alone: these tests have one of their own."""


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    folder = tmp_path_factory.mktemp("running")
    with Portal(folder, Season.make(folder)) as started:
        started.run("account", "--kommune", "0403", "--user", USER)
        set_password(started)
        yield started


def test_the_password_is_kept_as_argon2id_of_full_strength(running):
    """Django's own cost; only the tests within one process hash with less."""
    with closing(sqlite3.connect(running.folder / "filsluse" / "filsluse.sqlite3")) as database:
        ((kept,),) = database.execute("select password from filsluse_account").fetchall()
    assert kept.startswith("argon2$argon2id$v=19$m=102400,t=2,p=8$")


def visit(running):
    """Open a browser; a password is hashed in full, which takes its time, and a proxy of the machine knows no loopback."""
    return httpx2.Client(base_url=running.url, follow_redirects=True, timeout=120, trust_env=False)


def set_password(running):
    with visit(running) as person:
        send(person, "/ny-bruker", bruker=USER)
        link = re.search(r"/passord/\S+", running.mailbox.wait_for(NEW_PASSWORD).get_content())[0]
        send(person, link, passord=PASSWORD, igjen=PASSWORD)


def send(person, path, **fields):
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', person.get(path).text)[1]
    answer = person.post(path, data=fields | {"csrfmiddlewaretoken": token})
    assert answer.status_code == 200, answer.text
    return answer


@pytest.fixture
def fetch(running, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    password = tmp_path / "password"
    password.write_text(PASSWORD)
    words = ["kommune", "fetch", "--url", running.url, "--user", USER, "--password-file", str(password)]
    words += ["--pack", str(running.season.pack), "--out", str(tmp_path / "hjem")]
    return lambda *more: run([*words, *more])


def test_from_the_push_to_the_municipalitys_disk(running, fetch, tmp_path):
    assert fetch() == 3
    files = running.season.feedback(b"PK" + bytes(2_000_000))
    running.push(files, "0403")
    running.push(running.season.feedback(name=ZIP.replace("0403", "0412")), "0412")
    assert fetch("--wait", "20") == 0
    home = tmp_path / "hjem"
    assert {path.name: path.read_bytes() for path in home.iterdir()} == files
    assert ZIP in running.mailbox.wait_for(NEW_FILE).get_content()
    assert len([m for m in running.mailbox.taken if m["Subject"] == NEW_FILE]) == 1, (
        "none to a municipality without account"
    )

    (home / ZIP).replace(home / f".{ZIP}.part")
    with (home / f".{ZIP}.part").open("rb+") as part:
        part.truncate(1_234_567)
    assert fetch() == 0
    assert sorted(path.name for path in home.iterdir()) == sorted(names_of(ZIP))
    assert (home / ZIP).read_bytes() == files[ZIP]


def test_no_log_holds_a_password_a_link_or_a_trace(running):
    logs = running.logs()
    assert PASSWORD not in logs
    assert "/passord/" not in logs
    assert "Traceback" not in logs


def test_static_files_come_from_the_room_itself(running):
    with visit(running) as person:
        sheets = re.findall(r'href="(/static/[^"]+)"', person.get("/logg-inn").text)
        assert len(sheets) == 4
        for sheet in sheets:
            assert person.get(sheet).status_code == 200
