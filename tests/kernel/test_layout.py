"""The record layout: every field of the proposal is there, each fault has a rule, contradictions are refused."""

import csv
import re
from pathlib import Path

import pyarrow as pa
import pytest
from tests.kernel.years import members

from ipis.kernel.collection import load, packaged
from ipis.kernel.definitions import DefinitionFolder
from ipis.kernel.errors import LANGUAGES, DefinitionRefused
from ipis.kernel.layout import Kind
from ipis.kernel.layout_file import parse
from ipis.kernel.toml_file import place

YEARS = [2016, 2017]


@pytest.fixture(params=YEARS)
def layout(request):
    return packaged("iplos", request.param).layout


def test_every_field_of_the_proposal_is_a_field_of_its_own(layout):
    """domain §4, with joined rows split; names verbatim."""
    names = {record: list(kind.fields) for record, kind in layout.records.items()}
    assert list(names) == ["person", "diagnose", "vedtak", "tjeneste", "stopp", "vurdering", "deltakelse"]
    assert list(layout.header.fields) == [
        "formatVersjon", "aargang", "fraDato", "tilDato", "uttakTid", "kommuneNr", "bydel", "orgNr", "leverandor",
        "navnEPJ", "versjonEPJ", "versjonUt", "innsending",
    ]  # fmt: skip
    assert names["person"] == [
        "brukerNr", "fid", "typeID", "bostedKommuneNr", "bostedBydel", "husstand", "omsorgBarn", "boforholdEgnet",
        "privatHjelp", "privatHjelpTimer", "legeDato", "tannhelseDato", "ernaeringDato", "ernaeringRisiko",
        "individuellPlan", "koordinator", "dodsDato",
    ]  # fmt: skip
    assert names["tjeneste"] == [
        "brukerNr", "tjenesteId", "vedtakId", "kode", "startDato", "sluttDato", "timerUke", "minutterUke", "dognUke",
        "orgNr", "boligBemanning", "ordinaerBolig", "avlastningRullerende",
    ]  # fmt: skip
    assert names["vedtak"] == ["brukerNr", "vedtakId", "tjenesteKode", "soknadDato", "vedtakDato", "utfall", "klage"]
    assert names["diagnose"] == ["brukerNr", "diagNr", "kodeverk", "kode", "dato"]
    assert names["stopp"] == ["brukerNr", "tjenesteId", "fraDato", "tilDato"]
    assert names["vurdering"] == ["brukerNr", "dato", *(f"F{n:02}" for n in range(1, 18))]
    areas = ("arbeid", "organisasjon", "kultur", "transport")
    assert names["deltakelse"] == ["brukerNr", "dato", *(f"{a}{what}" for a in areas for what in ("Behov", "Mottar"))]


def listed_fields():
    """List (record, field) of the proposal's rows (extract_layout.csv, beside): joined and abbreviated ones split."""
    areas = ("arbeid", "organisasjon", "kultur", "transport")
    text = (Path(__file__).parent / "extract_layout.csv").read_text(encoding="utf-8")
    for row in csv.DictReader(text.splitlines()):
        for name in re.split(r" / |, (?![^{]*})", row["field"]):
            if name == "F01…F17":
                names = [f"F{number:02}" for number in range(1, 18)]
            elif name.startswith("{"):
                names = [area + name.partition("}")[2] for area in areas]
            elif name == "antall per posttype":
                names = [
                    f"antall{kind}"
                    for kind in ("Person", "Diagnose", "Vedtak", "Tjeneste", "Stopp", "Vurdering", "Deltakelse")
                ]
            else:
                names = [name]
            yield from ((row["record"], each, row) for each in names)


def test_every_row_of_the_proposal_stands_in_the_layout(layout):
    """Each with its type, its length and whether it must be there; ids are texts, and a day or a code is as long as it is."""
    types = {
        "str": {Kind.STR, Kind.ID, Kind.CODE},
        "key": {Kind.ID, Kind.STR, Kind.DATE},
        "int/str": {Kind.INT, Kind.STR},
    }
    types |= {"date+code": {Kind.DATE, Kind.CODE}}
    records = layout.by_element()
    seen = 0
    for element, name, row in listed_fields():
        field = records[element].fields[name]
        assert field.kind in types.get(row["type"], {row["type"]}), (element, name)
        # A count is wanted of record types that occur only.
        assert field.required or row["cardinality"] != "1" or element == "Slutt", (element, name)
        if row["length"].isdigit() and row["type"] != "key" and field.kind is not Kind.DATETIME:
            assert field.length == int(row["length"]), (element, name)
        seen += 1
    assert seen == 13 + 17 + 5 + 7 + 13 + 3 + 19 + 10 + 8


