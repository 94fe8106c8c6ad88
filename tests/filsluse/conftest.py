"""The portal in one process, with a season pack; Testvik has an account, and so has Nabo, who must never see its files."""

import base64
import json
import tempfile
from functools import cache
from pathlib import Path

import pytest
from tests.filsluse.season import Season

from ipis.kernel.canonical import sha256
from ipis.kernel.clock import turn
from ipis.kernel.push import PushNote, sign_request

TESTVIK, NABO = "0403", "0412"
TESTVIK_USER, NABO_USER = "postmottak@testvik.kommune.test", "postmottak@nabo.kommune.test"
PASSWORD = "Sno-og-is-17"


def pytest_configure(config):
    """Set the room up before any test module imports a model."""
    from django.conf import settings

    if settings.configured:
        return
    from ipis.filsluse.settings import FilsluseSettings
    from ipis.filsluse.site import configure

    folder = tempfile.TemporaryDirectory(prefix="ipis-filsluse-")
    config.add_cleanup(folder.cleanup)
    data = Path(folder.name)
    config.ipis_season = Season.make(data)
    room = FilsluseSettings(
        environment="demo",
        data=data,
        listen="127.0.0.1:8000",
        public_url="http://filsluse.test",
        mail_from="filsluse@ssb.test",
        pack=config.ipis_season.pack,
        clock=data / "clock.json",
        smtp_port=1,
    )
    room.make_private_folders("filer", "public")
    configure(room)
    _hash_cheaply()


def _hash_cheaply():
    """Hash as in earnest, with less memory and fewer rounds; the room as it runs has them whole (test_over_sockets)."""
    from django.contrib.auth.hashers import Argon2PasswordHasher

    Argon2PasswordHasher.time_cost, Argon2PasswordHasher.memory_cost, Argon2PasswordHasher.parallelism = 1, 64, 1


@pytest.fixture(scope="session")
def season(request):
    """Give the season whose pack the portal trusts."""
    return request.config.ipis_season


@pytest.fixture(autouse=True)
def portal(db, request):
    """Give the room's settings, with an empty database and real time."""
    from ipis.filsluse.files import remove_folder
    from ipis.filsluse.site import room_settings

    room = room_settings()
    yield room
    room.clock.unlink(missing_ok=True)
    for folder in room.files.iterdir():
        remove_folder(folder)


@pytest.fixture
def at(portal):
    """Turn the business clock."""
    return lambda instant: turn(portal.clock, instant)


@pytest.fixture
def testvik():
    """Give Testvik's account, with a password."""
    return account_with_password(TESTVIK, TESTVIK_USER)


@pytest.fixture
def nabo():
    """Give Nabo's account, with a password."""
    return account_with_password(NABO, NABO_USER)


@pytest.fixture
def browser():
    """Give a browser that reads bokmål and sends no token it was not given."""
    return new_browser()


@pytest.fixture
def in_testvik(testvik, browser):
    """Give a browser that is logged in as Testvik."""
    return log_in(browser, TESTVIK_USER)


@pytest.fixture
def in_nabo(nabo):
    """Give a browser that is logged in as Nabo."""
    return log_in(new_browser(), NABO_USER)


@pytest.fixture
def ssb(season):
    """Give SSB's side of the push."""
    return Ssb(season)


@pytest.fixture
def work():
    """Run the worker until nothing is due; no mail leaves."""
    from ipis.filsluse.worker import make_worker

    def run():
        worker = make_worker()
        while worker.work_one():
            pass

    return run


def account_with_password(kommune, user, password=PASSWORD):
    from ipis.filsluse.accounts import make_account
    from ipis.filsluse.models import FilsluseMail

    account = make_account(kommune, user)
    account.password = _hashed(password)
    account.save()
    FilsluseMail.objects.all().delete()
    return account


def new_browser(language="nb"):
    from django.test import Client

    return Client(headers={"host": "filsluse.test", "accept-language": language})


@cache
def _hashed(password):
    from django.contrib.auth.hashers import make_password

    return make_password(password)


def log_in(browser, user, password=PASSWORD):
    answer = browser.post("/logg-inn", {"bruker": user, "passord": password})
    assert answer.status_code == 302, answer.content
    return browser


def mails():
    from ipis.filsluse.models import FilsluseMail

    return list(FilsluseMail.objects.order_by("id"))


def text_of(answer):
    return answer.content.decode()


def body_of(answer):
    return b"".join(answer.streaming_content)


class Ssb:
    """SSB's requests, signed as SSB signs them."""

    def __init__(self, season: Season) -> None:
        self.season = season
        self.http = new_browser()

    def put(self, push_id, name, data, *, key=None, announce=None, headers=None):
        target = f"/api/v1/push/{push_id}/{name}"
        digest = announce or sha256(data)
        signed = sign_request(key or self.season.push, "PUT", target, body_sha256=digest)
        return self.http.put(
            target,
            data,
            content_type="application/octet-stream",
            headers=signed | {"Ipis-SHA256": digest} | (headers or {}),
        )

    def show(self, note: PushNote, *, push_id="", signature=None):
        body = {
            "push": base64.b64encode(note.to_bytes()).decode(),
            "signature": (signature or self.season.sign(note)).decode(),
        }
        return self.http.post(f"/api/v1/push/{push_id or note.id}", json.dumps(body), content_type="application/json")

    def push(self, tenant=TESTVIK, files=None, **changes):
        files = files or self.season.feedback()
        note = self.season.note(files, tenant, **changes)
        for name, data in files.items():
            assert self.put(note.id, name, data).status_code == 200
        answer = self.show(note)
        assert answer.status_code == 200, answer.content
        return note, files

    def events(self, after=0, headers=None):
        target = f"/api/v1/hendelser?after={after}"
        return self.http.get(target, headers=headers or sign_request(self.season.push, "GET", target))


def api_login(user, password=PASSWORD):
    program = new_browser()
    body = json.dumps({"user": user, "password": password})
    token = program.post("/api/v1/innlogging", body, content_type="application/json").json()["token"]
    return program, {"Authorization": f"Bearer {token}"}
