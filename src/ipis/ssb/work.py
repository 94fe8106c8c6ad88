"""Which process does which work: the intake worker opens data, the feedback worker PINs and contacts.

`ipis ssb work` runs them as processes of their own, so that only the feedback role reads the feedback identity. At a
peak the feedback worker calls helpers: jobs are claimed by one conditional UPDATE, so any number may judge, but one
writes mails.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ipis.kernel.errors import OurFault

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ipis.lib.jobs import Batch, Worker
    from ipis.ssb.register.models import Job
    from ipis.ssb.settings import SsbSettings

_SWEEP_EVERY = timedelta(minutes=10)
_STOP_SECONDS = 8.0
_LOOK_SECONDS = 0.5
_LOADED_TOGETHER = 32


class Role(StrEnum):
    """The workers."""

    INTAKE = "intake"
    """Verifies, opens, joins, loads; posts receipts."""
    FEEDBACK = "feedback"
    """Validates, makes feedback, writes mails, pushes to the portal."""
    HELPER = "helper"
    """Validates and makes feedback beside the feedback worker, at a peak; writes no mail and pushes nothing."""


def run_role(settings: SsbSettings, role: Role, settings_file: Path, *, once: bool) -> None:
    """Work in one role until stopped, or until nothing is due; whom it calls to its side reads the same file."""
    stop = threading.Event()
    _at_signals(lambda *_: stop.set())
    helper = _command(settings_file, Role.HELPER, once=True)
    runs: dict[Role, Callable[[SsbSettings, threading.Event, bool], None]] = {
        Role.INTAKE: _run_intake,
        Role.FEEDBACK: partial(_run_feedback, helper=helper),
        Role.HELPER: _run_helper,
    }
    runs[role](settings, stop, once)


def run_both(settings_file: Path, *, once: bool) -> None:
    """Run the roles as processes of their own; once: both in turn, intake again at last for R4."""
    if once:
        for role in (Role.INTAKE, Role.FEEDBACK, Role.INTAKE):
            _check(subprocess.run(_command(settings_file, role, once=True), check=False).returncode, role)
        return
    roles = (Role.INTAKE, Role.FEEDBACK)
    _wait_for_any([(role, subprocess.Popen(_command(settings_file, role, once=False))) for role in roles])


def _run_intake(settings: SsbSettings, stop: threading.Event, once: bool) -> None:  # noqa: FBT001 - one switch
    from ipis.lib.jobs import Batch, Worker
    from ipis.ssb.intake.children import Children
    from ipis.ssb.intake.load import CLEAR, Loader
    from ipis.ssb.intake.opening import ready
    from ipis.ssb.intake.post import Poster
    from ipis.ssb.intake.receive import LOAD
    from ipis.ssb.keys import intake_keys
    from ipis.ssb.register.kvittering import POST
    from ipis.ssb.register.models import Job

    with Children(memory_bytes=settings.child_memory_mib << 20) as children:
        loader, poster = Loader(settings, intake_keys(settings), children), Poster(settings)
        steps: dict[str, Callable[[Job], None] | Batch[Job]] = {
            LOAD: Batch(loader.load_many, _LOADED_TOGETHER),
            CLEAR: Batch.of_each(loader.clear, _LOADED_TOGETHER),
            POST: poster.post,
        }
        if not once:
            children.run(ready)
        ticks = (_now_and_then(lambda: _sweep(settings)),)
        _work(Worker(jobs=Job, steps=steps, ticks=ticks, stop=stop, name=_claim(Role.INTAKE)), once=once)


def _run_feedback(
    settings: SsbSettings,
    stop: threading.Event,
    once: bool,  # noqa: FBT001 - one switch
    helper: Sequence[str],
) -> None:
    from ipis.lib.jobs import Worker
    from ipis.ssb.feedback import steps as feedback
    from ipis.ssb.feedback.peak import Peak
    from ipis.ssb.intake.mails import MAIL, MailWriter, queue_due
    from ipis.ssb.keys import feedback_keys
    from ipis.ssb.register import outbox
    from ipis.ssb.register.models import Job

    keys, clock = feedback_keys(settings), settings.business_clock()
    steps: dict[str, Callable[[Job], None] | Batch[Job]] = {
        MAIL: MailWriter(settings, keys.identity).write,
        **feedback.steps(settings, keys),
    }
    with Peak(helper, settings.most_helpers) as peak:
        ticks = (
            lambda: queue_due(clock.now()),
            lambda: outbox.deliver(settings, clock),
            *feedback.ticks(settings, keys),
            peak.call,
        )
        worker = Worker(jobs=Job, steps=steps, ticks=ticks, stop=stop, name=_claim(Role.FEEDBACK))
        _work(worker, once=once)
        if once and peak.wait(stop):
            # What the helpers made is pushed in this round too.
            _work(worker, once=True)


def _run_helper(settings: SsbSettings, stop: threading.Event, once: bool) -> None:  # noqa: FBT001 - one switch
    from ipis.lib.jobs import Batch, Worker
    from ipis.ssb.feedback import steps as feedback
    from ipis.ssb.keys import feedback_keys
    from ipis.ssb.register.models import Job

    if once:
        _leave_with_caller()
    steps = {
        kind: step
        for kind, step in feedback.steps(settings, feedback_keys(settings)).items()
        if isinstance(step, Batch)
    }
    _work(Worker(jobs=Job, steps=steps, stop=stop, name=_claim(Role.HELPER)), once=once)


def _leave_with_caller() -> None:
    """Stop, and end soon after, when the process that called this one is gone: nobody else would tell it."""
    caller, waiter = os.getppid(), threading.Event()

    def watch() -> None:
        while os.getppid() == caller:
            waiter.wait(_LOOK_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)
        waiter.wait(_STOP_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _claim(role: Role) -> str:
    """Name this worker, and give back at once what a dead one of the role on this host still holds.

    Without it a job would wait out its lease after a crash; one whose process lives is left alone.
    """
    from ipis.lib.jobs import JobState
    from ipis.ssb.register.models import Job

    host = f"{role.value}:{socket.gethostname()}:"
    for name in Job.objects.filter(state=JobState.RUNNING, claimed_by__startswith=host).values_list(
        "claimed_by", flat=True
    ):
        pid = int(name.removeprefix(host).rstrip(":"))
        if pid == os.getpid() or not Path(f"/proc/{pid}").exists():
            held = Job.objects.filter(state=JobState.RUNNING, claimed_by=name)
            held.update(state=JobState.QUEUED, claimed_by="")
    return f"{host}{os.getpid()}:"


def _at_signals(do: Callable[..., None]) -> None:
    """Do this when told to end."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, do)


