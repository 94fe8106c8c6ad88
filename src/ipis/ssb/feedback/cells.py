"""Cells of the page in whole columns: numbers as the language writes them, text as HTML, rows of tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
from markupsafe import Markup

from ipis.lib.delimited import joined_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

THIN_SPACE = "\u202f"
HIDDEN = "\u2022" * 11
"""What stands in place of eleven digits or more."""
_NUMBER = r"(?:[0-9][ .\-]?){10,}[0-9]"
_ESCAPES = (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&#34;"), ("'", "&#39;"))


def without_numbers(texts: pa.Array) -> pa.Array:
    """Hide what could be an identity number: eleven digits or more, also with single separators between them.

    A forsendelse that holds any is refused long before; a single one that slipped through a field goes no further.
    """
    return pc.replace_substring_regex(texts, _NUMBER, HIDDEN)


def each_once(texts: pa.Array, change: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """Change texts, each that differs once: in a column of words few do."""
    coded = texts.dictionary_encode()
    return change(coded.dictionary).take(coded.indices)


def decimal_sign(language: str) -> str:
    """Give the sign between a number and its decimals."""
    return "." if language == "en" else ","


def thousands_sign(language: str) -> str:
    """Give the sign between thousands."""
    return "," if language == "en" else THIN_SPACE


def numbers(values: pa.Array, decimals: pa.Array, language: str) -> pa.Array:
    """Write numbers as the language does, each with its own decimals (0, 1 or 2); empty text where there is none."""
    texts = pa.repeat("", len(values))
    for places in pc.unique(decimals).to_pylist():
        written = pc.fill_null(_fixed(values, places, language), "")
        texts = pc.if_else(pc.equal(decimals, places), written, texts)
    return texts


def _fixed(values: pa.Array, decimals: int, language: str) -> pa.Array:
    """Write numbers with so many decimals; up to 999 999 999 999."""
    scale = 10**decimals
    scaled = pc.round(pc.multiply(values.cast(pa.float64()), scale))
    units = pc.abs(pc.if_else(pc.is_finite(scaled), scaled, None).cast(pa.int64()))
    sign = pc.if_else(pc.less(scaled, 0), "\u2212", "")
    whole = pc.divide(units, scale)
    text = _grouped(whole, thousands_sign(language))
    if decimals:
        rest = pc.utf8_lpad(pc.subtract(units, pc.multiply(whole, scale)).cast(pa.string()), decimals, "0")
        text = pc.binary_join_element_wise(text, rest, decimal_sign(language))
    return pc.binary_join_element_wise(sign, text, "")


def _grouped(whole: pa.Array, sign: str) -> pa.Array:
    text = whole.cast(pa.string())
    most = pc.max(whole).as_py() or 0
    for digits in (3, 6, 9):
        if most < 10**digits:
            break
        longer = pc.greater_equal(whole, 10**digits)
        at = -(digits + (digits // 3 - 1) * len(sign))
        head, tail = pc.utf8_slice_codeunits(text, 0, at), pc.utf8_slice_codeunits(text, at)
        text = pc.if_else(longer, pc.binary_join_element_wise(head, tail, sign), text)
    return text


def escaped(texts: pa.Array) -> pa.Array:
    """Write text as HTML does; nothing in it is markup."""
    for sign, name in _ESCAPES:
        texts = pc.replace_substring(texts, sign, name)
    return texts


def rows(columns: Sequence[tuple[pa.Array, str, pa.Array | None]]) -> pa.Array:
    """Write rows of a table's body: columns of text, each with its opening tag (`<td>`, `<th scope="row">` …).

    A column may say which rows have it: rows of several tables are written at once, and cut apart by `body`.
    """
    pieces: list[pa.Array | str] = ["<tr>"]
    for (_, opening, present), texts in zip(columns, _escaped_columns([each[0] for each in columns]), strict=True):
        closing = "</th>" if opening.startswith("<th") else "</td>"
        if present is None:
            pieces += [opening, texts, closing]
        else:
            pieces.append(pc.if_else(present, pc.binary_join_element_wise(opening, texts, closing, ""), ""))
    return pc.binary_join_element_wise(*pieces, "</tr>\n", "")


def _escaped_columns(columns: Sequence[pa.Array]) -> list[pa.Array]:
    """Escape columns of the same length, all at once: a call costs more than the few words of one."""
    count = len(columns[0])
    whole = each_once(pc.fill_null(pa.concat_arrays(columns), ""), escaped)
    return [whole.slice(place * count, count) for place in range(len(columns))]


def body(lines: pa.Array, start: int, end: int) -> Markup:
    """Give some of the rows that `rows` wrote, one after the other."""
    # Every text in them was escaped when they were written.
    return Markup(str(joined_bytes(lines.slice(start, end - start)), "utf-8"))  # noqa: S704
