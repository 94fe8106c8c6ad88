"""Cells of the page in whole columns: numbers as the language writes them, text as HTML, rows of a table as one text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
from markupsafe import Markup

from ipis.lib.delimited import joined_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

THIN_SPACE = "\u202f"
_ESCAPES = (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&#34;"), ("'", "&#39;"))


def decimal_sign(language: str) -> str:
    """Give the sign between a number and its decimals."""
    return "." if language == "en" else ","


def thousands_sign(language: str) -> str:
    """Give the sign between thousands."""
    return "," if language == "en" else THIN_SPACE


def numbers(values: pa.Array, decimals: pa.Array, language: str) -> pa.Array:
    """Write numbers as the language does, each with its own decimals (0, 1 or 2); empty text where there is none."""
    texts = pc.fill_null(_fixed(values, 0, language), "")
    for places in (1, 2):
        texts = pc.if_else(pc.equal(decimals, places), pc.fill_null(_fixed(values, places, language), ""), texts)
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
    for digits in (3, 6, 9):
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


def rows(cells: Sequence[tuple[pa.Array, str]]) -> Markup:
    """Write the rows of a table's body: columns of text, each with its opening tag (`<td>`, `<th scope="row">` …)."""
    pieces: list[pa.Array | str] = ["<tr>"]
    for texts, opening in cells:
        closing = "</th>" if opening.startswith("<th") else "</td>"
        pieces += [opening, escaped(pc.fill_null(texts, "")), closing]
    lines = pc.binary_join_element_wise(*pieces, "</tr>\n", "")
    if isinstance(lines, pa.ChunkedArray):
        lines = lines.combine_chunks()
    return Markup(str(joined_bytes(lines), "utf-8"))  # noqa: S704 - every text in it is escaped above
