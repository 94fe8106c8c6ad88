"""The XML reader: typed tables with raw text, the person of each row, counts and checksum, batch by batch."""

import datetime as dt
import hashlib
from decimal import Decimal
from pathlib import Path

import pytest
from tests.kernel.extract_cast import LAYOUT, content, counts, header, person, write_xml, xml
from tests.kernel.years import copied_year

from ipis.kernel import extract_xml
from ipis.kernel.errors import LANGUAGES, ExtractRefused
from ipis.kernel.extract import read


def refused(path, layout=LAYOUT, **more):
    with pytest.raises(ExtractRefused) as caught:
        read(path, layout, **more)
    for language in LANGUAGES:
        text = caught.value.render(language)
        assert "{" not in text.found + text.expected + text.do
    return caught.value


def test_values_are_typed_and_what_does_not_parse_keeps_its_text(tmp_path):
    extract = read(write_xml(tmp_path), LAYOUT)
    assert (extract.source, extract.encoding) == ("xml", "utf-8")
    assert extract.header == header()
    assert extract.trailer == {**counts(content()), "sha256": None}
    first, second = extract.tables["tjeneste"].to_pylist()
    assert (first["kode"], first["startDato"], first["timerUke"]) == ("15", dt.date(2017, 1, 1), 3)
    assert first["startDato__raw"] is None
    assert (second["kode"], second["dognUke"]) == ("01", Decimal("0.5"))
    assert (second["startDato"], second["startDato__raw"]) == (None, "i går")
    assert (second["timerUke"], second["timerUke__raw"]) == (None, "to")
    persons = extract.tables["person"].to_pylist()
    assert persons[0]["privatHjelpTimer"] == Decimal("3.50")
    assert (persons[1]["dodsDato"], persons[1]["dodsDato__raw"]) == (None, "2017-02-30")
    for name, record in LAYOUT.records.items():
        assert extract.tables[name].schema == record.schema()


def test_nested_rows_belong_to_the_person_they_stand_under(tmp_path):
    rows = [
        *content(),
        ("person", person("2")),
        ("diagnose", {"diagNr": "2"}),
        ("person", {"fid": "x"}),
        ("vedtak", {}),
    ]
    extract = read(write_xml(tmp_path, rows), LAYOUT)
    diagnoses = extract.tables["diagnose"].to_pylist()
    assert [(row["_row"], row["_person"], row["brukerNr"]) for row in diagnoses] == [(0, 1, "2"), (1, 2, "2")]
    assert extract.tables["vedtak"].to_pylist()[1]["_person"] == 3
    assert extract.tables["vedtak"].to_pylist()[1]["brukerNr"] is None
    assert extract.tables["person"]["_person"].to_pylist() == [0, 1, 2, 3]


def test_a_nested_row_may_repeat_its_persons_number_but_not_state_another(tmp_path):
    rows = [("person", person("1")), ("diagnose", {"brukerNr": "1"})]
    assert read(write_xml(tmp_path, rows), LAYOUT).tables["diagnose"]["brukerNr"].to_pylist() == ["1"]
    error = refused(write_xml(tmp_path, [*rows, ("diagnose", {"brukerNr": "2"})]))
    assert (error.code, error.params["line"]) == ("extract.other_person", 5)


def test_an_empty_value_is_an_absent_one(tmp_path):
    extract = read(write_xml(tmp_path, [("person", person("1", husstand="", legeDato=""))]), LAYOUT)
    row = extract.tables["person"].to_pylist()[0]
    assert row["husstand"] is row["legeDato"] is row["legeDato__raw"] is None


def test_small_runs_and_batches_give_the_same_tables(tmp_path, monkeypatch):
    """A person may begin in one batch and end in the next."""
    rows = [(name, dict(values)) for _ in range(30) for name, values in content()]
    path = write_xml(tmp_path, rows)
    whole = read(path, LAYOUT)
    monkeypatch.setattr(extract_xml, "_CHUNK", 61)
    monkeypatch.setattr(extract_xml, "_RUN", 5)
    monkeypatch.setattr(extract_xml, "_BATCH", 7)
    pieces = read(path, LAYOUT)
    assert whole.tables == pieces.tables
    assert whole.trailer == pieces.trailer


