"""Which deliveries stand beside those of a run: the sender's delivery before, and last year's – asked for all at once.

Two statements serve a run of one and of hundreds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ipis.ssb.register.models import Delivery

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from django.db.models import QuerySet

_BySender = dict[tuple[str, str], list[Delivery]]
"""Deliveries of a year by municipality and district, in order; those of each in sequence."""


@dataclass(frozen=True, slots=True)
class Beside:
    """What stands beside one delivery."""

    previous: Delivery | None
    """The delivery of the same sender and year with the nearest lower sequence."""
    last_years: Sequence[Delivery]
    """The newest of the year before, of the same sender and of each district of its predecessors.

    As they stood when this one was loaded.
    """
    predecessors: frozenset[str]
    """The municipalities that became this one since the year before."""


def beside_many(deliveries: Sequence[Delivery], successors: Mapping[str, str]) -> list[Beside]:
    """Look up what stands beside deliveries of one year; `successors` are those of the municipalities of last year."""
    if not deliveries:
        return []
    register, year = deliveries[0].register, deliveries[0].year
    merged = {
        kommune: frozenset(old for old, new in successors.items() if kommune == new != old)
        for kommune in {one.kommune for one in deliveries}
    }
    this_year = _by_sender(Delivery.objects.filter(register=register, year=year, kommune__in=merged.keys()))
    asked = merged.keys() | frozenset().union(*merged.values())
    year_before = _by_sender(Delivery.objects.filter(register=register, year=year - 1, kommune__in=asked))
    return [
        Beside(_previous(one, this_year), _last_years(one, year_before, merged[one.kommune]), merged[one.kommune])
        for one in deliveries
    ]


def _by_sender(deliveries: QuerySet[Delivery]) -> _BySender:
    found: _BySender = {}
    for one in deliveries.order_by("kommune", "bydel", "sequence"):
        found.setdefault((one.kommune, one.bydel), []).append(one)
    return found


def _previous(delivery: Delivery, this_year: _BySender) -> Delivery | None:
    own = this_year.get((delivery.kommune, delivery.bydel), [])
    return next((one for one in reversed(own) if one.sequence < delivery.sequence), None)


def _last_years(delivery: Delivery, year_before: _BySender, predecessors: frozenset[str]) -> list[Delivery]:
    found = []
    for sender, its in year_before.items():
        if sender == (delivery.kommune, delivery.bydel) or sender[0] in predecessors:
            standing = [one for one in its if one.loaded_at < delivery.loaded_at]
            found += standing[-1:]
    return found
