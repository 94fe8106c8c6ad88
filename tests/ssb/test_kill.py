"""`kill -9` inside each step of each worker: nothing acknowledged is lost, nothing is done twice."""

from __future__ import annotations

import signal
from datetime import datetime

import pytest
from tests.ports import free_port
from tests.ssb.fake_tpf import Content
from tests.ssb.processes import Ssb
from tests.ssb.test_post import FakeTpf

from ipis.kernel.calendar import OSLO
from ipis.kernel.clock import turn
from ipis.ssb import kill

KILLED = -signal.SIGKILL
INTAKE = [point for point in kill.POINTS if not point.startswith("mail:")]
MAIL = [point for point in kill.POINTS if point.startswith("mail:")]


@pytest.fixture(scope="module")
def fake_tpf():
    fake = FakeTpf()
    yield fake
    fake.close()


@pytest.fixture(scope="module")
def ssb(tmp_path_factory, tpf, fake_tpf):
    """One room whose web process serves all tests here; each sends a parcel of its own number."""
    ssb = Ssb.make(tmp_path_factory.mktemp("ssb"), tpf, tpf_url=fake_tpf.url, smtp_port=free_port())
    process = ssb.serve()
    yield ssb
    process.terminate()
    process.wait()


@pytest.mark.parametrize("point", MAIL)
def test_feedback_worker_killed_while_writing_a_mail_at(ssb, point):
    """One outbox row for the receipt, however often its writing was begun."""
    made = ssb.send(Content(sequence=1 + MAIL.index(point), persons=5, seed=100 + MAIL.index(point)))
    assert ssb.work("intake") == 0
    turn(ssb.settings.clock, datetime(2018, 1, 4 + MAIL.index(point), 8, 0, 1, tzinfo=OSLO))
    assert ssb.work("feedback", kill_at=point) == KILLED
    ssb.work("feedback")
    purpose = f"kvittering:{made.forsendelse}"
    assert ssb.rows(f"select count(*) from register_outboxmail where purpose = '{purpose}'") == [(1,)]
    assert ssb.rows(f"select state from register_job where subject = '{made.forsendelse}:kvittering'") == [("done",)]


@pytest.mark.parametrize("point", INTAKE)
def test_intake_worker_killed_at(ssb, fake_tpf, point):
    """One delivery, one R3, one feedback job and one due mail, whichever point it died at."""
    made = ssb.send(Content(sequence=100 + INTAKE.index(point), persons=5, seed=INTAKE.index(point)))
    assert ssb.work("intake", kill_at=point) == KILLED
    assert ssb.work("intake") == 0
    one = f"forsendelse = '{made.forsendelse}'"
    assert ssb.rows(f"select state from intake_forsendelse where {one}") == [("cleared",)]
    assert ssb.rows(f"select count(*) from register_delivery where {one}") == [(1,)]
    assert ssb.rows(f"select kind from register_kvittering where {one} order by kind") == [("R1",), ("R2",), ("R3",)]
    assert ssb.rows(f"select kind, state from register_job where subject = '{made.forsendelse}' order by kind") == [
        ("clear", "done"), ("feedback", "queued"), ("load", "done"),
    ]  # fmt: skip
    due = f"select count(*) from intake_duemail d join intake_forsendelse f on f.id = d.forsendelse_id where f.{one}"
    assert ssb.rows(due) == [(1,)]
    assert ssb.rows(
        f"select count(*) from register_kvittering where {one} and kind = 'R3' and posted_at is not null"
    ) == [(1,)]
    assert {path.name for path in (ssb.settings.intake / made.forsendelse).iterdir()} == {
        "manifest.json", "manifest.json.sig", "contact.age", "R1.json", "R1.json.sig", "R2.json", "R2.json.sig",
    }  # fmt: skip
    folders = [path.name for path in ssb.settings.objects.glob(f"iplos/2017/0403/00/*-{made.forsendelse}")]
    assert len(folders) == 1
    assert not list((ssb.settings.data / "staging").iterdir())
    assert len({receipt for _, receipt, _ in fake_tpf.taken if made.forsendelse.encode() in receipt}) == 1


def test_every_point_is_walked():
    """A point that no test kills at would prove nothing."""
    assert set(INTAKE) | set(MAIL) == set(kill.POINTS)
