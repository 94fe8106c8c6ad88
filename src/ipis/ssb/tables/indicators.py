"""The publication indicators of one's own municipality: what would be published if this delivery were final.

All deliveries are counted in one query for each record type. Suppression of small numbers belongs to publication.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ipis.ssb.tables.batch import batch
from ipis.ssb.tables.compute import cells_of
from ipis.ssb.tables.conditions import names_in
from ipis.ssb.tables.definition import load_tables
from ipis.ssb.tables.indicator_definition import load_indicators
from ipis.ssb.tables.inhabitants import Inhabitants
from ipis.ssb.tables.query import UNIT, numbers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

    from ipis.kernel.collection import Collection
    from ipis.ssb.tables.batch import Batch, Counted
    from ipis.ssb.tables.indicator_definition import Indicator, Side
    from ipis.ssb.tables.inhabitants import Place
    from ipis.ssb.tables.reading import Text
    from ipis.validation.catalogue import Rule

NOBODY = "nobody"
"""Why a rate is empty: the denominator is 0 (see `inhabitants` for the others)."""


@dataclass(frozen=True, slots=True)
class Figure:
    """An indicator of one unit: value, and what it is made of; `reason` says why there is no value."""

    value: float | None
    numerator: float | None
    denominator: float | None
    reason: str | None


Figures = dict[tuple[str, str], Figure]
"""The figures of one unit by indicator and group."""


@dataclass(frozen=True, slots=True)
class IndicatorResult:
    """One indicator of one delivery, or of one population group of it; None where there is no figure."""

    id: str
    group: str
    """The group's code; empty: the indicator has none."""
    title: Text
    group_label: Text
    unit: Text
    decimals: int
    value: float | None
    numerator: float | None
    denominator: float | None
    if_corrected: float | None
    """The value as if rows left out and fields emptied by open findings counted as they stand."""
    open_findings: int
    last_year: float | None
    nation: float | None
    reason: str | None
    """Why there is no value: no_population, nobody, bydel; None where there is one."""


def figures_many(
    collection: Collection, counted: Sequence[Counted], places: Sequence[Place], *, units: Sequence[int] | None = None
) -> list[Figures]:
    """Count every indicator of many deliveries; `places[i]` is the municipality and district of delivery i.

    `units[i]` is the unit of delivery i (default: each its own): its inhabitants are those of its municipalities.
    """
    of = list(range(len(counted))) if units is None else list(units)
    with batch(collection, counted, _wanted(collection), of) as rows:
        return _figures(collection, rows, places, of)


def count_many(
    collection: Collection, counted: Sequence[Counted], places: Sequence[Place], *, units: Sequence[int] | None = None
) -> list[tuple[pa.Table, Figures]]:
    """Count tables and indicators of many deliveries at once: for each unit its CELLS and its figures.

    The same as `compute_many` and `figures_many`, but the relations are set up once.
    """
    of = list(range(len(counted))) if units is None else list(units)
    tables = load_tables(collection)
    wanted = {column for table in tables for column in table.columns()} | _wanted(collection)
    with batch(collection, counted, wanted, of) as rows:
        cells = cells_of(tables, rows)
        return list(zip(cells, _figures(collection, rows, places, of), strict=True))


def _wanted(collection: Collection) -> set[tuple[str, str]]:
    sides = [side for indicator in load_indicators(collection) for side in indicator.sides]
    return {(side.record, name) for side in sides for name in _columns(side)}


def _figures(collection: Collection, rows: Batch, places: Sequence[Place], of: Sequence[int]) -> list[Figures]:
    indicators = load_indicators(collection)
    sides = [side for indicator in indicators for side in indicator.sides]
    found = {id(side): numbers_of for side, numbers_of in zip(sides, _numbers(sides, rows), strict=True)}
    inhabitants = Inhabitants(collection, places, of)
    return [
        {(each.id, each.group): _figure(each, found, inhabitants, unit) for each in indicators}
        for unit in range(rows.units)
    ]


def results(
    collection: Collection,
    this: Figures,
    *,
    uncorrected: Figures | None = None,
    last_year: Figures | None = None,
    nation: Mapping[tuple[str, str], float | None] | None = None,
    open_findings: Mapping[str, int] | None = None,
    rules: Mapping[str, Rule] | None = None,
) -> tuple[IndicatorResult, ...]:
    """Put one delivery's figures beside what they would be uncorrected, last year's and the nation's.

    `uncorrected` are the figures of the tables before the effects; `open_findings` counts findings by rule.
    """
    touching = _touching(open_findings or {}, rules or {})
    made = []
    for each in load_indicators(collection):
        key = (each.id, each.group)
        figure = this[key]
        beside, before = (uncorrected or {}).get(key), (last_year or {}).get(key)
        made.append(
            IndicatorResult(
                id=each.id,
                group=each.group,
                title=each.title,
                group_label=each.group_label,
                unit=each.unit,
                decimals=each.decimals,
                value=figure.value,
                numerator=figure.numerator,
                denominator=figure.denominator,
                if_corrected=None if beside is None else beside.value,
                open_findings=touching.get(each.id, 0),
                last_year=None if before is None else before.value,
                nation=(nation or {}).get(key),
                reason=figure.reason,
            )
        )
    return tuple(made)


def _touching(open_findings: Mapping[str, int], rules: Mapping[str, Rule]) -> dict[str, int]:
    """Count the open findings of the rules that name each indicator."""
    found: dict[str, int] = {}
    for rule, count in open_findings.items():
        for indicator in rules[rule].indicators if rule in rules else ():
            found[indicator] = found.get(indicator, 0) + count
    return found


def _columns(side: Side) -> list[str]:
    return [*side.aggregate.columns(), *names_in(*side.conditions)]


def _numbers(sides: Sequence[Side], rows: Batch) -> list[dict[int, float | None]]:
    """Count the sides, one query a record type; gives unit -> number for each side, in order."""
    found: list[dict[int, float | None]] = [{} for _ in sides]
    for record in dict.fromkeys(side.record for side in sides):
        places = [place for place, side in enumerate(sides) if side.record == record]
        aggregates = [(sides[place].aggregate, sides[place].conditions) for place in places]
        answer = rows.query(numbers(aggregates, *rows.of(record)))
        units = answer[UNIT].to_pylist()
        for number, place in enumerate(places):
            found[place] = dict(zip(units, answer[f"m{number}"].to_pylist(), strict=True))
    return found


def _figure(
    indicator: Indicator, found: Mapping[int, Mapping[int, float | None]], inhabitants: Inhabitants, unit: int
) -> Figure:
    """Make a unit's figure of what was found: side (by its id) -> unit -> number."""
    side = indicator.numerator
    numerator = found[id(side)].get(unit)
    if numerator is None and side.aggregate.counts:
        numerator = 0.0
    if indicator.population:
        denominator, reason = inhabitants.of(unit, indicator.population)
    elif indicator.denominator is not None:
        denominator, reason = found[id(indicator.denominator)].get(unit) or 0.0, None
    else:
        value = None if numerator is None else numerator * indicator.factor
        return Figure(value, numerator, None, NOBODY if value is None else None)
    if not denominator:
        return Figure(None, numerator, denominator, reason or NOBODY)
    value = None if numerator is None else indicator.factor * numerator / denominator
    return Figure(value, numerator, denominator, NOBODY if value is None else None)
