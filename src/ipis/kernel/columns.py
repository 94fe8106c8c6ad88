"""Typed columns from texts: whole numbers, decimals and days, each with the text kept where it did not parse.

No loop over values: Arrow kernels and one NumPy pass over the bytes of dates.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ipis.kernel.layout import Field, Kind

FIRST_YEAR, LAST_YEAR = 1900, 2099
"""Years a date may lie in (the shape ^(19|20) of the register's own message)."""

_DAYS = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], dtype=np.int64)
_UNWRITABLE = r"[\x{0}-\x{8}\x{b}\x{c}\x{e}-\x{1f}\x{fffe}\x{ffff}]"
_SUSPECT = np.isin(np.arange(256), [*range(9), 11, 12, *range(14, 32), 0xEF])
"""Bytes with which such a character may begin."""
_DASHES = (4, 7)
_DIGITS = (0, 1, 2, 3, 5, 6, 8, 9)


def unwritable_row(texts: pa.Array) -> int | None:
    """Find the first text with a character that XML 1.0 cannot hold; no list that shows it could be read again."""
    data = texts.buffers()[2]
    if data is None or not _SUSPECT[np.frombuffer(data, np.uint8)].any():
        return None
    rows = np.flatnonzero(pc.match_substring_regex(texts, _UNWRITABLE).fill_null(False))
    return int(rows[0]) if len(rows) else None


def column(field: Field, texts: pa.Array) -> dict[str, pa.Array]:
    """Make the columns of a field from its texts (null where absent): its name, and `<name>__raw` for typed ones."""
    values, raw = parse(field, texts)
    return {field.name: values} if raw is None else {field.name: values, f"{field.name}__raw": raw}


def form(field: Field) -> tuple[str, int, int]:
    """Tell how a field's texts are parsed; those of fields of one form may be parsed together."""
    return (field.kind, field.length, field.scale) if field.has_raw else ("", field.pad, 0)


def parse(field: Field, texts: pa.Array) -> tuple[pa.Array, pa.Array | None]:
    """Give the values of a field's texts, and for a typed field the texts that did not parse; each text parsed once."""
    if not field.has_raw:
        return _padded(texts, field.pad) if field.pad else texts, None
    if texts.null_count == len(texts):
        return pa.nulls(len(texts), field.arrow_type), texts
    coded = texts.dictionary_encode()
    distinct = coded.dictionary
    values = days(distinct) if field.kind is Kind.DATE else _numbers(field, distinct)
    if values.null_count == 0:
        raw = pa.nulls(len(texts), pa.string())
    else:
        raw = pc.if_else(pc.is_valid(values), pa.scalar(None, pa.string()), distinct).take(coded.indices)
    return values.take(coded.indices), raw


def days(texts: pa.Array) -> pa.Array:
    """Parse yyyy-mm-dd to date32; null where a text is no day of the calendar between the first and the last year."""
    shaped = pc.equal(pc.binary_length(texts), 10).fill_null(False)
    where = np.flatnonzero(shaped.to_numpy(zero_copy_only=False))
    candidates = texts if len(where) == len(texts) else texts.filter(shaped)
    good, number = _day_numbers(_bytes_of(candidates, 10))
    values = np.zeros(len(texts), dtype=np.int32)
    missing = np.ones(len(texts), dtype=bool)
    values[where] = number
    missing[where] = ~good
    return pa.array(values, mask=missing).cast(pa.date32())


def _bytes_of(texts: pa.Array, width: int) -> npt.NDArray[np.uint8]:
    """View texts of one byte length, none null, as a matrix of bytes."""
    if len(texts) == 0:
        return np.zeros((0, width), dtype=np.uint8)
    offsets = np.frombuffer(texts.buffers()[1], dtype=np.int32, count=len(texts) + 1, offset=texts.offset * 4)
    data = np.frombuffer(texts.buffers()[2], dtype=np.uint8)
    return data[offsets[0] : offsets[-1]].reshape(-1, width)


def _day_numbers(matrix: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int32]]:
    digits = matrix.astype(np.int64) - ord("0")
    good = np.all((digits[:, _DIGITS] >= 0) & (digits[:, _DIGITS] <= 9), axis=1)
    good &= np.all(matrix[:, _DASHES] == ord("-"), axis=1)
    year = digits[:, :4] @ np.array([1000, 100, 10, 1])
    month = digits[:, 5] * 10 + digits[:, 6]
    day = digits[:, 8] * 10 + digits[:, 9]
    good &= (year >= FIRST_YEAR) & (year <= LAST_YEAR) & (month >= 1) & (month <= 12)
    year, month, day = (np.where(good, part, start) for part, start in ((year, FIRST_YEAR), (month, 1), (day, 1)))
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    good &= (day >= 1) & (day <= _DAYS[month] + (leap & (month == 2)))
    months = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
    number = months.astype("datetime64[D]").astype(np.int64) + day - 1
    return good, number.astype(np.int32)


def _numbers(field: Field, texts: pa.Array) -> pa.Array:
    """Parse whole or decimal numbers with a point; a minus parses, so that a range rule can speak of it."""
    whole = field.length - field.scale
    tail = rf"(?:\.[0-9]{{1,{field.scale}}})?" if field.kind is Kind.DEC else ""
    shaped = pc.match_substring_regex(texts, rf"\A-?[0-9]{{1,{whole}}}{tail}\z")
    return pc.if_else(shaped, texts, pa.scalar(None, pa.string())).cast(field.arrow_type)


def _padded(texts: pa.Array, width: int) -> pa.Array:
    """Give codes of digits their leading zeros (`1` and `01` are one service type)."""
    shortest = pc.min(pc.binary_length(texts)).as_py()
    if shortest is None or shortest >= width:
        return texts
    digits = pc.match_substring_regex(texts, r"\A[0-9]+\z")
    return pc.if_else(digits, pc.utf8_lpad(texts, width, "0"), texts)
