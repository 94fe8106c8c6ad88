"""Workbooks (XLSX) written column by column from Arrow: whole columns become sheet XML, no cell is touched in Python.

Every text is a shared string, so that nothing in a cell is run or followed; text that would become a formula when
somebody edits the cell is also marked as text. Columns of numbers and dates stay numbers and dates.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

import pyarrow as pa
import pyarrow.compute as pc

from ipis.lib import sheetstyle
from ipis.lib.delimited import RUNS, joined_bytes
from ipis.lib.sheetstyle import Style

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

MOST_ROWS = 1_000_000
"""Rows of one sheet; a longer list goes on in the next sheet (a spreadsheet ends at 1,048,576)."""
_CHUNK = 50_000
_LONGEST = 32_000
_LINE = 15
"""Points from one line of text to the next."""
_FILLED = 0.95
"""How much of a line words fill before the next one no longer fits."""
_LEVEL = 1
_ILLEGAL = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x{fffe}\x{ffff}]"
_ESCAPED = r"_(x[0-9A-Fa-f]{4}_)"
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'


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
    """Columns that stay in view beside the heading; None: a page to read, where nothing stays and nothing is filtered."""
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


class _Strings:
    """The shared strings of a workbook, column by column."""

    def __init__(self) -> None:
        self.parts: list[pa.Array] = []
        self.count = 0

    def add(self, values: pa.Array) -> int:
        """Keep texts; gives the number of the first."""
        first, self.count = self.count, self.count + len(values)
        self.parts.append(pc.binary_join_element_wise('<si><t xml:space="preserve">', _safe(values), "</t></si>", ""))
        return first

    def write(self, file: zipfile._ZipWriteFile) -> None:
        file.write(f'{_HEAD}<sst xmlns="{_MAIN}" uniqueCount="{self.count}">'.encode())
        for part in self.parts:
            file.write(joined_bytes(part))
        file.write(b"</sst>")


def write_workbook(sheets: Sequence[Sheet], *, title: str, at: datetime) -> bytes:
    """Write a workbook; `at` is the time in its properties and in the zip, so that the same content is the same file."""
    target, strings = io.BytesIO(), _Strings()
    parts = list(_parts(sheets))
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as archive:

        def entry(name: str) -> zipfile.ZipInfo:
            info = zipfile.ZipInfo(name, at.timetuple()[:6])
            info.compress_type = zipfile.ZIP_DEFLATED
            info._compresslevel = _LEVEL  # type: ignore[attr-defined] # noqa: SLF001 - the only way for an open() entry
            return info

        for number, part in enumerate(parts, start=1):
            with archive.open(entry(f"xl/worksheets/sheet{number}.xml"), "w") as file:
                for piece in _sheet(part, strings):
                    file.write(piece)
        with archive.open(entry("xl/sharedStrings.xml"), "w") as file:
            strings.write(file)
        for name, content in _frame(parts, title, at).items():
            with archive.open(entry(name), "w") as file:
                file.write(content.encode())
    return target.getvalue()


def _parts(sheets: Sequence[Sheet]) -> Iterator[Sheet]:
    """Cut what is too long for one sheet; names are as a spreadsheet takes them, and differ."""
    taken: set[str] = set()
    for sheet in sheets:
        for start in range(0, max(1, sheet.rows), MOST_ROWS):
            columns = [
                Column(c.heading, c.cells.slice(start, MOST_ROWS), c.width, c.wrap, c.decimals) for c in sheet.columns
            ]
            name = _name(sheet.name, taken)
            yield Sheet(name, columns, sheet.above, sheet.frozen, sheet.notes)


def _name(wished: str, taken: set[str]) -> str:
    plain = "".join("-" if letter in "[]:*?/\\'" else letter for letter in wished).strip()[:28] or "-"
    name, again = plain, 1
    while name.lower() in taken:
        again += 1
        name = f"{plain} {again}"
    taken.add(name.lower())
    return name


def _sheet(sheet: Sheet, strings: _Strings) -> Iterator[bytes | memoryview]:
    top = len(sheet.above) + 1
    widths = "".join(
        f'<col min="{n}" max="{n}" width="{column.width}" customWidth="1"/>'
        for n, column in enumerate(sheet.columns, start=1)
    )
    yield (
        f'{_HEAD}<worksheet xmlns="{_MAIN}"><sheetPr><pageSetUpPr fitToPage="1"/></sheetPr>'
        f'<sheetViews><sheetView workbookViewId="0" showGridLines="{int(sheet.filters)}">{_pane(sheet, top)}'
        "</sheetView></sheetViews>"
        f'<sheetFormatPr defaultRowHeight="15"/><cols>{widths}</cols><sheetData>'
    ).encode()
    yield _lines(sheet.above, 1, strings)
    yield _line(top, [column.heading for column in sheet.columns], Style.HEADING, strings)
    for start in range(0, sheet.rows, _CHUNK):
        yield from _chunk(sheet, start, top + 1 + start, strings)
    bottom = top + sheet.rows
    yield _lines(sheet.notes, bottom + 2, strings)
    last = _letters(len(sheet.columns) - 1)
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
    corner = f"{_letters(sheet.frozen)}{top + 1}"
    return f'<pane {across}ySplit="{top}" topLeftCell="{corner}" activePane="{active}" state="frozen"/>'


def _chunk(sheet: Sheet, start: int, number: int, strings: _Strings) -> Iterator[bytes | memoryview]:
    count = min(_CHUNK, sheet.rows - start)
    rows = pc.cast(pa.array(range(number, number + count), pa.int32()), pa.string())
    cells = [
        _cells(column, column.cells.slice(start, count), _letters(place), rows, strings)
        for place, column in enumerate(sheet.columns)
    ]
    yield joined_bytes(
        pc.binary_join_element_wise(
            '<row r="', rows, *_height(sheet, start, count), '">', *cells, "</row>", "",
            null_handling="replace", null_replacement="",
        )  # fmt: skip
    )


def _height(sheet: Sheet, start: int, count: int) -> tuple[pa.Array | str, ...]:
    """Say how high rows with long texts are: not every program finds out for itself."""
    lines = [
        pc.ceil(pc.divide(pc.utf8_length(column.cells.slice(start, count)).cast(pa.float64()), column.width * _FILLED))
        for column in sheet.columns
        if column.wrap and not _is_number(column.cells.type)
    ]
    if not lines:
        return ()
    most = pc.min_element_wise(pc.max_element_wise(*lines, 1.0), 25.0)
    return '" ht="', pc.multiply(most, _LINE).cast(pa.int32()).cast(pa.string()), '" customHeight="1'


def _cells(column: Column, cells: pa.Array, letters: str, rows: pa.Array, strings: _Strings) -> pa.Array:
    """Write a column's cells as XML; null where there is nothing to write."""
    if isinstance(cells, pa.ChunkedArray):
        cells = cells.combine_chunks()
    tails = _numbers(column, cells) if _is_number(cells.type) else _texts(column, cells, strings)
    return pc.binary_join_element_wise(f'<c r="{letters}', rows, tails, "")


