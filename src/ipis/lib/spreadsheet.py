"""Workbooks (XLSX) written column by column from Arrow: whole columns become sheet XML, no cell is touched in Python.

Every text is a shared string, so that nothing in a cell is run or followed; text that would become a formula when
somebody edits the cell is also marked as text. Columns of numbers and dates stay numbers and dates.
"""

from __future__ import annotations

import io
import math
import zipfile
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ipis.lib import sheetstyle
from ipis.lib.delimited import RUNS_PATTERN, joined_bytes
from ipis.lib.sheetframe import HEAD, MAIN, frame, letters
from ipis.lib.sheetstyle import Style

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from numpy.typing import NDArray

MOST_ROWS = 1_000_000
"""Rows of one sheet; a longer list goes on in the next sheet (a spreadsheet ends at 1,048,576)."""
_CHUNK = 50_000
_LONGEST = 32_000
_LINE = 15
"""Points from one line of text to the next."""
_FILLED = 0.95
"""How much of a line words fill before the next one no longer fits."""
_LEVEL = 1
_PIECE = 1 << 20
"""Bytes of strings that are compressed by one call."""
_ILLEGAL = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x{fffe}\x{ffff}]"
_ESCAPED = r"_(x[0-9A-Fa-f]{4}_)"


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its heading, its cells (text, numbers, days or instants without zone) and how wide it is."""

    heading: str
    cells: pa.Array
    width: float = 12
    wrap: bool = False
    decimals: int = 0


@dataclass(frozen=True, slots=True)
class Sheet:
    """One sheet: lines of text, a heading that stays in view, and the columns below it, with filters."""

    name: str
    columns: Sequence[Column]
    above: Sequence[str] = ()
    frozen: int | None = 0
    """Columns that stay in view beside the heading; None: a page to read, nothing stays and nothing is filtered."""
    notes: Sequence[str] = ()
    """Lines below the columns."""

    @property
    def filters(self) -> bool:
        """Tell whether the columns can be filtered."""
        return self.frozen is not None

    @property
    def rows(self) -> int:
        """Count the rows below the heading."""
        return len(self.columns[0].cells) if self.columns else 0


@dataclass(frozen=True, slots=True)
class _Span:
    """Rows of one sheet that are written together."""

    sheet: Sheet
    start: int
    count: int

    @property
    def first(self) -> int:
        """Give the number of the first of these rows in the sheet."""
        return len(self.sheet.above) + 2 + self.start

    def cells(self, column: Column) -> pa.Array:
        """Give the cells of a column in these rows."""
        whole = self.count == len(column.cells)
        return column.cells if whole else column.cells.slice(self.start, self.count)


@dataclass(frozen=True, slots=True)
class _Block:
    """Cells of one column that stand under each other, from a row on."""

    column: Column
    cells: pa.Array
    letters: str
    row: int


class _Strings:
    """The shared strings of a workbook, in the order in which they were first needed."""

    def __init__(self) -> None:
        self.parts: list[bytes | memoryview] = []
        self.count = 0

    def add(self, values: pa.Array) -> int:
        """Keep texts; gives the number of the first."""
        first, self.count = self.count, self.count + len(values)
        written = pc.binary_join_element_wise('<si><t xml:space="preserve">', _safe(values), "</t></si>", "")
        self.parts.append(joined_bytes(written))
        return first

    def pieces(self) -> Iterator[bytes]:
        """Give the texts in order, in pieces that are worth a call each."""
        waiting: list[bytes | memoryview] = []
        size = 0
        for part in self.parts:
            waiting.append(part)
            size += len(part)
            if size > _PIECE:
                yield b"".join(waiting)
                waiting, size = [], 0
        yield b"".join(waiting)

    def add_words(self, words: Sequence[str]) -> int:
        """Keep a few texts of the program's own; gives the number of the first."""
        first, self.count = self.count, self.count + len(words)
        self.parts += map(_string, words)
        return first


@lru_cache(maxsize=4096)
def _string(word: str) -> bytes:
    """Write a text of the program's own: headings and titles are the same in file after file."""
    return f'<si><t xml:space="preserve">{escape(word)}</t></si>'.encode()


