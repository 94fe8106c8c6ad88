"""Loads a forsendelse: open and join in a child, store the files durably, then the catalogue row is the commit.

A worker may die anywhere: what it had opened lies in a folder that the next try empties, what it had stored without a
catalogue row is replaced, and row, receipt, jobs and mail are one transaction.
"""

from __future__ import annotations

import shutil
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final

from django.db import transaction

from ipis.kernel.calendar import receipt_instant
from ipis.kernel.collection import ReceiptAfter
from ipis.kernel.errors import IpisError, OurFault, Refused, TryLater
from ipis.kernel.manifest import MANIFEST, Manifest
from ipis.kernel.receipt import Kind
from ipis.lib.storage import Stored, measure
from ipis.ssb import kill
from ipis.ssb.intake.children import OPENED_AT_ONCE
from ipis.ssb.intake.models import Forsendelse, KeyCheck, MailKind, Member
from ipis.ssb.intake.opening import Opened, Task, open_forsendelse
from ipis.ssb.intake.receive import due_mail
from ipis.ssb.intake.staging import Staging
from ipis.ssb.intake.transitions import State, move
from ipis.ssb.keys import AGE_ROLES, INTAKE, LAYER
from ipis.ssb.packs import pack_of
from ipis.ssb.register import kvittering
from ipis.ssb.register.deliveries import FEEDBACK, same_content
from ipis.ssb.register.models import Delivery, Job
from ipis.ssb.register.objects import ObjectStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from ipis.kernel.seasonpack import SeasonPack
    from ipis.ssb.intake.children import Children
    from ipis.ssb.keys import IntakeKeys
    from ipis.ssb.settings import SsbSettings

CLEAR: Final = "clear"
"""The kind of job that deletes what must not outlive R3; its subject is the forsendelse's id."""
KEPT: Final = ("manifest.json", "manifest.json.sig", "contact.age", "R1.json", "R1.json.sig", "R2.json", "R2.json.sig")
"""Members that stay after R3; the contact sealed, until the next season (`intake.retire`)."""
_ACTOR = "intake"
_TRIES = 5
_AHEAD: Final = OPENED_AT_ONCE + 1
"""How many forsendelser are under way ahead of the one that is committed: one in each child, one to the disk."""


@dataclass(frozen=True, slots=True)
class _Stored:
    """A delivery whose files are in place and which counts once its row is written; how many answers it brought."""

    delivery: Delivery
    answers: int


