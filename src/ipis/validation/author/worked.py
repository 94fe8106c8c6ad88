"""The worked examples of many rules judged together: each a delivery, those with the same beside them in one run.

One by one, the examples of a year are a thousand runs; together they are a handful, and each gets the same verdict.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ipis.validation import examples
from ipis.validation.catalogue import Kind
from ipis.validation.run import run_many

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import pyarrow as pa

    from ipis.kernel.collection import Collection
    from ipis.validation.catalogue import Rule
    from ipis.validation.run import Content

_BY_ROWS = frozenset({Kind.EXPRESSION, Kind.LAYOUT})


@dataclass(frozen=True, slots=True)
class Worked:
    """One worked example: its rule, the verdict that it stands under, and which it is of those (from 1)."""

    rule: Rule
    expected: str
    which: int
    example: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Sitting:
    """Examples that one run judges: of one party, with the same code lists and the same nation beside them."""

    collection: Collection
    at: str
    nation: Mapping[str, pa.Table]
    worked: list[Worked] = field(default_factory=list)

    @property
    def contents(self) -> list[Content]:
        """Give the delivery that each example stands for."""
        return [examples.content(self.collection, each.rule, each.example) for each in self.worked]

    @property
    def rules(self) -> frozenset[str]:
        """Give the numbers of the rules whose examples these are."""
        return frozenset(each.rule.id for each in self.worked)


def drawn(rules: Iterable[Rule]) -> Iterator[Worked]:
    """List the examples of the rules that look at rows; what is judged by code has examples of another shape."""
    for rule in rules:
        if rule.kind in _BY_ROWS:
            for expected, rows in rule.examples.items():
                for which, row in enumerate(rows, start=1):
                    yield Worked(rule, expected, which, row)


def sittings(collection: Collection, worked: Iterable[Worked]) -> list[Sitting]:
    """Put examples together that one run can judge."""
    made: dict[tuple[str, str], Sitting] = {}
    for each in worked:
        at = examples.judged_at(each.rule)
        beside = json.dumps([each.example.get("codes"), each.example.get("nation")], sort_keys=True, default=str)
        if (at, beside) not in made:
            lists, nation = examples.beside(collection, each.example)
            own = replace(collection, codes={**collection.codes, **lists}) if lists else collection
            made[at, beside] = Sitting(own, at, nation)
        made[at, beside].worked.append(each)
    return list(made.values())


def verdicts(collection: Collection, rules: Iterable[Rule]) -> Iterator[tuple[Worked, str]]:
    """Judge all examples of some rules; gives what each came to."""
    for sitting in sittings(collection, drawn(rules)):
        reports = run_many(
            sitting.collection, sitting.contents, at=sitting.at, nation=sitting.nation, only=sitting.rules
        )
        for worked, report in zip(sitting.worked, reports, strict=True):
            yield worked, examples.verdict(report, worked.rule.id)
