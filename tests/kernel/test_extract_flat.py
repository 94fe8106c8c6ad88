"""The flat forms: CSV in both encodings and Parquet, orphans shown, and each way to get a folder wrong refused."""

import datetime as dt
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.kernel.extract_cast import LAYOUT, content, counts, flat, header, person, write_csv, write_parquet

from ipis.kernel.errors import LANGUAGES, ExtractRefused
from ipis.kernel.extract import Limits, read

SECRET = "01815012352"


def refused(folder, **more):
    with pytest.raises(ExtractRefused) as caught:
        read(folder, LAYOUT, **more)
    for language in LANGUAGES:
        text = caught.value.render(language)
        assert "{" not in text.found + text.expected + text.do
        assert SECRET not in str(caught.value.as_dict(language))
    assert caught.value.__cause__ is None
    return caught.value.code


@pytest.mark.parametrize("write", [write_csv, write_parquet])
def test_a_folder_reads_as_the_xml_does(tmp_path, write):
    extract = read(write(tmp_path / "u", flat()), LAYOUT)
    assert extract.header == header()
    assert extract.trailer["antallTjeneste"] == "2"
    assert extract.source == write.__name__.removeprefix("write_")
    row = extract.tables["tjeneste"].to_pylist()[1]
    assert (row["kode"], row["startDato__raw"], row["dognUke"], row["_person"]) == ("01", "i går", Decimal("0.5"), 1)


@pytest.mark.parametrize(("encoding", "said"), [("utf-8", "utf-8"), ("cp1252", "cp1252"), ("utf-8-sig", "utf-8")])
def test_the_encoding_is_found_out_and_said(tmp_path, encoding, said):
    rows = [("person", person("Ærlig–€")), *content()[1:]]
    extract = read(write_csv(tmp_path / "u", flat(rows), encoding), LAYOUT)
    assert extract.encoding == said
    assert extract.tables["person"]["brukerNr"].to_pylist()[0] == "Ærlig–€"
    assert extract.header["leverandor"] == "Testleverandør"


def test_plain_ascii_is_utf8(tmp_path):
    rows = [("person", person("1"))]
    assert read(write_csv(tmp_path / "u", flat(rows, header(leverandor="X", navnEPJ="Y"))), LAYOUT).encoding == "utf-8"


@pytest.mark.parametrize("write", [write_csv, write_parquet])
def test_a_flat_folder_shows_orphans_and_takes_the_first_of_doubles(tmp_path, write):
    tables = flat([("person", person("1")), ("person", person("2")), ("person", person("1", husstand="1"))])
    tables["tjeneste"] = [{"brukerNr": number, "kode": "15"} for number in ("2", "1", "9", None)]
    tables["slutt"][0]["antallTjeneste"] = "4"
    extract = read(write(tmp_path / "u", tables), LAYOUT)
    assert extract.tables["tjeneste"]["_person"].to_pylist() == [1, 0, None, None]
    assert extract.tables["person"]["_person"].to_pylist() == [0, 1, 2]


def test_a_person_without_a_number_has_no_flat_rows(tmp_path):
    tables = flat([("person", person("1"))])
    tables["person"].append(person(None))
    tables["vedtak"] = [{"brukerNr": None, "vedtakId": "v1"}]
    tables["slutt"] = [{"antallPerson": "2", "antallVedtak": "1"}]
    assert read(write_parquet(tmp_path / "u", tables), LAYOUT).tables["vedtak"]["_person"].to_pylist() == [None]


def test_quoted_cells_may_hold_semicolons_and_words_for_nothing(tmp_path):
    rows = [("person", person("a;b", bostedBydel="NULL", husstand='"', omsorgBarn="NA"))]
    row = read(write_csv(tmp_path / "u", flat(rows)), LAYOUT).tables["person"].to_pylist()[0]
    assert (row["brukerNr"], row["bostedBydel"], row["husstand"], row["omsorgBarn"]) == ("a;b", "NULL", '"', "NA")


def test_windows_line_ends_and_capital_names_are_read(tmp_path):
    folder = write_csv(tmp_path / "u", flat())
    for file in list(folder.iterdir()):
        file.rename(folder / f"{file.stem.capitalize()}.CSV").write_bytes(
            (folder / f"{file.stem.capitalize()}.CSV").read_bytes().replace(b"\n", b"\r\n")
        )
    assert read(folder, LAYOUT).tables["person"].num_rows == 2