@dataclass(frozen=True, slots=True)
class Loader:
    """The intake worker's steps on one forsendelse."""

    settings: SsbSettings
    keys: IntakeKeys
    children: Children

    def load_many(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Callable[[], None]]]:
        """Load received forsendelser in turn: the next are opened and stored while the one before is committed."""
        named = Forsendelse.objects.filter(forsendelse__in=[job.subject for job in jobs]).prefetch_related("members")
        rows = {row.forsendelse: row for row in named}
        with ThreadPoolExecutor(_AHEAD) as ahead:
            begun: deque[tuple[Job, Callable[[], None]]] = deque()
            for job in jobs:
                begun.append((job, self._begin(job, rows[job.subject], ahead)))
                if len(begun) > _AHEAD:
                    yield begun.popleft()
            yield from begun

    def _begin(self, job: Job, row: Forsendelse, ahead: ThreadPoolExecutor) -> Callable[[], None]:
        """Start opening what a job names; gives the rest of its step, which refuses or holds it or makes it count."""
        if row.state != State.RECEIVED:
            return job.finish
        try:
            pack = pack_of(self.settings, row.register, row.year)
        except TryLater as error:
            return partial(_raise, error)
        members = [
            (member.name, Stored(member.size, member.sha256))
            for member in row.members.all()
            if member.deleted_at is None
        ]
        return partial(self._load, job, row, pack, ahead.submit(self._open_and_store, row, pack, members))

    def _load(self, job: Job, row: Forsendelse, pack: SeasonPack, coming: Future[_Stored | None]) -> None:
        """Load an opened forsendelse, or refuse it whole, or hold it for staff."""
        try:
            stored = coming.result()
        except Refused as error:
            _refuse(row, job, error, self.settings.business_clock().now())
            return
        except OurFault:
            if job.attempt < _TRIES:
                raise
            # Whatever it is, it will not pass by itself: staff look, and the queue goes on.
            _hold(row, job, "intake.unopened")
            return
        # Looked at here and not before: the forsendelse just in front may have been the first of its key.
        if not _key_check_holds(row):
            _hold(row, job, "intake.key_check")
            return
        if stored is None:
            _hold(row, job, "intake.disturbed")
            return
        kill.reach(self.settings, "load:stored")
        self._commit(row, stored.delivery, pack, job, stored.answers)
        kill.reach(self.settings, "load:committed")

    def _open_and_store(
        self, row: Forsendelse, pack: SeasonPack, members: Sequence[tuple[str, Stored]]
    ) -> _Stored | None:
        """Open a forsendelse and put its files in place, durably; None where its members were disturbed. No database.

        Files without a catalogue row are no delivery: what a worker that dies has stored is replaced by the next.
        """
        if not self._stand_as_taken(row, members):
            return None
        out = self._fresh(row, "ut")
        try:
            opened = self._open(row, pack, out, [name for name, _ in members])
        finally:
            shutil.rmtree(self._folder(row, "aapnet"), ignore_errors=True)
        kill.reach(self.settings, "load:opened")
        delivery = _delivery(row, self._manifest(row), opened)
        delivery.objects_sha256 = ObjectStore(self.settings.objects).put(out, delivery.folder)
        return _Stored(delivery, opened.answers)

    def clear(self, job: Job) -> None:
        """Delete data parts and mapping; manifest, signatures, receipts and the sealed contact stay."""
        row = Forsendelse.objects.get(forsendelse=job.subject)
        staging = Staging.of(self.settings)
        for member in _to_delete(row):
            staging.drop(row.forsendelse, member.name)
            kill.reach(self.settings, "clear:half")
        staging.keep_only(row.forsendelse, KEPT)
        for name in ("aapnet", "ut"):
            shutil.rmtree(self._folder(row, name), ignore_errors=True)
        kill.reach(self.settings, "clear:before-commit")
        with transaction.atomic():
            row.members.exclude(name__in=KEPT).filter(deleted_at=None).update(deleted_at=datetime.now(UTC))
            if row.state == State.LOADED:
                move(row, State.CLEARED, actor=_ACTOR)
            job.finish()

    def _stand_as_taken(self, row: Forsendelse, members: Sequence[tuple[str, Stored]]) -> bool:
        """Compare every member with what TPF signed: nothing is opened that changed on our disk since it was taken."""
        staging = Staging.of(self.settings)
        for name, expected in members:
            path = staging.path(row.forsendelse, name)
            if not path.exists() or measure(path) != expected:
                return False
        return True

    def _open(self, row: Forsendelse, pack: SeasonPack, out: Path, members: Sequence[str]) -> Opened:
        task = Task(
            definitions=dict(pack.collection.folder),
            manifest=self._member(row, MANIFEST).read_bytes(),
            members=Staging.of(self.settings).folder(row.forsendelse),
            mapping=tuple(sorted(name for name in members if name.startswith("mapping-"))),
            staging=self._fresh(row, "aapnet"),
            out=out,
            identity_file=self.settings.keys / INTAKE,
            identity_role=AGE_ROLES[INTAKE],
            layer_file=self.settings.keys / LAYER,
            environment=self.settings.environment,
            key_version=row.key_version,
        )
        return self.children.run(open_forsendelse, task)

    def _commit(self, row: Forsendelse, delivery: Delivery, pack: SeasonPack, job: Job, answers: int) -> None:
        """Write the catalogue row with R3, the jobs that follow and the receipt mail, all or nothing."""
        at = self.settings.business_clock().now()
        with transaction.atomic():
            delivery.loaded_at = at
            delivery.same_content_as = same_content(delivery)
            delivery.save(force_insert=True)
            move(row, State.LOADED, actor=_ACTOR, delivery=delivery)
            _pin_key_check(row)
            kvittering.issue(Kind.R3, delivery, key=self.keys.receipt, at=at, details=_details(delivery, answers))
            Job.queue_all((CLEAR, row.forsendelse), (FEEDBACK, row.forsendelse))
            receipt = pack.collection.receipt
            if receipt.after is ReceiptAfter.LOADED:
                due_mail(row, MailKind.KVITTERING, receipt_instant(at, receipt.hour))
            job.finish()
            kill.reach(self.settings, "load:before-commit")

    def _manifest(self, row: Forsendelse) -> Manifest:
        return Manifest.parse(self._member(row, MANIFEST).read_bytes())

    def _member(self, row: Forsendelse, name: str) -> Path:
        return Staging.of(self.settings).path(row.forsendelse, name)

    def _folder(self, row: Forsendelse, name: str) -> Path:
        return self.settings.data / "staging" / f"{row.forsendelse}.{name}"

    def _fresh(self, row: Forsendelse, name: str) -> Path:
        """Give an empty private folder, whatever an earlier try left there."""
        folder = self._folder(row, name)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        return folder


