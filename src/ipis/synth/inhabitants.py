"""Inhabitants by municipality, district, year and age: of how many people users are drawn, and whom a merger joined.

Years that the program carries know each other: who was there last year is drawn from last year's inhabitants.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ipis.kernel.collection import Collection, packaged, packaged_years
from ipis.kernel.errors import Misuse
from ipis.synth.rates import rates

_EPOCH = date(1970, 1, 1)


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
class Pool:
    """Whom a year's newcomers come from: a municipality as it was then, and its inhabitants by age group."""

    kommune: str
    counts: tuple[float, ...]


def pools(place: Place, year: int) -> tuple[Pool, ...]:
    """Give the municipalities that a place was in a year: itself, or those that merged into it since."""
    collection = standing_for(place.collection, year)
    if place.kommune in collection.kommuner:
        parts = [place.kommune]
    else:
        parts = sorted(old for old, new in collection.successors.items() if new == place.kommune)
    if parts:
        return tuple(Pool(part, _counts(collection, part, place.bydel)) for part in parts)
    return (Pool(place.kommune, _counts(place.collection, place.kommune, place.bydel)),)


def standing_for(own: Collection, year: int) -> Collection:
    """Give the collection whose inhabitants stand for a year: that year's, or the nearest before or after it."""
    carried = _years(own.register)
    if year >= own.year or own.year not in carried or own.year == carried[0]:
        return own
    known = [each for each in carried if each < own.year]
    return _packaged(own.register, max((each for each in known if each <= year), default=known[0]))


@cache
def _years(register: str) -> tuple[int, ...]:
    return packaged_years(register)


@cache
def _packaged(register: str, year: int) -> Collection:
    return packaged(register, year)


def _counts(collection: Collection, kommune: str, bydel: str) -> tuple[float, ...]:
    row = _read(collection).inhabitants.get(kommune)
    if row is None:
        raise Misuse("synth.kommune", kommune=kommune, year=collection.year)
    part = _part_of_city(collection, kommune, bydel)
    return tuple(row[name] * part for name in rates()["age_groups"])


def _part_of_city(collection: Collection, kommune: str, bydel: str) -> float:
    """Give a district's part of its city; districts that send to nobody leave their inhabitants to the others."""
    districts = districts_of(collection, kommune)
    if bydel not in districts:
        return 1.0
    sending = collection.agreements.get(kommune, frozenset(districts)) | {bydel}
    return districts[bydel] / sum(count for code, count in districts.items() if code in sending)


def districts_of(collection: Collection, kommune: str) -> Mapping[str, int]:
    """Give the inhabitants of a city's districts; most municipalities have none."""
    return _read(collection).districts.get(kommune, {})


def total_of(collection: Collection) -> dict[str, int]:
    """Give the inhabitants of each municipality."""
    return {kommune: row["total"] for kommune, row in _read(collection).inhabitants.items()}


@dataclass(frozen=True, slots=True)
class _Read:
    """What is read once of a collection: inhabitants by municipality and group, and by municipality and district."""

    collection: Collection
    inhabitants: Mapping[str, Mapping[str, int]]
    districts: Mapping[str, Mapping[str, int]]


_READ: dict[int, _Read] = {}


def _read(collection: Collection) -> _Read:
    # By identity: a collection holds tables and cannot be a key itself; kept here, its identity is not given again.
    if id(collection) not in _READ:
        groups = [*rates()["age_groups"], "total"]
        rows = collection.inhabitants().to_pylist()
        inhabitants = {row["kommune"]: {name: row[name] for name in groups} for row in rows}
        districts: dict[str, dict[str, int]] = {}
        for row in collection.codes["bydeler"].to_pylist():
            districts.setdefault(row["kommune"], {})[row["code"]] = row["population"]
        _READ[id(collection)] = _Read(collection, inhabitants, districts)
    return _READ[id(collection)]


_LEAST = 20 / 91_250


def numbers_of(place: Place, kommune: str, room: int) -> tuple[int, int]:
    """Give start and length of the part of a year's numbers (`room` of them) that a municipality's newcomers share.

    Parts of different municipalities do not overlap, so that nobody gets another's number.
    """
    start, length = _shares(place.collection.register).get(kommune, (0.0, 1.0))
    districts = sorted(place.collection.agreements.get(kommune, ()))
    if place.bydel in districts:
        length /= len(districts)
        start += length * districts.index(place.bydel)
    return int(start * room), max(int((start + length) * room) - int(start * room), 1)


@cache
def _shares(register: str) -> dict[str, tuple[float, float]]:
    return _cut([_packaged(register, year) for year in _years(register)])


def _cut(collections: list[Collection]) -> dict[str, tuple[float, float]]:
    """Cut the room by inhabitants, with a least part for the smallest; whoever was ever a municipality has a part."""
    sizes: dict[str, int] = {}
    for collection in collections:
        for kommune, row in _read(collection).inhabitants.items():
            sizes.setdefault(kommune, row["total"])
    weights = np.array(list(sizes.values()), np.float64)
    weights = weights / weights.sum() + _LEAST
    lengths: NDArray[np.float64] = weights / weights.sum()
    starts = np.cumsum(lengths) - lengths
    return dict(zip(sizes, zip(starts.tolist(), lengths.tolist(), strict=True), strict=True))
