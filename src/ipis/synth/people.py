"""Who is drawn: persons per age group from the municipality's inhabitants, with sex, birth date, need, profile."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ipis.kernel.collection import Collection
from ipis.kernel.errors import Misuse
from ipis.synth import identities
from ipis.synth.rates import PROFILES, by_group, pick, rates, share
from ipis.synth.rows import Bits, Ints

_EPOCH = date(1970, 1, 1)
# Individual numbers tell no birth year after this one.
_LAST_NUMBERED_YEAR = 2039


@dataclass(frozen=True, slots=True)
class Place:
    """The collection year, and the municipality (with its district, or `00`) that sends."""

    collection: Collection
    kommune: str
    bydel: str

    @property
    def first_day(self) -> int:
        """Give 1 January in days since 1970."""
        return (self.collection.begins_on - _EPOCH).days

    @property
    def last_day(self) -> int:
        """Give 31 December in days since 1970."""
        return (self.collection.ends_on - _EPOCH).days


@dataclass(frozen=True, slots=True)
class People:
    """Drawn persons, an element each; `profile` and `need` are places in PROFILES and LEVELS."""

    age: Ints
    born: Ints
    woman: Bits
    numbers: pa.Array
    d_number: Bits
    profile: Ints
    need: Ints
    assessed: Bits
    dies: Bits

    def __len__(self) -> int:
        return len(self.age)


def draw_people(rng: np.random.Generator, place: Place, persons: int | None) -> People:
    """Draw the persons of a municipality; `persons` overrides their number, not their ages."""
    group = np.repeat(np.arange(6), _per_group(_inhabitants(place), persons))
    age = _ages(rng, group, place.collection.year)
    order = rng.permutation(len(age))
    group, age = group[order], age[order]
    year_starts = np.array([(date(place.collection.year - each, 1, 1) - _EPOCH).days for each in range(150)])
    born = year_starts[age] + rng.integers(0, 365, len(age))
    woman = rng.random(len(age)) < by_group("women")[group]
    d_number = rng.random(len(age)) < by_group("d_number")[group]
    profile = pick(rng, np.array([rates()["profile"][name] for name in PROFILES]).T[group])
    need = pick(rng, np.array([rates()["need"][name] for name in PROFILES])[profile])
    other = profile == PROFILES.index("other")
    unassessed = other & (rng.random(len(age)) < rates()["need"]["unassessed_other"])
    return People(
        age=age,
        born=born,
        woman=woman,
        numbers=identities.draw_numbers(rng, born, woman, d_number),
        d_number=d_number,
        profile=profile,
        need=need,
        assessed=~unassessed,
        dies=rng.random(len(age)) < by_group("died")[group],
    )


def _inhabitants(place: Place) -> Ints:
    """Give the inhabitants by age group; of a district, its share of the municipality's."""
    table = place.collection.inhabitants()
    found = table.filter(pc.equal(table["kommune"], place.kommune)).to_pylist()
    if not found:
        raise Misuse("synth.kommune", kommune=place.kommune, year=place.collection.year)
    counts = np.array([found[0][name] for name in rates()["age_groups"]], np.float64)
    districts = districts_of(place.collection, place.kommune)
    if place.bydel in districts:
        counts *= districts[place.bydel] / sum(districts.values())
    rounded: Ints = np.rint(counts).astype(np.int64)
    return rounded


def districts_of(collection: Collection, kommune: str) -> dict[str, int]:
    """Give the inhabitants of a city's districts; most municipalities have none."""
    table = collection.codes["bydeler"]
    rows = table.filter(pc.equal(table["kommune"], kommune)).to_pylist()
    return {row["code"]: row["population"] for row in rows}


def _per_group(inhabitants: Ints, persons: int | None) -> Ints:
    expected = inhabitants * by_group("use")
    if persons is None:
        rounded: Ints = np.rint(expected).astype(np.int64)
        return rounded
    # Largest remainders: the parts add up to exactly the persons asked for.
    exact = expected / expected.sum() * persons
    counts: Ints = np.floor(exact).astype(np.int64)
    most = np.argsort(counts - exact, kind="stable")[: persons - int(counts.sum())]
    counts[most] += 1
    return counts


def _ages(rng: np.random.Generator, group: Ints, year: int) -> Ints:
    first, last = (np.array(rates()[name])[group] for name in ("first_age", "last_age"))
    spread = rng.random(len(group))
    # The oldest groups thin out towards their end.
    spread = np.where(group >= 4, spread**2, spread)
    age = first + np.floor(spread * (last - first + 1)).astype(np.int64)
    drawn: Ints = np.maximum(age, year - _LAST_NUMBERED_YEAR)
    return drawn


def has_participation(rng: np.random.Generator, people: People) -> Bits:
    """Draw for whom participation is recorded."""
    recorded: Bits = people.assessed & (rng.random(len(people)) < share("participation"))
    return recorded
