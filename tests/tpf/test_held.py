"""What waits for TPF's staff is listed: held forsendelser and steps that keep failing; a poison job ends as failed."""

import pytest
from tests.tpf import season as cast

from ipis.kernel.errors import OurFault, TryLater
from ipis.tpf import accept, cli, forward
from ipis.tpf.models import Job
from ipis.tpf.worker import MOST_FAULTS


@pytest.fixture
def listed(room, tmp_path, monkeypatch, capsys):
    """Run the verb; gives its lines."""
    monkeypatch.setattr(cli, "_configure", lambda _: room)

    def run(**options):
        capsys.readouterr()
        cli.held(tmp_path / "tpf.toml", **options)
        return [line.split("\t") for line in capsys.readouterr().out.splitlines()]

    return run


def test_nothing_that_waits_is_an_empty_list(testvik, work, listed):
    testvik.log_in().upload(testvik.seal())
    work()
    assert listed() == []


def test_a_held_forsendelse_is_listed_with_its_reason(testvik, work, listed, monkeypatch):
    monkeypatch.setattr("ipis.tpf.quota.allowance", lambda *_: 1)
    testvik.log_in().upload(testvik.seal(forsendelse="a" * 32))
    work()
    [[identifier, party, since, code]] = listed()
    assert (identifier, party, code) == ("a" * 32, f"kommune-{cast.TESTVIK}-00", "held.quota")
    assert since.startswith(cast.IN_WINDOW.strftime("%Y-%m-%dT%H:"))


def test_a_step_that_nobody_foresaw_failing_fails_for_good_and_is_queued_again_by_staff(
    testvik, work, listed, monkeypatch
):
    def fault(*_, **__):
        raise OurFault("tpf.audit_broken", event=0)

    place = testvik.log_in().upload(testvik.seal())
    with monkeypatch.context() as patch:
        patch.setattr(accept, "read", fault)
        for _ in range(MOST_FAULTS - 1):
            work()
        assert Job.objects.get().state == "queued"
        [[subject, party, _, code]] = listed()
        work()
    assert (Job.objects.get().state, Job.objects.get().problem) == ("failed", "worker.OurFault")
    assert (party, code) == (f"kommune-{cast.TESTVIK}-00", "worker.OurFault")
    assert subject in place
    work()
    assert listed(again=True) == []
    assert Job.objects.get().faults == 0
    work()
    assert testvik.get(place).json()["state"] == "done"


def test_waiting_for_ssb_is_listed_after_a_while_and_never_fails(testvik, work, listed, monkeypatch):
    def silent(*_):
        raise TryLater("tpf.ssb_silent")

    testvik.log_in().upload(testvik.seal(forsendelse="b" * 32))
    monkeypatch.setattr(forward, "_send", silent)
    for _ in range(4):
        work()
    assert listed() == []
    for _ in range(MOST_FAULTS):
        work()
    assert [(line[0], line[3]) for line in listed()] == [("b" * 32, "tpf.ssb_silent")]
    assert Job.objects.get(kind="forward").state == "queued"
