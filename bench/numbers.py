"""Synthetic identity numbers for the benches: month + 80, right check digits, made in whole columns."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_FIRST = np.array([3, 7, 6, 1, 8, 9, 4, 5, 2])
_SECOND = np.array([5, 4, 3, 2, 7, 6, 5, 4, 3, 2])


def synthetic_numbers(count: int, seed: int = 1) -> npt.NDArray[np.uint8]:
    """Give count × 11 ASCII digits, all valid."""
    random = np.random.default_rng(seed)
    found: list[npt.NDArray[np.uint8]] = []
    missing = count
    while missing > 0:
        drawn = _draw(random, missing + missing // 4 + 100)[:missing]
        found.append(drawn)
        missing -= len(drawn)
    return np.concatenate(found)


def as_strings(digits: npt.NDArray[np.uint8]) -> list[str]:
    """Give the rows as a list of strings, the form that a loop takes."""
    return [row.decode() for row in digits.view("S11")[:, 0].tolist()]


def _draw(random: np.random.Generator, count: int) -> npt.NDArray[np.uint8]:
    day, month = random.integers(1, 29, count), random.integers(81, 93, count)
    year, serial = random.integers(20, 99, count), random.integers(0, 500, count)
    parts = [day // 10, day % 10, month // 10, month % 10, year // 10, year % 10]
    parts += [serial // 100, serial // 10 % 10, serial % 10]
    nine = np.stack(parts, axis=1)
    first = (11 - nine @ _FIRST % 11) % 11
    ten = np.column_stack([nine, first])
    second = (11 - ten @ _SECOND % 11) % 11
    valid = (first < 10) & (second < 10)
    return (np.column_stack([ten, second])[valid] + ord("0")).astype(np.uint8)
