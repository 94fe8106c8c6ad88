"""Workbooks: what goes in comes out through another program's reader, nothing runs, and large lists are quick."""

import io
import zipfile
from datetime import UTC, date, datetime

import numpy as np
import openpyxl
import pyarrow as pa
import pytest
from tests.calls import calls_of

from ipis.lib.sheetframe import letters
from ipis.lib.spreadsheet import Column, Sheet, write_workbook

AT = datetime(2018, 1, 2, 9, 30, tzinfo=UTC)


def book(*sheets):
    """Write sheets and read them with openpyxl."""
    return openpyxl.load_workbook(io.BytesIO(write_workbook(sheets, title="Tittel & <tegn>", at=AT)))


def column(values, **how):
    return Column("overskrift", pa.array(values), **how)


def read_back(values, **how):
    """The cells of one column as openpyxl reads them."""
    (sheet,) = book(Sheet("ark", [column(values, **how)])).worksheets
    return [cell.value for (cell,) in sheet.iter_rows(min_row=2, max_row=1 + len(values))]


@pytest.mark.parametrize("wrap", [False, True])
def test_texts_come_back_as_they_are(wrap):
    """Signs of XML, escapes of workbooks, letters, line breaks, leading zeros and blanks."""
    texts = ["a & b < c > d \"e\" 'f'", "_x0041_", "blåbærsyltetøy 👍", "to\nlinjer", "007", "  innrykk", "1E5", "x"]
    assert read_back(texts, wrap=wrap) == texts


@pytest.mark.parametrize("text", ["=1+1", '=HYPERLINK("http://x")', "+1", "-1", "@SUM(A1)", "\t=1", "'x"])
def test_nothing_is_run_or_followed(text):
    """It is text, marked so that it stays text when the cell is edited."""
    (sheet,) = book(Sheet("ark", [column([text, "vanlig"])])).worksheets
    cell, plain = sheet["A2"], sheet["A3"]
    assert (cell.value, cell.data_type, cell.hyperlink) == (text, "s", None)
    assert (bool(cell.quotePrefix), bool(plain.quotePrefix)) == (True, False)


def test_signs_that_xml_cannot_hold_are_shown_as_replaced():
    """A NUL in a value must not make the workbook unreadable."""
    assert read_back(["a\x00b\x0bc", "\ufffe"]) == ["a\ufffdb\ufffdc", "\ufffd"]


def test_a_text_longer_than_a_cell_holds_ends_in_dots():
    """A spreadsheet would call the file damaged."""
    (cut,) = read_back(["æ" * 40_000])
    assert len(cut) < 32_767
    assert cut.endswith(" …")


def test_numbers_and_days_are_numbers_and_days():
    """They can be added up and sorted; what is no number is empty."""
    sheet = book(
        Sheet(
            "ark",
            [
                column([1, -2, None]),
                column([1.5, float("nan"), float("inf")], decimals=1),
                column([date(2017, 2, 28), date(1999, 12, 31), None]),
                Column("tid", pa.array(["2018-01-02 12:00:00", None, None]).cast(pa.timestamp("us"))),
                column([0.125, 2.0, None], decimals=2),
            ],
        )
    ).worksheets[0]
    rows = [[None if cell.value is None else str(cell.value) for cell in row] for row in sheet.iter_rows(min_row=2)]
    assert rows == [
        ["1", "1.5", "2017-02-28 00:00:00", "2018-01-02 12:00:00", "0.125"],
        ["-2", None, "1999-12-31 00:00:00", None, "2"],
    ]
    assert sheet["C2"].is_date
    assert [sheet.cell(2, n).number_format for n in (1, 2, 5)] == ["#,##0", "#,##0.0", "#,##0.00"]


def test_the_heading_stays_and_filters():
    """Lines above, frozen columns, a filter over exactly the columns."""
    sheet = book(Sheet("ark", [column(["x"]), column(["y"], width=44)], above=["Om", "mer"], frozen=1)).worksheets[0]
    assert [sheet["A1"].value, sheet["A2"].value, sheet["A3"].value] == ["Om", "mer", "overskrift"]
    assert (sheet.freeze_panes, sheet.auto_filter.ref) == ("B4", "A3:B4")
    assert sheet.column_dimensions["B"].width == 44
    assert sheet.print_title_rows == "$3:$3"


