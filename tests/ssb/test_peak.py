"""Helpers at a peak: called when a start is worth it, gone when nothing is due, never left behind."""

import os
import select
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
import time_machine
from structlog.testing import capture_logs
from tests.ssb.feedback_room import due_now, jobs

from ipis.lib.jobs import JobState

WORKS_ON = [sys.executable, "-c", "import signal; signal.pause()"]
NOTHING_DUE = ["true"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True)\nwhile True: signal.pause()",
]


def queue(count, kind="feedback"):
    """So many jobs that wait."""
    from ipis.ssb.register.models import Job

    Job.queue_all(*((kind, f"{place:032x}") for place in range(count)))


@pytest.fixture
def called(monkeypatch):
    """The helpers that are called, each with its process."""
    found, popen = [], subprocess.Popen

    def note(*arguments, **more):
        found.append(popen(*arguments, **more))
        return found[-1]

    monkeypatch.setattr(subprocess, "Popen", note)
    yield found
    for helper in found:
        helper.kill()
        helper.wait()


@pytest.mark.parametrize(
    ("waiting", "most", "expected"), [(1, 3, 0), (191, 3, 0), (192, 3, 1), (500, 3, 3), (500, 0, 0)]
)
def test_as_many_are_called_as_what_waits_is_worth(room, called, waiting, most, expected):
    from ipis.ssb.feedback.peak import Peak

    queue(waiting)
    with Peak(WORKS_ON, most) as peak:
        peak.call()
        peak.call()
        assert len(called) == expected
    assert all(helper.returncode == -signal.SIGTERM for helper in called)


def test_what_is_at_work_or_waits_for_its_time_calls_nobody(room, called):
    from ipis.ssb.feedback.peak import Peak
    from ipis.ssb.register.models import Job

    queue(500)
    Job.objects.filter(pk__in=Job.objects.order_by("id").values_list("pk", flat=True)[:400]).update(
        state=JobState.RUNNING
    )
    with Peak(WORKS_ON, 3) as peak:
        peak.call()
    assert called == []


def test_those_that_have_left_are_called_again_when_more_comes(room, called):
    from ipis.ssb.feedback.peak import Peak

    queue(500)
    with Peak(NOTHING_DUE, 1) as peak:
        peak.call()
        assert peak.wait(threading.Event())
        peak.call()
        assert not any(helper.returncode for helper in called)
    assert len(called) == 2


def test_one_that_fails_is_told_of_and_not_called_again(room, called):
    from ipis.ssb.feedback.peak import Peak

    queue(500)
    with capture_logs() as told, Peak(["false"], 2) as peak:
        for _ in range(3):
            peak.call()
            peak.wait(threading.Event())
    assert len(called) == 2
    assert [line["code"] for line in told if line["event"] == "helper failed"] == [1, 1]


def test_waiting_ends_when_the_worker_is_told_to_stop(room, called):
    from ipis.ssb.feedback.peak import Peak

    queue(500)
    stop = threading.Event()
    stop.set()
    with Peak(WORKS_ON, 1) as peak:
        peak.call()
        assert peak.wait(stop)
        assert called[0].poll() is None
    assert called[0].returncode == -signal.SIGTERM


def test_a_helper_that_does_not_leave_is_ended(room, called, monkeypatch):
    from ipis.ssb.feedback import peak as room_peak

    monkeypatch.setattr(room_peak, "_LEAVE_SECONDS", 0.2)
    queue(500)
    stubborn = subprocess.Popen(STUBBORN, stdout=subprocess.PIPE)
    with stubborn.stdout:
        assert stubborn.stdout.readline() == b"\n"
    with room_peak.Peak(WORKS_ON, 1) as peak:
        peak._helpers.append(stubborn)
    assert stubborn.returncode == -signal.SIGKILL


def test_what_helpers_made_is_pushed_in_the_same_round(room, monkeypatch):
    """Worked once, the worker waits for its helpers and looks again."""
    from ipis.ssb.feedback.peak import Peak
    from ipis.ssb.work import _run_feedback

    waited = []

    def wait(_peak, _stop):
        waited.append([state for _, state, _ in jobs("feedback")])
        due_now()
        return True

    monkeypatch.setattr(Peak, "wait", wait)
    queue(1)
    # Time stands: what fails is not due again by itself, however long a round takes.
    with time_machine.travel(datetime.now(UTC), tick=False):
        _run_feedback(room, threading.Event(), True, NOTHING_DUE)
    from ipis.ssb.register.models import Job

    assert waited == [["queued"]]
    assert Job.objects.get(kind="feedback").attempt == 2


@pytest.mark.parametrize("heeds", [True, False])
def test_a_helper_whose_worker_is_killed_leaves_too(tmp_path, heeds):
    """It sees that its parent is another; one that does not heed the stop is ended soon after."""
    helper = tmp_path / "helper.py"
    helper.write_text(
        "import signal, threading\n"
        "from ipis.ssb import work\n"
        "work._LOOK_SECONDS, work._STOP_SECONDS = 0.05, 60.0 if HEEDS else 0.2\n"
        "told = threading.Event()\n"
        "signal.signal(signal.SIGTERM, (lambda *_: told.set()) if HEEDS else signal.SIG_IGN)\n"
        "work._leave_with_caller()\n"
        "print('ready', flush=True)\n"
        "while not told.wait(0.05): pass\n".replace("HEEDS", str(heeds)),
        encoding="utf-8",
    )
    call = f"import subprocess, sys; subprocess.run([sys.executable, {str(helper)!r}], check=True)"
    caller = subprocess.Popen([sys.executable, "-c", call], stdout=subprocess.PIPE, text=True)
    with caller.stdout:
        assert caller.stdout.readline() == "ready\n"
    (pid,) = Path(f"/proc/{caller.pid}/task/{caller.pid}/children").read_text(encoding="ascii").split()
    helper_process = os.pidfd_open(int(pid))
    try:
        caller.kill()
        caller.wait()
        left, _, _ = select.select([helper_process], [], [], 120)
    finally:
        os.close(helper_process)
    assert left


def test_without_a_number_there_is_a_helper_for_each_further_core(room, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 2, 5})
    assert room.most_helpers == 2
    assert room.model_copy(update={"helpers": 0}).most_helpers == 0
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0})
    assert room.most_helpers == 0
