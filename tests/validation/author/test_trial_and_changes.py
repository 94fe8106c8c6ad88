"""`ipis rules try` over tables and over the register's own folders; `ipis rules changes` from year to year."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.architecture.source import ROOT
from tests.validation import desk
from tests.validation.author import workshop

from ipis.kernel.answers import SVAR
from ipis.kernel.collection import packaged
from ipis.kernel.definitions import DefinitionFolder, packaged_years
from ipis.kernel.rows import part_schema

YEARS = packaged_years("iplos")
NEWEST = YEARS[-1]


def delivered(store, kommune, sequence, ends, year=NEWEST):
    """Write a delivery as the register stores it: local keys, person keys, texts that did not parse beside."""
    folder = store / "iplos" / str(year) / kommune / "00" / f"{sequence:04d}-{'a' * 32}"
    folder.mkdir(parents=True)
    layout = packaged("iplos", year).layout
    keys = [number.to_bytes(16, "big") for number in range(len(ends))]
    rows = {
        "person": [{"person_key": key, "brukerNr": number} for number, key in enumerate(keys)],
        "tjeneste": [
            {"person_key": key, "brukerNr": number, "tjenesteId": 100 + number, "kode": "15", "startDato": np.datetime64(f"{year}-03-01").item(), "sluttDato": np.datetime64(end).item()}
            for number, (key, end) in enumerate(zip(keys, ends, strict=True))
        ],
    }  # fmt: skip
    for name, record in layout.records.items():
        schema = part_schema(record)
        columns = {
            field.name: pa.array([row.get(field.name) for row in rows.get(name, [])], field.type) for field in schema
        }
        pq.write_table(pa.table(columns, schema=schema), folder / f"{name}.parquet")
    pq.write_table(pa.table({"local_key": [0], "value": ["hemmelig"]}), folder / "lokal.parquet")
    pq.write_table(pa.table({"rule": ["K063"], "begrunnelse": ["hemmelig"]}), folder / f"{SVAR}.parquet")


@pytest.fixture
def store(tmp_path):
    delivered(tmp_path / "objects", "0403", 1, [f"{NEWEST}-02-01"] * 3)
    delivered(tmp_path / "objects", "0403", 2, [f"{NEWEST}-02-01", f"{NEWEST}-04-01"])
    delivered(tmp_path / "objects", "0301", 1, [f"{NEWEST}-04-01"])
    delivered(tmp_path / "objects", "0301", 1, [f"{NEWEST - 1}-04-01"], NEWEST - 1)
    return tmp_path / "objects"


def test_a_rule_is_tried_on_the_newest_delivery_of_each_municipality(store, capsys):
    code, hits = workshop.answer(capsys, "rules", "try", "K063", "--on", store)
    assert code == 0
    assert {(hit["kommune"], hit["name"], hit["ok"], hit["breach"]) for hit in hits} == {
        ("0403", "Hamar", 1, 1),
        ("0301", "Oslo", 1, 0),
    }
    assert "hemmelig" not in str(hits)
    _, within = workshop.answer(capsys, "rules", "try", "K063", "--on", store / "iplos" / str(NEWEST) / "0403")
    assert [hit["kommune"] for hit in within] == ["0403"]


def test_another_year_of_the_register_is_asked_for_by_its_number(store, capsys):
    _, hits = workshop.answer(capsys, "rules", "try", "K063", "--on", store, "--year", NEWEST - 1)
    assert [hit["kommune"] for hit in hits] == ["0301"]


def test_a_rule_that_is_not_there_yet_is_tried_from_its_file(store, tmp_path, capsys):
    """One with the number of a rule that is there stands in for it."""
    new = tmp_path / "ny.yaml"
    new.write_text(desk.rule("sluttDato > date '2000-01-01'", number="K063", record="tjeneste") + desk.rule("kode <> '15'", number="X001", record="tjeneste"), encoding="utf-8")  # fmt: skip
    _, hits = workshop.answer(capsys, "rules", "try", new, "--on", store)
    assert {(hit["rule"], hit["kommune"], hit["breach"]) for hit in hits} == {("K063", "0403", 0), ("K063", "0301", 0), ("X001", "0403", 2), ("X001", "0301", 1)}  # fmt: skip
    assert packaged("iplos", NEWEST).folder["rules/tjeneste.yaml"].count(b"X001") == 0


def test_a_rule_is_tried_on_tables_and_on_folders_of_tables(tmp_path, capsys):
    definition = workshop.definition(tmp_path / "regler")
    for name in ("0301", "0403"):
        workshop.data(tmp_path / "alle" / name / "uttrekk", baat=workshop.BOATS)
        workshop.data(tmp_path / "alle" / name, faults="rule\n")
    workshop.data(tmp_path / "alle", summary="place\n")
    _, hits = workshop.answer(capsys, "rules", "try", "K001", "--on", tmp_path / "alle", "--definition", definition)
    assert [(hit["kommune"], hit["ok"], hit["breach"], hit["not_assessed"]) for hit in hits] == [
        ("0301", 1, 1, 1),
        ("0403", 1, 1, 1),
    ], "what `ipis synth` writes beside the tables is none of them"
    one = workshop.data(tmp_path / "0301", baat=workshop.BOATS)
    _, alone = workshop.answer(capsys, "rules", "try", "K001", "--on", one, "--definition", definition)
    assert [hit["kommune"] for hit in alone] == ["0301"]
    assert workshop.ipis("rules", "try", "K001", "--on", tmp_path / "alle", "--definition", definition) == 0
    shown = capsys.readouterr().out
    assert "alle" in shown
    assert "50.0" in shown


def synth(capsys, out, kommune, *more):
    """Draw an extract as `ipis synth` writes it, the list of its faults beside it."""
    place = ("--collection", "iplos", "--year", NEWEST, "--kommune", kommune)
    words = ("synth", *place, "--persons", 400, "--faults", 0.5)
    assert workshop.ipis(*words, "--out", out, *more) == 0
    capsys.readouterr()
    return out


@pytest.mark.parametrize("form", ["xml", "csv", "parquet"])
def test_a_rule_finds_in_drawn_extracts_what_is_listed_beside_them(tmp_path, capsys, form):
    """The list is no table beside an extract; each place is named by its extract's header."""
    listed = {}
    for kommune, name in (("0403", "Hamar"), ("0412", "Ringsaker")):
        out = synth(capsys, tmp_path / "alle" / name, kommune, "--at-ssb", "--format", form)
        faults = (out / "faults.csv").read_text(encoding="utf-8").splitlines()
        listed[kommune, "00", name] = sum(line.startswith("K031,") for line in faults)
    assert all(listed.values())
    places = [tmp_path / "alle", tmp_path / "alle" / "Hamar", next((tmp_path / "alle" / "Hamar").glob("0403*"))]
    everywhere, *alone = (workshop.answer(capsys, "rules", "try", "K031", "--on", place)[1] for place in places)
    assert {(hit["kommune"], hit["bydel"], hit["name"]): hit["breach"] for hit in everywhere} == listed
    assert all(hits == [hit for hit in everywhere if hit["kommune"] == "0403"] for hits in alone)


