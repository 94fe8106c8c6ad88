"""Jobs: claimed once, retried with a wait, given back when their worker is gone."""

import socket
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db import transaction
from tests.lib.room.models import Job

from ipis.kernel.errors import TryLater
from ipis.lib.jobs import LEASE, JobState, LostClaimError, Worker

pytestmark = pytest.mark.django_db(transaction=True)


def worker(**steps):
    """A worker whose steps are the ones given."""
    return Worker(jobs=Job, steps=steps, poll_seconds=0.01)


def test_a_job_is_queued_once_for_each_kind_and_subject():
    """Queueing again leaves what stands."""
    Job.queue("load", "a")
    Job.objects.update(state="done")
    Job.queue("load", "a")
    Job.queue_all(("load", "a"), ("load", "b"), ("clear", "a"))
    assert list(Job.objects.values_list("kind", "subject", "state")) == [
        ("load", "a", "done"),
        ("load", "b", "queued"),
        ("clear", "a", "queued"),
    ]


def test_two_workers_never_take_the_same_job():
    """The second claim finds nothing."""
    Job.queue("load", "a")
    assert Job.claim(["load"], "one").subject == "a"
    assert Job.claim(["load"], "two") is None


def test_a_worker_runs_what_it_has_steps_for_until_nothing_is_due():
    """Jobs of other kinds are left alone."""
    done = []
    Job.queue("load", "a")
    Job.queue("load", "b")
    Job.queue("other", "c")

    def load(job):
        done.append(job.subject)
        job.finish()

    worker(load=load).run(once=True)
    assert done == ["a", "b"]
    assert list(Job.objects.values_list("state", flat=True)) == ["done", "done", "queued"]


def test_a_step_that_asks_for_later_is_tried_later():
    """The job waits in the queue with the code of what held it up."""
    Job.queue("load", "a")

    def load(_job):
        raise TryLater("room.busy")

    # Time stands: a second try is due within the second.
    with time_machine.travel(datetime.now(UTC), tick=False):
        worker(load=load).run(once=True)
        job = Job.objects.get()
        assert (job.state, job.problem, job.attempt) == (JobState.QUEUED, "room.busy", 1)
        assert job.next_try_at > datetime.now(UTC)
        assert Job.claim(["load"], "one") is None


def test_an_unforeseen_failure_is_kept_by_kind_and_never_by_text(capsys):
    """The text of an exception may hold a person's value."""
    Job.queue("load", "a")

    def load(_job):
        raise ValueError("01815012352")

    worker(load=load).run(once=True)
    assert Job.objects.get().problem == "worker.ValueError"
    captured = capsys.readouterr()
    assert "01815012352" not in captured.out + captured.err


def test_a_failed_job_waits_for_staff():
    """It is not tried again by itself."""
    Job.queue("load", "a")
    worker(load=lambda job: job.fail("room.broken")).run(once=True)
    assert Job.objects.get().state == JobState.FAILED
    assert Job.claim(["load"], "one") is None


def test_what_a_silent_worker_held_is_given_back():
    """A worker of another host is given up after its lease."""
    Job.queue("load", "a")
    Job.claim(["load"], "elsewhere:1")
    assert Job.sweep() == 0
    Job.objects.update(heartbeat_at=datetime.now(UTC) - LEASE - timedelta(seconds=1))
    assert Job.sweep() == 1
    assert Job.claim(["load"], "one") is not None


@pytest.mark.parametrize("name", ["{host}:999999999", "helper:{host}:999999999:"])
def test_what_a_dead_worker_of_this_host_held_is_given_back_at_once(name):
    """Its process is gone, so there is no lease to wait for."""
    Job.queue("load", "a")
    Job.claim(["load"], name.format(host=socket.gethostname()))
    assert Job.sweep() == 1


