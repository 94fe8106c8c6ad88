"""SSB's side: intake opens, joins and loads what TPF handed over; the feedback worker judges it and makes the files.

Two processes, as in production, each with its own keys; the hand-over and the push to the portal are left out.
"""

from __future__ import annotations

import resource
import sys
from collections import Counter
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from bench.nation.ground import Ground
from bench.nation.stopwatch import Report, Stopwatch, child_cpu, moment, peaks

if TYPE_CHECKING:
    from ipis.lib.jobs import Worker
    from ipis.ssb.register.models import Job
    from ipis.ssb.settings import SsbSettings

INTAKE = {
    "ipis.ssb.intake.load:Loader._open": "open and join (child)",
    "ipis.ssb.intake.load:Loader._stand_as_taken": "hash members",
    "ipis.ssb.register.objects:ObjectStore.put": "store",
    "ipis.ssb.intake.load:Loader._commit": "rows of the register",
    "ipis.ssb.intake.load:Loader.clear": "delete parts",
    "ipis.lib.jobs:Job.claim": "jobs",
    "ipis.lib.jobs:Job.sweep": "jobs",
    "django.db.backends.base.base:BaseDatabaseWrapper._commit": "database commits",
}
FEEDBACK = {
    "ipis.ssb.feedback.judge:run_many": "rules",
    "ipis.ssb.feedback.judge:apply": "effects",
    "ipis.ssb.feedback.judge:outcomes_of": "effects",
    "ipis.ssb.feedback.judge:RegisterView.supply": "other deliveries' persons",
    "ipis.ssb.feedback.count:_counts": "tables and indicators",
    "ipis.ssb.feedback.count:compare_many": "tables and indicators",
    "ipis.ssb.feedback.count:Counter.count_many": "keep the counts",
    "ipis.ssb.feedback.judge:open_tables": "read the register",
    "ipis.ssb.feedback.judge:Judge._keyed": "read the register",
    "ipis.ssb.feedback.judge:_as_stored": "messages",
    "ipis.ssb.feedback.judge:Judge.judge_many": "judge, rest",
    "ipis.ssb.feedback.judge:Judge.feilliste": "feilliste",
    "ipis.ssb.feedback.make:render_files": "files, rest",
    "ipis.ssb.feedback.package:render_page": "page",
    "ipis.ssb.feedback.package:render_workbook": "workbook",
    "ipis.ssb.feedback.package:write_csv": "csv",
    "ipis.ssb.feedback.make:close_zip": "zip",
    "ipis.ssb.feedback.make:Maker._commit": "store, R4",
    "ipis.lib.jobs:Job.claim": "jobs",
    "ipis.lib.jobs:Job.sweep": "jobs",
    "django.db.backends.base.base:BaseDatabaseWrapper._commit": "database commits",
}


def intake(ground: Ground, settings: SsbSettings) -> Report:
    """Take every forsendelse, then load them."""
    from ipis.lib.jobs import Batch, Worker
    from ipis.ssb.intake.children import Children
    from ipis.ssb.intake.load import CLEAR, Loader
    from ipis.ssb.intake.opening import ready
    from ipis.ssb.intake.receive import LOAD
    from ipis.ssb.keys import intake_keys
    from ipis.ssb.register.models import Job

    began = moment()
    taken = take(ground, settings)
    transfer = moment()[0] - began[0]
    watch = Stopwatch()
    watch.watch(INTAKE)
    with Children(memory_bytes=settings.child_memory_mib << 20) as children:
        loader = Loader(settings, intake_keys(settings), children)
        children.run(ready)
        worker = Worker(jobs=Job, steps={LOAD: Batch(loader.load_many, 32), CLEAR: Batch.of_each(loader.clear, 32)})
        began, before = moment(), child_cpu()
        with watch.stage("rest"):
            work(worker)
        ended, peak = moment(), peaks("ssb intake")
        cpu = ended[1] - began[1] + child_cpu() - before
    facts = {"taken": taken, "hand-over": transfer, "rows": loaded_rows()}
    return Report("ssb-intake", ended[0] - began[0], cpu, peak, dict(watch.spans), facts)


def loaded_rows() -> dict[str, int]:
    """Count what stands in the register, by record type."""
    from ipis.ssb.register.models import Delivery

    rows: Counter[str] = Counter()
    for counted in Delivery.objects.values_list("rows", flat=True):
        rows.update(counted)
    return dict(rows)


def take(ground: Ground, settings: SsbSettings) -> int:
    """Put the members in and hand over, by the functions behind SSB's interface."""
    from ipis.kernel.messages import Forward
    from ipis.ssb.intake import receive
    from ipis.ssb.intake.staging import Staging

    staging, claims, count = Staging.of(settings), receive.RowClaims(), 0
    for folder in sorted(ground.handed_over.iterdir()):
        raw = (folder / "forward.json").read_bytes()
        for member in Forward.parse(raw).members:
            with (folder / member.name).open("rb") as stream:
                staging.put(folder.name, member.name, stream, member.size, member.sha256, claims)
        receive.take(settings, folder.name, raw, (folder / "forward.json.sig").read_bytes())
        count += 1
    return count


def feedback(ground: Ground, settings: SsbSettings) -> Report:
    """Judge and answer all that was loaded, with the helpers that the worker calls at a peak."""
    from ipis.lib.jobs import Worker
    from ipis.ssb.feedback import steps
    from ipis.ssb.feedback.models import Tilbakemelding
    from ipis.ssb.feedback.peak import Peak
    from ipis.ssb.feedback.portal import PUSH
    from ipis.ssb.keys import feedback_keys
    from ipis.ssb.register.models import Job

    own = steps.steps(settings, feedback_keys(settings))
    own.pop(PUSH)
    watch = Stopwatch()
    watch.watch(FEEDBACK)
    worker = Worker(jobs=Job, steps=own)
    options = ("--settings", str(ground.settings("ssb")), "--only", "helper", "--once")
    began = moment()
    with Peak([sys.executable, "-m", "ipis", "ssb", "work", *options], settings.most_helpers) as peak:
        peak.call()
        with watch.stage("rest"):
            work(worker)
        memory = peaks("ssb feedback")
        with watch.stage("wait for helpers"):
            peak.wait(Event())
        with watch.stage("rest"):
            work(worker)
    ended, helped = moment(), resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = ended[1] - began[1] + helped.ru_utime + helped.ru_stime
    facts = {"made": Tilbakemelding.objects.count()}
    return Report("ssb-feedback", ended[0] - began[0], cpu, memory, dict(watch.spans), facts)


def work(worker: Worker[Job]) -> None:
    """Work until nothing is due; a job that fails ends the bench, which measures no retries."""
    from ipis.ssb.register.models import Job

    while worker.work_one():
        problem = Job.objects.exclude(problem="").values_list("kind", "problem").first()
        if problem is not None:
            raise RuntimeError(f"{problem[0]}: {problem[1]}")


def main(role: str, ground: Ground) -> None:
    """Work in one role and tell of it."""
    from ipis.ssb.settings import SsbSettings
    from ipis.ssb.site import configure

    settings = SsbSettings.load(ground.settings("ssb"))
    configure(settings)
    report = {"intake": intake, "feedback": feedback}[role](ground, settings)
    report.save(ground.report(report.name))


if __name__ == "__main__":
    main(sys.argv[3], Ground(Path(sys.argv[1]), int(sys.argv[2])))