def test_a_page_to_read_has_neither_filter_nor_frozen_heading():
    """The overview scrolls."""
    sheet = book(Sheet("ark", [column(["x"])], frozen=None, notes=["til slutt"])).worksheets[0]
    assert (sheet.freeze_panes, sheet.auto_filter.ref) == (None, None)
    assert sheet["A4"].value == "til slutt"
    assert not sheet.print_title_rows


def test_a_line_after_an_empty_one_is_a_heading():
    """A page of text is read by its headings."""
    sheet = book(Sheet("ark", [column(["x"])], above=["Tittel", "om", "", "Del"], frozen=None)).worksheets[0]
    assert [(sheet.cell(row, 1).font.b, sheet.cell(row, 1).font.sz) for row in (1, 2, 4)] == [
        (True, 14),
        (False, 11),
        (True, 11),
    ]


def test_rows_are_as_high_as_their_text():
    """Not every program finds out for itself."""
    sheet = book(Sheet("ark", [column(["kort", "lang " * 40], width=20, wrap=True)])).worksheets[0]
    assert sheet.row_dimensions[3].height > 5 * sheet.row_dimensions[2].height


def test_names_of_sheets_are_ones_a_spreadsheet_takes():
    """Forbidden signs, doubles and long names."""
    names = book(*(Sheet(name, [column(["x"])]) for name in ("a/b:c", "T01", "t01", "n" * 60, "n" * 60))).sheetnames
    assert names == ["a-b-c", "T01", "t01 2", "n" * 28, "n" * 28 + " 2"]


def test_a_list_too_long_for_one_sheet_goes_on_in_the_next(monkeypatch):
    """Nothing is left out."""
    monkeypatch.setattr("ipis.lib.spreadsheet.MOST_ROWS", 10)
    sheets = book(Sheet("liste", [column([str(n) for n in range(25)])])).worksheets
    assert [sheet.title for sheet in sheets] == ["liste", "liste 2", "liste 3"]
    assert [sheet.max_row - 1 for sheet in sheets] == [10, 10, 5]


def test_long_and_short_sheets_together(monkeypatch):
    """The long ones are written some rows at a time, the short ones at once."""
    monkeypatch.setattr("ipis.lib.spreadsheet._CHUNK", 8)
    long, short = [f"rad {n}" for n in range(30)], ["=en", "to"]
    sheets = book(
        Sheet("a", [column(short)]), Sheet("b", [column(long)]), Sheet("c", [column(short)]), Sheet("d", [column([])])
    ).worksheets
    found = [[cell.value for (cell,) in sheet.iter_rows(min_row=2)] for sheet in sheets]
    assert found[:3] == [short, long, short]


def test_the_same_content_is_the_same_file():
    """The time in it is the one given."""
    sheet = Sheet("ark", [column(["x"])])
    assert write_workbook([sheet], title="t", at=AT) == write_workbook([sheet], title="t", at=AT)
    assert book(sheet).properties.title == "Tittel & <tegn>"
    with zipfile.ZipFile(io.BytesIO(write_workbook([sheet], title="t", at=AT))) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(2018, 1, 2, 9, 30, 0)}


@pytest.mark.parametrize(("place", "name"), [(0, "A"), (25, "Z"), (26, "AA"), (701, "ZZ"), (702, "AAA")])
def test_columns_are_named_as_in_a_spreadsheet(place, name):
    """After Z comes AA."""
    assert letters(place) == name


def test_a_large_list_is_written_without_touching_its_cells():
    """As many calls for a hundred thousand rows as for one sheet's frame: nothing is done cell by cell."""
    count = 100_000

    def sheet(rows):
        numbers = pa.array(np.arange(rows))
        texts = [Column(f"k{n}", pa.repeat(f"samme tekst {n}", rows)) for n in range(12)]
        return Sheet("liste", [column(numbers.cast(pa.string())), column(numbers), *texts])

    small, large = sheet(1_000), sheet(count)
    write_workbook([small], title="t", at=AT)
    few, _ = calls_of(lambda: write_workbook([small], title="t", at=AT))
    many, written = calls_of(lambda: write_workbook([large], title="t", at=AT))
    assert many - few < count / 10
    assert len(written) > count