def test_what_a_year_does_not_use_may_not_be_filled_in(layout):
    """avlastningRullerende and the temporary stop come in 2019: the field has an empty list, the record its rule."""
    field = layout.records["tjeneste"].fields["avlastningRullerende"]
    assert (field.codes, field.rules["code"]) == ((), "L011")


def test_only_number_and_kind_of_number_are_identity(layout):
    """They never leave the identity part (architecture §2.2)."""
    assert [(record.name, field.name) for record, field in layout.every_field() if field.identity] == [
        ("person", "fid"),
        ("person", "typeID"),
    ]


def test_no_fault_of_a_field_is_silent(layout):
    """Each kind of fault that a field can have breaks a rule; orphans have K050 and K058 instead of a mandatory rule."""
    for record in layout.records.values():
        for field in record.fields.values():
            can = set()
            if field.required:
                can.add("mandatory")
            if field.codes is not None:
                can.add("code")
            elif field.kind is not Kind.CODE:
                can.add("form")
            if field.minimum is not None or field.maximum is not None:
                can.add("range")
            assert can <= set(field.rules), f"{record.name}.{field.name} lacks {can - set(field.rules)}"


def test_rules_of_the_layout_have_level_effect_and_three_languages(layout):
    used = {rule for record in layout.records.values() for f in record.fields.values() for rule in f.rules.values()}
    assert {rule for rule in used if rule.startswith("L")} == set(layout.rules)
    for rule in layout.rules.values():
        assert rule.level in {"info", "advarsel", "feil", "kritisk"}
        assert rule.effect in {"behold", "nullstill_felt", "hold_utenfor", "avvis_forsendelse"}
        assert set(rule.message) == set(LANGUAGES)


def test_labels_are_in_three_languages(layout):
    for _, field in layout.every_field():
        assert set(field.label) == set(LANGUAGES)
        assert all(field.label.values())


def test_columns_have_the_types_that_all_readers_share(layout):
    schema = layout.records["tjeneste"].schema()
    assert schema.field("startDato").type == pa.date32()
    assert schema.field("startDato__raw").type == pa.string()
    assert schema.field("dognUke").type == pa.decimal128(3, 1)
    assert schema.field("timerUke").type == pa.int32()
    assert schema.field("_row").type == schema.field("_person").type == pa.int32()
    assert "kode__raw" not in schema.names


def spoil(old, new):
    data = members()["layout.toml"]
    assert old in data
    return data.replace(old, new, 1)


@pytest.mark.parametrize(
    ("old", "new", "code", "at"),
    [
        (b'kind = "id"', b'kind = "ident"', "toml.not_among", "kind"),
        (b"required = true", b"needed = true", "toml.unknown_key", "needed"),
        (b"required = true", b'required = "nei nei"', "toml.not_truth", "required"),
        (b"length = 10", b'length = "ti"', "toml.not_number", "length"),
        (b"length = 10", b"length = 10\nlength = 11", "toml.twice", " 11"),
        (b'rules = { mandatory = "K018"', b'rules = { missing = "K018"', "toml.not_among", "missing"),
        (b'form = "L001"', b'form = "L999"', "layout.undeclared", 'form = "L999"'),
        (b'form = "L001"', b"form = 1", "toml.not_text", "form = 1"),
        (b'codes = "husstand"\n', b"", "layout.no_codes", "person.fields.husstand"),
        (b'codes = "husstand"\n', b"codes = 1\n", "layout.codes", "codes = 1"),
        (b'codes = "husstand"\n', b'codes = ["1", 2]\n', "layout.codes", 'codes = ["1"'),
        (b"length = 5\nscale = 2", b"length = 5", "layout.decimal", "person.fields.privatHjelpTimer"),
        (b'kind = "int"\nlength = 3', b'kind = "int"\nlength = 12', "layout.whole", "tjeneste.fields.timerUke"),
        (b'id_field = "tjenesteId"', b'id_field = "id"', "layout.no_field", "id_field"),
        (b'key_fields = ["brukerNr"]', b'key_fields = "brukerNr"', "toml.not_list", "key_fields"),
        (b'counts = "person"', b'counts = "personer"', "toml.not_among", "counts"),
        (b"pattern = '^[89][0-9]{8}$'", b"pattern = '^[89'", "layout.pattern", "pattern"),
        (b'label = { nb = "Husstand", nn = "Hushald", en = "Household" }', b'label = { nb = "Husstand" }', "layout.label", "label"),
        (b"[person]\n", b"[menneske]\n", "toml.not_among", "person.fields.brukerNr"),
        (b'kind = "record"\nelement = "Person"', b'kind = "header"\nelement = "Person"', "layout.second", "kind"),
        (b'element = "Slutt"\n', b"", "toml.missing_key", "slutt]"),
        (b'format = "1.0"', b"format = ", "toml.syntax", "= \n"),
        (b'format = "1.0"\n', b"", "toml.missing_key", "Record layout"),
        (b"[person.supplied]\n", b"[person.supplied]\nBRUKERNR = 3\n", "toml.not_table", "BRUKERNR"),
        (b"[person.supplied]\n", b'[person.supplied]\nBRUKERNR = { type = "id", label = {} }\n', "layout.alike", "BRUKERNR"),
        (b"[codes.icpc2]", b'[codes.icpc2]\nname = "x"', "toml.unknown_key", "name ="),
        (b"[person.fields.fid]", b'[person.fields.fid]\nname = "x"', "toml.unknown_key", "name ="),
        (b'"Person', b'"\xc3\x28', "toml.encoding", "Perio"),
    ],
)  # fmt: skip
def test_a_layout_that_contradicts_itself_is_refused_at_its_place(old, new, code, at):
    """The line that is named is the one to correct, in every language."""
    spoilt = spoil(old, new)
    with pytest.raises(DefinitionRefused) as refused:
        parse(spoilt)
    error, lines = refused.value, spoilt.decode("utf-8", "replace").splitlines(keepends=True)
    assert error.code == code
    line = lines[int(str(error.params["line"])) - 1]
    assert at in line or code == "toml.encoding"
    assert 1 <= int(str(error.params["column"])) <= len(line)
    for language in LANGUAGES:
        text = error.render(language)
        assert f"layout.toml lin{'e' if language == 'en' else 'je'} {error.params['line']}" in text.found
        assert not re.search(r"[{}]", text.found + text.do), text


