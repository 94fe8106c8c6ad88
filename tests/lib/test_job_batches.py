"""Many jobs prepared at once: each finished in its own transaction, none lost, none done twice, a bad one alone."""

import os
import signal
import threading
from datetime import UTC, datetime

import pytest
import time_machine
from django.db import OperationalError, transaction
from tests.lib.room.models import Job

from ipis.kernel.errors import TryLater
from ipis.lib.jobs import Batch, JobState, Worker

pytestmark = pytest.mark.django_db(transaction=True)


class Step:
    """A step that notes which jobs it was given together, and which it finished."""

    def __init__(self, *, bad=(), breaks=()):
        self.bad, self.breaks, self.given, self.done = bad, breaks, [], []

    def prepare(self, jobs):
        self.given.append([job.subject for job in jobs])
        for job in jobs:
            if job.subject in self.breaks:
                raise ZeroDivisionError("01815012352")
            yield job, lambda job=job: self.finish(job)

    def finish(self, job):
        if job.subject in self.bad:
            raise TryLater("room.busy")
        with transaction.atomic():
            job.finish()
        self.done.append(job.subject)


def queue(*subjects, kind="load"):
    for subject in subjects:
        Job.queue(kind, subject)


def run(step, most=10, **more):
    worker = Worker(jobs=Job, steps={"load": Batch(step.prepare, most), **more}, poll_seconds=0.01)
    # Time stands: what is to be tried later is not due within the same run, however long that takes.
    with time_machine.travel(datetime.now(UTC), tick=False):
        worker.run(once=True)
    return worker


def states():
    return dict(Job.objects.values_list("subject", "state"))


def test_jobs_of_a_kind_are_taken_together_up_to_the_most():
    step = Step()
    queue("a", "b", "c", "d", "e")
    run(step, most=2)
    assert step.given == [["a", "b"], ["c", "d"], ["e"]]
    assert set(states().values()) == {JobState.DONE}


def test_a_step_with_nothing_to_prepare_is_a_batch_too():
    """Claimed together, each finished or put back by itself."""
    step = Step(bad={"b"})
    queue("a", "b", "c")
    Worker(jobs=Job, steps={"load": Batch.of_each(step.finish, 2)}, poll_seconds=0.01).run(once=True)
    assert step.done == ["a", "c"]
    assert states() == {"a": "done", "b": "queued", "c": "done"}


def test_other_kinds_are_not_taken_along_and_keep_their_turn():
    step, order = Step(), []
    queue("a")
    queue("m", kind="mail")
    queue("b")

    def mail(job):
        order.append(list(step.done))
        job.finish()

    run(step, mail=mail)
    assert step.given == [["a", "b"]]
    assert order == [["a", "b"]]


def test_one_that_must_wait_holds_up_no_other():
    step = Step(bad={"b"})
    queue("a", "b", "c")
    run(step)
    assert step.done == ["a", "c"]
    assert (Job.objects.get(subject="b").state, Job.objects.get(subject="b").problem) == ("queued", "room.busy")


def test_where_preparing_fails_each_is_tried_alone_and_the_culprit_shows(capsys):
    """No text of the failure is kept: it may hold a person's value."""
    step = Step(breaks={"b"})
    queue("a", "b", "c", "d")
    run(step)
    assert step.given == [["a", "b", "c", "d"], ["b"], ["c"], ["d"]]
    assert step.done == ["a", "c", "d"]
    assert Job.objects.get(subject="b").problem == "worker.ZeroDivisionError"
    assert "01815012352" not in "".join(capsys.readouterr())


def test_what_was_tried_before_is_tried_alone():
    """A job that kills its worker takes the same others with it once, never twice."""
    queue("a", "b", "c")
    dead = Job.claim(["load"], "dead")
    assert [job.subject for job in Job.claim_more("load", "dead", 1)] == ["b"]
    assert dead.subject == "a"
    Job.objects.filter(claimed_by="dead").update(state=JobState.QUEUED, claimed_by="")
    step = Step()
    queue("d")
    run(step)
    assert step.given == [["a"], ["b"], ["c", "d"]]