def test_a_worker_that_lost_its_claim_commits_nothing():
    """Whoever comes back from the dead may not finish what another has taken."""
    Job.queue("load", "a")
    mine = Job.claim(["load"], "one")
    Job.objects.update(claimed_by="two")
    with pytest.raises(LostClaimError), transaction.atomic():
        mine.finish()
    assert Job.objects.get().state == JobState.RUNNING


def test_jobs_finished_together_are_all_ours_or_none_is_done():
    """Their results are one transaction: it holds only as long as every job is this worker's."""
    Job.queue_all(("load", "a"), ("load", "b"))
    mine = [Job.claim(["load"], "one"), Job.claim(["load"], "one")]
    Job.objects.filter(subject="b").update(claimed_by="two")
    with pytest.raises(LostClaimError), transaction.atomic():
        Job.finish_all(mine)
    assert set(Job.objects.values_list("state", flat=True)) == {JobState.RUNNING}
    Job.objects.update(claimed_by="one")
    Job.finish_all(mine)
    Job.finish_all([])
    assert set(Job.objects.values_list("state", "claimed_by")) == {(JobState.DONE, "")}


def test_a_step_whose_job_was_taken_over_leaves_the_worker_running():
    """Losing a claim is no failure of the job."""
    Job.queue("load", "a")

    def load(job):
        Job.objects.update(claimed_by="two")
        job.finish()

    worker(load=load).run(once=True)
    assert Job.objects.get().claimed_by == "two"


def test_ticks_run_each_round_and_a_stopped_worker_ends():
    """A worker told to stop does not claim another job."""
    Job.queue("load", "a")
    one = worker(load=lambda job: job.finish())
    one.ticks = (one.stop.set,)
    one.run()
    one.run()
    assert Job.objects.get().state == JobState.DONE


def test_a_living_worker_beats(monkeypatch):
    """A long step keeps its claim."""
    monkeypatch.setattr("ipis.lib.jobs.HEARTBEAT_SECONDS", 0.01)
    Job.queue("load", "a")
    seen = []

    def load(job):
        before = Job.objects.get().heartbeat_at
        job.beat()
        seen.append(Job.objects.get().heartbeat_at > before)
        job.finish()

    worker(load=load).run(once=True)
    assert seen == [True]


@pytest.mark.parametrize("fault", [ZeroDivisionError("01815012352"), TryLater("room.busy")])
def test_a_tick_that_fails_does_not_end_the_worker(fault, capsys):
    """A season pack caught half copied must not stop the work; the fault is told by kind."""
    Job.queue("load", "a")

    def tick():
        raise fault

    one = worker(load=lambda job: job.finish())
    one.ticks = (tick,)
    one.run(once=True)
    assert Job.objects.get().state == JobState.DONE
    captured = capsys.readouterr()
    assert "01815012352" not in captured.out + captured.err


def test_work_that_was_done_can_be_asked_for_again():
    """A step that may have run before is queued anew."""
    Job.queue("load", "a")
    worker(load=lambda job: job.finish()).run(once=True)
    Job.again("load", "a")
    assert Job.claim(["load"], "one").attempt == 1


def test_a_busy_worker_keeps_its_connection_and_sweeps_now_and_then(monkeypatch):
    """Hundreds of jobs in a row must not each open the database anew and ask who has died."""
    for subject in "abcde":
        Job.queue("load", subject)
    told = []
    monkeypatch.setattr(Job, "sweep", classmethod(lambda _cls: told.append("sweep")))
    monkeypatch.setattr("ipis.lib.jobs.close_old_connections", lambda: told.append("close"))
    worker(load=lambda job: job.finish()).run(once=True)
    assert told == ["sweep"]


def test_a_broken_connection_is_closed_before_the_next_job(monkeypatch):
    """What an error has broken is not used again."""
    from django.db import connection

    closed = []
    monkeypatch.setattr(connection, "close_if_unusable_or_obsolete", lambda: closed.append(connection.errors_occurred))
    Job.queue("load", "a")

    def load(job):
        connection.errors_occurred = True
        job.finish()

    worker(load=load).run(once=True)
    connection.errors_occurred = False
    assert closed == [True]