def _is_number(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_date(kind) or pa.types.is_timestamp(kind)
    )


def _numbers(column: Column, cells: pa.Array) -> pa.Array:
    if pa.types.is_date(cells.type):
        style, values = Style.DAY, sheetstyle.serial_days(cells)
    elif pa.types.is_timestamp(cells.type):
        style, values = Style.INSTANT, sheetstyle.serial_instants(cells)
    elif pa.types.is_floating(cells.type):
        # What is no number has no form in a sheet.
        values = pc.if_else(pc.is_finite(cells), cells, None)
        style = sheetstyle.of_decimals(column.decimals)
    else:
        style, values = Style.WHOLE, cells
    return pc.binary_join_element_wise(f'" s="{style.value}"><v>', values.cast(pa.string()), "</v></c>", "")


def _texts(column: Column, cells: pa.Array, strings: _Strings) -> pa.Array:
    coded = cells.cast(pa.string()).dictionary_encode()
    values = coded.dictionary
    if not len(values):
        return pa.nulls(len(cells), pa.string())
    first = strings.add(values)
    plain, marked = (Style.WRAPPED, Style.WRAPPED_MARKED) if column.wrap else (Style.TEXT, Style.TEXT_MARKED)
    runs = pc.match_substring_regex(values, f"^[{''.join(chr(92) + mark for mark in RUNS)}]")
    styles = pc.if_else(runs, str(marked.value), str(plain.value))
    numbers = pa.array(range(first, first + len(values)), pa.int32()).cast(pa.string())
    tails = pc.binary_join_element_wise('" s="', styles, '" t="s"><v>', numbers, "</v></c>", "")
    return pc.if_else(pc.equal(values, ""), None, tails).take(coded.indices)


def _lines(lines: Sequence[str], number: int, strings: _Strings) -> bytes:
    styles = [Style.TITLE if number == 1 and place == 0 else Style.PLAIN for place in range(len(lines))]
    return b"".join(
        _line(number + place, [line], style, strings)
        for place, (line, style) in enumerate(zip(lines, styles, strict=True))
        if line
    )