def test_a_table_with_a_heading_only_has_no_rows(tmp_path):
    folder = write_csv(tmp_path / "u", flat())
    (folder / "stopp.csv").write_text("brukerNr;tjenesteId\n")
    (folder / "diagnose.csv").write_text("brukerNr;diagNr")
    trailer = counts([item for item in content() if item[0] != "diagnose"])
    write_csv(folder, {"slutt": [trailer]})
    assert read(folder, LAYOUT).tables["diagnose"].num_rows == 0


def test_progress_and_the_judge_work_as_for_xml(tmp_path):
    folder = write_csv(tmp_path / "u", flat())
    told, judged = [], []
    read(folder, LAYOUT, progress=lambda *at: told.append(at), judge=judged.append)
    assert judged == [header()]
    assert told == sorted(told)


@pytest.mark.parametrize("missing", ["uttrekk", "person", "slutt"])
def test_header_persons_and_trailer_must_be_there(tmp_path, missing):
    tables = flat()
    del tables[missing]
    assert refused(write_csv(tmp_path / "u", tables)) == "extract.flat_missing"


def test_strangers_among_the_files_are_refused(tmp_path):
    folder = write_csv(tmp_path / "u", flat())
    (folder / "lesmeg.txt").write_text("x")
    assert refused(folder) == "extract.flat_unknown"
    (folder / "lesmeg.txt").rename(folder / "menneske.csv")
    assert refused(folder) == "extract.flat_unknown"
    (folder / "menneske.csv").unlink()
    (folder / "stopp.csv").mkdir()
    assert refused(folder) == "extract.flat_unknown"
    (folder / "stopp.csv").rmdir()
    (folder / "Person.csv").write_bytes((folder / "person.csv").read_bytes())
    assert refused(folder) == "extract.flat_twice"
    (folder / "Person.csv").unlink()
    write_parquet(folder, {"stopp": [{"brukerNr": "1"}]})
    assert refused(folder) == "extract.flat_mixed"


@pytest.mark.parametrize("record", ["uttrekk", "slutt"])
def test_header_and_trailer_have_one_row(tmp_path, record):
    tables = flat()
    tables[record] *= 2
    assert refused(write_csv(tmp_path / "u", tables)) == "extract.flat_one_row"
    folder = write_csv(tmp_path / "u", flat())
    (folder / f"{record}.csv").write_text((folder / f"{record}.csv").read_text().partition("\n")[0] + "\n")
    assert refused(folder) == "extract.flat_one_row"


def test_counts_hold_and_a_checksum_is_for_xml(tmp_path):
    assert (
        refused(write_csv(tmp_path / "a", flat(trailer={**counts(content()), "antallVedtak": "7"}))) == "extract.count"
    )
    assert (
        refused(write_csv(tmp_path / "b", flat(trailer={**counts(content()), "sha256": "0" * 64})))
        == "extract.checksum_flat"
    )


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda raw: raw.replace(b"\n", b"\x00\n", 2), "extract.csv_nul"),
        (lambda raw: raw.decode().encode("utf-16"), "extract.csv_nul"),
        (lambda raw: raw + "Åse;å\n".encode("cp1252") + "Øst;å\n".encode(), "extract.csv_mixed"),
        (lambda raw: raw + b"\x81;x\n", "extract.csv_encoding"),
        (lambda raw: raw.replace(b"brukerNr;", b"brukerNr;brukerNr;", 1), "extract.doubled_field"),
        (lambda raw: raw.replace(b"typeID", b"kjonn", 1), "extract.unknown_column"),
        (lambda raw: raw.replace(b"typeID", b"TypeID", 1), "extract.unknown_column"),
        (lambda raw: raw.replace(b"brukerNr;", b";", 1), "extract.csv_header"),
        (lambda _: b"", "extract.csv_header"),
        (lambda raw: b"\n" + raw, "extract.csv_header"),
        (lambda raw: raw.replace(b";", b","), "extract.csv_header"),
        (lambda raw: raw + SECRET.encode() + b";1\n", "extract.csv_rows"),
        (lambda raw: raw + b'"' + SECRET.encode() + b"\n", "extract.csv_rows"),
        (lambda raw: raw + b"9" * 200 + b"x" * 900 + b";1;1;0403;00;;;\n", "extract.long_field"),
        (lambda raw: raw + b"y" * 500_000, "extract.csv_long_line"),
        (lambda raw: raw + b"y" * 3_000_000 + b"\n", "extract.csv_long_line"),
    ],
)  # fmt: skip
def test_broken_csv_is_refused_with_its_own_code(tmp_path, spoil, code):
    folder = write_csv(tmp_path / "u", flat())
    file = folder / "person.csv"
    file.write_bytes(spoil(file.read_bytes()))
    assert refused(folder) == code


