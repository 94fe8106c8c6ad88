"""Hostile CSV and Parquet: refused with file and line or row and never a value, in bounded memory, or read as plain text."""

import subprocess
import sys
import textwrap

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.kernel.extract_cast import LAYOUT

from ipis.kernel import extract_csv, extract_parquet, parquet_pages
from ipis.kernel.errors import LANGUAGES, ExtractRefused
from ipis.kernel.extract import Limits

PERSON = LAYOUT.records["person"]
SECRET = "01815012352"


def read_csv(tmp_path, data, limits=None):
    file = tmp_path / "person.csv"
    file.write_bytes(data if isinstance(data, bytes) else data.encode())
    bounds = limits or Limits()
    return [row for batch in extract_csv.batches(file, PERSON, bounds, extract_csv.encoding_of([file], bounds)) for row in batch.to_pylist()]  # fmt: skip


def read_parquet(file, limits=None):
    return [row for batch in extract_parquet.batches(file, PERSON, limits or Limits()) for row in batch.to_pylist()]


def refused(call, *arguments):
    """Give code and parameters of a refusal that shows no value in any language."""
    with pytest.raises(ExtractRefused) as caught:
        call(*arguments)
    error = caught.value
    for language in LANGUAGES:
        text = error.render(language)
        assert "{" not in text.found + text.expected + text.do
        assert SECRET not in text.found
    assert error.__cause__ is None
    assert error.params["file"].startswith("person.")
    return error.code, error.params


@pytest.mark.parametrize(
    ("data", "code", "line"),
    [
        (b"brukerNr;fid\n1;" + SECRET.encode() + b"\n2;\x00\n", "extract.csv_nul", 3),
        (b"brukerNr;fid\n1;2\n2;" + b"9" * 10_000_000 + b"\n", "extract.csv_long_line", 3),
        (b"brukerNr;fid\n1;2\n2;" + SECRET.encode() + b";3\n", "extract.csv_rows", 3),
        (b"brukerNr;fid\n1;2\n\n2\n", "extract.csv_rows", 4),
        (b'brukerNr;fid\n1;2\n\n2;"3\n3;4', "extract.csv_rows", 4),
        (b'brukerNr;fid\r\n1;2\r\n2;"3\r\n"\r\n', "extract.csv_rows", 3),
        ("brukerNr;fid\n1;š\n2;2\n".encode() + b"3;\xe6\n", "extract.csv_mixed", 4),
        (b"brukerNr;fid\n3;\xe6\n" + "1;æ\n".encode(), "extract.csv_mixed", 3),
        ("brukerNr;fid\n1;æ".encode() + b"\xe6\n", "extract.csv_mixed", 2),
        (b"brukerNr;fid\n1;2\n2;\x81\xe6\n", "extract.csv_encoding", 3),
    ],
)  # fmt: skip
def test_a_broken_line_is_named_by_its_number(tmp_path, data, code, line):
    assert (refused(read_csv, tmp_path, data)[0], refused(read_csv, tmp_path, data)[1]["line"]) == (code, line)


@pytest.mark.parametrize("columns", [101, 1_000_000])
def test_a_heading_of_a_million_columns_is_refused_before_it_is_taken_apart(tmp_path, columns):
    code, params = refused(read_csv, tmp_path, "a;" * (columns - 1) + "a\n")
    assert (code, params["most"]) == ("extract.too_many_columns", 100)


@pytest.mark.parametrize("data", [b"brukerNr,fid\n1,2\n", b"brukerNr\tfid\n1\t2\n"])
def test_other_separators_than_semicolon_are_told_as_such(tmp_path, data):
    assert refused(read_csv, tmp_path, data)[0] == "extract.csv_header"


def test_a_doubled_heading_is_refused_and_one_of_other_capitals_is_no_field(tmp_path):
    assert refused(read_csv, tmp_path, "brukerNr;fid;brukerNr\n1;2;3\n")[0] == "extract.doubled_field"
    assert refused(read_csv, tmp_path, "brukerNr;BRUKERNR\n1;2\n")[0] == "extract.unknown_column"


def test_rows_are_bounded_however_short_they_are(tmp_path):
    data = "brukerNr;fid\n" + ";\n" * 1001
    assert len(read_csv(tmp_path, data, Limits(rows=1001))) == 1001
    assert refused(read_csv, tmp_path, data, Limits(rows=1000))[0] == "extract.too_many_rows"


UNWRITABLE = ["\x00", "\x01", "\x08", "\x0b", "\x0c", "\x1b", "\x1f", "\ufffe", "\uffff"]
WRITABLE = "\t æ\x7f\x85\ufdd0\ufeff\ufffd\U0001f600"