def release(forsendelse: Forsendelse, *, actor: str, key_check: bool) -> None:
    """Let a held forsendelse be loaded after all; `key_check`: its key check value is the right one from now on."""
    with transaction.atomic():
        move(forsendelse, State.RECEIVED, actor=actor)
        if key_check:
            KeyCheck.objects.update_or_create(
                register=forsendelse.register,
                version=forsendelse.key_version,
                defaults={"value": forsendelse.key_check_value},
            )
        Job.again("load", forsendelse.forsendelse)


def _key_check_holds(row: Forsendelse) -> bool:
    """Compare the key check value with the one first seen: another key would split every person in two."""
    known = KeyCheck.objects.filter(register=row.register, version=row.key_version).first()
    return known is None or known.value == row.key_check_value


def _pin_key_check(row: Forsendelse) -> None:
    KeyCheck.objects.get_or_create(
        register=row.register, version=row.key_version, defaults={"value": row.key_check_value}
    )


def _raise(error: Exception) -> None:
    raise error


def _hold(row: Forsendelse, job: Job, code: str) -> None:
    with transaction.atomic():
        move(row, State.HELD, actor=_ACTOR, problem=OurFault(code))
        job.finish()


def _refuse(row: Forsendelse, job: Job, error: IpisError, at: datetime) -> None:
    """Refuse the whole: nothing is loaded, the parts are deleted, the sender is told."""
    with transaction.atomic():
        move(row, State.REFUSED, actor=_ACTOR, problem=error)
        Job.queue(CLEAR, row.forsendelse)
        due_mail(row, MailKind.AVVIST, at)
        job.finish()


def _to_delete(row: Forsendelse) -> Iterator[Member]:
    yield from row.members.exclude(name__in=KEPT).filter(deleted_at=None)


def _delivery(row: Forsendelse, manifest: Manifest, opened: Opened) -> Delivery:
    facts = manifest.facts
    return Delivery(
        register=facts.register,
        year=facts.year,
        kommune=facts.kommune,
        bydel=facts.bydel,
        orgnr=facts.orgnr,
        sequence=facts.sequence,
        forsendelse=facts.forsendelse,
        replaces=facts.replaces or "",
        environment=facts.environment.value,
        phase=row.phase,
        arrived_at=row.arrived_at,
        manifest_sha256=row.manifest_sha256,
        content_sha256=opened.content_sha256,
        pack_version=facts.pack_version,
        program=facts.program,
        sender=facts.sender,
        pin_generation=row.pin_generation,
        key_version=row.key_version,
        rows=opened.rows,
    )


def _details(delivery: Delivery, answers: int) -> dict[str, str | int | None]:
    """Tell in R3 what was loaded: rows of each record type, answers, the sum of the content, nothing of a person."""
    same = delivery.same_content_as
    counts: dict[str, str | int | None] = {f"rows_{name}": count for name, count in delivery.rows.items()}
    return counts | {
        "answers": answers,
        "content_sha256": delivery.content_sha256,
        "same_content_as": same.forsendelse if same else None,
    }
