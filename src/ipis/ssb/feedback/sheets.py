"""The feedback as one XLSX workbook: an overview, the feilliste with filters and a frozen header, a sheet a table."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import xlsxwriter

if TYPE_CHECKING:
    from xlsxwriter.format import Format
    from xlsxwriter.workbook import Workbook
    from xlsxwriter.worksheet import Worksheet

    from ipis.ssb.feedback.contents import Contents
    from ipis.ssb.tables.compute import ControlTable

COLUMNS = (
    "brukerNr", "record", "id", "level", "found", "expected", "do", "field", "value", "status", "effect", "rule",
    "first_seen",
)  # fmt: skip
"""The columns as a person reads them: whom and what it is about, how much it weighs, what to do, the rest."""
_KEY_COLUMNS = 3
_WIDTHS = {
    "brukerNr": 14, "record": 20, "id": 20, "found": 44, "expected": 36, "do": 44, "field": 24, "value": 16,
    "effect": 26,
}  # fmt: skip
_FIGURES = ("this", "last_year", "change", "nation")
# Nothing in a cell is run or followed: no formula, no link, no number made of text.
_INERT = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False, "constant_memory": True}


def render_workbook(contents: Contents) -> bytes:
    """Write the workbook."""
    target = io.BytesIO()
    with xlsxwriter.Workbook(target, _INERT) as book:
        book.set_properties(
            {"title": contents.texts["page.title"], "author": "", "created": contents.made_at.replace(tzinfo=None)}
        )
        bold = book.add_format({"bold": True, "bottom": 1, "text_wrap": True, "valign": "top"})
        _overview(book.add_worksheet(contents.texts["sheet.overview"]), contents, bold)
        _feilliste(book, contents, bold)
        for table in contents.tables:
            _table(book.add_worksheet(table.definition.id), contents, table, bold)
    return target.getvalue()


def _overview(sheet: Worksheet, contents: Contents, bold: Format) -> None:
    texts = contents.texts
    sheet.set_column(0, 0, 34)
    sheet.set_column(1, 1, 60)
    rows: list[tuple[str, object]] = [
        (texts["page.title"], f"{contents.kommune} {contents.kommune_name}"),
        (texts["page.for_year"], contents.year),
        (texts["page.delivery"], contents.sequence),
        (texts["page.arrived"], contents.moment(contents.arrived_at)),
        (texts["page.counts"], contents.counts_for),
        *((texts[f"levels.{level}"], count) for level, count in contents.levels().items()),
        *((texts[f"status.{status}"], count) for status, count in contents.statuses.items()),
    ]
    for number, (label, value) in enumerate(rows):
        sheet.write(number, 0, label, bold if number == 0 else None)
        sheet.write(number, 1, value, bold if number == 0 else None)
    notes = [texts["page.what_now"], *contents.todo(), "", texts["page.secret"]]
    for number, note in enumerate(notes, start=len(rows) + 1):
        sheet.write(number, 0, note, bold if note == notes[0] else None)


def _feilliste(book: Workbook, contents: Contents, bold: Format) -> None:
    sheet = book.add_worksheet(contents.texts["sheet.feilliste"])
    wrapped = book.add_format({"text_wrap": True, "valign": "top"})
    for number, column in enumerate(COLUMNS):
        sheet.set_column(number, number, _WIDTHS.get(column, 12), wrapped)
    sheet.freeze_panes(1, _KEY_COLUMNS)
    sheet.autofilter(0, 0, max(1, contents.feilliste.num_rows), len(COLUMNS) - 1)
    sheet.write_row(0, 0, [contents.texts[f"column.{column}"] for column in COLUMNS], bold)
    for number, row in enumerate(contents.feilliste.to_pylist(), start=1):
        sheet.write_row(number, 0, [contents.display(column, row) for column in COLUMNS])


def _table(sheet: Worksheet, contents: Contents, table: ControlTable, bold: Format) -> None:
    language, keys = contents.texts.language, table.definition.keys
    sheet.set_column(0, len(keys) - 1, 46)
    sheet.set_column(len(keys), len(keys) + len(_FIGURES) - 1, 18)
    sheet.freeze_panes(1, len(keys))
    header = [key.label[language] for key in keys] + [contents.texts[f"table.{figure}"] for figure in _FIGURES]
    sheet.write_row(0, 0, header, bold)
    for number, row in enumerate(table.rows, start=1):
        sheet.write_row(number, 0, [*table.labels(row, language), *(getattr(row, figure) for figure in _FIGURES)])
