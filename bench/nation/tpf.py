"""TPF's side: the worker takes every parcel in, pseudonymises it, deletes identities and signs the hand-over.

Sockets and mails are left out; what a municipality uploads is staged by the function that the upload calls, before the
clock runs. What SSB is handed is laid out in files at the end.
"""

from __future__ import annotations

import hashlib
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from bench.nation.ground import Ground
from bench.nation.stopwatch import Report, Stopwatch, moment, peaks

if TYPE_CHECKING:
    from ipis.tpf.settings import TpfSettings

ASKED_FOR = ("open identity parts", "judge and pseudonymise", "seal mapping", "sign")
"""The stages that the target names; the others are what a durable queue adds."""

STAGES = {
    "ipis.tpf.accept:each": "unpack and verify",
    "ipis.tpf.accept:make_folders": "unpack and verify",
    "ipis.tpf.accept:remove_staged": "unpack and verify",
    "ipis.tpf.accept:_arriving": "rows",
    "ipis.tpf.accept:_commit": "rows",
    "ipis.tpf.mapping:_open": "open identity parts",
    "ipis.tpf.mapping:Pseudonymiser.load": "judge and pseudonymise",
    "ipis.tpf.mapping:_map": "judge and pseudonymise",
    "ipis.tpf.mapping:quota.marks": "quota",
    "ipis.tpf.mapping:quota.Tally.__init__": "quota",
    "ipis.tpf.mapping:quota.Tally.admits": "quota",
    "ipis.tpf.mapping:_seal": "seal mapping",
    "ipis.tpf.mapping:_keep": "rows",
    "ipis.tpf.signing:ReceiptSigner.issue": "rows of receipts",
    "ipis.tpf.signing:sign": "sign",
    "ipis.kernel.signature:SigningKey.sign": "sign",
    "ipis.tpf.erase:write_forward": "rows of the hand-over",
    "ipis.tpf.erase:_delete_identities": "delete identities",
    "ipis.lib.jobs:Job.claim": "jobs",
    "ipis.lib.jobs:Job.claim_more": "jobs",
    "ipis.lib.jobs:Job.sweep": "jobs",
    "ipis.lib.jobs:Job.finish_all": "jobs",
    "django.db.backends.base.base:BaseDatabaseWrapper._commit": "database commits",
}


def main(ground: Ground) -> None:
    """Stage the uploads, let the worker work, and tell of it."""
    from ipis.tpf.settings import TpfSettings
    from ipis.tpf.site import configure

    settings = TpfSettings.load(ground.settings("tpf"))
    configure(settings)
    from ipis.tpf.bench import Bench
    from ipis.tpf.models import Step
    from ipis.tpf.worker import make_worker

    stage_uploads(ground, settings)
    worker = make_worker(Bench.open(settings))
    worker.ticks = ()
    worker.steps = {kind: step for kind, step in worker.steps.items() if kind not in (Step.FORWARD, Step.CLEAR)}
    watch = Stopwatch()
    watch.watch(STAGES)
    began = moment()
    with watch.stage("rest"):
        worker.run(once=True)
    ended = moment()
    Report(
        name="tpf",
        wall=ended[0] - began[0],
        cpu=ended[1] - began[1],
        peak=peaks("tpf"),
        stages=dict(watch.spans),
        facts={"states": hand_over(ground, settings)},
    ).save(ground.report("tpf"))


def stage_uploads(ground: Ground, settings: TpfSettings) -> None:
    """Enrol the municipalities, and stage their files as the upload does, each with its job."""
    from argon2 import PasswordHasher

    from ipis.kernel.demo import demo_address, demo_orgnr, demo_pin
    from ipis.kernel.secret import Secret
    from ipis.tpf.desk import Desk
    from ipis.tpf.enrolment import Login, enrol
    from ipis.tpf.models import Enrolment, Session
    from ipis.tpf.receive import Chunk, append, begin

    desk = Desk.open(settings)
    # Enrolling is staff's work of the autumn: its PIN hashes need not cost 64 MiB each here.
    desk.pins._argon2 = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)  # noqa: SLF001
    for place in ground.places():
        home, kommune, bydel = ground.parcels / place, place[:4], place[4:]
        parcel = home / f"{place}.forsendelse"
        answers = desk.season.current().collection.successors.get(kommune, kommune)
        login = Login(kommune, bydel, ground.year)
        enrol(login, demo_orgnr(answers), Secret(demo_pin(answers)), demo_address(answers), desk.pins)
        enrolment = Enrolment.objects.get(kommune=kommune, bydel=bydel, year=ground.year)
        session = Session(
            enrolment=enrolment,
            device_key=(home / "sender.pub").read_text(encoding="ascii"),
            pin_generation=enrolment.pin_generation,
        )
        content = parcel.read_bytes()
        upload = begin(session, len(content), hashlib.sha256(content).hexdigest(), desk)
        with parcel.open("rb") as stream:
            append(upload, Chunk(0, len(content), stream), session, desk)


def hand_over(ground: Ground, settings: TpfSettings) -> dict[str, int]:
    """Lay out what the forward step would send; counts the parcels by state."""
    from ipis.tpf.accept import folder
    from ipis.tpf.forward import _receipts
    from ipis.tpf.models import Forsendelse
    from ipis.tpf.transitions import ParcelState

    for parcel in Forsendelse.objects.filter(state=ParcelState.ERASED):
        out = ground.handed_over / parcel.identifier
        out.mkdir(parents=True)
        for path in folder(settings, parcel).iterdir():
            (out / path.name).hardlink_to(path)
        files = _receipts(parcel)
        files |= {"forward.json": bytes(parcel.forward or b""), "forward.json.sig": parcel.forward_signature.encode()}
        for name, content in files.items():
            (out / name).write_bytes(content)
    return dict(Counter(Forsendelse.objects.values_list("state", flat=True)))


if __name__ == "__main__":
    main(Ground(Path(sys.argv[1]), int(sys.argv[2])))
