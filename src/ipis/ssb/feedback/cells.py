"""Cells that a spreadsheet would run are marked so that it shows them; the municipality's `open` takes the mark off."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

RUNS = ("=", "+", "-", "@", "\t", "\r", "\n", "'")
MARK = "'"


def shown(value: object) -> object:
    """Give a cell's value, marked when it is text that a spreadsheet would take for a formula."""
    if isinstance(value, str) and value.startswith(RUNS):
        return MARK + value
    return "" if value is None else value


def write_csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """Write CSV as a Norwegian spreadsheet reads it: UTF-8 with its mark, `;`, every line ended by CR LF."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=";", lineterminator="\r\n")
    writer.writerow(header)
    writer.writerows([shown(value) for value in row] for row in rows)
    return b"\xef\xbb\xbf" + text.getvalue().encode()