def test_the_rows_of_an_extract_are_judged_where_what_only_the_chain_knows_is_not_asked_for(tmp_path, capsys):
    """Identity numbers are left aside, as of any table, and so is what they tell."""
    xml = synth(capsys, tmp_path / "a", "0403")
    _, (hit,) = workshop.answer(capsys, "rules", "try", "K025", "--on", xml)
    assert (hit["ok"], hit["breach"], hit["reasons"]) == (0, 0, {"no_identity": 400})


def test_tables_go_before_an_extract_beside_them_and_an_unknown_name_is_told(tmp_path, capsys):
    both = synth(capsys, tmp_path / "a", "0403")
    (both / "tjenster.csv").write_text("brukerNr;kode\n1;15\n", encoding="utf-8")
    _, error = workshop.refusal(capsys, "rules", "try", "K031", "--on", both)
    assert (error["code"], "tjenster.csv" in error["found"]) == ("author.unknown_table", True)
    (both / "tjenster.csv").rename(both / "tjeneste.csv")
    (both / "faults.csv").unlink()
    _, (hit,) = workshop.answer(capsys, "rules", "try", "K089", "--on", both)
    assert hit["kommune"] == "a"


def test_an_extract_is_validated_by_itself_or_alone_in_its_folder(tmp_path, capsys):
    definition = tmp_path / "regler"
    for name, content in DefinitionFolder.packaged("iplos", NEWEST).items():
        (definition / name).parent.mkdir(parents=True, exist_ok=True)
        (definition / name).write_bytes(content)
    folder = synth(capsys, tmp_path / "a", "0403")
    code, told = workshop.answer(capsys, "validate", "--definition", definition, "--data", folder)
    assert code == 1
    assert (
        told == workshop.answer(capsys, "validate", "--definition", definition, "--data", next(folder.glob("*.xml")))[1]
    )
    synth(capsys, folder, "0412")
    _, error = workshop.refusal(capsys, "validate", "--definition", definition, "--data", folder)
    assert (error["code"], "2 uttrekk" in error["found"]) == ("author.many_extracts", True)


