"""`ipis kommune check` by its command line: what it finds, how it says it, and what it refuses to look further into."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pyarrow as pa
import pytest
from tests.kommune import testvik

from ipis.__main__ import run
from ipis.kernel.demo import demo_orgnr
from ipis.kernel.environment import Environment
from ipis.kernel.seasonpack import SeasonPack
from ipis.kommune import precheck
from ipis.kommune.check_report import page, texts_of
from ipis.kommune.told import Told, told
from ipis.validation.engines import ScanFailed
from ipis.validation.engines.duckdb import DuckDB

VALUE = "12.13.2017"


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    return testvik.desk(tmp_path_factory.mktemp("desk") / "testvik")


@pytest.fixture(scope="module")
def season(desk):
    return SeasonPack.load(desk.pack)


def written(desk, name="uttrekk.xml", **changes):
    """Write Testvik's extract and change its text: from -> to."""
    path = testvik.extract(desk.folder, name=name)
    text = path.read_text(encoding="utf-8")
    for old, new in changes.pop("replace", {}).items():
        assert old in text
        text = text.replace(old, new, changes.get("times", 1))
    path.write_text(text, encoding="utf-8")
    return path


def check(desk, extract, *more):
    words = ["kommune", "check", str(extract), "--pack", str(desk.pack), "--keyring", str(desk.keyring)]
    return run([*words, *map(str, more)])


def said(capsys):
    return json.loads(capsys.readouterr().out)


def clean(desk):
    """An extract without a finding: one of the two services has ended."""
    return written(
        desk,
        "rent.xml",
        replace={
            f'startDato="{testvik.YEAR}-02-01"': f'startDato="{testvik.YEAR}-02-01" sluttDato="{testvik.YEAR}-06-01"'
        },
    )


def test_an_extract_without_findings_is_clean(desk, capsys):
    assert check(desk, clean(desk), "--json") == 0
    answer = said(capsys)
    assert (answer["findings"], answer["counts"]) == ([], {"info": 0, "advarsel": 0, "feil": 0, "kritisk": 0})
    assert check(desk, clean(desk)) == 0
    assert "klar til å forsegles" in capsys.readouterr().out


def test_warnings_alone_leave_the_exit_code_at_zero(desk, capsys):
    """K104: more than 98 % of the services have no end."""
    assert check(desk, written(desk), "--json") == 0
    answer = said(capsys)
    assert [(found["rule"], found["key"], found["fields"]) for found in answer["findings"]] == [
        ("K104", {"brukerNr": None, "id": None}, ["sluttDato"])
    ]
    assert answer["counts"]["advarsel"] == 1
    assert check(desk, written(desk)) == 0
    assert "Ingen feil" in capsys.readouterr().out


def test_errors_give_one_and_are_told_with_key_field_and_remedy(desk, capsys):
    faulty = written(desk, "feil.xml", replace={f'startDato="{testvik.YEAR}-02-01"': f'startDato="{VALUE}"'})
    assert check(desk, faulty, "--json") == 1
    (found,) = [found for found in said(capsys)["findings"] if found["level"] == "feil"]
    assert found.keys() == {"rule", "level", "effect", "record", "key", "fields", "message"}
    assert (found["rule"], found["effect"], found["record"]) == ("L009", "hold_utenfor", "tjeneste")
    assert (found["key"], found["fields"]) == ({"brukerNr": "B1", "id": "T0"}, ["startDato"])
    assert VALUE in found["message"]


def test_the_summary_says_what_to_do_and_where_everything_stands(desk, capsys):
    faulty = written(desk, "feil.xml", replace={'kode="06"': 'kode="10"'})
    report = desk.folder / "side.html"
    assert check(desk, faulty, "--report", report) == 1
    out = capsys.readouterr().out
    assert re.search(r"^Feil \(1\)", out, re.MULTILINE)
    assert "K059 · 1 problem · Tjeneste: Tjenestetype\n" in out
    assert re.search(r"Funnet +Tjenestekode … mangler eller finnes ikke\.\n", out)
    assert re.search(r"Ventet +En kode fra listen over tjenestetyper\.\n", out)
    assert re.search(r"Gjør dette +Rett tjenestetypen i fagsystemet\.\n", out)
    assert "--report" not in out
    assert "kan filen likevel sendes" in out
    assert str(report) in out
    assert report.stat().st_mode & 0o077 == 0


