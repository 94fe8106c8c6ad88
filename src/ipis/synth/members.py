"""Who is in a municipality's register in a year: those who came in some year and have not left since.

Everybody has a key, drawn from the seed, the municipality, the year of coming and a number among that year's newcomers.
All that is drawn about them hangs on the key, so that next year's file holds the same people, a year older.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ipis.synth import identities
from ipis.synth.inhabitants import Place, numbers_of, pools, standing_for
from ipis.synth.lots import Keys, Lots, mixed, named
from ipis.synth.rates import by_group, rates
from ipis.synth.rows import Bits, Ints

_EPOCH = date(1970, 1, 1)
_AGES = 108
# Individual numbers tell no birth year after this one; who would be born later is born in one of the years before it.
_LAST_NUMBERED_YEAR, _SPREAD = 2039, 30
_MOST_LATER = 60


@dataclass(frozen=True, slots=True)
class Members:
    """Persons of the year, an element each; days since 1970-01-01. `leaves`: whose last year it is."""

    lots: Lots
    came: Ints
    rank: Ints
    pool: Ints
    pools: tuple[str, ...]
    born: Ints
    age: Ints
    woman: Bits
    d_number: Bits
    numbers: Ints
    entered: Ints
    leaves: Bits

    def __len__(self) -> int:
        return len(self.came)

    def take(self, places: Ints | Bits) -> Members:
        """Give some of them."""
        names = ("came", "rank", "pool", "born", "age", "woman", "d_number", "numbers", "entered", "leaves")
        parts = {name: getattr(self, name)[places] for name in names}
        return Members(lots=self.lots.take(places), pools=self.pools, **parts)


def group_of(age: Ints) -> Ints:
    """Give the age group, a place in `age_groups`."""
    return np.searchsorted(np.array(rates()["first_age"])[1:], age, side="right")


def draw_members(place: Place, seed: int, persons: int | None) -> Members:
    """Draw the persons of a place and year; `persons` overrides their number, not their ages."""
    if persons is None:
        return _draw(place, seed, 1.0)
    expected = sum(float(count.sum()) for _, count in _Expected(place, {}).users(place.collection.year))
    scale = (persons + 4 * persons**0.5 + 8) / expected
    while True:
        drawn = _draw(place, seed, scale)
        if len(drawn) >= persons:
            chosen = np.sort(np.argsort(drawn.lots.uniform("chosen"), kind="stable")[:persons])
            return drawn.take(chosen)
        scale *= 1.5


def _draw(place: Place, seed: int, scale: float) -> Members:
    year = place.collection.year
    first = min(rates()["register"]["first_year"], year)
    expected = _Expected(place, {})
    parts = [
        _cohort(place, seed, came, pool, count * scale)
        for came in range(first, year + 1)
        for pool, count in expected.newcomers(came, first)
    ]
    everybody = _Everybody.of(parts, first)
    return everybody.members(place, everybody.present(year), whole=scale > 1.0)


@dataclass(frozen=True, slots=True)
class _Expected:
    """Expected users of a place by municipality and age; read once for all years that stand on the same inhabitants."""

    place: Place
    read: dict[int, list[tuple[str, NDArray[np.float64]]]]

    def users(self, year: int) -> list[tuple[str, NDArray[np.float64]]]:
        """Give those of a year."""
        standing = standing_for(self.place.collection, year).year
        if standing not in self.read:
            self.read[standing] = [(pool.kommune, _by_age(pool.counts)) for pool in pools(self.place, year)]
        return self.read[standing]

    def newcomers(self, came: int, first: int) -> list[tuple[str, NDArray[np.float64]]]:
        """Give the newcomers of a year: in the first year all who are there, later who is missing."""
        now = self.users(came)
        if came == first:
            return now
        before, total = (np.sum([count for _, count in self.users(year)], axis=0) for year in (came - 1, came))
        here = np.concatenate([[0.0], (before * np.exp(_stay()[1] - _stay()[0]))[:-1]])
        missing = np.maximum(total - here, 0.0) / np.maximum(total, 1e-9)
        return [(name, count * missing) for name, count in now]


def _by_age(counts: tuple[float, ...]) -> NDArray[np.float64]:
    """Give users by single years of age; the oldest groups thin out towards their end."""
    users = np.array(counts) * by_group("use")
    group, part = _shape()
    by_age: NDArray[np.float64] = users[group] * part
    return by_age


@cache
def _shape() -> tuple[Ints, NDArray[np.float64]]:
    group = group_of(np.arange(_AGES))
    weight = by_group("thins")[group] ** (np.arange(_AGES) - np.array(rates()["first_age"])[group])
    weight[np.arange(_AGES) > rates()["last_age"][-1]] = 0.0
    return group, weight / np.bincount(group, weights=weight)[group]


@cache
def _stay() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give, by age, the logarithm of the chance to be there at that age, and at the age after, since birth."""
    stay = by_group("stay")[group_of(np.arange(_AGES + _MOST_LATER))]
    sums = np.cumsum(np.log(stay))
    return (np.concatenate([[0.0], sums[:-1]])[:_AGES], sums[:_AGES])