@pytest.mark.parametrize("sign", UNWRITABLE)
def test_a_character_that_no_xml_can_hold_is_refused_in_flat_files_too(tmp_path, sign):
    """It stood raw in the worklist, which `seal --answers` then refused."""
    numbers = [*(str(number) for number in range(9000)), f"x{sign}y", f"{sign}z"]
    expected = ("extract.character", {"file": "person.parquet", "row": 9001})
    assert refused(read_parquet, write(tmp_path, pa.table({"brukerNr": numbers}))) == expected
    code, params = refused(read_csv, tmp_path, "brukerNr;fid\n" + "".join(f"{number};1\n" for number in numbers))
    if sign == "\x00":
        assert (code, params["line"]) == ("extract.csv_nul", 9002)
    else:
        assert (code, params["row"]) == ("extract.character", 9001)


def test_other_signs_however_odd_are_read(tmp_path):
    rows = [{"brukerNr": "1", "husstand": WRITABLE}]
    assert read_parquet(write(tmp_path, pa.Table.from_pylist(rows))) == rows
    assert read_csv(tmp_path, f"brukerNr;husstand\n1;{WRITABLE}\n") == rows


def test_parquet_texts_that_are_no_utf8_are_no_parquet(tmp_path):
    offsets = pa.array([0, 1, 3], pa.int32()).buffers()[1]
    broken = pa.Array.from_buffers(pa.string(), 2, [None, offsets, pa.py_buffer(b"a\xffb")])
    assert refused(read_parquet, write(tmp_path, pa.table({"brukerNr": broken})))[0] == "extract.parquet"


@pytest.mark.parametrize("rows", [1, 10_000])
def test_lines_that_end_in_cr_alone_are_told_as_such(tmp_path, rows):
    """As old Macs wrote them: the whole file is one line, whose semicolons are no columns."""
    assert refused(read_csv, tmp_path, "brukerNr;fid\r" + "1;2\r" * rows) == ("extract.csv_cr", {"file": "person.csv"})


def test_a_spare_cr_before_a_line_end_is_no_line(tmp_path):
    assert read_csv(tmp_path, "brukerNr;fid\r\r\n1;2\r\r\n") == [{"brukerNr": "1", "fid": "2"}]


@pytest.mark.parametrize("formula", ["=1+1", "+1", "-1", "@SUM(A1)", "=cmd|' /C calc'!A0", "\t=1"])
def test_a_formula_is_a_text_like_any_other(tmp_path, formula):
    assert read_csv(tmp_path, f"brukerNr;husstand\n1;{formula}\n") == [{"brukerNr": "1", "husstand": formula}]


def test_windows_texts_that_merely_look_odd_are_no_mixture(tmp_path):
    data = "brukerNr;husstand\n1;Ærfugl\n2;“sitat” – é\n3;Ålesund §\n".encode("cp1252")
    assert [row["husstand"] for row in read_csv(tmp_path, data)] == ["Ærfugl", "“sitat” – é", "Ålesund §"]


def write(tmp_path, table, **options):
    file = tmp_path / "person.parquet"
    pq.write_table(table, file, **options)
    return file


@pytest.mark.parametrize("options", [{"use_dictionary": False}, {"use_dictionary": True}])
def test_a_page_that_unpacks_to_much_is_refused_before_it_is_unpacked(tmp_path, options):
    """31 kB that became 4 GB: the page's header said so all along, the reader believed it."""
    file = write(tmp_path, pa.table({"brukerNr": ["a" * (parquet_pages.MAX_PAGE + 1)]}), compression="zstd", **options)
    assert file.stat().st_size < 10_000
    before = pa.total_allocated_bytes()
    assert refused(read_parquet, file)[0] == "extract.parquet_size"
    assert pa.total_allocated_bytes() - before < 1 << 20


def test_a_bomb_costs_no_memory(tmp_path):
    file = write(tmp_path, pa.table({"brukerNr": ["a" * 400_000_000]}), compression="zstd", use_dictionary=False, write_statistics=False)  # fmt: skip
    program = """
        import resource, sys
        from pathlib import Path
        from tests.kernel.test_extract_hostile_flat import read_parquet
        from ipis.kernel.errors import ExtractRefused
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            read_parquet(Path(sys.argv[1]))
        except ExtractRefused as error:
            print(error.code, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
    """
    answer = subprocess.run([sys.executable, "-c", textwrap.dedent(program), file], capture_output=True, text=True, check=True)  # fmt: skip
    code, megabytes = answer.stdout.split()
    assert code == "extract.parquet_size"
    assert int(megabytes) < 50


def bomb(tmp_path, rows, text="A" * 1000):
    """A file of few bytes whose every row holds a long text, said once in a dictionary."""
    names = ("brukerNr", "husstand", "bostedBydel")
    column = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([text]))
    return write(tmp_path, pa.table(dict.fromkeys(names, column)), compression="zstd")


def test_texts_said_once_and_meant_often_are_refused_before_they_are_unpacked(tmp_path):
    """223 kB took 10 GB: a dictionary has each text once, and the tables, the rules and the findings each row's."""
    file = bomb(tmp_path, 400_000)
    assert file.stat().st_size < 200_000
    before, peak = pa.total_allocated_bytes(), pa.default_memory_pool().max_memory()
    code, params = refused(extract_parquet.check_unpacked, [file], Limits())
    assert (code, params["most"]) == ("extract.parquet_size", Limits().unpacked_freely)
    assert pa.total_allocated_bytes() - before < 1 << 20
    assert pa.default_memory_pool().max_memory() - peak < 64 << 20


