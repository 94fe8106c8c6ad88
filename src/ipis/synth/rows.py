"""Drawn records as columns of text: what a row holds is exactly what will stand in the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Bits = NDArray[np.bool_]


_FIRST_DAY, _DAYS = -25_567, 91_310


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one record type: the person each belongs to (0-based, ascending), and its fields by verbatim name."""

    person: Ints
    columns: Mapping[str, pa.Array]

    def __len__(self) -> int:
        return len(self.person)

    def keep(self, kept: Bits) -> Rows:
        """Give the rows that are kept."""
        return Rows(self.person[kept], {name: column.filter(pa.array(kept)) for name, column in self.columns.items()})

    def without(self, places: Ints) -> Rows:
        """Give all rows but those at some places."""
        kept = np.ones(len(self), np.bool_)
        kept[places] = False
        return self.keep(kept)


@dataclass(frozen=True, slots=True)
class Draw:
    """One extract before it is written: the header's fields and the rows of each record type.

    `orphans`: user numbers of rows whose person, numbered on after the last one, is not there.
    """

    header: Mapping[str, str]
    rows: Mapping[str, Rows]
    orphans: tuple[str, ...] = ()

    @property
    def persons(self) -> int:
        """Give the number of persons."""
        return len(self.rows["person"])


def numbers(values: NDArray[np.int64], absent: Bits | None = None) -> pa.Array:
    """Write whole numbers."""
    return pa.array(values, mask=absent).cast(pa.string())


def digits(values: Ints, width: int) -> pa.Array:
    """Write whole numbers with leading zeros; what is longer loses its first digits."""
    powers = 10 ** np.arange(width - 1, -1, -1, dtype=np.int64)
    letters = (values[:, None] // powers % 10 + ord("0")).astype(np.uint8)
    offsets = np.arange(len(values) + 1, dtype=np.int32) * width
    return pa.StringArray.from_buffers(len(values), pa.py_buffer(offsets), pa.py_buffer(letters))


def joined(*parts: pa.Array | str) -> pa.Array:
    """Write texts one after the other; null where one of them is."""
    return pc.binary_join_element_wise(*parts, "")


def decimals(values: NDArray[np.float64], scale: int, absent: Bits | None = None) -> pa.Array:
    """Write numbers with so many decimals."""
    scaled = np.rint(values * 10**scale).astype(np.int64)
    text = joined(numbers(scaled // 10**scale), ".", digits(scaled % 10**scale, scale))
    return text if absent is None else blank(text, absent)


def dates(days: Ints, absent: Bits | None = None) -> pa.Array:
    """Write days since 1970-01-01 as yyyy-mm-dd."""
    places = np.clip(days - _FIRST_DAY, 0, _DAYS - 1).astype(np.int32)
    return _calendar().take(pa.array(places, mask=absent))


@cache
def _calendar() -> pa.Array:
    """Write all days from 1900 to 2149 once."""
    days = np.arange(_FIRST_DAY, _FIRST_DAY + _DAYS, dtype=np.int32)
    return pa.array(days).cast(pa.date32()).cast(pa.string())


def choices(words: Sequence[str], places: Ints, absent: Bits | None = None) -> pa.Array:
    """Write the word at each place."""
    return pa.array(words, pa.string()).take(pa.array(places, mask=absent))


def blank(column: pa.Array, absent: Bits) -> pa.Array:
    """Leave out values."""
    return pc.if_else(pa.array(absent), pa.scalar(None, pa.string()), column)
