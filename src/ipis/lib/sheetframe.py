"""The parts of a workbook (XLSX) besides its sheets and strings: what the package holds, names, styles, properties."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from ipis.lib import sheetstyle

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from ipis.lib.spreadsheet import Sheet

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_CONTENT = "application/vnd.openxmlformats-officedocument.spreadsheetml"


@cache
def letters(place: int) -> str:
    """Name the column at a place from 0: A … Z, AA, AB and on."""
    named = ""
    place += 1
    while place:
        place, rest = divmod(place - 1, 26)
        named = chr(65 + rest) + named
    return named


def frame(sheets: Sequence[Sheet], title: str, at: datetime) -> dict[str, str]:
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
            f'{HEAD}<Types xmlns="{_PACKAGE}/content-types"><Default Extension="rels" '
            f'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            f'<Default Extension="xml" ContentType="application/xml"/>'
            f'<Override PartName="/xl/workbook.xml" ContentType="{_CONTENT}.sheet.main+xml"/>{parts}'
            f'<Override PartName="/xl/styles.xml" ContentType="{_CONTENT}.styles+xml"/>'
            f'<Override PartName="/xl/sharedStrings.xml" ContentType="{_CONTENT}.sharedStrings+xml"/>'
            f'<Override PartName="/docProps/core.xml" '
            f'ContentType="application/vnd.openxmlformats-package.core-properties+xml"/></Types>'
        ),
        "_rels/.rels": (
            f'{HEAD}<Relationships xmlns="{relations}">'
            f'<Relationship Id="rId1" Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/>'
            f'<Relationship Id="rId2" Type="{relations}/metadata/core-properties" Target="docProps/core.xml"/>'
            "</Relationships>"
        ),
        "docProps/core.xml": (
            f'{HEAD}<cp:coreProperties xmlns:cp="{_PACKAGE}/metadata/core-properties" '
            'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:dcterms="http://purl.org/dc/terms/" '
            f'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><dc:title>{escape(title)}</dc:title>'
            f'<dcterms:created xsi:type="dcterms:W3CDTF">{made}</dcterms:created></cp:coreProperties>'
        ),
        "xl/workbook.xml": (
            f'{HEAD}<workbook xmlns="{MAIN}" xmlns:r="{_OFFICE}"><bookViews><workbookView tabRatio="850"/></bookViews>'
            f"<sheets>{listed}</sheets>{_defined(sheets)}</workbook>"
        ),
        "xl/_rels/workbook.xml.rels": (
            f'{HEAD}<Relationships xmlns="{relations}">{links}'
            f'<Relationship Id="rId{len(sheets) + 1}" Type="{_OFFICE}/styles" Target="styles.xml"/>'
            f'<Relationship Id="rId{len(sheets) + 2}" Type="{_OFFICE}/sharedStrings" Target="sharedStrings.xml"/>'
            "</Relationships>"
        ),
        "xl/styles.xml": HEAD + sheetstyle.styles(),
    }


def _defined(sheets: Sequence[Sheet]) -> str:
    """Name what a spreadsheet wants named: the filtered range, and the heading that each printed page repeats."""
    named = []
    for place, sheet in enumerate(sheets):
        top = len(sheet.above) + 1
        own = "'" + escape(sheet.name) + "'"
        if sheet.filters:
            end = f"${letters(len(sheet.columns) - 1)}${max(top + sheet.rows, top + 1)}"
            named.append(("_xlnm._FilterDatabase", place, f"{own}!$A${top}:{end}", ' hidden="1"'))
            named.append(("_xlnm.Print_Titles", place, f"{own}!${top}:${top}", ""))
    names = "".join(
        f'<definedName name="{name}" localSheetId="{place}"{hidden}>{area}</definedName>'
        for name, place, area, hidden in sorted(named)
    )
    return f"<definedNames>{names}</definedNames>"
