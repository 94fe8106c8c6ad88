"""Drawn records as columns of text: what a row holds is exactly what will stand in the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Bits = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one record type: the person each belongs to (0-based, ascending), and its fields by verbatim name."""

    person: Ints
    columns: Mapping[str, pa.Array]

    def __len__(self) -> int:
        return len(self.person)


@dataclass(frozen=True, slots=True)
class Draw:
    """One extract before it is written: the header's fields and the rows of each record type."""

    header: Mapping[str, str]
    rows: Mapping[str, Rows]

    @property
    def persons(self) -> int:
        """Give the number of persons."""
        return len(self.rows["person"])


def numbers(values: NDArray[np.int64], absent: Bits | None = None) -> pa.Array:
    """Write whole numbers."""
    return pa.array(values, mask=absent).cast(pa.string())


def numbered(prefix: str, values: Ints, width: int) -> pa.Array:
    """Write running numbers with a prefix and leading zeros."""
    digits = pc.utf8_lpad(numbers(values), width, "0")
    return pc.binary_join_element_wise(pa.scalar(prefix), digits, "")


def decimals(values: NDArray[np.float64], scale: int, absent: Bits | None = None) -> pa.Array:
    """Write numbers with so many decimals."""
    scaled = np.rint(values * 10**scale).astype(np.int64)
    whole, rest = numbers(scaled // 10**scale), pc.utf8_lpad(numbers(scaled % 10**scale), scale, "0")
    text = pc.binary_join_element_wise(whole, rest, ".")
    return text if absent is None else blank(text, absent)


def dates(days: Ints, absent: Bits | None = None) -> pa.Array:
    """Write days since 1970-01-01 as yyyy-mm-dd."""
    return pa.array(days.astype(np.int32), mask=absent).cast(pa.date32()).cast(pa.string())


def choices(words: list[str], places: Ints, absent: Bits | None = None) -> pa.Array:
    """Write the word at each place."""
    return pa.array(words, pa.string()).take(pa.array(places, mask=absent))


def blank(column: pa.Array, absent: Bits) -> pa.Array:
    """Leave out values."""
    return pc.if_else(pa.array(absent), pa.scalar(None, pa.string()), column)