def test_the_summary_fits_eighty_columns_and_shows_no_value(desk, capsys, monkeypatch):
    """A terminal keeps its history: what the records hold stands in the page alone, which it names."""
    monkeypatch.setenv("COLUMNS", "80")
    days = {f'startDato="{testvik.YEAR}-02-01"': f'startDato="{VALUE}"'}
    codes = {'utfall="1"': 'utfall="97"', 'koordinator="2"': 'koordinator="97"', 'husstand="1"': 'husstand="97"'}
    assert check(desk, written(desk, "feil.xml", replace=days | codes)) == 1
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    assert VALUE not in out
    assert "97" not in out
    assert re.search(r"Funnet +Startdato … er ikke en dato\.\n", out)
    assert re.search(r"Person: .+ · Person: \S+\s+Funnet +Feltet har ugyldig verdi …\n", out)
    assert "--report funn.html" in out.replace("\n", " ")


@pytest.mark.parametrize("report", ["borte/side.html", "."])
def test_a_report_that_cannot_be_written_is_refused_before_anything_is_read(desk, capsys, report):
    assert check(desk, desk.folder / "borte.xml", "--report", desk.folder / report) == 64
    assert "[check.report]" in capsys.readouterr().err


def test_a_folder_is_no_season_pack(desk, capsys):
    assert check(replace(desk, pack=desk.folder), desk.folder / "borte.xml") == 2
    assert "[seasonpack.missing]" in capsys.readouterr().err


def test_what_is_about_the_whole_delivery_is_told_with_its_count(desk, capsys):
    assert check(desk, written(desk)) == 0
    assert re.search(r"K104 · .+\n +Funnet +100 % av tjenestene mangler sluttdato\.", capsys.readouterr().out)


@pytest.mark.parametrize(("language", "words"), [("nn", "Rett tenestetypen"), ("en", "Correct the kind of service")])
def test_the_language_is_the_users(desk, capsys, language, words):
    faulty = written(desk, "feil.xml", replace={'kode="06"': 'kode="10"'})
    assert check(desk, faulty, "--language", language) == 1
    assert words in capsys.readouterr().out


def test_the_users_language_reaches_a_refusal_and_ends_with_the_command(desk, capsys, monkeypatch):
    """What the command line asks for goes before the environment."""
    monkeypatch.setenv("IPIS_LANGUAGE", "en")
    cut = written(desk, "kutta.xml", replace={"</Uttrekk>": ""})
    assert check(replace(desk, keyring=desk.folder / "new"), cut, "--language", "nn") == 2
    said = capsys.readouterr().err
    assert all(word in said for word in ("Stoppa: ", "Gjer dette: "))
    assert "keyring trusts" not in said, "a new root is told in the same language"
    assert check(desk, cut, "--json", "--language", "nb") == 2
    assert json.loads(capsys.readouterr().err)["found"].endswith("midt i innholdet, ved linje 3")
    assert check(desk, cut) == 2
    assert "Stopped: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("replace", "code"),
    [
        ({f'aargang="{testvik.YEAR}"': f'aargang="{testvik.YEAR - 1}"'}, "extract.year"),
        ({f'tilDato="{testvik.YEAR}-12-31"': f'tilDato="{testvik.YEAR}-11-30"'}, "extract.period"),
        ({'kommuneNr="0403"': 'kommuneNr="5001"'}, "extract.kommune"),
        ({'bydel="00"': 'bydel="07"'}, "extract.bydel"),
        ({demo_orgnr("0403"): demo_orgnr("0417")}, "extract.orgnr"),
        ({"</Uttrekk>": ""}, None),
        ({'antallPerson="2"': 'antallPerson="3"'}, "extract.count"),
        ({'brukerNr="B1"': f'brukerNr="{testvik.NUMBERS[0]}"'}, "seal.bruker_nr"),
        ({testvik.NUMBERS[0]: "01" + "01" + testvik.NUMBERS[0][4:]}, "numbers.real_in_test"),
    ],
)
def test_what_may_not_be_sent_is_refused_as_one_object(desk, capsys, replace, code):
    """Exit 2; the refusal names no value of a person's record."""
    assert check(desk, written(desk, "avvist.xml", replace=replace), "--json") == 2
    streams = capsys.readouterr()
    refusal = json.loads(streams.err)
    assert refusal.keys() == {"code", "found", "expected", "do", "retry"}
    assert code is None or refusal["code"] == code
    assert refusal["retry"] is False
    assert streams.out == ""
    assert not any(number in streams.err for number in testvik.NUMBERS)


