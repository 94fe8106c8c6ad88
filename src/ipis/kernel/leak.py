"""Are there identity numbers where none may be? Answers counts and column names only, never which value or row.

Used by every party on what it is about to send or has just received. Separators within a number are looked through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ipis.kernel.modulus import Bits, Bytes, birth_year, check_digits, duf_check_digits

MIN_HITS = 3
MIN_SHARE = 0.01
"""A column leaks when more than this share of its values, and at least so many, hold an identity number."""

_SEPARATORS = r"[ \t.,:;/_\x{2d}\x{a0}\x{2007}\x{2009}\x{2010}-\x{2014}\x{202f}\x{2212}]"
_MANY_DIGITS = rf"(?:[0-9]{_SEPARATORS}*){{10}}[0-9]"
_ROWS = 65_536
_SHORT, _LONG = 11, 12
_MONTH_MARKS = (0, 40, 65, 80)
_POWERS = 10 ** np.arange(_LONG - 1, -1, -1, dtype=np.int64)

Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ColumnHits:
    """How many of a column's values hold an identity number."""

    column: str
    hits: int
    values: int

    @property
    def leaks(self) -> bool:
        """Tell whether this is more than chance and single slips (architecture §2.2)."""
        return self.hits >= MIN_HITS and self.hits > MIN_SHARE * self.values


class Suspects:
    """The values of a table's text columns that have digits enough for an identity number, sought once for all looks.

    They are kept as digits with what was no separator between them; it shows nothing.
    """

    __slots__ = ("columns",)

    def __init__(self, table: pa.Table) -> None:
        """Look through all columns of text, in a dictionary or not."""
        self.columns = [
            (name, len(column) - column.null_count, list(_candidates(column))) for name, column in _text_columns(table)
        ]

    def __repr__(self) -> str:
        """Show nothing."""
        return "<Suspects>"


def scan(texts: pa.Table | Suspects) -> tuple[ColumnHits, ...]:
    """Count values that hold something with the form, date and check digits of an identity number, column by column.

    FH-numbers are not looked for: they have no date, and one in six hundred chance numbers would look like one.
    """
    return _count(texts, _ending_windows, _looks_like_identity)


class OwnNumbers:
    """Identifiers to look for, made ready once for many tables; it shows nothing."""

    __slots__ = ("values",)

    def __init__(self, identifiers: pa.Array | pa.ChunkedArray) -> None:
        """Take those of 11 or 12 digits; dummies of one repeated digit occur by themselves in other numbers."""
        self.values = _as_numbers(identifiers)

    def __repr__(self) -> str:
        """Show nothing."""
        return "<OwnNumbers>"


def own_hits(
    texts: pa.Table | Suspects, identifiers: pa.Array | pa.ChunkedArray | OwnNumbers
) -> tuple[ColumnHits, ...]:
    """Count values that contain one of these very identifiers of 11 or 12 digits, at any place and however separated.

    Dummies of one repeated digit are left aside: they occur by themselves in other numbers.
    """
    own = (identifiers if isinstance(identifiers, OwnNumbers) else OwnNumbers(identifiers)).values

    def is_own(digits: Bytes, lengths: Bytes) -> Bits:
        return np.isin(_values(digits, lengths), own)

    return _count(texts, _all_windows, is_own)


def _text_columns(table: pa.Table) -> Iterator[tuple[str, pa.ChunkedArray]]:
    for field, column in zip(table.schema, table.columns, strict=True):
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            yield field.name, column if kind is field.type else column.cast(pa.large_string())


def _count(
    texts: pa.Table | Suspects,
    windows: Callable[[Places, Places], tuple[Places, Bytes]],
    is_hit: Callable[[Bytes, Bytes], Bits],
) -> tuple[ColumnHits, ...]:
    suspects = texts if isinstance(texts, Suspects) else Suspects(texts)
    return tuple(
        ColumnHits(name, sum(_rows_hit(part, windows, is_hit) for part in parts), values)
        for name, values, parts in suspects.columns
    )


def _candidates(column: pa.ChunkedArray) -> Iterator[pa.Array]:
    """Give the values with at least eleven digits in a row, separators removed, some thousand at a time."""
    for chunk in column.chunks:
        if _longest(chunk) < _SHORT:
            continue
        for start in range(0, len(chunk), _ROWS):
            values = chunk.slice(start, _ROWS).cast(pa.large_string())
            # Counting digits is cheap, and most texts have too few.
            many = np.flatnonzero(_digits_in(*_bytes_of(values)) >= _SHORT)
            some = values.take(pa.array(many))
            some = some.filter(pc.match_substring_regex(some, _MANY_DIGITS))
            if len(some):
                yield pc.replace_substring_regex(some, _SEPARATORS, "")


def _longest(texts: pa.Array) -> int:
    """Give the bytes of the longest text."""
    if texts.null_count == len(texts):
        return 0
    width = np.int64 if pa.types.is_large_string(texts.type) else np.int32
    bounds = np.frombuffer(texts.buffers()[1], width)[texts.offset : texts.offset + len(texts) + 1]
    return int(np.diff(bounds).max())


def _digits_in(data: Bytes, offsets: Places) -> NDArray[np.int32]:
    """Count the digits of each value."""
    before = np.zeros(len(data) + 1, np.int32)
    np.cumsum(data - np.uint8(ord("0")) < 10, out=before[1:])
    digits: NDArray[np.int32] = np.diff(before[offsets])
    return digits


