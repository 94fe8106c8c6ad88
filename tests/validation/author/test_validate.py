"""`ipis validate`: any register's rules over any tables, CSV or Parquet, with keys, values and messages."""

import datetime as dt
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.validation.author import workshop
from tests.validation.layout_toml import field, record

from ipis.kernel.collection import packaged
from ipis.kernel.definitions import packaged_years
from ipis.validation.author.definition import open_definition

NEWEST = packaged_years("iplos")[-1]

BARE = "\n".join(['format = "1.0"', record("tur", key_fields=["nr"]), field("tur", "nr", "str")])


@pytest.fixture
def shop(tmp_path):
    return workshop.definition(tmp_path / "regler"), workshop.data(
        tmp_path / "data", BAAT=workshop.BOATS, tur=workshop.JOURNEYS
    )


def judged(capsys, definition, data, *more):
    return workshop.answer(capsys, "validate", "--definition", definition, "--data", data, *more)


def test_a_register_without_persons_is_judged_and_told_by_its_own_keys(shop, capsys):
    code, answer = judged(capsys, *shop)
    assert code == 1
    assert answer["rules"]["K001"] == {"ok": 1, "breach": 1, "not_assessed": 1, "reasons": {"invalid_value": 1}}
    assert answer["rules"]["K003"] == {"ok": 1, "breach": 1, "not_assessed": 1, "reasons": {"missing_value": 1}}
    found = {(each["rule"], *each["key"].values()): each for each in answer["findings"]}
    assert list(found) == [("K001", "B2"), ("K002", "X9", "1"), ("K003", "B2"), ("L001", "X9", "1"), ("L001", "B2", "2"), ("L001", "C3")]  # fmt: skip
    short = found["K001", "B2"]
    assert short["record"] == "baat"
    assert short["key"] == {"kjenning": "B2"}
    assert (short["fields"], short["values"]) == (["lengde", "alder"], ["2.5", "200"])
    assert short["message"] == "Fant 2.5. Noe. Rett."
    assert found["L001", "C3"]["values"] == ["lang"]


@pytest.mark.parametrize("stored", [False, True])
def test_tables_of_few_bytes_that_hold_gigabytes_are_refused_unread(shop, tmp_path, capsys, stored):
    definition, _ = shop
    bomb = tmp_path / "bombe"
    bomb.mkdir()
    name = pa.DictionaryArray.from_arrays(pa.array([0] * 300_000, pa.int32()), pa.array(["A" * 1000]))
    columns = {"kjenning": name, "lengde__raw": name} if stored else {"kjenning": name}
    pq.write_table(pa.table(columns), bomb / "baat.parquet")
    code, error = workshop.refusal(capsys, "validate", "--definition", definition, "--data", bomb)
    assert (code, error["code"]) == (2, "extract.parquet_size")


def test_typed_parquet_gives_the_same_as_csv(shop, tmp_path, capsys):
    definition, data = shop
    typed = tmp_path / "typed"
    typed.mkdir()
    boats = {
        "kjenning": ["A1", "B2", "C3"],
        "lengde": ["12.5", "2.5", "lang"],
        "alder": pa.array([3, 200, None], pa.int16()),
    }
    pq.write_table(pa.table(boats), typed / "baat.parquet")
    journeys = {"kjenning": ["A1", "X9", "B2"], "nr": [1, 1, 2], "ut": ["2020-05-01", "2020-05-32", "2020-01-01"], "slag": pa.array(["F", "F", "Q"]).dictionary_encode()}  # fmt: skip
    pq.write_table(pa.table(journeys), typed / "TUR.parquet")
    assert judged(capsys, definition, typed) == judged(capsys, definition, data)


def test_a_missing_table_has_no_rows_and_that_is_said(shop, tmp_path, capsys):
    definition, _ = shop
    alone = workshop.data(tmp_path / "alone", Tur=workshop.JOURNEYS)
    code, answer = judged(capsys, definition, alone)
    assert (code, answer["missing_tables"]) == (1, ["baat"])
    assert answer["rules"]["K001"] == {"ok": 0, "breach": 0, "not_assessed": 0, "reasons": {}}
    assert answer["rules"]["K002"]["breach"] == 3
    workshop.ipis("validate", "--definition", definition, "--data", alone)
    assert "baat: ingen fil" in capsys.readouterr().out


def test_windows_letters_are_read_and_clean_data_gives_nothing_to_correct(shop, tmp_path, capsys):
    definition, _ = shop
    clean = workshop.data(tmp_path / "clean", Tur="kjenning;nr;ut;slag\n")
    (clean / "baat.csv").write_bytes("kjenning;lengde;alder\nÆ1;4.0;1\n".encode("cp1252"))
    code, answer = judged(capsys, definition, clean)
    assert (code, answer["findings"]) == (0, [])
    assert workshop.ipis("validate", "--definition", definition, "--data", clean) == 0