def _line(number: int, texts: Sequence[str], style: Style, strings: _Strings) -> bytes:
    first = strings.add(pa.array(texts, pa.string()))
    cells = "".join(
        f'<c r="{_letters(place)}{number}" s="{style.value}" t="s"><v>{first + place}</v></c>'
        for place in range(len(texts))
    )
    return f'<row r="{number}">{cells}</row>'.encode()


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


def _letters(place: int) -> str:
    """Name the column at a place from 0: A … Z, AA …"""
    letters = ""
    place += 1
    while place:
        place, rest = divmod(place - 1, 26)
        letters = chr(65 + rest) + letters
    return letters


def _frame(sheets: Sequence[Sheet], title: str, at: datetime) -> dict[str, str]:
    """Write the parts of the package besides sheets and strings."""
    numbers = range(1, len(sheets) + 1)
    listed = "".join(
        f'<sheet name="{escape(sheet.name, {chr(34): "&quot;"})}" sheetId="{n}" r:id="rId{n}"/>'
        for n, sheet in zip(numbers, sheets, strict=True)
    )
    parts = "".join(
        f'<Override PartName="/xl/worksheets/sheet{n}.xml" ContentType="{_CONTENT}.worksheet+xml"/>' for n in numbers
    )
    links = "".join(
        f'<Relationship Id="rId{n}" Type="{_OFFICE}/worksheet" Target="worksheets/sheet{n}.xml"/>' for n in numbers
    )
    relations = f"{_PACKAGE}/relationships"
    made = f"{at:%Y-%m-%dT%H:%M:%SZ}"
    return {
        "[Content_Types].xml": (
            f'{_HEAD}<Types xmlns="{_PACKAGE}/content-types"><Default Extension="rels" '
            f'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            f'<Default Extension="xml" ContentType="application/xml"/>'
            f'<Override PartName="/xl/workbook.xml" ContentType="{_CONTENT}.sheet.main+xml"/>{parts}'
            f'<Override PartName="/xl/styles.xml" ContentType="{_CONTENT}.styles+xml"/>'
            f'<Override PartName="/xl/sharedStrings.xml" ContentType="{_CONTENT}.sharedStrings+xml"/>'
            f'<Override PartName="/docProps/core.xml" '
            f'ContentType="application/vnd.openxmlformats-package.core-properties+xml"/></Types>'
        ),
        "_rels/.rels": (
            f'{_HEAD}<Relationships xmlns="{relations}">'
            f'<Relationship Id="rId1" Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/>'
            f'<Relationship Id="rId2" Type="{relations}/metadata/core-properties" Target="docProps/core.xml"/>'
            "</Relationships>"
        ),
        "docProps/core.xml": (
            f'{_HEAD}<cp:coreProperties xmlns:cp="{_PACKAGE}/metadata/core-properties" '
            'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:dcterms="http://purl.org/dc/terms/" '
            f'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><dc:title>{escape(title)}</dc:title>'
            f'<dcterms:created xsi:type="dcterms:W3CDTF">{made}</dcterms:created></cp:coreProperties>'
        ),
        "xl/workbook.xml": (
            f'{_HEAD}<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><bookViews><workbookView tabRatio="850"/></bookViews>'
            f"<sheets>{listed}</sheets>{_defined(sheets)}</workbook>"
        ),
        "xl/_rels/workbook.xml.rels": (
            f'{_HEAD}<Relationships xmlns="{relations}">{links}'
            f'<Relationship Id="rId{len(sheets) + 1}" Type="{_OFFICE}/styles" Target="styles.xml"/>'
            f'<Relationship Id="rId{len(sheets) + 2}" Type="{_OFFICE}/sharedStrings" Target="sharedStrings.xml"/>'
            "</Relationships>"
        ),
        "xl/styles.xml": _HEAD + sheetstyle.styles(),
    }


_CONTENT = "application/vnd.openxmlformats-officedocument.spreadsheetml"


def _defined(sheets: Sequence[Sheet]) -> str:
    """Name what a spreadsheet wants named: the filtered range, and the heading that each printed page repeats."""
    named = []
    for place, sheet in enumerate(sheets):
        top = len(sheet.above) + 1
        own = "'" + escape(sheet.name) + "'"
        if sheet.filters:
            end = f"${_letters(len(sheet.columns) - 1)}${max(top + sheet.rows, top + 1)}"
            named.append(("_xlnm._FilterDatabase", place, f"{own}!$A${top}:{end}", ' hidden="1"'))
        named.append(("_xlnm.Print_Titles", place, f"{own}!${top}:${top}", ""))
    names = "".join(
        f'<definedName name="{name}" localSheetId="{place}"{hidden}>{area}</definedName>'
        for name, place, area, hidden in sorted(named)
    )
    return f"<definedNames>{names}</definedNames>"
