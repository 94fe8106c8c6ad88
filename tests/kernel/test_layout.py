"""The record layout: every field of the proposal is there, each fault has a rule, contradictions are refused."""

import csv
import re
from pathlib import Path

import pyarrow as pa
import pytest
from tests.kernel.years import members

from ipis.kernel.collection import packaged
from ipis.kernel.errors import LANGUAGES, DefinitionRefused
from ipis.kernel.layout import Kind, parse

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
    ("old", "new"),
    [
        (b'kind = "id"', b'kind = "ident"'),
        (b"required = true", b"needed = true"),
        (b'rules = { mandatory = "K018"', b'rules = { missing = "K018"'),
        (b'form = "L001"', b'form = "L999"'),
        (b'codes = "husstand"\n', b""),
        (b"length = 5\nscale = 2", b"length = 5"),
        (b'kind = "int"\nlength = 3', b'kind = "int"\nlength = 12'),
        (b'id_field = "tjenesteId"', b'id_field = "id"'),
        (b'counts = "person"', b'counts = "personer"'),
        (b"pattern = '^[89][0-9]{8}$'", b"pattern = '^[89'"),
        (b'label = { nb = "Husstand", nn = "Hushald", en = "Household" }', b'label = { nb = "Husstand" }'),
        (b"[person]\n", b"[menneske]\n"),
        (b'element = "Slutt"\n', b""),
        (b'format = "1.0"', b"format = "),
        (b'format = "1.0"\n', b""),
    ],
)
def test_a_layout_that_contradicts_itself_is_refused(old, new):
    with pytest.raises(DefinitionRefused) as refused:
        parse(spoil(old, new))
    assert refused.value.code == "collection.layout"