def _rows_hit(
    values: pa.Array,
    windows: Callable[[Places, Places], tuple[Places, Bytes]],
    is_hit: Callable[[Bytes, Bytes], Bits],
) -> int:
    """Count the values of which at least one window of digits is a hit."""
    data, offsets = _bytes_of(values)
    starts, ends = _runs_of_digits(data, offsets)
    places, lengths = windows(starts, ends)
    padded = np.concatenate([data, np.zeros(_LONG, np.uint8)])
    digits = np.ascontiguousarray(np.lib.stride_tricks.sliding_window_view(padded, _LONG)[places].T) - np.uint8(48)
    found = places[is_hit(digits, lengths)]
    return len(np.unique(np.searchsorted(offsets, found, side="right")))


def _bytes_of(values: pa.Array) -> tuple[Bytes, Places]:
    """Give all text end to end, and where each value starts, with a last entry for the end."""
    _, offsets_buffer, data_buffer = values.buffers()
    offsets = np.frombuffer(offsets_buffer, np.int64)[values.offset : values.offset + len(values) + 1]
    data = np.frombuffer(data_buffer, np.uint8)[offsets[0] : offsets[-1]]
    return data, offsets - offsets[0]


def _runs_of_digits(data: Bytes, offsets: Places) -> tuple[Places, Places]:
    """Give start and end of every run of at least eleven digits within one value."""
    digit = data - np.uint8(ord("0")) < 10
    first, last = np.ones(len(data) + 1, np.bool_), np.ones(len(data) + 1, np.bool_)
    first[1:-1] = ~digit[:-1]
    last[1:-1] = ~digit[1:]
    first[offsets] = last[offsets] = True
    starts = np.flatnonzero(first[:-1] & digit)
    ends = np.flatnonzero(last[1:] & digit) + 1
    long_enough = ends - starts >= _SHORT
    return starts[long_enough], ends[long_enough]


def _ending_windows(starts: Places, ends: Places) -> tuple[Places, Bytes]:
    """Take a run's first and last eleven digits, and all of it if twelve: a number alone, or with something beside it.

    Not every place of a longer run: in a random number of twenty digits one place in four hundred would be a hit.
    """
    longer = ends - starts > _SHORT
    twelve = ends - starts == _LONG
    places = np.concatenate([starts, ends[longer] - _SHORT, starts[twelve]])
    lengths = np.full(len(places), _SHORT, np.uint8)
    lengths[len(places) - np.count_nonzero(twelve) :] = _LONG
    return places, lengths


def _all_windows(starts: Places, ends: Places) -> tuple[Places, Bytes]:
    short, long = _windows(starts, ends, _SHORT), _windows(starts, ends, _LONG)
    lengths = np.repeat(np.array([_SHORT, _LONG], np.uint8), [len(short), len(long)])
    return np.concatenate([short, long]), lengths


def _windows(starts: Places, ends: Places, width: int) -> Places:
    """Give every place in the runs where so many digits follow."""
    counts = np.maximum(ends - starts - width + 1, 0)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    places: Places = np.repeat(starts, counts) + within
    return places


def _looks_like_identity(digits: Bytes, lengths: Bytes) -> Bits:
    """Tell which windows (12 × n digits) are a fødselsnummer, D-, H- or synthetic number, or of twelve digits DUF."""
    year_first = (digits[0] == 1) & (digits[1] == 9) | (digits[0] == 2) & (digits[1] == 0)
    duf = (lengths == _LONG) & year_first & duf_check_digits(digits)
    day, month = digits[0] * 10 + digits[1], digits[2] * 10 + digits[3]
    day -= (day > 40) * np.uint8(40)
    dated = np.zeros(len(lengths), np.bool_)
    for mark in _MONTH_MARKS:
        dated |= birth_year(digits, day, month - np.uint8(mark), latest=9999) > 0
    hit: Bits = duf | ((lengths == _SHORT) & dated & check_digits(digits)[1])
    return hit


def _as_numbers(identifiers: pa.Array | pa.ChunkedArray) -> Places:
    """Read the identifiers of 11 or 12 digits as `_values` reads windows, without dummies of one repeated digit."""
    column = identifiers if isinstance(identifiers, pa.ChunkedArray) else pa.chunked_array([identifiers])
    found: list[Places] = [np.zeros(0, np.int64)]
    for part in _candidates(column):
        data, offsets = _bytes_of(part)
        lengths = np.diff(offsets)
        whole = (_digits_in(data, offsets) == lengths) & ((lengths == _SHORT) | (lengths == _LONG))
        padded = np.concatenate([data, np.zeros(_LONG, np.uint8)])
        digits = np.lib.stride_tricks.sliding_window_view(padded, _LONG)[offsets[:-1][whole]].T - np.uint8(48)
        lengths = lengths[whole].astype(np.uint8)
        repeated = (digits[:_SHORT] == digits[0]).all(axis=0) & ((lengths == _SHORT) | (digits[_SHORT] == digits[0]))
        found.append(_values(digits, lengths)[~repeated])
    return np.unique(np.concatenate(found))


def _values(digits: Bytes, lengths: Bytes) -> Places:
    """Read windows (12 × n) as whole numbers; one of twelve digits is told from one of eleven by its sign."""
    twelve = _POWERS @ np.where(digits < 10, digits, 0).astype(np.int64)
    values: Places = np.where(lengths == _LONG, -1 - twelve, twelve // 10)
    return values


def leaking(hits: Iterable[ColumnHits]) -> tuple[ColumnHits, ...]:
    """Keep the columns that leak."""
    return tuple(each for each in hits if each.leaks)
