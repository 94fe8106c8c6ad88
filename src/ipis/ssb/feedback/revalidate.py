"""A rule changed in mid-collection: stored deliveries are judged again, and new feedback made where a verdict changed.

It is also how staff mend a push that failed: the same files go again, or new ones are made where they are gone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from django.db import transaction

from ipis.kernel.errors import LANGUAGES
from ipis.lib.jobs import JobState
from ipis.ssb.feedback.models import Tilbakemelding
from ipis.ssb.feedback.outgoing import outgoing
from ipis.ssb.feedback.portal import PUSH
from ipis.ssb.packs import pack_of
from ipis.ssb.register.deliveries import FEEDBACK
from ipis.ssb.register.models import Delivery, Job

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ipis.ssb.feedback.judge import Judge, Judged
    from ipis.ssb.settings import SsbSettings


@dataclass(frozen=True, slots=True)
class Revalidator:
    """The feedback worker's step for deliveries that are to be judged again."""

    settings: SsbSettings
    judge: Judge

    def revalidate_many(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Callable[[], None]]]:
        """Judge the deliveries of jobs (subject: the forsendelse) by the rules in place now, a year at a time."""
        found = {one.forsendelse: one for one in Delivery.objects.filter(forsendelse__in=[job.subject for job in jobs])}
        by_year: dict[tuple[str, int], list[Job]] = {}
        for job in jobs:
            its = found[job.subject]
            by_year.setdefault((its.register, its.year), []).append(job)
        for (register, year), group in by_year.items():
            pack, deliveries = pack_of(self.settings, register, year), [found[job.subject] for job in group]
            judged = self.judge.judge_many(deliveries, pack, [LANGUAGES[0]] * len(group))
            for job, one in zip(group, judged, strict=True):
                yield job, partial(self._settle, job, one)

    def _settle(self, job: Job, judged: Judged) -> None:
        """Queue new feedback where the verdict is another than what the newest tilbakemelding told."""
        delivery = judged.delivery
        newest = Tilbakemelding.objects.filter(delivery=delivery).order_by("-revision").first()
        self.judge.kept.keep_staff(delivery, judged.staff)
        with transaction.atomic():
            # Without a first tilbakemelding there is nothing to renew: its own job will judge by the rules in place.
            if newest is not None:
                failed = Job.objects.filter(kind=PUSH, subject=newest.push, state=JobState.FAILED).exists()
                whole = outgoing(self.settings, newest).is_whole
                if newest.verdicts_sha256 != judged.verdicts_sha256 or (failed and not whole):
                    Job.queue(FEEDBACK, f"{delivery.forsendelse}:{newest.revision + 1}")
                elif failed:
                    Job.again(PUSH, newest.push)
            job.finish()
