"""Check digits and birth dates over byte columns: the arithmetic that `foedselsnummer` and `leak` share.

PROTECTED: only those two and `synth` import it. A column `d` holds one digit position (0–9) a row, positions × numbers;
everything is unsigned bytes, so that one instruction handles many numbers. Facts: docs/spec/pseudonym.md §2.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Bits = NDArray[np.bool_]
Years = NDArray[np.int16]

FIRST_WEIGHTS = (3, 7, 6, 1, 8, 9, 4, 5, 2, 1)
SECOND_WEIGHTS = (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1)
DUF_WEIGHTS = (4, 6, 3, 2, 4, 6, 3, 2, 7, 5)

FIRST_REMAINDERS = {"before_2032": 0, "from_2032": 3}
"""Greatest remainder of the first weighted sum; numbers issued from 2032 on may have 0–3 (skatteetaten.no, PID)."""


def remainder(d: Bytes, weights: tuple[int, ...]) -> Bytes:
    """Give the weighted sum of the first digit positions modulus 11.

    Summed in two halves: five or six digits times such weights stay below 256.
    """
    total: Bytes = _modulus_11(_weighted(d, weights, 0, 5)) + _modulus_11(_weighted(d, weights, 5, len(weights)))
    total -= (total >= 11) * np.uint8(11)
    return total


def _weighted(d: Bytes, weights: tuple[int, ...], start: int, stop: int) -> Bytes:
    total: Bytes = d[start] * np.uint8(weights[start])
    term = np.empty_like(total)
    for position in range(start + 1, stop):
        np.multiply(d[position], np.uint8(weights[position]), out=term)
        total += term
    return total


def _modulus_11(total: Bytes) -> Bytes:
    # numpy divides by a constant in vector instructions, but takes remainders one by one.
    rest: Bytes = total - total // np.uint8(11) * np.uint8(11)
    return rest


def check_digits(d: Bytes, remainders: str = "before_2032") -> tuple[Bytes, Bits]:
    """Give the remainder of the first weighted sum, and whether both check digits are right."""
    first = remainder(d, FIRST_WEIGHTS)
    return first, (first <= FIRST_REMAINDERS[remainders]) & (remainder(d, SECOND_WEIGHTS) == 0)


def duf_check_digits(d: Bytes) -> Bits:
    """Tell whether the last two of twelve digits are the remainder of the first ten."""
    right: Bits = remainder(d, DUF_WEIGHTS) == d[10] * 10 + d[11]
    return right


def is_date(day: Bytes, month: Bytes) -> Bits:
    """Tell whether day and month make a date in some year."""
    # 31 days in the odd months up to July, in the even ones from August on; February 29.
    longest = np.uint8(30) + ((month + (month >> 3)) & 1)
    longest -= month == 2
    date: Bits = (month - np.uint8(1) < 12) & (day - np.uint8(1) < longest)
    return date


def leap_day_missing(day: Bytes, month: Bytes, born: Years) -> Bits:
    """Tell where the date is 29 February of a year that has none."""
    missing: Bits = (day == 29) & (month == 2)
    if missing.any():
        missing &= ((born & 3) != 0) | (born == 1800) | (born == 1900)
    return missing


def birth_year(d: Bytes, day: Bytes, month: Bytes, latest: int) -> Years:
    """Give the year of birth by individual number; 0 where there is no such date, or it is after the year `latest`."""
    short = d[4] * 10 + d[5]
    hundreds = d[6]
    old = (hundreds - np.uint8(5) < 2) | ((hundreds == 7) & (d[7] < 5))
    century = (
        (hundreds < 5) * np.uint8(19)
        + ((hundreds >= 5) & (short < 40)) * np.uint8(20)
        + (old & (short >= 54)) * np.uint8(18)
        + ((hundreds == 9) & (short >= 40)) * np.uint8(19)
    )
    born = century * np.int16(100) + short
    right = is_date(day, month) & (century > 0) & (born <= latest) & ~leap_day_missing(day, month, born)
    years: Years = born * right
    return years


def latest_birth_year(d: Bytes, day: Bytes, month: Bytes, latest: int) -> Years:
    """Give the year of birth where no individual number tells the century: the latest one that fits; 0 for no date."""
    short = (d[4] * 10 + d[5]).astype(np.int16)
    century = latest // 100 * 100
    born = short + np.int16(century) - (short > latest - century) * np.int16(100)
    years: Years = born * (is_date(day, month) & ~leap_day_missing(day, month, born))
    return years