def test_a_key_is_found_wherever_its_author_wrote_it():
    text = """a = 1
[post.fields]
antall = { kind = "int", label = { nb = "kind" }, "length" = 3 }
"post nr".kind = "str"
[post.fields.dag]
kind = "date"
[[many]]
x = 1
"""
    assert place(text, ("a",)) == (1, 1)
    assert place(text, ("post", "kind")) == (2, 2)
    assert place(text, ("post", "fields", "antall", "kind")) == (3, 12)
    assert place(text, ("post", "fields", "antall", "label", "nb")) == (3, 36)
    assert place(text, ("post", "fields", "antall", "length")) == (3, 51)
    assert place(text, ("post", "fields", "antall", "rules")) == (3, 1)
    assert place(text, ("post", "fields", "post nr", "kind")) == (4, 1)
    assert place(text, ("post", "fields", "dag", "kind")) == (6, 1)
    assert place(text, ("many", "x")) == (8, 1)
    assert place(text, ("nowhere",)) == (1, 1)


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (b'rules = { code = "L008" }', b"", "code"),
        (b'rules = { form = "L004", range = "K045" }', b'rules = { form = "L004" }', "range"),
        (b'rules = { form = "L004", range = "K045" }', b'rules = { range = "K045" }', "form"),
        (b'rules = { mandatory = "K018", form = "L001" }', b'rules = { form = "L001" }', "mandatory"),
    ],
)
def test_a_fault_that_no_rule_is_about_is_refused_when_the_folder_is_read(old, new, fault):
    """docs/spec/rules.md §5: no bad value is silent."""
    changed = members()
    changed["layout.toml"] = spoil(old, new)
    with pytest.raises(DefinitionRefused) as refused:
        load(DefinitionFolder.from_members(changed))
    assert (refused.value.code, refused.value.params["fault"]) == ("layout.no_rule", fault)
    lines = changed["layout.toml"].decode().splitlines()
    heading = f"[{refused.value.params['record']}.fields.{refused.value.params['field']}]"
    assert lines.index(heading) < int(str(refused.value.params["line"])) <= lines.index(heading) + 9


@pytest.mark.parametrize(
    ("written", "line", "column"),
    [
        ("\nlength = " + "9" * 5000, 2, 10),
        ("\na = 1\nb = " + "[" * 50_000, 3, 5),
        ("\na = " + "{a=" * 50_000, 2, 5),
    ],
)
def test_what_no_reader_can_take_in_is_refused_where_it_stands(written, line, column):
    with pytest.raises(DefinitionRefused) as refused:
        parse(written.encode())
    found = refused.value
    assert (found.code, found.params["line"], found.params["column"]) == ("toml.syntax", line, column)