def test_two_workers_share_a_queue_and_take_no_job_twice():
    queue(*"abcd")
    first = [Job.claim(["load"], "one"), *Job.claim_more("load", "one", 1)]
    second = [Job.claim(["load"], "two"), *Job.claim_more("load", "two", 9)]
    assert ["".join(job.subject for job in jobs) for jobs in (first, second)] == ["ab", "cd"]
    assert Job.claim_more("load", "three", 9) == []


def beside(subject):
    """Another worker that is at work on one job."""
    Job.objects.filter(subject=subject).update(state=JobState.RUNNING, claimed_by="elsewhere:1")


def test_beside_another_worker_one_takes_its_share_of_what_waits():
    step = Step()
    queue(*"abcdefghi")
    beside("a")
    run(step)
    assert step.given == [list("bcde"), list("fg"), ["h"], ["i"]]


def test_what_is_too_few_to_part_is_taken_whole():
    step = Step()
    queue(*"abcde")
    beside("a")
    worker = Worker(jobs=Job, steps={"load": Batch(step.prepare, 10, least=3)}, poll_seconds=0.01)
    worker.run(once=True)
    assert step.given == [list("bcd"), ["e"]]


def test_what_another_worker_takes_between_look_and_claim_is_left_to_it(monkeypatch):
    queue("a", "b", "c")
    one = Job.claim(["load"], "one")
    take = Job._take

    def late(pks, worker):
        Job.objects.filter(subject="b").update(state=JobState.RUNNING, claimed_by="two")
        return take(pks, worker)

    monkeypatch.setattr(Job, "_take", late)
    assert [one.subject, *(job.subject for job in Job.claim_more("load", "one", 9))] == ["a", "c"]


def test_a_worker_told_to_stop_finishes_the_one_at_hand_and_gives_back_the_rest():
    """Given back as if never claimed, so that they are taken together again."""
    step = Step()
    queue("a", "b", "c")
    worker = Worker(jobs=Job, steps={"load": Batch(step.prepare, 9)}, poll_seconds=0.01)
    finish = step.finish
    step.finish = lambda job: (finish(job), worker.stop.set())
    worker.run()
    assert step.done == ["a"]
    assert list(Job.objects.filter(state=JobState.QUEUED).values_list("subject", "attempt", "claimed_by")) == [
        ("b", 0, ""),
        ("c", 0, ""),
    ]


class Beats:
    """The heartbeat as a test sees it: it beats while the test waits for it, and at no other time."""

    PATIENCE = 30.0

    def __init__(self, monkeypatch, *, busy=()):
        """Beat in earnest, but at the tries named in `busy` meet a database that is."""
        self.busy, self.tried = busy, 0
        self.waited_for, self.told = set(), threading.Condition()
        self.beat = Job.beat

        def beat(job):
            self.take(job)

        monkeypatch.setattr(Job, "beat", beat)
        monkeypatch.setattr("ipis.lib.jobs.HEARTBEAT_SECONDS", 0.001)

    def take(self, job):
        """Beat for a job, from the worker's other thread."""
        with self.told:
            if not self.waited_for:
                return
            self.tried += 1
            if self.tried in self.busy:
                raise OperationalError("01815012352")
            self.beat(job)
            self.waited_for.discard(job.subject)
            self.told.notify_all()

    def wait_for(self, *subjects):
        """Wait until a beat for each of these stands in the table."""
        with self.told:
            self.waited_for = set(subjects)
            assert self.told.wait_for(lambda: not self.waited_for, self.PATIENCE)


@pytest.fixture
def ended_by_signal():
    """Let SIGTERM end a worker, as the rooms do."""
    before = signal.getsignal(signal.SIGTERM)
    yield lambda worker: signal.signal(signal.SIGTERM, worker.end)
    signal.signal(signal.SIGTERM, before)


def tell_to_stop():
    os.kill(os.getpid(), signal.SIGTERM)


def test_a_worker_told_to_stop_while_it_prepares_gives_the_batch_back(ended_by_signal):
    """What takes long is interrupted, and as if never claimed: the next worker prepares the same together."""
    queue("a", "b", "c")
    step = Step()

    def long(jobs):
        tell_to_stop()
        yield from step.prepare(jobs)

    worker = Worker(jobs=Job, steps={"load": Batch(long, 10)}, poll_seconds=0.01)
    ended_by_signal(worker)
    worker.run()
    assert step.given == []
    assert set(Job.objects.values_list("state", "attempt", "claimed_by")) == {(JobState.QUEUED, 0, "")}