def test_the_line_of_a_breach_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(extract_xml, "_RUN", 3)
    rows = [*content(), ("tjeneste", {"tjenesteId": "t9", "kommune": "x"})]
    error = refused(write_xml(tmp_path, rows))
    assert (error.code, error.rule, error.params["line"]) == ("extract.unknown_field", "K004", 12)
    assert error.params["field"] == "kommune"


@pytest.mark.parametrize(
    ("trailer", "code"),
    [
        ({"antallPerson": "3"}, "extract.count"),
        ({"antallPerson": "-2"}, "extract.count_missing"),
        ({"antallPerson": "mange"}, "extract.count_missing"),
        ({"antallPerson": None}, "extract.count_missing"),
        ({"antallStopp": "1"}, "extract.count"),
        ({"sha256": "0" * 64}, "extract.checksum"),
        ({"sha256": "feil"}, "extract.checksum"),
    ],
)
def test_counts_and_checksum_must_equal_the_content(tmp_path, trailer, code):
    stated = {name: value for name, value in {**counts(content()), **trailer}.items() if value is not None}
    error = refused(write_xml(tmp_path, trailer=stated))
    assert (error.code, error.rule) == (code, "K011")


def test_a_count_of_nothing_may_be_left_out(tmp_path):
    stated = {name: value for name, value in counts(content()).items() if value != "0"}
    assert "antallStopp" not in stated
    assert read(write_xml(tmp_path, trailer=stated), LAYOUT).trailer["antallStopp"] is None


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_the_checksum_is_over_the_bytes_before_the_trailer(tmp_path, mark):
    raw = mark + xml().encode()
    before = raw[: raw.index(b"<Slutt")]
    signed = raw.replace(b"<Slutt", f'<Slutt sha256="{hashlib.sha256(before).hexdigest()}"'.encode())
    path = tmp_path / "uttrekk.xml"
    path.write_bytes(signed)
    assert read(path, LAYOUT).tables["person"].num_rows == 2
    path.write_bytes(signed.replace(b'kode="P70"', b'kode="P71"'))
    assert refused(path).code == "extract.checksum"


def test_progress_ends_at_the_size_of_the_file(tmp_path):
    path = write_xml(tmp_path, [(n, v) for _ in range(3000) for n, v in content()])
    told = []
    read(path, LAYOUT, progress=lambda done, total: told.append((done, total)))
    size = path.stat().st_size
    assert told[-1] == (size, size)
    assert len(told) > 3
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_the_header_is_judged_before_the_rest_is_read(tmp_path):
    """A wrong year is told at once, even when the file is broken further down."""

    class Wrong(Exception):
        pass

    def judge(written):
        assert written == header()
        raise Wrong

    path = tmp_path / "uttrekk.xml"
    path.write_text(xml([(n, v) for _ in range(900) for n, v in content()])[:-300], encoding="utf-8")
    with pytest.raises(Wrong):
        read(path, LAYOUT, judge=judge)


def test_no_persons_is_refused(tmp_path):
    error = refused(write_xml(tmp_path, []))
    assert (error.code, error.rule) == ("extract.no_persons", "K012")


def test_comments_and_instructions_between_records_are_passed_over(tmp_path):
    path = tmp_path / "uttrekk.xml"
    path.write_text(xml().replace("  <Person", "<!-- x --><?y z?>  <Person"), encoding="utf-8")
    assert read(path, LAYOUT).tables["person"].num_rows == 2


def test_characters_are_kept_as_they_are(tmp_path):
    rows = [("person", person("ÆØÅ-é-漢-😀-<&>\"'", bostedBydel="\u00a0"))]
    row = read(write_xml(tmp_path, rows), LAYOUT).tables["person"].to_pylist()[0]
    assert row["brukerNr"] == "ÆØÅ-é-漢-😀-<&>\"'"
    assert row["bostedBydel"] == "\u00a0"


def test_a_copied_year_reads(tmp_path):
    assert read(write_xml(tmp_path), copied_year(tmp_path, 2099).layout).tables["person"].num_rows == 2


def test_what_is_no_file_is_refused(tmp_path):
    assert refused(tmp_path / "finnes-ikke.xml").code == "extract.no_file"
    assert refused(Path("/dev/null")).code == "extract.no_file"
