"""TPF's room in one process, with a season of its own; the worker is run by hand, one job at a time."""

from __future__ import annotations

import tempfile
from pathlib import Path

import httpx2
import pytest
from tests.tpf import season as cast

from ipis.kernel.clock import turn
from ipis.kernel.demo import demo_address, demo_orgnr, demo_pin


def pytest_configure(config):
    """Set the room up before any test module imports a model."""
    from django.conf import settings

    if settings.configured:
        return
    from ipis.tpf.settings import TpfSettings
    from ipis.tpf.site import configure

    folder = tempfile.TemporaryDirectory(prefix="ipis-tpf-")
    config.add_cleanup(folder.cleanup)
    data = Path(folder.name) / "tpf"
    room = TpfSettings(
        environment=cast.TEST,
        data=data,
        listen="127.0.0.1:8000",
        public_url="http://testserver",
        ssb_url="http://127.0.0.1:1",
        pack=Path(folder.name) / f"iplos-{cast.YEAR}.sesong",
        clock=data / "clock.json",
        smtp_port=1,
        receipt_wait_seconds=0,
    )
    configure(room)
    from ipis.tpf.bench import ROOT_KEY, make_keys
    from ipis.tpf.desk import Secrets
    from ipis.tpf.keys import make_root_key

    room.make_private_folders("opplasting", "forsendelser", "keys", "web", "public")
    Secrets.make(room.web_secrets)
    make_keys(room)
    make_root_key(room.worker_keys / ROOT_KEY, room.environment)
    config.ipis_room = room
    config.ipis_season = cast.Season(Path(folder.name), cast.read_keys(data))


@pytest.fixture(scope="session")
def room(pytestconfig):
    return pytestconfig.ipis_room


@pytest.fixture
def season(pytestconfig):
    return pytestconfig.ipis_season


@pytest.fixture
def clock(room):
    """Turn the business clock; each test begins in the window."""
    turn(room.clock, cast.IN_WINDOW)
    return lambda at: turn(room.clock, at)


@pytest.fixture(scope="session")
def fast_pins():
    """Compare PINs with less memory than in production; the work itself is counted in test_login."""
    from argon2 import PasswordHasher

    from ipis.tpf.desk import desk

    desk().pins._argon2 = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    desk().pins._dummy = desk().pins._argon2.hash(b"nobody")


@pytest.fixture
def bench(room, clock):
    from ipis.tpf.bench import Bench

    return Bench.open(room)


@pytest.fixture
def enrolled(transactional_db, clock, fast_pins):
    """Enrol Testvik and Nabo."""
    from ipis.kernel.secret import Secret
    from ipis.tpf.desk import desk
    from ipis.tpf.enrolment import Login, enrol

    for kommune in (cast.TESTVIK, cast.NABO):
        login = Login(kommune, "00", cast.YEAR)
        enrol(login, demo_orgnr(kommune), Secret(demo_pin(kommune)), demo_address(kommune), desk().pins)


@pytest.fixture
def testvik(enrolled, season, tmp_path):
    """The small municipality, with a machine of its own."""
    from tests.tpf.sender import Machine

    return Machine(season, tmp_path, cast.TESTVIK)


@pytest.fixture
def nabo(enrolled, season, tmp_path):
    """The neighbour, who must never see another's files."""
    from tests.tpf.sender import Machine

    return Machine(season, tmp_path, cast.NABO)


@pytest.fixture
def work(bench):
    """Run the worker until nothing is due."""
    from ipis.tpf.models import Job
    from ipis.tpf.worker import make_worker

    def run(*kinds, until_idle=True):
        worker = make_worker(bench)
        worker.ticks = ()
        worker.steps = {kind: step for kind, step in worker.steps.items() if not kinds or kind in kinds}
        Job.objects.update(next_try_at=None)
        worker.run(once=True)

    return run


@pytest.fixture(autouse=True)
def ssb(monkeypatch):
    """Stand in for SSB; nothing leaves the process."""
    from tests.tpf.ssb_double import SsbDouble

    from ipis.tpf import forward

    double = SsbDouble()
    monkeypatch.setattr(forward, "open_line", lambda: httpx2.Client(transport=double))
    return double


@pytest.fixture(autouse=True)
def clean_folders(room):
    """Leave no file of one test to the next."""
    yield
    import shutil

    for folder in (room.uploads, room.parcels):
        for path in folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path in room.worker_keys.glob("quota-*"):
        path.unlink()