def test_a_worker_told_to_stop_twice_is_interrupted_once(ended_by_signal):
    """What a step tidies up on its way out is done to the end, however impatient the one who stops it."""
    queue("a", "b")
    tidied = []

    def long(jobs):
        try:
            tell_to_stop()
            yield from Step().prepare(jobs)
        finally:
            tell_to_stop()
            tidied.append(True)

    worker = Worker(jobs=Job, steps={"load": Batch(long, 10)}, poll_seconds=0.01)
    ended_by_signal(worker)
    worker.run()
    assert tidied == [True]
    assert set(Job.objects.values_list("state", "attempt", "claimed_by")) == {(JobState.QUEUED, 0, "")}


def test_a_worker_told_to_stop_while_it_claims_prepares_nothing(ended_by_signal, monkeypatch):
    queue("a", "b")
    step, claim_more = Step(), Job.claim_more

    def told(*arguments):
        tell_to_stop()
        return claim_more(*arguments)

    monkeypatch.setattr(Job, "claim_more", told)
    worker = Worker(jobs=Job, steps={"load": Batch(step.prepare, 10)}, poll_seconds=0.01)
    ended_by_signal(worker)
    worker.run()
    assert step.given == []
    assert set(Job.objects.values_list("state", "attempt", "claimed_by")) == {(JobState.QUEUED, 0, "")}


def test_a_worker_told_to_stop_tries_no_more_of_a_batch_that_was_taken_apart():
    queue("a", "b", "c")
    step = Step(breaks={"b"})

    def prepare(jobs):
        if len(jobs) == 1:
            worker.stop.set()
        yield from step.prepare(jobs)

    worker = Worker(jobs=Job, steps={"load": Batch(prepare, 10)}, poll_seconds=0.01)
    worker.run()
    assert step.given == [["a", "b", "c"], ["b"]]
    assert Job.objects.get(subject="c").attempt == 0


def test_a_worker_told_to_stop_while_it_finishes_a_job_finishes_it():
    """A transaction is not interrupted, and what another job has left to do is given back."""
    queue("a", "b", "c")
    step, prepared = Step(), []

    def prepare(jobs):
        for job, rest in step.prepare(jobs):
            prepared.append(job.subject)
            yield job, lambda job=job, rest=rest: (job.subject == "b" and worker.end(), rest())

    worker = Worker(jobs=Job, steps={"load": Batch(prepare, 10)}, poll_seconds=0.01)
    worker.run()
    assert (step.done, prepared) == (["a", "b"], ["a", "b"])
    assert states() == {"a": "done", "b": "done", "c": "queued"}


def test_all_jobs_of_a_batch_are_beaten_for(monkeypatch):
    beats, seen = Beats(monkeypatch), []
    queue("a", "b")

    def prepare(jobs):
        before = {job.subject: job.heartbeat_at for job in jobs}
        beats.wait_for("a", "b")
        seen.extend(job.subject for job in Job.objects.order_by("id") if job.heartbeat_at > before[job.subject])
        yield from ((job, job.finish) for job in jobs)

    Worker(jobs=Job, steps={"load": Batch(prepare, 9)}, poll_seconds=0.01).run(once=True)
    assert seen == ["a", "b"]


def test_a_beat_that_meets_a_busy_database_is_not_the_last(monkeypatch, capsys):
    beats = Beats(monkeypatch, busy={1})
    queue("a")

    def prepare(jobs):
        before = Job.objects.get().heartbeat_at
        beats.wait_for("a")
        assert Job.objects.get().heartbeat_at > before
        yield from ((job, job.finish) for job in jobs)

    Worker(jobs=Job, steps={"load": Batch(prepare, 9)}, poll_seconds=0.01).run(once=True)
    assert (states(), beats.tried) == ({"a": JobState.DONE}, 2)
    assert "01815012352" not in "".join(capsys.readouterr())
