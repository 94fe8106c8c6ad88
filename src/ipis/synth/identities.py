"""Synthetic identity numbers: month + 80, right check digits, unlike any living person's; nobody gets another's.

A year of birth and a sex have room for 365 days × 250 individual numbers. Each municipality has its part of that room
and gives it out in the order in which its people come, so a number is never given twice in the country.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ipis.kernel.modulus import FIRST_WEIGHTS, SECOND_WEIGHTS
from ipis.synth.rows import Bits, Ints

SYNTHETIC_MONTH = 80
_DAYS, _PER_DAY = 365, 250
ROOM = _DAYS * _PER_DAY
# Steps through the room: neighbours in it are far apart in the calendar. No factor in common with the room.
_STEP, _BY_YEAR = 30_011, 7_919


@dataclass(frozen=True, slots=True)
class Slots:
    """For each person, day of the year (from 0) and individual number."""

    day: Ints
    individual: Ints


def slots(born_in: Ints, woman: Bits, pool: Ints, start: Ints, length: Ints, kept: Bits) -> Slots:
    """Give each of `kept` the next usable place in its municipality's part, in the order of all who ever came."""
    kinds = (pool * 4096 + born_in) * 2 + woman
    group, member = np.unique(kinds, return_inverse=True)
    order = np.argsort(member, kind="stable")
    sizes = np.bincount(member, minlength=len(group))
    turn = np.empty(len(kinds), np.int64)
    turn[order] = np.arange(len(kinds)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    some = np.zeros(len(group), np.int64)
    np.maximum.at(some, member[kept], turn[kept] + 1)
    # About one in six has a check digit of ten; half as many again and sixteen are always enough.
    tried = np.where(some > 0, some * 3 // 2 + 16, 0)
    of_group = np.repeat(np.arange(len(group)), tried)
    step = np.arange(len(of_group)) - np.repeat(np.cumsum(tried) - tried, tried)
    one = np.zeros(len(group), np.int64)
    one[member] = np.arange(len(kinds))
    place = start[one][of_group] + step % length[one][of_group]
    year = born_in[one][of_group]
    place = (place * _STEP + year * _BY_YEAR) % ROOM
    day = place % _DAYS
    individual = place // _DAYS * 2 + ~woman[one][of_group] + 500 * (year >= 2000)
    usable = np.flatnonzero(with_check_digits(_stem(_dates(year, day)) * 1000 + individual)[1])
    first = np.searchsorted(of_group[usable], np.arange(len(group)))
    mine = usable[first[member[kept]] + turn[kept]]
    return Slots(day[mine], individual[mine])


def numbers(born: Ints, individual: Ints, d_number: Bits) -> tuple[Ints, Bits]:
    """Give the numbers of eleven digits, and which are D-numbers: those wished for whose check digits exist."""
    plain, _ = with_check_digits(_stem(born) * 1000 + individual)
    foreign = np.flatnonzero(d_number)
    found, usable = with_check_digits((_stem(born[foreign]) + 400_000) * 1000 + individual[foreign])
    given = np.zeros(len(born), np.bool_)
    given[foreign[usable]] = True
    plain[given] = found[usable]
    return plain, given


def texts(given: Ints) -> pa.Array:
    """Write numbers with all their eleven digits."""
    letters = (_digits(given, 11).T + ord("0")).astype(np.uint8)
    flat: NDArray[np.uint8] = np.ascontiguousarray(letters)
    offsets = np.arange(len(given) + 1, dtype=np.int32) * 11
    return pa.StringArray.from_buffers(len(given), pa.py_buffer(offsets), pa.py_buffer(flat))


def _dates(year: Ints, day: Ints) -> Ints:
    return (year - 1970).astype("datetime64[Y]").astype("datetime64[D]").astype(np.int64) + day


def _stem(born: Ints) -> Ints:
    """Write birth dates (days since 1970-01-01) as ddmmyy with month + 80."""
    dates = born.astype("datetime64[D]")
    month = dates.astype("datetime64[M]")
    years = month.astype("datetime64[Y]").astype(np.int64) + 1970
    days = (dates - month).astype(np.int64) + 1
    stem: Ints = days * 10_000 + (month.astype(np.int64) % 12 + 1 + SYNTHETIC_MONTH) * 100 + years % 100
    return stem


def with_check_digits(nine: Ints) -> tuple[Ints, Bits]:
    """Append two check digits to nine digits; a check digit of ten makes the number unusable."""
    digits = _digits(nine, 9)
    first = -_weighted(digits, FIRST_WEIGHTS[:9]) % 11
    digits = np.vstack([digits, first])
    second = -_weighted(digits, SECOND_WEIGHTS[:10]) % 11
    return nine * 100 + first * 10 + second, (first < 10) & (second < 10)


def _digits(values: Ints, width: int) -> Ints:
    powers = 10 ** np.arange(width - 1, -1, -1, dtype=np.int64)
    digits: Ints = values // powers[:, None] % 10
    return digits


def _weighted(digits: Ints, weights: tuple[int, ...]) -> Ints:
    total: Ints = np.asarray(weights) @ digits
    return total


def number_born_in(year: int, serial: int) -> str:
    """Make a valid synthetic number of somebody born in a year; each serial gives another."""
    day, start = divmod(serial, 200)
    born = np.datetime64(f"{year}-01-01") + np.timedelta64(day % 365, "D")
    month, day_of_month = (int(part) for part in str(born).split("-")[1:])
    stem = day_of_month * 10_000 + (month + SYNTHETIC_MONTH) * 100 + year % 100
    individual = np.arange(start, 500) + (500 if year >= 2000 else 0)
    found, usable = with_check_digits(stem * 1000 + individual)
    return f"{int(found[usable][0]):011}"
