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
    top = '<alignment vertical="top"/>'
    wrapped = '<alignment vertical="top" wrapText="1"/>'
    forms = {
        Style.PLAIN: 'numFmtId="0" fontId="0" fillId="0" borderId="0"/>',
        Style.HEADING: f'numFmtId="0" fontId="1" fillId="2" borderId="1" applyFont="1" applyFill="1" applyBorder="1" applyAlignment="1">{wrapped}</xf>',
        Style.TEXT: f'numFmtId="0" fontId="0" fillId="0" borderId="0" applyAlignment="1">{top}</xf>',
        Style.WRAPPED: f'numFmtId="0" fontId="0" fillId="0" borderId="0" applyAlignment="1">{wrapped}</xf>',
        Style.TEXT_MARKED: f'numFmtId="0" fontId="0" fillId="0" borderId="0" quotePrefix="1" applyAlignment="1">{top}</xf>',
        Style.WRAPPED_MARKED: f'numFmtId="0" fontId="0" fillId="0" borderId="0" quotePrefix="1" applyAlignment="1">{wrapped}</xf>',
        Style.WHOLE: f'numFmtId="3" fontId="0" fillId="0" borderId="0" applyNumberFormat="1" applyAlignment="1">{top}</xf>',
        Style.ONE: f'numFmtId="164" fontId="0" fillId="0" borderId="0" applyNumberFormat="1" applyAlignment="1">{top}</xf>',
        Style.TWO: f'numFmtId="4" fontId="0" fillId="0" borderId="0" applyNumberFormat="1" applyAlignment="1">{top}</xf>',
        Style.DAY: f'numFmtId="14" fontId="0" fillId="0" borderId="0" applyNumberFormat="1" applyAlignment="1">{top}</xf>',
        Style.INSTANT: f'numFmtId="22" fontId="0" fillId="0" borderId="0" applyNumberFormat="1" applyAlignment="1">{top}</xf>',
        Style.TITLE: 'numFmtId="0" fontId="2" fillId="0" borderId="0" applyFont="1"/>',
    }
    assert list(forms) == list(Style)
    return (
        '<styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
        '<numFmts count="1"><numFmt numFmtId="164" formatCode="#,##0.0"/></numFmts>'
        '<fonts count="3"><font><sz val="11"/><name val="Calibri"/><family val="2"/></font>'
        '<font><b/><sz val="11"/><name val="Calibri"/><family val="2"/></font>'
        '<font><b/><sz val="14"/><name val="Calibri"/><family val="2"/></font></fonts>'
        '<fills count="3"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill>'
        '<fill><patternFill patternType="solid"><fgColor rgb="FFE6ECF2"/><bgColor indexed="64"/></patternFill></fill></fills>'
        '<borders count="2"><border><left/><right/><top/><bottom/><diagonal/></border>'
        '<border><left/><right/><top/><bottom style="thin"><color rgb="FF5B6775"/></bottom><diagonal/></border></borders>'
        '<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>'
        f'<cellXfs count="{len(forms)}">' + "".join(f'<xf xfId="0" {form}' for form in forms.values()) + "</cellXfs>"
        '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>'
    )
