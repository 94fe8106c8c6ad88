"""How the cells of a workbook look, and how days and instants are counted in one."""

from __future__ import annotations

from enum import Enum

import pyarrow as pa
import pyarrow.compute as pc

_EPOCH = 25_569
"""1970-01-01 as workbooks count days."""
_SECONDS = 86_400


class Style(Enum):
    """The forms of a cell, by their number in the workbook."""

    PLAIN = 0
    """Text without a form."""
    HEADING = 1
    """Heading of a column."""
    TEXT = 2
    """Text of one line."""
    WRAPPED = 3
    """Text over several lines."""
    TEXT_MARKED = 4
    """Text that would be a formula if the cell were edited: it is told to stay text."""
    WRAPPED_MARKED = 5
    """The same over several lines."""
    WHOLE = 6
    """Whole number."""
    ONE = 7
    """Number with one decimal."""
    TWO = 8
    """Number with two decimals."""
    DAY = 9
    """A day."""
    INSTANT = 10
    """A day and a time."""
    TITLE = 11
    """Title of a sheet."""
    STRONG = 12
    """Heading among lines of text."""


def of_decimals(decimals: int) -> Style:
    """Choose the form of a number by its decimals."""
    return (Style.WHOLE, Style.ONE, Style.TWO)[min(decimals, 2)]


def serial_days(days: pa.Array) -> pa.Array:
    """Count days as a workbook does."""
    return pc.add(days.cast(pa.date32()).cast(pa.int32()), _EPOCH)


def serial_instants(instants: pa.Array) -> pa.Array:
    """Count instants, without zone, as a workbook does: days and parts of a day."""
    seconds = instants.cast(pa.timestamp("s"), safe=False).cast(pa.int64()).cast(pa.float64())
    return pc.round(pc.add(pc.divide(seconds, _SECONDS), _EPOCH), 6)


def styles() -> str:
    """Write the styles part."""
    forms = "".join(_form(style) for style in Style)
    return (
        '<styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
        '<numFmts count="1"><numFmt numFmtId="164" formatCode="#,##0.0"/></numFmts>'
        f'<fonts count="3">{_font("")}{_font("<b/>")}{_font("<b/>", 14)}</fonts>'
        '<fills count="3"><fill><patternFill patternType="none"/></fill>'
        '<fill><patternFill patternType="gray125"/></fill><fill><patternFill patternType="solid">'
        '<fgColor rgb="FFE6ECF2"/><bgColor indexed="64"/></patternFill></fill></fills>'
        '<borders count="2"><border><left/><right/><top/><bottom/><diagonal/></border><border><left/><right/><top/>'
        '<bottom style="thin"><color rgb="FF5B6775"/></bottom><diagonal/></border></borders>'
        '<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>'
        f'<cellXfs count="{len(Style)}">{forms}</cellXfs>'
        '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>'
    )


_NUMBERS = {Style.WHOLE: 3, Style.ONE: 164, Style.TWO: 4, Style.DAY: 14, Style.INSTANT: 22}
_WRAPS = {Style.HEADING, Style.WRAPPED, Style.WRAPPED_MARKED}
_MARKED = {Style.TEXT_MARKED, Style.WRAPPED_MARKED}
_FONTS = {Style.HEADING: 1, Style.TITLE: 2, Style.STRONG: 1}


def _form(style: Style) -> str:
    fill, border = (2, 1) if style is Style.HEADING else (0, 0)
    number, font = _NUMBERS.get(style, 0), _FONTS.get(style, 0)
    quoted = ' quotePrefix="1"' if style in _MARKED else ""
    wrap = ' wrapText="1"' if style in _WRAPS else ""
    return (
        f'<xf xfId="0" numFmtId="{number}" fontId="{font}" fillId="{fill}" borderId="{border}"{quoted} '
        'applyNumberFormat="1" applyFont="1" applyFill="1" applyBorder="1" applyAlignment="1">'
        f'<alignment vertical="top"{wrap}/></xf>'
    )


def _font(bold: str, size: int = 11) -> str:
    return f'<font>{bold}<sz val="{size}"/><name val="Calibri"/><family val="2"/></font>'
