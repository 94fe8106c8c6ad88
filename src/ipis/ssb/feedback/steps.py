"""What the feedback worker does for this room: which jobs, and what falls due by itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from ipis.lib.jobs import Batch
from ipis.ssb.feedback import make, portal
from ipis.ssb.feedback.judge import Judge
from ipis.ssb.feedback.revalidate import Revalidator
from ipis.ssb.register.deliveries import FEEDBACK, REVALIDATE

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipis.ssb.keys import FeedbackKeys
    from ipis.ssb.register.models import Job
    from ipis.ssb.settings import SsbSettings

TOGETHER = 128
"""Deliveries judged in one run at most: the start of a run is shared, and memory stays bounded."""
_ALONE = 16
"""Deliveries that are not parted among workers: so many cost as much as the start of a run."""
_EVENTS_EVERY = timedelta(seconds=5)
_SWEEP_EVERY = timedelta(minutes=10)


def steps(settings: SsbSettings, keys: FeedbackKeys) -> dict[str, Callable[[Job], None] | Batch[Job]]:
    """Give the step of each kind of job."""
    judge = Judge(settings, keys.identity)
    return {
        FEEDBACK: Batch(make.Maker(settings, keys, judge).make_many, TOGETHER, _ALONE),
        REVALIDATE: Batch(Revalidator(settings, judge).revalidate_many, TOGETHER, _ALONE),
        portal.PUSH: partial(portal.push, settings=settings, key=keys.push),
    }


def ticks(settings: SsbSettings, keys: FeedbackKeys) -> tuple[Callable[[], object], ...]:
    """Give what is done now and then: wake what a date held back, read the portal's events, sweep what no row names."""
    return (
        partial(make.release, settings),
        _every(_EVENTS_EVERY, partial(portal.read_events, settings, keys.push)),
        _every(_SWEEP_EVERY, partial(make.sweep, settings)),
    )


def _every(wait: timedelta, do: Callable[[], object]) -> Callable[[], None]:
    """Make a tick that acts when so much real time has passed, and not at once: a start should reach its jobs."""
    last = [datetime.now(UTC)]

    def tick() -> None:
        if datetime.now(UTC) - last[0] > wait:
            last[0] = datetime.now(UTC)
            do()

    return tick