def test_json_is_alone_on_both_streams_when_the_root_is_new(desk, tmp_path, capsys):
    """Whoever reads the answer by program gets one object; that a root is new stands in it, once."""
    fresh = replace(desk, keyring=tmp_path / "fresh")
    assert check(fresh, clean(fresh), "--json") == 0
    streams = capsys.readouterr()
    assert streams.err == ""
    fingerprint = SeasonPack.load(desk.pack).root.fingerprint
    assert json.loads(streams.out)["trusted_at_first_use"] == fingerprint
    assert check(fresh, clean(fresh), "--json") == 0
    assert "trusted_at_first_use" not in json.loads(capsys.readouterr().out)


def test_a_refusal_is_alone_on_stderr_when_the_root_is_new(desk, tmp_path, capsys):
    fresh = replace(desk, keyring=tmp_path / "fresh")
    other_year = {f'aargang="{testvik.YEAR}"': f'aargang="{testvik.YEAR - 1}"'}
    assert check(fresh, written(desk, "avvist.xml", replace=other_year), "--json") == 2
    assert json.loads(capsys.readouterr().err)["code"] == "extract.year"


def test_no_bar_is_left_where_stderr_is_no_terminal(desk, capsys):
    assert check(desk, clean(desk)) == 0
    capsys.readouterr()
    assert check(desk, clean(desk)) == 0
    assert capsys.readouterr().err == ""


def test_a_critical_finding_refuses_the_extract(desk, season, capsys):
    """No rule of this kind can break today without the reader refusing first; the exit code must not depend on that."""
    from ipis.validation import rulebook
    from ipis.validation.catalogue import Level

    rule = rulebook.of(season.collection).rules["K104"]
    object.__setattr__(rule, "level", Level.KRITISK)
    try:
        assert check(desk, written(desk), "--json") == 2
        assert said(capsys)["counts"]["kritisk"] == 1
        checked = precheck.run(written(desk), season)
        assert checked.outcome is precheck.Outcome.REFUSED
        assert "kan ikke sendes" in page(checked, told(checked, season.collection, "nb"), season, "x.xml")
    finally:
        object.__setattr__(rule, "level", Level.ADVARSEL)