def test_cells_without_a_text_are_measured_too(tmp_path):
    nothing = pa.nulls(1_000_000, pa.string())
    file = write(tmp_path, pa.table(dict.fromkeys(list(PERSON.fields)[:40], nothing)))
    assert refused(extract_parquet.check_unpacked, [file] * 8, Limits())[0] == "extract.parquet_size"
    numbers = pa.table({"brukerNr": pa.nulls(1_000_000, pa.decimal256(76))})
    assert refused(extract_parquet.check_unpacked, [write(tmp_path, numbers)] * 5, Limits())[0] == "extract.parquet_size"  # fmt: skip


def test_what_a_folder_may_hold_is_counted_over_all_its_files(tmp_path):
    file = bomb(tmp_path, 1000)
    limits = Limits(unpacked_freely=4_000_000)
    extract_parquet.check_unpacked([file], limits)
    assert refused(extract_parquet.check_unpacked, [file, file], limits)[0] == "extract.parquet_size"


def test_a_big_file_may_hold_many_times_its_size_but_no_more_than_any_extract_does(tmp_path):
    table = pa.table({"brukerNr": [f"{number:x}" * 3 for number in range(100_000)]})
    file = write(tmp_path, table, compression="none", use_dictionary=False)
    extract_parquet.check_unpacked([file], Limits(unpacked_freely=0, unpacked_times=2))
    assert refused(extract_parquet.check_unpacked, [file], Limits(unpacked_bytes=1_000_000))[1]["most"] == 1_000_000


def test_a_page_header_that_lies_is_no_parquet(tmp_path):
    file = write(tmp_path, pa.table({"brukerNr": ["1", "2"]}), compression="none", use_dictionary=False)
    data = bytearray(file.read_bytes())
    at = pq.ParquetFile(file).metadata.row_group(0).column(0).data_page_offset
    data[at : at + 6] = b"\x1f\xff\xff\xff\xff\xff"
    file.write_bytes(data)
    assert refused(read_parquet, file)[0] == "extract.parquet"


def test_a_footer_longer_than_the_file_or_than_any_layout_is_refused_unread(tmp_path):
    file = tmp_path / "person.parquet"
    file.write_bytes(b"PAR1" + b"\x00" * 20 + (1 << 30).to_bytes(4, "little") + b"PAR1")
    assert refused(read_parquet, file)[0] == "extract.parquet"
    file.write_bytes(b"PAR1" + b"\x00" * (9 << 20) + (9 << 20).to_bytes(4, "little") + b"PAR1")
    assert refused(read_parquet, file) == ("extract.parquet_footer", {"file": "person.parquet", "most": 8 << 20})
    file.write_bytes(b"PAR1")
    assert refused(read_parquet, file)[0] == "extract.parquet"


def test_parquet_of_too_many_columns_rows_or_characters_is_refused(tmp_path):
    many = pa.table([pa.array(["x"])] * 500, names=[f"c{number}" for number in range(500)])
    assert refused(read_parquet, write(tmp_path, many))[0] == "extract.too_many_columns"
    rows = pa.table({"brukerNr": pa.array([1]).take(pa.array([0] * 1001))})
    assert refused(read_parquet, write(tmp_path, rows), Limits(rows=1000))[0] == "extract.too_many_rows"
    long = pa.table({"brukerNr": ["1", None, "9" * 1001]})
    assert refused(read_parquet, write(tmp_path, long)) == ("extract.long_field", {"file": "person.parquet", "row": 3, "most": 1000})  # fmt: skip


@pytest.mark.parametrize("columns", [101, 100_000])
def test_a_heading_of_many_columns_is_told_as_such_however_long_its_footer(tmp_path, columns):
    schema = pa.schema([(f"felt_nummer_{number}", pa.string()) for number in range(columns)])
    file = write(tmp_path, schema.empty_table(), store_schema=False)
    assert refused(read_parquet, file) == ("extract.too_many_columns", {"file": "person.parquet", "most": 100})


def test_parquet_of_any_writer_is_read_whole(tmp_path):
    """Page headers with statistics, two data page versions, dictionaries, many pages, every compression."""
    table = pa.table({"brukerNr": [str(number) for number in range(5000)], "husstand": ["1", None] * 2500})
    for version in ("1.0", "2.0"):
        for compression in ("none", "snappy", "gzip", "zstd"):
            options = {"data_page_version": version, "compression": compression, "data_page_size": 1000}
            file = write(tmp_path, table, write_statistics=True, write_page_index=True, **options)
            assert read_parquet(file) == table.to_pylist()


def test_parquet_without_rows_is_read_as_no_rows(tmp_path):
    assert read_parquet(write(tmp_path, pa.table({"brukerNr": pa.array([], pa.string())}))) == []
