"""SSB's room in one process with a season pack of its own: Testvik sends, Bydal has districts, Nabo must never be mixed up with them."""

from __future__ import annotations

import json
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote

import pytest
from tests.relay import Relay
from tests.ssb.fake_tpf import PIN, TESTVIK, YEAR, Content, Tpf, parcel

from ipis.kernel.clock import turn
from ipis.kernel.environment import Environment

IN_WINDOW = datetime(2018, 1, 3, 9, 5, tzinfo=UTC)


def pytest_configure(config):
    """Set the room up before any test module imports a model."""
    from django.conf import settings

    if settings.configured:
        return
    from ipis.ssb.keys import make_missing
    from ipis.ssb.settings import SsbSettings
    from ipis.ssb.site import configure

    folder = tempfile.TemporaryDirectory(prefix="ipis-ssb-")
    config.add_cleanup(folder.cleanup)
    data = Path(folder.name) / "ssb"
    config.ipis_tpf = Tpf()
    room = SsbSettings(
        environment=Environment.TEST,
        data=data,
        listen="127.0.0.1:8000",
        public_url="http://localhost",
        pack=data / "packs",
        clock=data / "clock.json",
        smtp_port=1,
    )
    make_missing(room)
    (data / "packs").mkdir()
    for year in (YEAR - 1, YEAR):
        make_pack(room, config.ipis_tpf, year)
    configure(room)


def make_pack(room, tpf, year, **changes):
    """Make and sign the season pack by the room's own verb."""
    from ipis.kernel.definitions import DefinitionFolder
    from ipis.ssb import pack

    work = room.data / "pakking"
    work.mkdir(exist_ok=True)
    tpf_keys = work / "tpf.json"
    tpf_keys.write_text(json.dumps(tpf.public()))
    sources = pack.Sources(
        **{
            "environment": room.environment,
            "definitions": DefinitionFolder.packaged("iplos", year),
            "key_files": [tpf_keys, room.public / "keys.json"],
            "organisations": None,
            "care_units": None,
            "version": 1,
            "created_at": IN_WINDOW,
            "root": tpf.root.public,
            **changes,
        }
    )
    pack.make_body(sources, work / "body")
    armored = tpf.root.sign((work / "body").read_bytes(), "ipis-keys@v1")
    return pack.join_signature(work / "body", armored, room.pack / f"iplos-{year}.sesong", tpf.root.public)


@pytest.fixture(scope="session")
def tpf(request):
    """Give TPF's, the sender's and the root's keys."""
    return request.config.ipis_tpf


@pytest.fixture(autouse=True)
def room(db, tmp_path):
    """Give the room's settings, with an empty database, empty folders and the clock in the window."""
    from ipis.ssb.site import room_settings

    settings = room_settings()
    turn(settings.clock, IN_WINDOW)
    yield settings
    for name in ("inntak", "objects", "staging", "utgaaende", "funn"):
        shutil.rmtree(settings.data / name, ignore_errors=True)
        (settings.data / name).mkdir(mode=0o700)
    shutil.rmtree(settings.kept_packs, ignore_errors=True)


@pytest.fixture
def at(room):
    """Turn the business clock."""
    return lambda instant: turn(room.clock, instant)


@pytest.fixture
def make(tmp_path, tpf, room):
    """Make a parcel as TPF would forward it."""
    from ipis.ssb.packs import pack_of

    def make_parcel(**content):
        wished = Content(**content)
        return parcel(tmp_path, tpf, pack_of(room, "iplos", wished.year), wished)

    return make_parcel


@pytest.fixture
def door(tpf):
    """Give SSB's interface as TPF meets it."""
    return Door(tpf.forward)


class Door:
    """What TPF does: put the members, hand over."""

    def __init__(self, key):
        from django.test import Client

        self.key = key
        self.client = Client(headers={"host": "localhost", "accept-language": "en"})

    def put(self, forsendelse, name, data, digest=None):
        from ipis.kernel.canonical import sha256
        from ipis.kernel.messages import Put

        path, digest = f"/api/v1/inntak/{forsendelse}/{name}", sha256(data) if digest is None else digest
        signed = Put(unquote(path), digest, len(data)).sign(self.key)
        headers = {"Ipis-SHA256": digest, **signed}
        return self.client.put(path, data, content_type="application/octet-stream", headers=headers)

    def put_all(self, made):
        for name, data in made.members.items():
            answer = self.put(made.forsendelse, name, data)
            assert answer.status_code in (200, 201), answer.content

    def post(self, made, note=None):
        return self.client.post(
            f"/api/v1/inntak/{made.forsendelse}", json.dumps(note or made.note()), content_type="application/json"
        )

    def send(self, made):
        """Put everything and hand over; the answer must be 202."""
        self.put_all(made)
        answer = self.post(made)
        assert answer.status_code == 202, answer.content
        return answer


class InProcess:
    """Runs what the child would run, here: most tests are not about the child."""

    def run(self, function, *arguments):
        return function(*arguments)


@pytest.fixture
def intake(room):
    """Give the intake worker; its steps run in this process."""
    from ipis.lib.jobs import Batch, Worker
    from ipis.ssb.intake.load import CLEAR, Loader
    from ipis.ssb.intake.receive import LOAD
    from ipis.ssb.keys import intake_keys
    from ipis.ssb.register.models import Job

    loader = Loader(room, intake_keys(room), InProcess())
    return Worker(jobs=Job, steps={LOAD: Batch(loader.load_many, 32), CLEAR: Batch.of_each(loader.clear, 32)})


@pytest.fixture
def load(make, door, intake):
    """Send a parcel and let the intake worker do its work; gives the row and the parcel."""
    from ipis.ssb.intake.models import Forsendelse

    def load_parcel(**content):
        made = make(**content)
        door.send(made)
        intake.run(once=True)
        return Forsendelse.objects.select_related("delivery").get(forsendelse=made.forsendelse), made

    return load_parcel


@pytest.fixture
def enrolled(room):
    """Enrol Testvik with its PIN and registered address."""
    return enrol(room)


def enrol(room, kommune=TESTVIK, pin=PIN, address="postmottak@k0403.kommune.test", bydel="00", year=YEAR):
    from ipis.kernel.demo import demo_orgnr
    from ipis.kernel.sealed import Recipient
    from ipis.kernel.secret import Secret
    from ipis.ssb.keys import feedback_recipient
    from ipis.ssb.register import enrolment

    whom = enrolment.Enrolled(year=year, kommune=kommune, bydel=bydel, orgnr=demo_orgnr(kommune), address=address)
    return enrolment.enrol(whom, Secret(pin), recipient=Recipient(feedback_recipient(room)), at=IN_WINDOW)


@pytest.fixture
def smtp():
    """Give a real SMTP server that keeps what it takes."""
    from email import message_from_bytes, policy

    class Keep:
        def __init__(self):
            self.messages = []
            self.port = 0

        async def handle_DATA(  # noqa: N802 - the name that aiosmtpd calls
            self, _server, _session, envelope
        ):
            self.messages.append(message_from_bytes(envelope.content, policy=policy.default))
            return "250 OK"

    handler = Keep()
    relay = Relay(handler)
    relay.start()
    handler.port = relay.port
    yield handler
    relay.stop()
