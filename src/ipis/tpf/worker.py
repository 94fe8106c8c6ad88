"""The worker: its steps by name, and what falls due by the clock. It alone reads TPF's private keys."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Final

from django.db import transaction
from django.db.models import F

from ipis.kernel.errors import TryLater
from ipis.lib.jobs import Batch, LostClaimError, Worker
from ipis.lib.log import get_logger
from ipis.lib.mail import MailServer
from ipis.tpf import login, quota, receive
from ipis.tpf.accept import receive_step
from ipis.tpf.arrival import sweep_folders
from ipis.tpf.erase import clear_step, end_overdue, erase_step
from ipis.tpf.forward import forward_step
from ipis.tpf.mapping import pseudonymise_step
from ipis.tpf.models import Job, Outbox, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ipis.tpf.bench import Bench

TOGETHER: Final[dict[Step, Callable[[Sequence[Job], Bench], Iterator[Job]]]] = {
    Step.RECEIVE: receive_step,
    Step.PSEUDONYMISE: pseudonymise_step,
    Step.ERASE: erase_step,
}
"""What is done with uploads and then with their forsendelser, in this order: several at once, each given when done."""

ALONE: Final[dict[Step, Callable[[Job, Bench], None]]] = {
    Step.FORWARD: forward_step,
    Step.CLEAR: clear_step,
}
"""What follows for each by itself: how long SSB takes must hold up no other."""

_MOST_TOGETHER: Final = 32

MOST_FAULTS: Final = 20
"""Over half an hour of tries, longer than a full disk or a locked database should last unseen."""

_HOUSEKEEPING_SECONDS: Final = 60.0


def make_worker(bench: Bench) -> Worker[Job]:
    """Put the worker together; it polls often, since an upload's answer waits for it."""
    return Worker(
        jobs=Job,
        steps={
            **{kind.value: Batch(partial(_run_many, step, bench), _MOST_TOGETHER) for kind, step in TOGETHER.items()},
            **{kind.value: partial(_run, step, bench) for kind, step in ALONE.items()},
        },
        ticks=(partial(deliver_mail, bench), Housekeeping(bench)),
        poll_seconds=0.1,
    )


def deliver_mail(bench: Bench) -> None:
    """Hand over the mails that are due."""
    settings = bench.settings
    server = MailServer(settings.smtp_host, settings.smtp_port, settings.mail_from or "tpf@localhost")
    Outbox.deliver_due(server, bench.clock)


class Housekeeping:
    """Deletes what is over, once a minute and at start."""

    def __init__(self, bench: Bench) -> None:
        """Take the bench."""
        self._bench = bench
        self._last = float("-inf")

    def __call__(self) -> None:
        """Run when a minute has passed."""
        if time.monotonic() - self._last < _HOUSEKEEPING_SECONDS:
            return
        self._last = time.monotonic()
        login.sweep()
        receive.expire_abandoned(self._bench.settings)
        sweep_folders(self._bench.settings)
        try:
            end_overdue(self._bench)
            quota.destroy_when_over(self._bench)
        except TryLater:
            # No season pack yet: nothing can be overdue.
            return


def _run_many(
    step: Callable[[Sequence[Job], Bench], Iterator[Job]], bench: Bench, jobs: Sequence[Job]
) -> Iterator[tuple[Job, Callable[[], None]]]:
    """Do jobs together and give each as it is done; a fault is raised, and nobody's until each has been tried alone."""
    if len(jobs) == 1:
        yield jobs[0], partial(_run, partial(_run_through, step), bench, jobs[0])
        return
    for job in step(jobs, bench):
        yield job, _nothing_left


def _run_through(step: Callable[[Sequence[Job], Bench], Iterator[Job]], job: Job, bench: Bench) -> None:
    for _ in step([job], bench):
        pass


def _nothing_left() -> None:
    """Do the rest of a job that is done."""


def _run(step: Callable[[Job, Bench], None], bench: Bench, job: Job) -> None:
    """Do a step; one that nobody foresaw failing is tried so often and then waits for staff."""
    try:
        step(job, bench)
    except (TryLater, LostClaimError):
        raise
    except Exception as error:
        Job.objects.filter(pk=job.pk).update(faults=F("faults") + 1)
        if job.faults + 1 >= MOST_FAULTS:
            with transaction.atomic():
                job.fail(f"worker.{type(error).__name__}"[:80])
            get_logger().error("job waits for staff", job=job.kind, subject=job.subject, error=type(error).__name__)
            return
        raise