def write_workbook(sheets: Sequence[Sheet], *, title: str, at: datetime) -> bytes:
    """Write a workbook; `at` is the time in its properties and its zip: the same content is the same file."""
    target, strings = io.BytesIO(), _Strings()
    parts = list(_parts(sheets))
    written = iter(_small(parts, strings))
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as archive:
        for number, part in enumerate(parts, start=1):
            entry = _entry(f"xl/worksheets/sheet{number}.xml", at)
            if part.rows <= _CHUNK:
                archive.writestr(entry, b"".join(_sheet(part, iter([next(written)]), strings)))
                continue
            with archive.open(entry, "w") as file:
                for piece in _sheet(part, _chunks(part, strings), strings):
                    file.write(piece)
        with archive.open(_entry("xl/sharedStrings.xml", at), "w") as file:
            file.write(f'{HEAD}<sst xmlns="{MAIN}" uniqueCount="{strings.count}">'.encode())
            for texts in strings.pieces():
                file.write(texts)
            file.write(b"</sst>")
        for name, content in frame(parts, title, at).items():
            archive.writestr(_entry(name, at), content.encode())
    return target.getvalue()


def _entry(name: str, at: datetime) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, at.timetuple()[:6])
    info.compress_type = zipfile.ZIP_DEFLATED
    info._compresslevel = _LEVEL  # type: ignore[attr-defined] # noqa: SLF001 - the only way for an entry that is opened
    return info


def _parts(sheets: Sequence[Sheet]) -> Iterator[Sheet]:
    """Cut what is too long for one sheet; names are as a spreadsheet takes them, and differ."""
    taken: set[str] = set()
    for sheet in sheets:
        for start in range(0, max(1, sheet.rows), MOST_ROWS):
            columns = sheet.columns
            if sheet.rows > MOST_ROWS:
                columns = [replace(column, cells=column.cells.slice(start, MOST_ROWS)) for column in columns]
            yield replace(sheet, name=_name(sheet.name, taken), columns=columns)


def _name(wished: str, taken: set[str]) -> str:
    plain = "".join("-" if letter in "[]:*?/\\'" else letter for letter in wished).strip()[:28] or "-"
    name, again = plain, 1
    while name.lower() in taken:
        again += 1
        name = f"{plain} {again}"
    taken.add(name.lower())
    return name


def _sheet(sheet: Sheet, chunks: Iterator[memoryview], strings: _Strings) -> Iterator[bytes | memoryview]:
    top = len(sheet.above) + 1
    widths = "".join(
        f'<col min="{n}" max="{n}" width="{column.width}" customWidth="1"/>'
        for n, column in enumerate(sheet.columns, start=1)
    )
    yield (
        f'{HEAD}<worksheet xmlns="{MAIN}"><sheetPr><pageSetUpPr fitToPage="1"/></sheetPr>'
        f'<sheetViews><sheetView workbookViewId="0" showGridLines="{int(sheet.filters)}">{_pane(sheet, top)}'
        "</sheetView></sheetViews>"
        f'<sheetFormatPr defaultRowHeight="15"/><cols>{widths}</cols><sheetData>'
    ).encode()
    yield _lines(sheet.above, 1, strings)
    lines = max((math.ceil(len(each.heading) / (each.width * _FILLED)) for each in sheet.columns), default=1)
    yield _line(top, [column.heading for column in sheet.columns], Style.HEADING, strings, high=_LINE * max(1, lines))
    yield from chunks
    bottom = top + sheet.rows
    yield _lines(sheet.notes, bottom + 2, strings)
    last = letters(len(sheet.columns) - 1)
    filters = f'<autoFilter ref="A{top}:{last}{max(bottom, top + 1)}"/>' if sheet.filters else ""
    yield (
        f"</sheetData>{filters}"
        '<pageMargins left="0.4" right="0.4" top="0.5" bottom="0.5" header="0.3" footer="0.3"/>'
        '<pageSetup paperSize="9" orientation="landscape" fitToWidth="1" fitToHeight="0"/></worksheet>'
    ).encode()


