"""The publication indicators of a collection year as typed from `indicators/*.yaml` (docs/spec/tables.md §4)."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ipis.kernel.errors import LANGUAGES
from ipis.kernel.read_once import ReadOnce
from ipis.ssb.tables.conditions import Conditions
from ipis.ssb.tables.measures import KINDS, Aggregate, read_aggregate
from ipis.ssb.tables.reading import Node, Text, read_list

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ipis.kernel.collection import Collection
    from ipis.validation.terms import Term

_NOTHING: Text = dict.fromkeys(LANGUAGES, "")
_FIGURE = {"unit", "decimals", "factor", "numerator", "denominator"}


@dataclass(frozen=True, slots=True)
class Side:
    """One side of an indicator: one number of a record type's rows, under conditions that all hold."""

    record: str
    aggregate: Aggregate
    conditions: tuple[Term, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """A population group: its condition over a record type, and the age groups of its inhabitants."""

    id: str
    label: Text
    record: str
    where: Term
    population: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Indicator:
    """One figure: an indicator, or one group or part of it. A rate by inhabitants names their age groups."""

    id: str
    group: str
    title: Text
    group_label: Text
    unit: Text
    decimals: int
    factor: float
    numerator: Side
    denominator: Side | None
    population: tuple[str, ...]

    @property
    def sides(self) -> tuple[Side, ...]:
        """Give the sides that are counted in the delivery."""
        return (self.numerator,) if self.denominator is None else (self.numerator, self.denominator)


@ReadOnce
def load_indicators(collection: Collection) -> tuple[Indicator, ...]:
    """Give every indicator of the collection, its groups in order; read once for each content of the folder."""
    return tuple(read_indicators(collection, Conditions.of(collection)))


def read_indicators(collection: Collection, conditions: Conditions) -> Iterator[Indicator]:
    """Read every indicator of the folder; raises `DefinitionRefused` with file, line and column."""
    found: dict[str, list[Indicator]] = {}
    for name in sorted(collection.folder):
        if name.startswith("indicators/") and name.endswith(".yaml"):
            for node in read_list(name, collection.folder[name]):
                made = _indicator(node, conditions)
                if made[0].id in found:
                    node.refuse("tables.twice", id=made[0].id)
                found[made[0].id] = made
    for _, made in sorted(found.items()):
        yield from made


def _indicator(node: Node, conditions: Conditions) -> list[Indicator]:
    raw = node.mapping({"id", "title"}, {*_FIGURE, "groups", "parts"})
    if "parts" in raw:
        if len(raw) > 3:
            node.refuse("tables.value", allowed="id, title, parts")
        parts = [item.mapping({"id", "label", "unit", "numerator"}, _FIGURE) for item in raw["parts"].items()]
        return [_figure(raw, part, (), part["id"].text(), part["label"].languages(), conditions) for part in parts]
    for key in ("unit", "numerator"):
        if key not in raw:
            node.refuse("tables.missing", key=key)
    if "groups" not in raw:
        return [_figure(raw, raw, (), "", _NOTHING, conditions)]
    record = _record(raw["numerator"].mapping({"record"}, {*KINDS, "at", "where"})["record"], conditions)
    lists = [[_group(item, record, conditions) for item in part.items()] for part in raw["groups"].items()]
    made = []
    for chosen in itertools.product(*lists):
        label = {language: ", ".join(group.label[language] for group in chosen) for language in LANGUAGES}
        made.append(_figure(raw, raw, chosen, "_".join(group.id for group in chosen), label, conditions))
    return made


def _figure(
    raw: Mapping[str, Node],
    own: Mapping[str, Node],
    groups: tuple[Group, ...],
    group: str,
    group_label: Text,
    conditions: Conditions,
) -> Indicator:
    denominator, population = None, tuple[str, ...]()
    if "denominator" in own:
        below = own["denominator"].mapping((), {"population", "record", *KINDS, "at", "where"})
        if "population" in below:
            own["denominator"].mapping({"population"})
            population = _population(below["population"], conditions)
        else:
            denominator = _side(own["denominator"], conditions, groups)
    for each in groups:
        population = tuple(name for name in population if name in each.population or not each.population)
    return Indicator(
        id=raw["id"].text(),
        group=group,
        title=raw["title"].languages(),
        group_label=group_label,
        unit=own["unit"].languages(),
        decimals=own["decimals"].integer() if "decimals" in own else 0,
        factor=own["factor"].number() if "factor" in own else 1.0,
        numerator=_side(own["numerator"], conditions, groups),
        denominator=denominator,
        population=population,
    )


def _side(node: Node, conditions: Conditions, groups: tuple[Group, ...]) -> Side:
    raw = node.mapping({"record"}, {*KINDS, "at", "where"})
    record = _record(raw["record"], conditions)
    aggregate = read_aggregate(node, raw, record, conditions)
    return Side(record, aggregate, tuple(group.where for group in groups if group.record == record))


def _record(node: Node, conditions: Conditions) -> str:
    name = node.text()
    if name not in conditions.collection.layout.records:
        node.refuse("rules.record", record=name)
    return name


def _group(node: Node, record: str, conditions: Conditions) -> Group:
    raw = node.mapping({"id", "label", "where"}, {"population"})
    population = _population(raw["population"], conditions) if "population" in raw else ()
    where = conditions.condition(raw["where"], record)
    return Group(raw["id"].text(), raw["label"].languages(), record, where, population)


def _population(node: Node, conditions: Conditions) -> tuple[str, ...]:
    known = conditions.collection.population.groups
    names = node.words()
    if not names or not set(names) <= set(known):
        node.refuse("tables.value", allowed=", ".join(known))
    return names
