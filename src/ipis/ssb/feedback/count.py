"""Counts what judged deliveries leave in, and puts it beside last year's, the delivery before and the nation.

All deliveries of a run are counted in one go. What was counted is kept: next year stands beside it. After a merger last
year's is the sum of the predecessors, counted together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from ipis.ssb.packs import pack_of
from ipis.ssb.tables import indicators
from ipis.ssb.tables.batch import Counted
from ipis.ssb.tables.compare import ControlTable, Sides, compare_many
from ipis.ssb.tables.compute import CELLS
from ipis.ssb.tables.definition import load_tables
from ipis.ssb.tables.indicators import Figure, Figures

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ipis.kernel.seasonpack import SeasonPack
    from ipis.ssb.feedback.judge import Judge, Judged
    from ipis.ssb.register.models import Delivery

_INDICATOR = "indikator"
"""The measure under which the values of indicators are kept among the cells."""


@dataclass(frozen=True, slots=True)
class Count:
    """What was counted of one delivery, or of several together: CELLS of its tables, figures of its indicators."""

    cells: pa.Table
    figures: Figures


@dataclass(frozen=True, slots=True)
class Counts:
    """One delivery's finished tables, and its indicators as they count, uncorrected, and last year."""

    tables: tuple[ControlTable, ...]
    figures: Figures
    uncorrected: Figures
    last_year: Figures | None
    nation: Mapping[tuple[str, str], float | None] | None
    """The indicators of the nation as last published."""


@dataclass(frozen=True, slots=True)
class Counter:
    """Counts the deliveries that a judge has judged."""

    judge: Judge

    def count_many(self, judged: Sequence[Judged], pack: SeasonPack) -> list[Counts]:
        """Count deliveries of the pack's year."""
        made = _counts(judged, pack)
        known = {each.delivery.pk: count for each, count in zip(judged, made, strict=True)}
        for each, count in zip(judged, made, strict=True):
            self._keep(each.delivery, pack, count)
        deliveries = [each.delivery for each in judged]
        uncorrected = _uncorrected(judged, made, pack)
        earlier, before = [each.beside.last_years for each in judged], [each.beside.previous for each in judged]
        self._count_missing([*(its[0] for its in earlier if len(its) == 1), *filter(None, before)], known)
        last_year = [self._together(its, known) for its in earlier]
        sides = [
            Sides(
                known[one.pk].cells,
                None if past is None else past.cells,
                None if previous is None else known[previous.pk].cells,
                any(each.kommune != one.kommune for each in its),
            )
            for one, its, past, previous in zip(deliveries, earlier, last_year, before, strict=True)
        ]
        nation = self.judge.nation(pack)
        tables = compare_many(load_tables(pack.collection), sides, None if nation is None else nation.cells)
        published = None if nation is None else nation.indicators
        return [
            Counts(its, count.figures, raw, None if past is None else past.figures, published)
            for its, count, raw, past in zip(tables, made, uncorrected, last_year, strict=True)
        ]

    def _count_missing(self, deliveries: Sequence[Delivery], known: dict[int, Count]) -> None:
        """Put the counts of deliveries into `known`: as they were kept, or else counted now, a year at a time."""
        missing: dict[tuple[str, int], dict[int, Delivery]] = {}
        for one in deliveries:
            if one.pk not in known:
                missing.setdefault((one.register, one.year), {})[one.pk] = one
        for (register, year), its in missing.items():
            pack, left = pack_of(self.judge.settings, register, year), []
            for one in its.values():
                kept = self.judge.kept.cells(one, pack.version)
                if kept is None:
                    left.append(one)
                else:
                    known[one.pk] = _from_table(kept)
            if left:
                judged = self.judge.judge_many(left, pack, ["nb"] * len(left))
                for one, count in zip(left, _counts(judged, pack), strict=True):
                    self._keep(one, pack, count)
                    known[one.pk] = count

    def _together(self, deliveries: Sequence[Delivery], known: dict[int, Count]) -> Count | None:
        """Give the count of deliveries as one: a person of two of them counts once in each."""
        if len(deliveries) <= 1:
            return known[deliveries[0].pk] if deliveries else None
        pack = pack_of(self.judge.settings, deliveries[0].register, deliveries[0].year)
        judged = self.judge.judge_many(deliveries, pack, ["nb"] * len(deliveries))
        return _counts(judged, pack, units=[0] * len(judged))[0]

    def _keep(self, delivery: Delivery, pack: SeasonPack, count: Count) -> None:
        self.judge.kept.keep_cells(delivery, pack.version, _as_table(count))


def _counts(judged: Sequence[Judged], pack: SeasonPack, *, units: Sequence[int] | None = None) -> list[Count]:
    counted, places = [each.counted for each in judged], _places([each.delivery for each in judged])
    return [Count(*made) for made in indicators.count_many(pack.collection, counted, places, units=units)]


def _uncorrected(judged: Sequence[Judged], made: Sequence[Count], pack: SeasonPack) -> list[Figures]:
    """Give the indicators as if nothing were left out or emptied: the same where no effect changed a table."""
    figures = [count.figures for count in made]
    changed = [
        place
        for place, each in enumerate(judged)
        if any(each.counted.tables.get(name) is not table for name, table in each.tables.items())
    ]
    if not changed:
        return figures
    delivered = [Counted(judged[place].tables, judged[place].delivery.header) for place in changed]
    places = _places([judged[place].delivery for place in changed])
    anew = indicators.figures_many(pack.collection, delivered, places)
    for place, its in zip(changed, anew, strict=True):
        figures[place] = its
    return figures


def _places(deliveries: Sequence[Delivery]) -> list[tuple[str, str]]:
    return [(one.kommune, one.bydel) for one in deliveries]


def _as_table(count: Count) -> pa.Table:
    """Give a count as CELLS: the value of an indicator stands under its id and group."""
    found = count.figures
    columns = dict.fromkeys(CELLS.names, pa.repeat(pa.scalar(""), len(found))) | {
        "table": pa.array([own_id for own_id, _ in found], pa.string()),
        "k0": pa.array([group for _, group in found], pa.string()),
        "measure": pa.repeat(pa.scalar(_INDICATOR), len(found)),
        "value": pa.array([each.value for each in found.values()], pa.float64()),
    }
    return pa.concat_tables([count.cells.select(CELLS.names).cast(CELLS), pa.table(columns, schema=CELLS)])


def _from_table(kept: pa.Table) -> Count:
    is_indicator = pc.equal(kept["measure"], _INDICATOR)
    rows = kept.filter(is_indicator)
    values = zip(*(rows[name].to_pylist() for name in ("table", "k0", "value")), strict=True)
    figures = {(own_id, group): Figure(value, None, None, None) for own_id, group, value in values}
    return Count(kept.filter(pc.invert(is_indicator)), figures)
