"""Work that survives a crash: a job is a row, claimed by one conditional UPDATE and swept when its worker falls silent.

What a job does and its result are one transaction of the room; a step that was done twice must give the same.
A batch is many jobs prepared together and finished one by one: each has a transaction of its own, and a bad one spoils
no other. What was tried before is tried alone, so that a job which kills its worker takes no others with it twice.
Leases follow real time, never the business clock.
"""

from __future__ import annotations

import math
import os
import random
import socket
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Generic, Self, TypeVar

from django.db import DatabaseError, close_old_connections, connections, models, transaction

from ipis.kernel.errors import IpisError, TryLater
from ipis.lib.log import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

LEASE = timedelta(seconds=60)
HEARTBEAT_SECONDS = 15.0
SWEEP_SECONDS = 1.0
"""How often a worker looks for jobs of dead ones: with hundreds waiting, not before each."""
_LONGEST_WAIT = timedelta(minutes=5)


class JobState(models.TextChoices):
    """Where a job stands; `failed` waits for staff."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class Job(models.Model):
    """One piece of work on one subject; a room makes it a table by subclassing."""

    kind = models.CharField(max_length=40)
    subject = models.CharField(max_length=120)
    state = models.CharField(max_length=10, choices=JobState.choices, default=JobState.QUEUED)
    claimed_by = models.CharField(max_length=80, default="", blank=True)
    heartbeat_at = models.DateTimeField(null=True)
    attempt = models.PositiveIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True)
    problem = models.CharField(max_length=80, default="", blank=True)
    """The code of the last error; never its text."""

    objects: ClassVar[models.Manager[Self]]

    class Meta:
        """Each room has its own table; one job per kind and subject."""

        abstract = True
        ordering: ClassVar = ["id"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["kind", "subject"], name="%(app_label)s_one_job")]

    @classmethod
    def queue(cls, kind: str, subject: str) -> None:
        """Queue within the caller's transaction; one that stands already is left as it is."""
        cls.queue_all((kind, subject))

    @classmethod
    def queue_all(cls, *jobs: tuple[str, str]) -> None:
        """Queue several (kind, subject) by one statement within the caller's transaction, as `queue` does."""
        # The type checker takes `cls(…)` of a Django model for the class it stands in.
        rows: list[Self] = [cls(kind=kind, subject=subject) for kind, subject in jobs]  # type: ignore[misc]
        cls.objects.bulk_create(rows, ignore_conflicts=True)

    @classmethod
    def again(cls, kind: str, subject: str) -> None:
        """Queue, within the caller's transaction, work that may have been done before."""
        afresh = {"state": JobState.QUEUED, "claimed_by": "", "next_try_at": None, "attempt": 0, "problem": ""}
        cls.objects.update_or_create(kind=kind, subject=subject, defaults=afresh)

    @classmethod
    def claim(cls, kinds: list[str], worker: str) -> Self | None:
        """Take the oldest job that is due, or None; two workers never take the same."""
        for pk in cls._due(kinds)[:20]:
            if cls._take([pk], worker):
                return cls.objects.get(pk=pk)
        return None

    @classmethod
    def claim_more(cls, kind: str, worker: str, most: int) -> list[Self]:
        """Take up to so many further jobs of a kind that are due and were never tried, the oldest first."""
        pks = list(cls._never_tried(kind)[:most])
        if not pks or not cls._take(pks, worker):
            return []
        return list(cls._held(worker).filter(pk__in=pks).order_by("id"))

    @classmethod
    def waiting(cls, kind: str) -> int:
        """Count the jobs of a kind that are due and were never tried."""
        return cls._never_tried(kind).count()

    @classmethod
    def workers(cls, kind: str) -> int:
        """Count the workers that are at work on a kind."""
        return cls.objects.filter(kind=kind, state=JobState.RUNNING).values("claimed_by").distinct().count()

    @classmethod
    def give_back(cls, jobs: Sequence[Self]) -> None:
        """Put jobs that were claimed but never begun back in the queue, as if they had not been claimed."""
        for job in jobs:
            held = cls._held(job.claimed_by).filter(pk=job.pk)
            held.update(state=JobState.QUEUED, claimed_by="", attempt=models.F("attempt") - 1)

    @classmethod
    def _due(cls, kinds: list[str]) -> models.QuerySet[Self, int]:
        due = cls.objects.filter(kind__in=kinds, state=JobState.QUEUED).filter(
            models.Q(next_try_at=None) | models.Q(next_try_at__lte=datetime.now(UTC))
        )
        return due.order_by("id").values_list("pk", flat=True)

    @classmethod
    def _never_tried(cls, kind: str) -> models.QuerySet[Self, int]:
        return cls._due([kind]).filter(attempt=0)

    @classmethod
    def _take(cls, pks: list[int], worker: str) -> int:
        """Claim by one conditional UPDATE: what another worker took meanwhile is left to it."""
        return cls.objects.filter(pk__in=pks, state=JobState.QUEUED).update(
            state=JobState.RUNNING,
            claimed_by=worker,
            heartbeat_at=datetime.now(UTC),
            attempt=models.F("attempt") + 1,
        )

    @classmethod
    def _held(cls, worker: str) -> models.QuerySet[Self]:
        return cls.objects.filter(state=JobState.RUNNING, claimed_by=worker)

    @classmethod
    def sweep(cls) -> int:
        """Give back to the queue what a silent or dead worker held; tells how many jobs.

        A worker of this host that is gone is known at once; one elsewhere is given up after a lease.
        """
        running = cls.objects.filter(state=JobState.RUNNING)
        dead = [name for name in running.values_list("claimed_by", flat=True).distinct() if _is_gone(name)]
        lost = models.Q(heartbeat_at__lt=datetime.now(UTC) - LEASE) | models.Q(claimed_by__in=dead)
        return running.filter(lost).update(state=JobState.QUEUED, claimed_by="")

    def finish(self) -> None:
        """Mark as done, within the transaction that stores the result; a job that was swept away is not ours."""
        self._leave(JobState.DONE)

    @classmethod
    def finish_all(cls, done: Sequence[Self]) -> None:
        """Mark jobs of one worker as done, within the transaction that stores all results, as `finish` does one."""
        if not done:
            return
        held = cls._held(done[0].claimed_by).filter(pk__in=[job.pk for job in done])
        if held.update(state=JobState.DONE, claimed_by="") != len(done):
            raise LostClaimError(done[0].kind, f"one of {len(done)}")

    def fail(self, code: str) -> None:
        """Mark as failed for good, with the error's code."""
        self._leave(JobState.FAILED, problem=code)

    def retry_later(self, code: str) -> None:
        """Put back with a wait that doubles, up to five minutes, and a little chance in it."""
        spread = random.uniform(0.5, 1.0)  # noqa: S311 - spreads retries, guards nothing
        wait = min(_LONGEST_WAIT, timedelta(seconds=2 ** min(self.attempt, 9)) / 2) * spread
        self._leave(JobState.QUEUED, problem=code, next_try_at=datetime.now(UTC) + wait)

    def beat(self) -> None:
        """Tell that the worker lives."""
        type(self).objects.filter(pk=self.pk, claimed_by=self.claimed_by).update(heartbeat_at=datetime.now(UTC))

    def _leave(self, state: JobState, **fields: object) -> None:
        left = (
            type(self)
            .objects.filter(pk=self.pk, state=JobState.RUNNING, claimed_by=self.claimed_by)
            .update(state=state, claimed_by="", **fields)
        )
        if not left:
            raise LostClaimError(self.kind, self.subject)


