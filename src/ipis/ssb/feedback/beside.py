"""Which deliveries stand beside those of a run: the sender's delivery before, and last year's – asked for all at once.

The answers are those of `register.deliveries` for each; two statements serve a run of hundreds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from ipis.ssb.register.models import Delivery

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from django.db.models import QuerySet

Sender = tuple[str, str]
"""A municipality and its district."""


@dataclass(frozen=True, slots=True)
class Beside:
    """The deliveries of some senders, of one year and of the year before: by sender in order, each in sequence."""

    this_year: Mapping[Sender, Sequence[Delivery]]
    year_before: Mapping[Sender, Sequence[Delivery]]
    predecessors: Mapping[str, frozenset[str]]

    @classmethod
    def of(cls, deliveries: Sequence[Delivery], predecessors: Mapping[str, Iterable[str]]) -> Self:
        """Look up what stands beside deliveries of one year; `predecessors` are those of each municipality."""
        register, year = deliveries[0].register, deliveries[0].year
        kommuner = {one.kommune for one in deliveries}
        before = kommuner.union(*predecessors.values())
        return cls(
            _by_sender(Delivery.objects.filter(register=register, year=year, kommune__in=kommuner)),
            _by_sender(Delivery.objects.filter(register=register, year=year - 1, kommune__in=before)),
            {kommune: frozenset(its) - {kommune} for kommune, its in predecessors.items()},
        )

    def previous(self, delivery: Delivery) -> Delivery | None:
        """Give the delivery of the same sender and year with the nearest lower sequence, or None."""
        own = self.this_year.get((delivery.kommune, delivery.bydel), ())
        return next((one for one in reversed(own) if one.sequence < delivery.sequence), None)

    def last_years(self, delivery: Delivery) -> list[Delivery]:
        """Give the newest deliveries of the year before by this sender or by the municipalities that became it.

        As they stood when this one was loaded. Predecessors count with all their districts.
        """
        merged = self.predecessors.get(delivery.kommune, frozenset())
        found = []
        for sender, its in self.year_before.items():
            if sender == (delivery.kommune, delivery.bydel) or sender[0] in merged:
                standing = [one for one in its if one.loaded_at < delivery.loaded_at]
                found += standing[-1:]
        return found


def _by_sender(deliveries: QuerySet[Delivery]) -> dict[Sender, list[Delivery]]:
    found: dict[Sender, list[Delivery]] = {}
    for one in deliveries.order_by("kommune", "bydel", "sequence"):
        found.setdefault((one.kommune, one.bydel), []).append(one)
    return found
