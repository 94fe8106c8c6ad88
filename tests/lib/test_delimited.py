"""CSV that a spreadsheet reads and does not run; large and many tables are written whole."""

import csv
import io

import pyarrow as pa
import pytest

from ipis.lib.delimited import heading, joined_bytes, lines_of, marked, unmarked, write_csv

RUNS = ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "\nx", "'x", "'=x"]


def lines(written):
    """What a reader finds, the heading first."""
    return list(csv.reader(io.StringIO(written.decode("utf-8-sig"), newline=""), delimiter=";", strict=True))


@pytest.mark.parametrize("text", RUNS)
def test_what_a_spreadsheet_would_run_is_marked_and_comes_back_whole(text):
    """It shows the text instead."""
    shown = marked(pa.array([text]))
    assert shown.to_pylist() == ["'" + text]
    assert unmarked(shown).to_pylist() == [text]
    assert lines(write_csv(pa.table({"a": [text]})))[1] == ["'" + text]


def test_plain_text_is_left_alone():
    """A mark that nobody needs would be read as text."""
    plain = pa.array(["x", "1-2", "a=b", "", None])
    assert marked(plain).to_pylist() == plain.to_pylist()
    assert unmarked(pa.array(["'x", "x'"])).to_pylist() == ["'x", "x'"]


def test_it_is_what_a_norwegian_spreadsheet_reads():
    """Mark of UTF-8, semicolons, CR LF; quotes where a sign needs them."""
    table = pa.table({"navn": ["blåbær", 'sa "hei"', "a;b", "to\r\nlinjer", None], "n": [1, 2, None, 4, 5]})
    written = write_csv(table)
    assert written.startswith(b"\xef\xbb\xbfnavn;n\r\nbl\xc3\xa5b\xc3\xa6r;1\r\n")
    assert [row[0] for row in lines(written)[1:]] == ["blåbær", 'sa "hei"', "a;b", "to\r\nlinjer", ""]
    assert lines(written)[3] == ["a;b", ""]


def test_numbers_have_the_readers_decimal_sign_and_are_no_text():
    """A point would make a Norwegian spreadsheet read 1.5 as the first of May; minus is no formula."""
    table = pa.table({"x": pa.array([1.5, -2.25, 3.0, 12_345_678_901.0, None]), "y": ["-"] * 5})
    assert [row[0] for row in lines(write_csv(table, decimal=","))[1:]] == ["1,5", "-2,25", "3", "12345678901", ""]
    assert lines(write_csv(table))[1] == ["1.5", "'-"]


def test_headings_are_marked_and_quoted_as_cells_are():
    """They come from definitions, which others write."""
    assert lines(write_csv(pa.table({"=a;b": ["x"]})))[0] == ["'=a;b"]


def test_a_table_without_rows_has_its_heading():
    """The file is there, and says what it would hold."""
    assert write_csv(pa.table({"a": pa.array([], pa.string())})) == b"\xef\xbb\xbfa\r\n"


def test_rows_of_many_files_written_at_once_are_as_file_by_file():
    """Cut apart anywhere, an empty file among them."""
    table = pa.table({"a": ["=x", "y;", None, "æ"], "b": [1.5, None, 2.0, 3e15], "c": [3, 4, None, 5]})
    lines = lines_of(table, decimal=",")
    for start, length in ((0, 2), (2, 0), (2, 2)):
        cut = heading(table.column_names) + bytes(joined_bytes(lines.slice(start, length)))
        assert cut == write_csv(table.slice(start, length), decimal=",")


def test_no_columns_are_no_lines():
    """There is nothing to write under a heading of nothing."""
    assert len(lines_of(pa.table({}))) == 0


def test_a_long_table_is_whole(monkeypatch):
    """It is written some rows at a time."""
    monkeypatch.setattr("ipis.lib.delimited._CHUNK", 7)
    rows = [str(n) for n in range(50)]
    assert [row[0] for row in lines(write_csv(pa.table({"n": rows})))[1:]] == rows