def _pane(sheet: Sheet, top: int) -> str:
    if sheet.frozen is None:
        return ""
    across = f'xSplit="{sheet.frozen}" ' if sheet.frozen else ""
    active = "bottomRight" if sheet.frozen else "bottomLeft"
    corner = f"{letters(sheet.frozen)}{top + 1}"
    return f'<pane {across}ySplit="{top}" topLeftCell="{corner}" activePane="{active}" state="frozen"/>'


def _small(sheets: Sequence[Sheet], strings: _Strings) -> Iterator[memoryview]:
    """Write the rows of all sheets that are small at once: what a column costs is paid once and not by sheet."""
    return _rows([_Span(sheet, 0, sheet.rows) for sheet in sheets if sheet.rows <= _CHUNK], strings)


def _chunks(sheet: Sheet, strings: _Strings) -> Iterator[memoryview]:
    """Write the rows of a long sheet some at a time."""
    for start in range(0, sheet.rows, _CHUNK):
        yield from _rows([_Span(sheet, start, min(_CHUNK, sheet.rows - start))], strings)


def _rows(spans: Sequence[_Span], strings: _Strings) -> Iterator[memoryview]:
    """Write the rows of spans, all at once; a column that a sheet lacks is empty in its rows. Gives them by span."""
    if not spans:
        return
    written = iter(_written([block for span in spans for block in _blocks(span)], strings))
    cells = [[next(written) for _ in span.sheet.columns] for span in spans]
    columns = [
        pa.concat_arrays(
            [its[place] if place < len(its) else _nothing(span) for its, span in zip(cells, spans, strict=True)]
        )
        for place in range(max(map(len, cells)))
    ]
    numbers = np.concatenate([np.arange(span.first, span.first + span.count, dtype=np.int32) for span in spans])
    lines = pc.binary_join_element_wise(
        '<row r="',
        pa.array(numbers).cast(pa.string()),
        pa.concat_arrays(list(map(_heights, spans))),
        '">',
        *columns,
        "</row>",
        "",
        null_handling="replace",
        null_replacement="",
    )
    start = 0
    for span in spans:
        yield joined_bytes(lines.slice(start, span.count))
        start += span.count


def _blocks(span: _Span) -> list[_Block]:
    return [
        _Block(column, span.cells(column), letters(place), span.first)
        for place, column in enumerate(span.sheet.columns)
    ]


def _nothing(span: _Span) -> pa.Array:
    return pa.nulls(span.count, pa.string())


def _heights(span: _Span) -> pa.Array:
    """Say how high rows with long texts are: not every program finds out for itself. Null where none is long."""
    lines = [
        pc.ceil(pc.divide(pc.utf8_length(span.cells(column)).cast(pa.float64()), column.width * _FILLED))
        for column in span.sheet.columns
        if column.wrap and not _is_number(column.cells.type)
    ]
    if not lines:
        return _nothing(span)
    most = pc.min_element_wise(pc.max_element_wise(*lines, 1.0), 25.0)
    points = pc.multiply(most, _LINE).cast(pa.int32()).cast(pa.string())
    return pc.binary_join_element_wise('" ht="', points, '" customHeight="1', "")


def _written(blocks: Sequence[_Block], strings: _Strings) -> list[pa.Array]:
    """Write the cells of many columns as XML, each kind of cell at once; null where there is nothing to write."""
    made: dict[int, pa.Array] = {}
    kinds: dict[pa.DataType, list[int]] = {}
    for place, block in enumerate(blocks):
        kinds.setdefault(block.cells.type, []).append(place)
    for kind, places in kinds.items():
        chosen = [blocks[place] for place in places]
        lengths = [len(block.cells) for block in chosen]
        of = np.repeat(np.arange(len(chosen)), lengths)
        cells = pa.concat_arrays([block.cells for block in chosen])
        starts = np.repeat(np.cumsum([0, *lengths[:-1]]), lengths)
        rows = pa.array(np.arange(len(of)) - starts + np.array([block.row for block in chosen])[of]).cast(pa.string())
        heads = pa.array([f'<c r="{block.letters}' for block in chosen]).take(pa.array(of))
        columns = [block.column for block in chosen]
        tails = _numbers(columns, of, cells) if _is_number(kind) else _texts(columns, of, cells, strings)
        written = pc.binary_join_element_wise(heads, rows, tails, "")
        for place, start, length in zip(places, np.cumsum([0, *lengths[:-1]]), lengths, strict=True):
            made[place] = written.slice(int(start), length)
    return [made[place] for place in range(len(blocks))]