def test_the_terminal_shows_rules_findings_and_no_control_characters(shop, capsys, monkeypatch):
    """What a terminal obeys, text may hold all the same: XML allows the control characters from U+0080."""
    definition, data = shop
    monkeypatch.setenv("IPIS_LANGUAGE", "en")
    (data / "BAAT.csv").write_text("kjenning;lengde\n\x9b31mA;1.5\n", encoding="utf-8")
    assert workshop.ipis("validate", "--definition", definition, "--data", data) == 1
    shown = capsys.readouterr().out
    assert "\x9b" not in shown
    assert "?31mA" in shown
    assert "not assessed" in shown


@pytest.mark.parametrize(
    ("year", "folder", "expected"),
    [(["--year", "2031"], "x", 2031), ([], "2044", 2044), ([], "x", dt.date.today().year)],  # noqa: DTZ011
)
def test_without_a_collection_file_the_year_is_asked_for_or_named_or_this_year(
    tmp_path, capsys, year, folder, expected
):
    rules = workshop.RULES + workshop.desk.rule(
        "year(ut) = 2020", number="K010", record="Tur", more=f"years: {expected}"
    )
    definition = workshop.definition(tmp_path / folder, rules)
    _, answer = judged(capsys, definition, workshop.data(tmp_path / "data", tur="nr\n"), *year)
    assert answer["year"] == expected
    assert "K010" in answer["rules"]


def test_the_year_of_a_collection_file_is_not_overruled(capsys, tmp_path):
    code, error = workshop.refusal(
        capsys, "validate", "--definition", packaged_folder(), "--data", tmp_path, "--year", "1999"
    )
    assert (code, error["code"]) == (64, "author.year")


def packaged_folder():
    from importlib.resources import files

    return files("ipis.definitions").joinpath("iplos", str(NEWEST))


def test_a_municipality_s_tables_are_judged_by_the_shipped_rules(tmp_path, capsys):
    """The person supplied columns are columns; identity fields are never looked at; rows follow their persons."""
    data = workshop.data(
        tmp_path / "data",
        uttrekk=f"aargang;kommuneNr;bydel\n{NEWEST};0403;00\n",
        person="brukerNr;bostedKommuneNr;bostedBydel;fid;alder\n1;0403;00;hemmelig;80\n2;0999;00;;\n",
        tjeneste=f"brukerNr;tjenesteId;kode;startDato;sluttDato\n1;t1;15;{NEWEST}-02-02;{NEWEST}-02-01\n7;t2;15;{NEWEST}-01-01;\n",
    )
    code, answer = judged(capsys, packaged_folder(), data)
    assert code == 1
    found = {(each["rule"], each["key"].get("brukerNr")) for each in answer["findings"]}
    assert {("K063", "1"), ("K058", "7"), ("K030", "2")} <= found
    assert answer["rules"].keys() == __import__("ipis.validation.rulebook", fromlist=["of"]).of(packaged("iplos", NEWEST)).rules.keys()  # fmt: skip
    assert "hemmelig" not in str(answer)
    assert answer["rules"]["K001"]["reasons"] == {"runs_elsewhere": 1}
    assert not any("no_header" in each["reasons"] for each in answer["rules"].values())


def test_last_year_is_looked_at_when_it_is_given(tmp_path, capsys):
    rules = workshop.desk.rule("i_fjor > 0", number="K001", record="Tur")
    layout = workshop.LAYOUT.replace("[Tur.derived]", '[Tur.derived]\ni_fjor = { last_year = "count", by = ["slag"] }')
    definition = workshop.definition(tmp_path / "regler", rules, layout)
    now = workshop.data(tmp_path / "now", tur="kjenning;nr;slag\nA;1;F\nB;1;L\n")
    past = workshop.data(tmp_path / "past", tur="kjenning;nr;slag\nA;1;F\n")
    assert judged(capsys, definition, now)[1]["rules"]["K001"]["reasons"] == {"no_last_year": 2}
    verdict = judged(capsys, definition, now, "--last-year", past)[1]["rules"]["K001"]
    assert (verdict["ok"], verdict["breach"]) == (1, 1)


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("turer.csv", "nr\n1\n", "author.unknown_table"),
        ("TUR.csv", "nr\n1\n", "extract.flat_twice"),
        ("baat.csv", "kjenning;kjenning\n1;1\n", "extract.doubled_field"),
        ("baat.csv", "kjenning;fart\n1;1\n", "extract.unknown_column"),
        ("baat.csv", "kjenning;alder\nA;gammel\n", "author.supplied"),
        ("baat.parquet", "no parquet", "extract.parquet"),
    ],
)
def test_tables_that_cannot_be_what_they_say_are_refused(tmp_path, capsys, name, content, code):
    definition = workshop.definition(tmp_path / "regler")
    data = workshop.data(tmp_path / "data", tur=workshop.JOURNEYS)
    (data / name).write_text(content, encoding="utf-8")
    exit_code, error = workshop.refusal(capsys, "validate", "--definition", definition, "--data", data)
    assert (exit_code, error["code"]) == (2, code)
    assert "gammel" not in str(error)