class LostClaimError(Exception):
    """The job was given to another worker meanwhile; the transaction must roll back."""


J = TypeVar("J", bound=Job)


@dataclass(frozen=True, slots=True)
class Batch(Generic[J]):
    """A step for several jobs of a kind at once.

    `prepare` gives each job with the rest of its step, which calls `job.finish()` in its transaction; it may give them
    one by one as they get ready. What it raises itself is no job's fault: the jobs left are then prepared alone.
    """

    prepare: Callable[[Sequence[J]], Iterable[tuple[J, Callable[[], None]]]]
    most: int
    least: int = 1
    """Beside other workers one takes its share of what waits, but not less than this, as long as there is so much."""

    @classmethod
    def of_each(cls, step: Callable[[J], None], most: int) -> Self:
        """Make a batch of a step that has nothing to prepare: only the claiming is done together."""
        return cls(lambda jobs: ((job, partial(step, job)) for job in jobs), most)


@dataclass
class Worker(Generic[J]):
    """Runs jobs of a table: a kind's step gets the job and calls `job.finish()` in its transaction."""

    jobs: type[J]
    steps: Mapping[str, Callable[[J], None] | Batch[J]]
    ticks: tuple[Callable[[], object], ...] = ()
    """Called each round, for what falls due by the clock: mails, sweeps, events to fetch."""
    poll_seconds: float = 0.25
    stop: threading.Event = field(default_factory=threading.Event)
    name: str = field(default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}")
    _preparing: bool = False

    def end(self, *_: object) -> None:
        """Stop soon: a signal handler. The job at hand is finished; a batch that is being prepared is given back."""
        self.stop.set()
        if self._preparing:
            # Once: what a step tidies up on its way out is not interrupted again.
            self._preparing = False
            raise _ToldToStop

    def run(self, *, once: bool = False) -> None:
        """Work until stopped, or until nothing is due."""
        swept_at = float("-inf")
        while not self.stop.is_set():
            _close_broken_connections()
            if time.monotonic() - swept_at >= SWEEP_SECONDS:
                swept_at = time.monotonic()
                self._run_tick(self.jobs.sweep)
            for tick in self.ticks:
                self._run_tick(tick)
            worked = self.work_one()
            if not worked:
                if once:
                    return
                close_old_connections()
                self.stop.wait(self.poll_seconds)

    def work_one(self) -> bool:
        """Claim and run one job; tells whether there was one."""
        job = self.jobs.claim(list(self.steps), self.name)
        if job is None:
            return False
        step = self.steps[job.kind]
        if not isinstance(step, Batch):
            with _Heartbeat([job]):
                self._run(job, partial(step, job))
            return True
        more = self._more(job, step) if job.attempt == 1 and step.most > 1 else []
        with _Heartbeat([job, *more]):
            self._run_batch([job, *more], step)
        return True

    def _more(self, job: J, step: Batch[J]) -> list[J]:
        """Claim what is prepared together with a job: others of its kind, no more than this worker's share."""
        share = math.ceil((1 + self.jobs.waiting(job.kind)) / max(1, self.jobs.workers(job.kind)))
        return self.jobs.claim_more(job.kind, self.name, min(step.most, max(step.least, share)) - 1)

    def _run_tick(self, tick: Callable[[], object]) -> None:
        """Do what falls due by itself; a fault there, as a season pack caught half copied, must not end the worker."""
        try:
            tick()
        except IpisError as error:
            get_logger().warning("tick waits", code=error.code)
        except Exception as error:  # noqa: BLE001 - as for a job: the kind is logged, never the text
            get_logger().error("tick failed", error=type(error).__name__, where=_where(error))

    def _run_batch(self, jobs: Sequence[J], step: Batch[J]) -> None:
        """Prepare jobs together and finish each; where preparing fails, prepare those that are left alone."""
        left = {job.pk: job for job in jobs}
        try:
            for job, rest in self._prepared(jobs, step):
                del left[job.pk]
                self._run(job, rest)
        except _ToldToStop:
            self.jobs.give_back(list(left.values()))
            return
        except Exception as error:  # noqa: BLE001 - whose fault it is shows when each is tried alone
            if len(jobs) == 1:
                self._run(jobs[0], partial(_raise, error))
                return
            get_logger().warning("batch is taken apart", jobs=len(left), error=type(error).__name__)
        for job in left.values():
            self._run_batch([job], step)

    def _prepared(self, jobs: Sequence[J], step: Batch[J]) -> Iterator[tuple[J, Callable[[], None]]]:
        """Give what a step prepares; until the next is ready nothing is written that a stop could spoil."""
        prepared = iter(step.prepare(jobs))
        while True:
            self._preparing = True
            try:
                # Looked at only now: who is told before does not prepare, and who is told after is interrupted.
                if self.stop.is_set():
                    raise _ToldToStop
                ready = next(prepared, None)
            finally:
                self._preparing = False
            if ready is None:
                return
            yield ready

    def _run(self, job: J, do: Callable[[], None]) -> None:
        log = get_logger().bind(job=job.kind, subject=job.subject, attempt=job.attempt)
        try:
            do()
        except TryLater as error:
            log.info("job waits", code=error.code)
            self._settle(partial(job.retry_later, error.code))
        except LostClaimError:
            log.warning("job was taken over by another worker")
        except Exception as error:  # noqa: BLE001 - a worker outlives any one job; the kind is logged, never the text
            log.error("job failed", error=type(error).__name__, where=_where(error))
            self._settle(partial(job.retry_later, f"worker.{type(error).__name__}"[:80]))

    def _settle(self, settle: Callable[[], None]) -> None:
        try:
            with transaction.atomic():
                settle()
        except LostClaimError:
            get_logger().warning("job was taken over by another worker")