def test_two_encodings_in_one_folder_are_refused(tmp_path):
    folder = write_csv(tmp_path / "u", flat([("person", person("Åse"))]))
    write_csv(folder, {"uttrekk": [header()]}, "cp1252")
    assert refused(folder) == "extract.csv_mixed"


def test_utf8_cut_between_two_blocks_is_still_utf8(tmp_path):
    """The encoding is looked for in blocks of 1 MiB; a letter may lie across the border."""
    rows = [("person", person(f"{n}-" + "å" * 15)) for n in range(30_000)]
    extract = read(write_csv(tmp_path / "u", flat(rows)), LAYOUT)
    assert extract.encoding == "utf-8"
    assert extract.tables["person"].num_rows == 30_000
    assert extract.tables["person"]["_row"].to_pylist()[-1] == 29_999


def test_a_folder_beyond_the_bound_is_refused(tmp_path):
    assert refused(write_csv(tmp_path / "u", flat()), limits=Limits(file_bytes=100)) == "extract.too_big"


def test_typed_parquet_columns_read_as_their_texts(tmp_path):
    folder = write_parquet(tmp_path / "u", flat([("person", person("1"))]))
    columns = {
        "brukerNr": pa.array([1], pa.int64()),
        "kode": pa.array(["15"]).dictionary_encode(),
        "startDato": pa.array([dt.date(2017, 1, 2)]),
        "timerUke": pa.array([7], pa.int16()),
        "dognUke": pa.array([Decimal("0.5")], pa.decimal128(3, 1)),
        "orgNr": pa.array([None], pa.null()),
        "vedtakId": pa.array(["v1"], pa.large_string()),
    }
    pq.write_table(pa.table(columns), folder / "tjeneste.parquet")
    write_parquet(folder, {"slutt": [{"antallPerson": "1", "antallTjeneste": "1"}]})
    row = read(folder, LAYOUT).tables["tjeneste"].to_pylist()[0]
    assert (row["brukerNr"], row["_person"], row["kode"], row["vedtakId"]) == ("1", 0, "15", "v1")
    assert (row["startDato"], row["timerUke"], row["dognUke"]) == (dt.date(2017, 1, 2), 7, Decimal("0.5"))


@pytest.mark.parametrize(
    ("column", "code"),
    [
        (pa.array([1.5]), "extract.parquet_type"),
        (pa.array([["1"]]), "extract.parquet_type"),
        (pa.array([{"a": 1}]), "extract.parquet_type"),
        (pa.array([b"1"]), "extract.parquet_type"),
        (pa.array([dt.datetime(2017, 1, 1)]), "extract.parquet_type"),  # noqa: DTZ001 - what such a file holds
        (pa.array(["x" * 1_001]), "extract.long_field"),
    ],
)
def test_other_parquet_columns_are_refused(tmp_path, column, code):
    folder = write_parquet(tmp_path / "u", flat([("person", person("1"))]))
    pq.write_table(pa.table({"brukerNr": column}), folder / "stopp.parquet")
    assert refused(folder) == code


def test_unknown_parquet_columns_and_broken_files_are_refused(tmp_path):
    folder = write_parquet(tmp_path / "u", flat([("person", person("1"))]))
    pq.write_table(pa.table({"kjonn": ["1"]}), folder / "stopp.parquet")
    assert refused(folder) == "extract.unknown_column"
    (folder / "stopp.parquet").write_bytes(b"PAR1 not really PAR1")
    assert refused(folder) == "extract.parquet"
    (folder / "stopp.parquet").write_bytes((folder / "person.parquet").read_bytes()[:-9])
    assert refused(folder) == "extract.parquet"


def test_a_parquet_file_that_unpacks_to_much_is_refused(tmp_path):
    """Few bytes on disk, many in memory: two hundred thousand times one value."""
    folder = write_parquet(tmp_path / "u", flat([("person", person("1"))]))
    pq.write_table(
        pa.table({"brukerNr": pa.array(["x" * 900] * 200_000)}), folder / "stopp.parquet", compression="zstd"
    )
    assert (folder / "stopp.parquet").stat().st_size < 100_000
    assert refused(folder) == "extract.parquet_size"