def test_an_extract_that_is_cut_is_refused_as_an_authors_own(tmp_path, capsys):
    (file,) = synth(capsys, tmp_path / "a", "0403").glob("*.xml")
    file.write_bytes(file.read_bytes()[:-40])
    code, error = workshop.refusal(capsys, "rules", "try", "K031", "--on", tmp_path)
    assert (code, error["code"]) == (2, "extract.truncated")
    assert "fagsystem" not in error["do"]


def test_a_register_without_persons_has_no_xml_extracts(tmp_path, capsys):
    definition = workshop.definition(tmp_path / "regler")
    (file,) = synth(capsys, tmp_path / "a", "0403").glob("*.xml")
    _, error = workshop.refusal(capsys, "rules", "try", "K001", "--on", file, "--definition", definition)
    assert error["code"] == "author.no_data"


@pytest.mark.parametrize(("rule", "on", "code"), [("K999", "", "author.no_rule"), ("no.yaml", "", "author.no_rule"), ("K063", "tom", "author.nothing_to_try"), ("K063", "borte", "author.no_data")])  # fmt: skip
def test_what_cannot_be_tried_is_named(store, capsys, rule, on, code):
    (store / "tom").mkdir()
    exit_code, error = workshop.refusal(capsys, "rules", "try", rule, "--on", store / on if on else store)
    assert (exit_code, error["code"]) == (2, code)


def test_a_tried_file_with_a_fault_is_refused_with_its_place(store, tmp_path, capsys):
    new = tmp_path / "ny.yaml"
    new.write_text(desk.rule("noe > 1", number="X001", record="tjeneste"), encoding="utf-8")
    _, error = workshop.refusal(capsys, "rules", "try", new, "--on", store)
    assert error["code"] == "rules.field"


def test_a_tried_file_is_called_as_it_was_named(store, tmp_path, capsys):
    new = tmp_path / "mine regler.yaml"
    new.write_text("hei", encoding="utf-8")
    code, error = workshop.refusal(capsys, "rules", "try", new, "--on", store)
    assert (code, error["code"]) == (2, "rules.yaml")
    assert error["found"].startswith("mine regler.yaml linje 1")


def test_what_a_folder_is_called_is_shown_as_it_stands(tmp_path, capsys):
    """Square brackets are no colours to a terminal."""
    definition = workshop.definition(tmp_path / "[regler]")
    workshop.data(tmp_path / "[alle]" / "[red]a", baat=workshop.BOATS)
    assert workshop.ipis("rules", "try", "K001", "--on", tmp_path / "[alle]", "--definition", definition) == 0
    assert "[red]a" in capsys.readouterr().out
    assert workshop.ipis("rules", "check", "--definition", definition) == 1
    assert "[regler]" in capsys.readouterr().out