class _Heartbeat:
    """Beats for jobs while their step runs, from a thread of its own; one that has left is beaten for no more."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._jobs = jobs
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _beat(self) -> None:
        from django.db import connection

        beaten = False
        while not self._ended.wait(HEARTBEAT_SECONDS):
            beaten = True
            try:
                for job in self._jobs:
                    job.beat()
            except DatabaseError as error:
                # A database that is busy now is met again at the next beat: four fit into a lease.
                get_logger().warning("beat missed", error=type(error).__name__)
        if beaten:
            connection.close()


class _ToldToStop(BaseException):
    """The worker was told to stop: no error, and no step may take it for one."""


def _raise(error: Exception) -> None:
    raise error


def _close_broken_connections() -> None:
    """Close what an error has broken; a good connection is kept while there is work: SQLite tidies up at each close."""
    for connection in connections.all(initialized_only=True):
        if connection.errors_occurred:
            connection.close_if_unusable_or_obsolete()


def _is_gone(worker: str) -> bool:
    """Tell whether the worker ran on this host and its process has ended; what stands before the host is its role."""
    host, _, pid = worker.rstrip(":").rpartition(":")
    if host.rpartition(":")[2] != socket.gethostname() or not pid.isdigit():
        return False
    return not Path(f"/proc/{pid}").exists() if Path("/proc/self").exists() else False


def _where(error: BaseException) -> str:
    """Name file and line of the failure, since its text may not be logged."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}" if trace else ""
