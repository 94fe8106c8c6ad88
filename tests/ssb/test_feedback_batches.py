"""The feedback worker's peak: many deliveries judged in one run, each with its own zip, none lost, none twice, none mixed."""

import pytest
from tests.ssb.conftest import enrol
from tests.ssb.fake_tpf import BYDAL, NABO, PIN, TESTVIK
from tests.ssb.feedback_room import about, closed, due_now, give_back, jobs, listed, opened, tilbakemeldinger, worker

OTHERS = ("0101", "0104")


class Killed(BaseException):
    """A worker that dies: nothing in it catches this, as nothing catches SIGKILL."""


@pytest.fixture
def peak(room, load):
    """Five senders' deliveries, loaded and waiting for feedback."""
    made = {}
    for place, (kommune, bydel) in enumerate(
        [(TESTVIK, "00"), (NABO, "00"), (BYDAL, "01"), *((o, "00") for o in OTHERS)]
    ):
        enrol(room, kommune, bydel=bydel)
        row, _ = load(kommune=kommune, bydel=bydel, persons=10 + place, seed=place, email=f"a{place}@k.test")
        made[kommune] = row.forsendelse
    return made


def feedback(room, **changes):
    """A worker that does feedback alone."""
    one = worker(room, **changes)
    one.steps = {"feedback": one.steps["feedback"]}
    one.ticks = ()
    return one


def judged_together(monkeypatch):
    """Note how many deliveries are judged in each run."""
    from ipis.ssb.feedback.judge import Judge

    seen, judge_many = [], Judge.judge_many

    def note(self, deliveries, *more):
        seen.append(len(deliveries))
        return judge_many(self, deliveries, *more)

    monkeypatch.setattr(Judge, "judge_many", note)
    return seen


def test_a_peak_is_judged_in_one_run_and_each_gets_its_own(room, peak, monkeypatch):
    seen = judged_together(monkeypatch)
    feedback(room).run(once=True)
    assert seen == [5]
    found = {one.delivery.kommune: one for one in tilbakemeldinger()}
    assert {kommune: one.delivery.forsendelse for kommune, one in found.items()} == peak
    for place, kommune in enumerate(peak):
        files = opened(closed(room, found[kommune]), PIN)
        assert (about(files)["kommune"], about(files)["forsendelse"]) == (kommune, peak[kommune])
        numbers = {row["brukerNr"] for row in listed(files)} - {"", "BNone"}
        assert numbers <= {f"B{n}" for n in range(10 + place)}
    assert [state for _, state, _ in jobs("feedback")] == ["done"] * 5


def test_together_they_are_told_the_same_as_each_alone(room, peak):
    from ipis.ssb.feedback.judge import Judge
    from ipis.ssb.keys import feedback_keys
    from ipis.ssb.packs import pack_of
    from ipis.ssb.register.models import Delivery

    judge, pack = Judge(room, feedback_keys(room).identity), pack_of(room, "iplos", 2017)
    deliveries, languages = list(Delivery.objects.all()), ["nb", "nn", "en", "nb", "nn"]
    together = judge.judge_many(deliveries, pack, languages)
    for delivery, language, one in zip(deliveries, languages, together, strict=True):
        alone = judge.judge(delivery, pack, language)
        assert one.findings.equals(alone.findings)
        assert one.staff.equals(alone.staff)
        assert one.verdicts_sha256 == alone.verdicts_sha256


def test_one_without_a_pin_waits_and_holds_up_no_other(room, peak):
    from ipis.ssb.register.models import Enrolment

    Enrolment.objects.filter(kommune=NABO).delete()
    (room.intake / peak[NABO] / "contact.age").unlink()
    feedback(room).run(once=True)
    assert {one.delivery.kommune for one in tilbakemeldinger()} == set(peak) - {NABO}
    assert [problem for _, state, problem in jobs("feedback") if state == "queued"] == ["feedback.no_pin"]


def test_one_whose_files_are_gone_spoils_no_other(room, peak, monkeypatch):
    """The run fails; then each is judged alone, and the culprit shows."""
    from ipis.ssb.register.models import Delivery

    seen = judged_together(monkeypatch)
    folder = room.objects / Delivery.objects.get(kommune=NABO).folder
    (folder / "vedtak.parquet").unlink()
    feedback(room).run(once=True)
    assert seen[:6] == [5, 1, 1, 1, 1, 1]
    assert {one.delivery.kommune for one in tilbakemeldinger()} == set(peak) - {NABO}
    assert [problem for _, state, problem in jobs("feedback") if state == "queued"] == ["worker.OurFault"]


@pytest.mark.parametrize("point", ["feedback:written", "feedback:before-commit", "feedback:committed"])
def test_a_worker_killed_in_the_middle_loses_and_doubles_nothing(room, peak, monkeypatch, point):
    """What was committed stands; the rest is made by the next worker, each once."""
    from ipis.ssb import kill

    reached = []

    def die(_settings, where):
        reached.append(where)
        if reached.count(point) == 3:
            raise Killed

    monkeypatch.setattr(kill, "reach", die)
    dead = feedback(room)
    with pytest.raises(Killed):
        dead.run(once=True)
    monkeypatch.setattr(kill, "reach", lambda *_: None)
    made = len(tilbakemeldinger())
    assert made == (3 if point == "feedback:committed" else 2)
    give_back(dead)
    due_now()
    feedback(room).run(once=True)
    assert {one.delivery.kommune for one in tilbakemeldinger()} == set(peak)
    assert len(tilbakemeldinger()) == 5
    assert len(jobs("push")) == 5
    assert len(jobs("post")) == 10
    assert [state for _, state, _ in jobs("feedback")] == ["done"] * 5


def test_a_helper_makes_feedback_and_nothing_else(room, peak):
    """It shares the queue of the feedback worker; mails and pushes stay with that one."""
    import threading

    from ipis.ssb.register.models import OutboxMail
    from ipis.ssb.work import Role, _run_helper

    assert Role("helper") is Role.HELPER
    _run_helper(room, threading.Event(), once=True)
    assert len(tilbakemeldinger()) == 5
    assert {state for _, state, _ in jobs("push")} == {"queued"}
    assert OutboxMail.objects.count() == 0