def test_the_change_page_is_the_generated_one(capsys):
    before, after = YEARS[-2:]
    assert workshop.ipis("rules", "changes", before, after) == 0
    page = capsys.readouterr().out
    assert page == (ROOT / f"docs/generated/changes-iplos-{before}-{after}.md").read_text(encoding="utf-8")
    assert "| `receipt.after` | arrived | loaded |" in page
    assert "Organisasjonsnummer er ført på «Tjenestetype»." in page
    assert "{" not in page.partition("## Rules that change")[0].partition("## Rules that are new")[2]
    assert "| 15 | Helsetjenester i hjemmet | orgnr: optional | orgnr: required |" in page


def test_the_change_page_tells_of_fields_lists_rules_and_columns(tmp_path, capsys):
    before = workshop.definition(tmp_path / "2030")
    layout = workshop.LAYOUT.replace("length = 4", "length = 5").replace(
        'exists = "baat"', 'exists = "baat", where = "lengde > 1"'
    )
    layout = layout.replace("[Tur.fields.ut]", "[Tur.fields.inn]").replace("[Tur.derived]", '[Tur.fields.ny]\nkind = "str"\nlabel = { nb = "N", nn = "N", en = "N" }\n[Tur.derived]')  # fmt: skip
    rules = (
        workshop.RULES.replace("lengde > 3", "lengde > 4")
        .replace("K003", "K004")
        .replace('found: "Fant {v}."', 'found: "Der stod {v}."', 1)
    )
    after = workshop.definition(
        tmp_path / "2031",
        rules,
        layout,
        **{"codes/slag.csv": "code,label_nb\nF,fiske\nP,pram\n", "codes/ny.csv": "code\na\n"},
    )
    assert workshop.ipis("rules", "changes", before, after) == 0
    page = capsys.readouterr().out
    for line in (
        "| `Tur.nr` | length: 4 | length: 5 |", "| `Tur.ut` | N, date 10 | falls away |", "| `Tur.ny` | – | new: N, str |",
        "| F | fiske | label_nb: fisk | label_nb: fiske |", "| L | last | goes out | – |", "| P | pram | – | comes in |", "A new list.",
        "| K001 | condition | lengde: `lengde > 3` where `lengde is not null` | lengde: `lengde > 4` where `lengde is not null` |",
        "| K004 | feil | hold_utenfor | `baat` | Fant «verdien». |",
    ):  # fmt: skip
        assert line in page, line
    assert page.splitlines()[0].endswith(f": what changes from {before} to {after}")
    assert "K001 | text (nb)" in page
    assert "`Tur.finnes`" in page


def test_a_register_that_we_do_not_ship_is_named(capsys):
    assert workshop.ipis("rules", "changes", "2016", "2017", "--register", "ukjent") == 2
    assert "[author.no_register]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("tried", "beside", "told"),
    [
        (b"- id: K009\n", b"[]", "rules.missing"), (b"- id: K009\n", b"", "rules.yaml"), (b"- id: K009\n", b"x: 1\n", "rules.yaml"), (b"- id: \xf8\n", b"[]", "rules.yaml"),
        (b"[" * 100_000, b"[]", "rules.yaml"), (b"- [a]: 1\n", b"[]", "rules.key"), (b"- id: K009\n", b"- id: \xf8\n", "rules.yaml"),
        (b" " * (5 << 20), b"[]", "collection.too_big"),
    ],
)  # fmt: skip
def test_a_file_that_holds_no_rules_is_told_whether_tried_or_beside(tmp_path, capsys, tried, beside, told):
    definition, data = workshop.definition(tmp_path / "d"), workshop.data(tmp_path / "data", baat=workshop.BOATS)
    (tmp_path / "new.yaml").write_bytes(tried)
    (definition / "rules/b.yaml").write_bytes(beside)
    code, error = workshop.refusal(
        capsys, "rules", "try", tmp_path / "new.yaml", "--on", data, "--definition", definition
    )
    assert (code, error["code"]) == (2, told)
