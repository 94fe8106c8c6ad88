"""Which persons get which fault, what changes in the draw, and every finding that follows."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ipis.kernel.layout import Layout
from ipis.synth.faults import circumstances, fields, keys, kinds, mix, orphans, persons, services, whole
from ipis.synth.faults.listed import Listed
from ipis.synth.faults.plot import NO_DATE, Fault, Finding, Plot, Row
from ipis.synth.people import Place
from ipis.synth.rows import Draw, Rows

_GROUP = 64
"""The last person of each such group never has a fault: the next one may take its number."""

_GUESTS, _ENDLESS, _UNDECIDED = 0.10, 0.98, 0.30
_MANY_DECISIONS = 200
_ON_USER_NUMBERS = frozenset({"K018", "K019"})


@dataclass(slots=True)
class _Changes:
    """What becomes of the draw: cells by record and field, and planted rows by record."""

    cells: dict[tuple[str, str], dict[int, str | None]] = field(default_factory=dict)
    planted: dict[str, list[tuple[int, Row]]] = field(default_factory=dict)
    gone: dict[str, list[int]] = field(default_factory=dict)

    def take(self, plot: Plot) -> None:
        for record, rows in plot.rows.items():
            self.gone.setdefault(record, []).extend(row.place for row in rows if row.gone)
        for row in plot.every():
            if row.place < 0:
                self.planted.setdefault(row.record, []).append((plot.serial, row))
                continue
            for name in row.changed:
                self.cells.setdefault((row.record, name), {})[row.place] = row[name]


class Planted(NamedTuple):
    """An extract with its faults: what `check` finds, and what of the planted ones SSB alone does."""

    draw: Draw
    listed: Listed
    at_ssb: Listed


_CATALOGUES: dict[int, tuple[Layout, tuple[Fault, ...]]] = {}


def catalogue(layout: Layout) -> tuple[Fault, ...]:
    """Give every fault that can be planted in this layout."""
    # By identity, with the layout kept: it holds mappings and cannot be a key itself.
    if id(layout) not in _CATALOGUES:
        _CATALOGUES[id(layout)] = layout, _catalogue(layout)
    return _CATALOGUES[id(layout)][1]


def _catalogue(layout: Layout) -> tuple[Fault, ...]:
    ours = (keys, persons, circumstances, services, kinds)
    return (*(fault for module in ours for fault in module.faults()), *fields.faults(layout))


def plant(draw: Draw, place: Place, share: float, seed: int, *, stated: bool = False, flat: bool = False) -> Planted:
    """Give this share of the persons a fault each; a lower share gives the same faults to fewer of them.

    `stated`: besides, the error mix of real deliveries, and in a few places a fault of the whole delivery.
    `flat`: rows without a person are added, and user numbers are left alone, since rows hang on them.
    """
    listed, at_ssb = Listed(), Listed()
    if stated:
        draw = whole.spoil(draw, place, seed)
    chosen = _chosen(draw.persons, share, place, seed)
    unfit = _ON_USER_NUMBERS if flat else frozenset()
    changed = _plant_entries(draw, place, chosen, seed, listed, unfit)
    if stated:
        changed = mix.mix(changed, place, np.array(chosen, np.int64), seed, listed, at_ssb)
    if flat:
        changed = orphans.add(changed, place, share, seed, listed)
    listed.single += _of_delivery(changed, place)
    return Planted(changed, listed, at_ssb)


def _plant_entries(
    draw: Draw, place: Place, chosen: list[int], seed: int, listed: Listed, unfit: frozenset[str]
) -> Draw:
    entries = catalogue(place.collection.layout)
    changes = _Changes()
    for serial in chosen:
        plot = _open(draw, place, serial, seed)
        listed.single += _plant_one(plot, entries, unfit)
        changes.take(plot)
    return _apply(draw, changes)


def _chosen(count: int, share: float, place: Place, seed: int) -> list[int]:
    """Choose persons by rank, so that a lower share chooses a part of those of a higher one."""
    rng = np.random.default_rng([seed, place.collection.year, int(place.kommune), int(place.bydel), 1])
    ranked = rng.permutation(count)
    serials = np.arange(count)
    spared = (serials % _GROUP == _GROUP - 1) & (serials + 1 < count)
    ranked = ranked[~spared[ranked]]
    return [int(serial) for serial in ranked[: math.ceil(share * count - 1e-9)]]


def _open(draw: Draw, place: Place, serial: int, seed: int) -> Plot:
    # Not the salted hash: the same words give the same faults on every machine.
    rng = random.Random(f"{seed} {place.collection.year} {place.kommune} {place.bydel} {serial}")
    rows = {record: list(_rows_of(record, drawn, serial)) for record, drawn in draw.rows.items()}
    numbers = draw.rows["person"].columns["brukerNr"]
    before = numbers[serial - 1].as_py() if serial and serial % _GROUP == 0 else None
    return Plot(place, serial, rng, before, rows)


def _rows_of(record: str, drawn: Rows, serial: int) -> Iterator[Row]:
    low, high = np.searchsorted(drawn.person, [serial, serial + 1])
    for place in range(int(low), int(high)):
        yield Row(record, place, {name: column[place].as_py() for name, column in drawn.columns.items()})


def _plant_one(plot: Plot, entries: tuple[Fault, ...], unfit: frozenset[str]) -> list[Finding]:
    """Try the entries in a random order weighted by how often each is wanted; the first that fits is planted."""
    order = sorted(entries, key=lambda entry: plot.rng.random() ** (1 / entry.weight), reverse=True)
    for entry in order:
        findings = None if entry.rule in unfit else entry.plant(plot)
        if findings is not None:
            return findings
    raise AssertionError("every person has a field that can be faulty")


def _apply(draw: Draw, changes: _Changes) -> Draw:
    rows = dict(draw.rows)
    for (record, name), cells in changes.cells.items():
        known = rows[record].columns.get(name)
        column = known if known is not None else pa.nulls(len(rows[record]), pa.string())
        places = sorted(cells)
        mask = np.zeros(len(column), np.bool_)
        mask[places] = True
        put = pa.array([cells[place] for place in places], pa.string())
        columns = dict(rows[record].columns) | {name: pc.replace_with_mask(column, pa.array(mask), put)}
        rows[record] = Rows(rows[record].person, columns)
    for record, gone in changes.gone.items():
        if gone:
            rows[record] = rows[record].without(np.array(gone))
    for record, planted in changes.planted.items():
        rows[record] = _with_planted(rows.get(record), planted)
    return Draw(draw.header, rows)


def _with_planted(drawn: Rows | None, planted: list[tuple[int, Row]]) -> Rows:
    """Put planted rows after their person's own."""
    base = drawn or Rows(np.zeros(0, np.int64), {})
    names = dict.fromkeys([*base.columns, *(name for _, row in planted for name in row.values)])
    person = np.concatenate([base.person, np.array([serial for serial, _ in planted], np.int64)])
    order = pa.array(np.argsort(person, kind="stable"))
    columns = {}
    for name in names:
        known = base.columns.get(name)
        first = known if known is not None else pa.nulls(len(base), pa.string())
        added = pa.array([row[name] for _, row in planted], pa.string())
        columns[name] = pa.concat_arrays([first, added]).take(order)
    return Rows(np.sort(person, kind="stable"), columns)


