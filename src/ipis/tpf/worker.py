"""The worker: its steps by name, and what falls due by the clock. It alone reads TPF's private keys."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Final

from django.db import transaction
from django.db.models import F

from ipis.kernel.errors import TryLater
from ipis.lib.jobs import LostClaimError, Worker
from ipis.lib.log import get_logger
from ipis.lib.mail import MailServer
from ipis.tpf import login, quota, receive
from ipis.tpf.accept import receive_step, sweep_folders
from ipis.tpf.erase import clear_step, end_overdue, erase_step
from ipis.tpf.forward import forward_step
from ipis.tpf.mapping import pseudonymise_step
from ipis.tpf.models import Job, Outbox, Step

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipis.tpf.bench import Bench

STEPS: Final[dict[Step, Callable[[Job, Bench], None]]] = {
    Step.RECEIVE: receive_step,
    Step.PSEUDONYMISE: pseudonymise_step,
    Step.ERASE: erase_step,
    Step.FORWARD: forward_step,
    Step.CLEAR: clear_step,
}
"""What is done with an upload and then with its forsendelse, in this order."""

MOST_FAULTS: Final = 20
"""Over half an hour of tries, longer than a full disk or a locked database should last unseen."""

_HOUSEKEEPING_SECONDS: Final = 60.0


def make_worker(bench: Bench) -> Worker[Job]:
    """Put the worker together; it polls often, since an upload's answer waits for it."""
    return Worker(
        jobs=Job,
        steps={kind.value: partial(_run, step, bench) for kind, step in STEPS.items()},
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
