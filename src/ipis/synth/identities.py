"""Synthetic identity numbers: month + 80, right check digits, unlike any living person's, each drawn once in a file."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ipis.kernel.modulus import FIRST_WEIGHTS, SECOND_WEIGHTS
from ipis.synth.rows import Bits, Ints

SYNTHETIC_MONTH = 80
_TRIES = 200


def draw_numbers(rng: np.random.Generator, born: Ints, woman: Bits, d_number: Bits) -> pa.Array:
    """Draw a number of 11 digits for each birth date (days since 1970-01-01), sex and kind."""
    dates = born.astype("datetime64[D]")
    years = dates.astype("datetime64[Y]").astype(np.int64) + 1970
    months = dates.astype("datetime64[M]").astype(np.int64) % 12 + 1
    days = (dates - dates.astype("datetime64[M]")).astype(np.int64) + 1
    stem = (days + 40 * d_number) * 10_000 + (months + SYNTHETIC_MONTH) * 100 + years % 100
    result = np.zeros(len(born), np.int64)
    left = np.arange(len(born))
    for _ in range(_TRIES):
        # 000–499 is 19xx, 500–999 is 20xx; the third digit tells the sex.
        individual = rng.integers(0, 250, len(left)) * 2 + ~woman[left] + 500 * (years[left] >= 2000)
        numbers, usable = _with_check_digits(stem[left] * 1000 + individual)
        result[left] = np.where(usable, numbers, -1)
        _, first = np.unique(result, return_index=True)
        fresh = np.zeros(len(born), np.bool_)
        fresh[first] = True
        left = np.flatnonzero((result < 0) | ~fresh)
        if not len(left):
            return _texts(result)
    raise AssertionError("more persons on one day than numbers for it")


def _with_check_digits(nine: Ints) -> tuple[Ints, Bits]:
    """Append two check digits to nine digits; a check digit of ten makes the number unusable."""
    digits = _digits(nine, 9)
    first = -_weighted(digits, FIRST_WEIGHTS[:9]) % 11
    digits = np.vstack([digits, first])
    second = -_weighted(digits, SECOND_WEIGHTS[:10]) % 11
    return nine * 100 + first * 10 + second, (first < 10) & (second < 10)


def _digits(numbers: Ints, width: int) -> Ints:
    powers = 10 ** np.arange(width - 1, -1, -1, dtype=np.int64)
    digits: Ints = numbers // powers[:, None] % 10
    return digits


def _weighted(digits: Ints, weights: tuple[int, ...]) -> Ints:
    total: Ints = np.asarray(weights) @ digits
    return total


def _texts(numbers: Ints) -> pa.Array:
    letters = (_digits(numbers, 11).T + ord("0")).astype(np.uint8)
    flat: NDArray[np.uint8] = np.ascontiguousarray(letters)
    offsets = np.arange(len(numbers) + 1, dtype=np.int32) * 11
    return pa.StringArray.from_buffers(len(numbers), pa.py_buffer(offsets), pa.py_buffer(flat))


def number_born_in(year: int, serial: int) -> str:
    """Make a valid synthetic number of somebody born in a year; each serial gives another."""
    day, start = divmod(serial, 200)
    born = np.datetime64(f"{year}-01-01") + np.timedelta64(day % 365, "D")
    month, day_of_month = (int(part) for part in str(born).split("-")[1:])
    stem = day_of_month * 10_000 + (month + SYNTHETIC_MONTH) * 100 + year % 100
    individual = np.arange(start, 500) + (500 if year >= 2000 else 0)
    found, usable = _with_check_digits(stem * 1000 + individual)
    return f"{int(found[usable][0]):011}"