class Page(HTMLParser):
    """What a reader of the page meets: tags, links and text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.sources, self.anchors, self.links, self.text = [], [], set(), set(), ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags.append(tag)
        self.sources += [
            value
            for name, value in attrs
            if name in {"src", "srcset", "data", "action", "style"} or name.startswith("on")
        ]
        self.anchors |= {attributes["id"]} if "id" in attributes else set()
        self.links |= {attributes["href"]} if "href" in attributes else set()

    def handle_data(self, data):
        self.text += data


HOSTILE = "&lt;script&gt;alert(1)&lt;/script&gt;"


@pytest.fixture(scope="module")
def report(desk, season):
    replace = {
        'kode="06"': 'kode="10"',
        'fid="01815012352"': 'fid="01815012353"',
        f'vedtakDato="{testvik.YEAR}-01-20"': f'vedtakDato="{HOSTILE}"',
    }
    checked = precheck.run(written(desk, "side.xml", replace=replace), season)
    return page(checked, told(checked, season.collection, "nb"), season, "side.xml")


def test_the_page_is_one_file_without_script(report):
    read = Page(report)
    assert not {"script", "link", "img", "iframe", "object", "form", "input"} & set(read.tags)
    assert read.sources == []
    assert all(link.startswith("#") and link[1:] in read.anchors for link in read.links)
    assert "@import" not in report
    assert "url(" not in report


def test_the_page_shows_hostile_values_as_text(report):
    assert "<script>" not in report
    assert "<script>alert(1)</script>" in Page(report).text


def test_the_page_groups_by_rule_and_says_what_to_do(report):
    text = Page(report).text
    assert "Hamar" in text
    assert "Gjør dette" in text
    assert "Rett tjenestetypen i fagsystemet." in text
    assert "Posten holdes utenfor statistikken." in text
    assert text.index("K022") < text.index("K104")


def test_the_page_holds_no_identity_number(report):
    assert not any(number in report for number in (*testvik.NUMBERS, "01815012353"))


def test_the_page_lists_what_was_not_assessed(report):
    text = Page(report).text
    assert "Ikke vurdert" in text
    assert "fjoråret finnes bare hos SSB" in text


def test_a_clean_page_says_so(desk, season):
    checked = precheck.run(clean(desk), season)
    for language in ("nb", "nn", "en"):
        text = Page(page(checked, told(checked, season.collection, language), season, "rent.xml")).text
        assert texts_of(language)["outcome"]["clean"] in text


def test_a_person_without_a_number_is_found_by_place(desk, season):
    checked = precheck.run(written(desk, "uten.xml", replace={'brukerNr="B2" ': ""}), season)
    assert "mangler (nr. 2 i filen)" in page(checked, told(checked, season.collection, "nb"), season, "uten.xml")


def test_every_word_of_the_page_is_there_in_three_languages():
    sections = {
        language: {(s, k) for s, keys in texts_of(language).items() for k in keys} for language in ("nb", "nn", "en")
    }
    assert sections["nb"] == sections["nn"] == sections["en"]


def test_validation_sees_no_identity_field(desk, season):
    """Architecture §2.7: rules about the number see its reason, never the number."""
    checked = precheck.run(written(desk), season)
    person = checked.tables["person"]
    assert not {"fid", "typeID"} & set(person.column_names)
    assert {"kjoenn", "foedselsaar", "alder", "id_class", "id_reason"} <= set(person.column_names)
    assert person["alder"].type == pa.int16()
    assert person["alder"].to_pylist() == [testvik.YEAR - year for year in person["foedselsaar"].to_pylist()]
    for number in testvik.NUMBERS:
        assert number not in repr(checked) + repr(checked.clear)


def _cell(row, field):
    """Give a value as it stood in the extract."""
    return str(row[field] if row[field] is not None else row.get(f"{field}__raw") or "")


def test_flat_files_give_the_same_findings_as_xml(desk, season, tmp_path, capsys):
    """Both inputs must give the same findings for the same content; only a flat file can show an orphan."""
    faulty = written(desk, "feil.xml", replace={'kode="06"': 'kode="10"', 'utfall="1"': 'utfall="7"'})
    read = precheck.run(faulty, season)
    folder = tmp_path / "flat"
    folder.mkdir()
    header = read.clear.extract.header
    (folder / "uttrekk.csv").write_text(
        ";".join(header) + "\n" + ";".join(value or "" for value in header.values()) + "\n", encoding="utf-8"
    )
    for name, record in season.collection.layout.records.items():
        table = read.clear.extract.tables[name]
        if not table.num_rows:
            continue
        rows = [";".join(_cell(row, field) for field in record.fields) for row in table.to_pylist()]
        (folder / f"{name}.csv").write_text(";".join(record.fields) + "\n" + "\n".join(rows) + "\n", encoding="utf-8")
    trailer = read.clear.extract.trailer
    (folder / "slutt.csv").write_text(
        ";".join(trailer) + "\n" + ";".join(value or "" for value in trailer.values()) + "\n", encoding="utf-8"
    )
    assert check(desk, faulty, "--json") == 1
    of_xml = said(capsys)
    assert check(desk, folder, "--json") == 1
    assert said(capsys) == of_xml
    service = (folder / "tjeneste.csv").read_text(encoding="utf-8")
    (folder / "tjeneste.csv").write_text(service.replace("B2;", "B9;"), encoding="utf-8")
    assert check(desk, folder, "--json") == 1
    assert {found["rule"] for found in said(capsys)["findings"]} - {found["rule"] for found in of_xml["findings"]} == {
        "K058"
    }


def test_a_rule_that_cannot_be_run_is_told(desk, season, monkeypatch, capsys):
    original = DuckDB.query

    def failing(engine, sql):
        if " 110" in sql:
            raise ScanFailed("Conversion Error")
        return original(engine, sql)

    monkeypatch.setattr(DuckDB, "query", failing)
    assert check(desk, clean(desk)) == 0
    assert "Regel K034 kunne ikke kjøres" in capsys.readouterr().err


def test_check_trusts_the_pack_that_seal_would(tmp_path, capsys):
    """What check lets pass, seal does not refuse for its root or version: both ask the keyring."""
    newer = testvik.desk(tmp_path / "a", Environment.TEST, version=2)
    older = testvik.season_pack(
        newer.folder / "older.sesong",
        newer.root,
        replace(SeasonPack.load(newer.pack).body, version=1),
    )
    stranger = testvik.desk(tmp_path / "b", Environment.TEST, version=3)
    extract = clean(newer)
    assert check(newer, extract) == 0
    assert "stoler for første gang på roten" in capsys.readouterr().err
    assert check(replace(newer, pack=older), extract) == 2
    assert "[seasonpack.version_down]" in capsys.readouterr().err
    assert check(replace(newer, pack=stranger.pack), extract) == 2
    assert "[seasonpack.root_changed]" in capsys.readouterr().err


def test_a_demo_may_be_laid_out_anew(tmp_path):
    one, other = (testvik.desk(tmp_path / name) for name in "ab")
    assert check(one, clean(one)) == check(replace(one, pack=other.pack), clean(one)) == 0


def test_a_problem_is_told_once_with_what_follows_from_it(desk, season):
    """Root cause first: what goes away with it stands beneath, and both numbers are told."""
    table = pa.table(
        {
            "rule": ["K035", "K036", "K036", "K036"],
            "level": ["feil"] * 4,
            "effect": ["hold_utenfor", "behold", "behold", "behold"],
            "record": ["person", "tjeneste", "tjeneste", "tjeneste"],
            "row": [0, 0, 1, 2],
            "brukerNr": ["B1", "B1", "B1", "B2"],
            "id": ["", "T0", "T1", "T2"],
            "field": ["dodsDato", "sluttDato", "sluttDato", "sluttDato"],
            "value": ["", "", "", ""],
            "found": ["død", "løper", "løper", "løper"],
            "expected": ["a", "b", "b", "b"],
            "do": ["c", "d", "d", "d"],
            "problem": [1, 1, 1, 2],
        }
    )
    first, second = Told(table, "nb").groups()
    assert (first.rule, first.problems, first.count, first.also, first.found) == ("K035", 1, 3, {"K036": 2}, "død")
    assert (second.rule, second.problems, second.count, second.also) == ("K036", 1, 1, {})
    checked = precheck.run(clean(desk), season)
    text = Page(page(checked, Told(table, "nb"), season, "x.xml")).text
    assert "Når dette er rettet, faller også bort: K036 (2)." in text
    assert "1 problem · 3 funn" in text