@dataclass(frozen=True, slots=True)
class _Cohort:
    """Those who came in one year: their keys and their ages then."""

    came: int
    pool: str
    keys: Keys
    age: Ints


def _cohort(place: Place, seed: int, came: int, pool: str, count: NDArray[np.float64]) -> _Cohort:
    root = mixed(np.array([seed], np.uint64) ^ named(f"{pool} {place.bydel} {came}"))
    total = int(count.sum() + Lots(root).uniform("round")[0])
    keys = mixed(root ^ mixed(np.arange(total, dtype=np.uint64)))
    # Evenly spread over the ages: a small municipality has its share of each, not a draw of it.
    spread = (np.arange(total) + Lots(keys).uniform("age")) / max(total, 1)
    edges = np.cumsum(count)
    age = np.searchsorted(edges[:-1], spread * (edges[-1] if total else 1.0), side="right")
    return _Cohort(came, pool, keys, age.astype(np.int64))


@dataclass(frozen=True, slots=True)
class _Everybody:
    """All who ever came, in the order of their coming."""

    lots: Lots
    came: Ints
    rank: Ints
    pool: Ints
    pools: tuple[str, ...]
    age: Ints
    born_in: Ints
    first: int

    @classmethod
    def of(cls, parts: list[_Cohort], first: int) -> _Everybody:
        names = list(dict.fromkeys(part.pool for part in parts))
        sizes = [len(part.keys) for part in parts]
        came = np.repeat([part.came for part in parts], sizes)
        age = np.concatenate([part.age for part in parts])
        born_in = came - age
        late = born_in > _LAST_NUMBERED_YEAR
        born_in[late] = _LAST_NUMBERED_YEAR - born_in[late] % _SPREAD
        return cls(
            lots=Lots(np.concatenate([part.keys for part in parts])),
            came=came,
            rank=np.concatenate([np.arange(size) for size in sizes]),
            pool=np.repeat([names.index(part.pool) for part in parts], sizes),
            pools=tuple(names),
            age=came - born_in,
            born_in=born_in,
            first=first,
        )

    def present(self, year: int) -> Bits:
        """Tell who has not left before a year."""
        return self._stayed(year - self.came - 1)

    def _stayed(self, years: Ints) -> Bits:
        """Tell who leaves neither in the year of coming nor in so many years after (-1: asked about nothing)."""
        sums = _stay()[1]
        before = _stay()[0]
        last = self.age + years
        reached = np.where(years < 0, before[np.minimum(self.age, _AGES - 1)], sums[np.clip(last, 0, _AGES - 1)])
        chance = np.exp(reached - before[np.minimum(self.age, _AGES - 1)])
        return (self.lots.uniform("stays") < chance) & (last < _AGES)

    def members(self, place: Place, kept: Bits, *, whole: bool) -> Members:
        """Make the members: their birth dates and numbers, day of entry, and whether this year is their last."""
        year = place.collection.year
        woman = self.lots.hits("woman", by_group("women")[group_of(self.age)])
        slots = self._numbers(place, woman, kept, whole=whole)
        lots, came, born_in = self.lots.take(kept), self.came[kept], self.born_in[kept]
        born = _new_year(born_in) + slots.day
        wished = lots.hits("d_number", by_group("d_number")[group_of(self.age[kept])])
        numbers, d_number = identities.numbers(born, slots.individual, wished)
        members = Members(
            lots=lots, came=came, rank=self.rank[kept], pool=self.pool[kept], pools=self.pools,
            born=born, age=year - born_in, woman=woman[kept], d_number=d_number,
            numbers=numbers,
            entered=self._entered(lots, came, born), leaves=~self._stayed(year - self.came)[kept],
        )  # fmt: skip
        # More people than numbers of their year of birth: only where far more are asked for than live there.
        _, firsts = np.unique(members.numbers, return_index=True)
        return members if len(firsts) == len(members) else members.take(np.sort(firsts))

    def _numbers(self, place: Place, woman: Bits, kept: Bits, *, whole: bool) -> identities.Slots:
        rooms = [(0, identities.ROOM) if whole else numbers_of(place, pool, identities.ROOM) for pool in self.pools]
        start, length = (np.array(each)[self.pool] for each in zip(*rooms, strict=True))
        return identities.slots(self.born_in, woman, self.pool, start, length, kept)

    def _entered(self, lots: Lots, came: Ints, born: Ints) -> Ints:
        """Draw the day of entry: in the year of coming, after birth; for those of the first year, before it."""
        start, days = _new_year(came), _new_year(came + 1) - _new_year(came)
        earliest = np.maximum(start, born)
        entered = earliest + lots.below("entered", np.maximum(start + days - earliest, 1))
        ago = np.floor(-np.log1p(-lots.uniform("entered before")) * rates()["register"]["days_before"])
        long_ago = np.maximum(start - 1 - ago.astype(np.int64), np.maximum(born, _new_year(np.array([1981]))[0]))
        return np.where((came == self.first) & (born < start), long_ago, entered)


def _new_year(years: Ints) -> Ints:
    """Give 1 January in days since 1970."""
    return (years - 1970).astype("datetime64[Y]").astype("datetime64[D]").astype(np.int64)