def _is_number(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_date(kind) or pa.types.is_timestamp(kind)
    )


def _numbers(columns: Sequence[Column], of: NDArray[np.int64], cells: pa.Array) -> pa.Array:
    styles, values = [Style.WHOLE] * len(columns), cells
    if pa.types.is_date(cells.type):
        styles, values = [Style.DAY] * len(columns), sheetstyle.serial_days(cells)
    elif pa.types.is_timestamp(cells.type):
        styles, values = [Style.INSTANT] * len(columns), sheetstyle.serial_instants(cells)
    elif pa.types.is_floating(cells.type):
        # What is no number has no form in a sheet.
        values = pc.if_else(pc.is_finite(cells), cells, None)
        styles = [sheetstyle.of_decimals(column.decimals) for column in columns]
    heads = pa.array([f'" s="{style.value}"><v>' for style in styles]).take(pa.array(of))
    return pc.binary_join_element_wise(heads, values.cast(pa.string()), "</v></c>", "")


def _texts(columns: Sequence[Column], of: NDArray[np.int64], cells: pa.Array, strings: _Strings) -> pa.Array:
    coded = cells.cast(pa.string()).dictionary_encode()
    values = coded.dictionary
    if not len(values):
        return pa.nulls(len(cells), pa.string())
    first = strings.add(values)
    numbers = pa.array(np.arange(first, first + len(values), dtype=np.int32)).cast(pa.string())
    wrap = pa.array(np.array([column.wrap for column in columns])[of])
    runs = pc.match_substring_regex(values, RUNS_PATTERN).take(coded.indices)
    plain = pc.if_else(wrap, _style(Style.WRAPPED), _style(Style.TEXT))
    marked = pc.if_else(wrap, _style(Style.WRAPPED_MARKED), _style(Style.TEXT_MARKED))
    tails = pc.binary_join_element_wise(pc.if_else(runs, marked, plain), numbers.take(coded.indices), "</v></c>", "")
    return pc.if_else(pc.equal(cells, ""), None, tails)


def _style(style: Style) -> str:
    return f'" s="{style.value}" t="s"><v>'


def _lines(lines: Sequence[str], number: int, strings: _Strings) -> bytes:
    """Write lines of text: the first of a sheet is its title, one after an empty line is a heading."""
    written = []
    for place, line in enumerate(lines):
        before = lines[place - 1] if place else None
        style = Style.TITLE if number + place == 1 else Style.STRONG if before == "" else Style.PLAIN
        if line:
            written.append(_line(number + place, [line], style, strings))
    return b"".join(written)


def _line(number: int, texts: Sequence[str], style: Style, strings: _Strings, *, high: int = 0) -> bytes:
    first = strings.add_words(texts)
    cells = "".join(
        f'<c r="{letters(place)}{number}" s="{style.value}" t="s"><v>{first + place}</v></c>'
        for place in range(len(texts))
    )
    height = f' ht="{high}" customHeight="1"' if high else ""
    return f'<row r="{number}"{height}>{cells}</row>'.encode()


def _safe(values: pa.Array) -> pa.Array:
    """Escape for XML and for the `_x000A_` of workbooks; what XML cannot hold is shown as a replacement sign."""
    cut = pc.if_else(
        pc.greater(pc.utf8_length(values), _LONGEST),
        pc.binary_join_element_wise(pc.utf8_slice_codeunits(values, 0, _LONGEST), " …", ""),
        values,
    )
    legal = pc.replace_substring_regex(cut, _ILLEGAL, "\ufffd")
    plain = pc.replace_substring_regex(legal, _ESCAPED, r"_x005F_\1")
    for sign, name in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        plain = pc.replace_substring(plain, sign, name)
    return plain