def _of_delivery(draw: Draw, place: Place) -> Iterator[Finding]:
    """Count what rules on the whole delivery look at; few persons are enough to tip a share."""
    if draw.header["uttakTid"] <= f"{place.collection.ends_on}T24":
        yield Finding("K013", "uttrekk", "", "", "uttakTid")
    home = draw.rows["person"].columns["bostedKommuneNr"]
    known = home.filter(pc.is_in(home, pa.array(place.collection.code_values("kommuner"))))
    if _share(pc.not_equal(known, place.kommune)) > _GUESTS:
        yield Finding("K032", "person", "", "", "bostedKommuneNr")
    outcomes = draw.rows["vedtak"].columns["utfall"]
    decided = pc.sum(pc.is_in(outcomes, pa.array(["1", "2", "3"]))).as_py() or 0
    if decided > _MANY_DECISIONS and not (pc.sum(pc.equal(outcomes, "3")).as_py() or 0):
        yield Finding("K057", "vedtak", "", "", "utfall")
    services = draw.rows["tjeneste"].columns
    ends = services["sluttDato"]
    dated = ends.filter(pc.fill_null(pc.not_equal(ends, NO_DATE), fill_value=True))
    if _share(pc.is_null(dated)) > _ENDLESS:
        yield Finding("K104", "tjeneste", "", "", "sluttDato")
    if _share(pc.is_null(services["vedtakId"])) > _UNDECIDED:
        yield Finding("K105", "tjeneste", "", "", "vedtakId")


def _share(hits: pa.Array) -> float:
    return (pc.sum(hits).as_py() or 0) / len(hits) if len(hits) else 0.0