def test_folders_that_are_not_there_are_named(tmp_path, capsys):
    assert (
        workshop.refusal(capsys, "validate", "--definition", tmp_path / "no", "--data", tmp_path)[1]["code"]
        == "author.no_folder"
    )
    definition = workshop.definition(tmp_path / "regler")
    assert (
        workshop.refusal(capsys, "validate", "--definition", definition, "--data", tmp_path / "no")[1]["code"]
        == "author.no_data"
    )


def test_data_without_any_table_and_a_definition_without_any_rule_are_no_success(tmp_path, capsys):
    definition = workshop.definition(tmp_path / "regler")
    (tmp_path / "empty").mkdir()
    code, error = workshop.refusal(capsys, "validate", "--definition", definition, "--data", tmp_path / "empty")
    assert (code, error["code"]) == (2, "author.nothing_to_try")
    bare = workshop.definition(tmp_path / "bare", layout=BARE)
    (bare / "rules/a.yaml").unlink()
    data = workshop.data(tmp_path / "data", tur="nr\n1\n")
    code, error = workshop.refusal(capsys, "validate", "--definition", bare, "--data", data)
    assert (code, error["code"]) == (2, "author.no_rules")
    code, problems = workshop.answer(capsys, "rules", "check", "--definition", bare)
    assert (code, [each["code"] for each in problems]) == (2, ["author.no_rules"])


def test_a_definition_with_a_fault_is_refused_with_its_place_and_not_half_read(tmp_path, capsys):
    definition = workshop.definition(
        tmp_path / "regler", workshop.RULES.replace("lengde > 3", "lengde > 3; drop table x")
    )
    code, error = workshop.refusal(
        capsys, "validate", "--definition", definition, "--data", workshop.data(tmp_path / "d")
    )
    assert (code, error["code"].partition(".")[0]) == (2, "rules")
    assert "rules/a.yaml" in error["found"]


def test_the_two_engines_are_chosen_by_name(shop, capsys):
    from tests.validation import spark_cast

    assert spark_cast.ENGINES
    assert judged(capsys, *shop, "--engine", "spark") == judged(capsys, *shop, "--engine", "duckdb")


def test_nobody_imports_spark_who_did_not_ask_for_it():
    program = "import sys, ipis.validation.author.cli, ipis.validation.run; from ipis.validation.engines import engine_named; engine_named('duckdb'); sys.exit(any(name.startswith(('pyspark', 'py4j')) for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_an_author_s_folder_has_the_calendar_year_as_its_period(tmp_path):
    made = open_definition(workshop.definition(tmp_path), 2030)
    assert (made.begins_on, made.ends_on) == (dt.date(2030, 1, 1), dt.date(2030, 12, 31))
    assert made.kommuner == {}


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_column_that_a_file_lacks_is_told_as_a_missing_table_is(tmp_path, capsys, form):
    """Taken as empty, it would otherwise silence every rule about it; a table without rows has nothing to lack."""
    definition = workshop.definition(tmp_path / "regler")
    data = workshop.data(tmp_path / "d", baat="kjenning;alder\nA1;3\n", tur="nr\n")
    if form == "parquet":
        pq.write_table(pa.table({"kjenning": ["A1"], "alder": ["3"]}), data / "baat.parquet")
        (data / "baat.csv").unlink()
    code, answer = workshop.answer(capsys, "validate", "--definition", definition, "--data", data)
    assert (code, answer["missing_columns"]) == (0, {"baat": ["lengde"]})
    assert workshop.ipis("validate", "--definition", definition, "--data", data) == 0
    assert "baat: kolonner som filen ikke har, altså tomme: lengde." in capsys.readouterr().out


@pytest.mark.parametrize("odd", ["dangling", "folder", "spreadsheet", "packed"])
def test_an_odd_file_named_like_a_table_is_no_missing_table(tmp_path, capsys, odd):
    """A broken link or a workbook where the boats should be: the answer must not be that there are none."""
    definition = workshop.definition(tmp_path / "regler")
    data = workshop.data(tmp_path / "d", tur="nr\n1\n")
    if odd == "dangling":
        (data / "baat.csv").symlink_to(tmp_path / "gone.csv")
    elif odd == "folder":
        (data / "baat.parquet").mkdir()
    else:
        (data / {"spreadsheet": "baat.xlsx", "packed": "Baat.csv.gz"}[odd]).write_bytes(b"x")
    code, error = workshop.refusal(capsys, "validate", "--definition", definition, "--data", data)
    assert (code, error["code"]) == (2, "author.odd_table")
    assert "aat." in error["found"]


def test_an_author_is_not_sent_to_a_vendor(tmp_path, capsys):
    """The readers of extracts refuse a table in words for a municipality; here the author has made it."""
    definition = workshop.definition(tmp_path / "regler")
    data = workshop.data(tmp_path / "d", baat="kjenning;lengde\nA1;2;3\n")
    code, error = workshop.refusal(capsys, "validate", "--definition", definition, "--data", data)
    assert (code, error["code"]) == (2, "extract.csv_rows")
    assert "baat.csv" in error["found"]
    assert "rett filen" in error["do"]