def _work(worker: Worker[Job], *, once: bool) -> None:
    _at_signals(worker.end)
    worker.run(once=once)
    if once:
        # What the last job queued by the clock alone, such as a mail just written, leaves in this round too.
        for tick in worker.ticks:
            tick()


def _sweep(settings: SsbSettings) -> None:
    """Delete what no row has claimed (members without a hand-over, files without a row), and what has had its time."""
    from ipis.ssb.intake.models import Forsendelse
    from ipis.ssb.intake.retire import destroy_contacts
    from ipis.ssb.intake.staging import Staging
    from ipis.ssb.packs import packs
    from ipis.ssb.register.models import Delivery
    from ipis.ssb.register.objects import ObjectStore
    from ipis.ssb.register.retire import destroy_lokal

    store = ObjectStore(settings.objects)
    Staging.of(settings).sweep(set(Forsendelse.objects.values_list("forsendelse", flat=True)))
    store.sweep({delivery.folder for delivery in Delivery.objects.all()})
    now = settings.business_clock().now()
    for pack, _ in packs(settings):
        destroy_lokal(pack.collection, store, now)
        destroy_contacts(pack.collection, settings, now)


def _now_and_then(do: Callable[[], object]) -> Callable[[], None]:
    """Make a tick that acts at most every ten minutes of real time."""
    last: list[datetime] = []

    def tick() -> None:
        now = datetime.now(UTC)
        if not last or now - last[-1] > _SWEEP_EVERY:
            last[:] = [now]
            do()

    return tick


def _command(settings_file: Path, role: Role, *, once: bool) -> list[str]:
    # -P: a file in the working folder, called as a module is, would else be run.
    program = [sys.executable, "-P", "-m", "ipis", "ssb", "work"]
    command = [*program, "--settings", str(settings_file), "--only", role.value]
    return [*command, "--once"] if once else command


def _wait_for_any(children: list[tuple[Role, subprocess.Popen[bytes]]]) -> None:
    """Wait until told to stop or until one has ended, then end the others."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    for _, child in children:
        threading.Thread(target=_tell_end, args=(child, ended), daemon=True).start()
    ended.wait()
    codes = [(role, child.poll()) for role, child in children]
    for _, child in children:
        child.terminate()
    for _, child in children:
        try:
            child.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    for role, code in codes:
        if code is not None:
            _check(code, role)


def _tell_end(child: subprocess.Popen[bytes], ended: threading.Event) -> None:
    child.wait()
    ended.set()


def _check(code: int, role: Role) -> None:
    if code:
        raise OurFault("ssb.worker_ended", role=role.value, exit=code)
