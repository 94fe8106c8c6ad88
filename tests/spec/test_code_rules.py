"""The worked examples of the rules that are code: each is judged by the code that judges it in earnest.

K009 is judged at TPF (`tests/tpf/test_rule_examples.py`) and K014 at SSB (`tests/ssb/test_rule_examples.py`): their code needs those rooms.
"""

import json
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import pyarrow as pa
import pyrage
import pytest
from tests.kernel import extract_cast, parcel_cast, parcel_hands

from ipis.kernel import extract
from ipis.kernel.collection import packaged
from ipis.kernel.contact import Contact, contact_faults
from ipis.kernel.definitions import packaged_years
from ipis.kernel.environment import Environment
from ipis.kernel.errors import IpisError
from ipis.kernel.foedselsnummer import judge, read_identities
from ipis.kernel.header import judge_header
from ipis.kernel.identifiers import RULE_OF_REASON, Reason
from ipis.kernel.packing import pack
from ipis.kernel.secret import Secret
from ipis.validation import rulebook
from ipis.validation.catalogue import Kind

YEARS = packaged_years("iplos")
IN_ROOMS = {"K009", "K014"}


def drawn(*numbers):
    """List (year, rule, kind, example) of some rules, of all years that have them."""
    return list(_drawn(numbers))


def _drawn(numbers):
    for year in YEARS:
        for number in numbers:
            rule = rulebook.of(packaged("iplos", year)).rules.get(number)
            for kind, examples in rule.examples.items() if rule else ():
                for place, example in enumerate(examples):
                    yield pytest.param(
                        packaged("iplos", year),
                        number,
                        kind,
                        filled(example, year),
                        id=f"{year}-{number}-{kind}-{place}",
                    )


def filled(example, year):
    """Put the years where an example writes {year} and {next}."""
    return json.loads(json.dumps(example).replace("{year}", str(year)).replace("{next}", str(year + 1)))


def broken(call, *arguments, **options):
    """Give the rule by which a call is refused; None if it is not."""
    try:
        call(*arguments, **options)
    except IpisError as error:
        return error.rule
    return None


@pytest.mark.parametrize(("collection", "number", "kind", "example"), drawn("K005", "K006", "K007", "K008", "K010"))
def test_an_example_header_is_judged_as_it_says(collection, number, kind, example):
    year = collection.year
    usual = {
        "aargang": str(year),
        "fraDato": f"{year}-01-01",
        "tilDato": f"{year}-12-31",
        "uttakTid": f"{year + 1}-01-02T09:30:00+01:00",
    }
    header = extract_cast.header(**usual | example["header"])
    registered = {header["kommuneNr"]: example["registered"]} if "registered" in example else None
    found = broken(judge_header, header, collection, organisations=registered)
    assert found == (number if kind == "breaks" else None)


@pytest.mark.parametrize(("collection", "number", "kind", "example"), drawn("K016", "K017"))
def test_an_example_contact_is_judged_as_it_says(collection, number, kind, example):
    usual = {"email": "iplos@k0403.kommune.test", "phone": "40000000"}
    contact = Contact(**usual | example, pin=Secret("ABCDEFGH23456789"), feedback_code=None, language="nb")
    assert contact_faults(contact, collection.contact) == ((number,) if kind == "breaks" else ())


@pytest.mark.parametrize(
    ("collection", "number", "kind", "example"), drawn(*(f"K{number:03}" for number in range(20, 27)))
)
def test_an_example_number_is_judged_as_it_says(collection, number, kind, example):
    environment = Environment(example.get("environment", "demo"))
    columns = [pa.array([example[name]], pa.string()) for name in ("fid", "typeID")]
    (reason,) = judge(read_identities(*columns, environment), collection.year, environment).reason
    assert RULE_OF_REASON[Reason(reason)] == ((number,) if kind == "breaks" else ())


def as_extracted(text):
    return text


def cut_short(text):
    return text[: text.rindex("<Slutt")]


def unknown_element(text):
    return text.replace("<Slutt", "<Besoek/><Slutt")


def text_instead_of_xml(text):
    return f"brukerNr;kode\n{len(text)};15\n"


EXTRACTS = {made.__name__: made for made in (as_extracted, cut_short, unknown_element, text_instead_of_xml)}


@pytest.mark.parametrize(("collection", "number", "kind", "example"), drawn("K004"))
def test_an_example_extract_is_read_as_it_says(collection, number, kind, example, tmp_path):
    path = tmp_path / "uttrekk.xml"
    path.write_text(EXTRACTS[example["extract"]](extract_cast.xml()), encoding="utf-8")
    assert broken(extract.read, path, collection.layout) == (number if kind == "breaks" else None)


@pytest.mark.parametrize(("collection", "number", "kind", "example"), drawn("K011"))
def test_an_example_trailer_is_compared_with_the_content(collection, number, kind, example, tmp_path):
    counted = extract_cast.counts(extract_cast.content()) | example["trailer"]
    trailer = {name: value for name, value in counted.items() if value is not None}
    path = tmp_path / "uttrekk.xml"
    path.write_text(extract_cast.xml(trailer=trailer), encoding="utf-8")
    assert broken(extract.read, path, collection.layout) == (number if kind == "breaks" else None)


@cache
def keys():
    return parcel_cast.Keys.make()


def as_sealed(members):
    return members


def byte_changed(members):
    data = members["data-0001.age"]
    return members | {"data-0001.age": data[:-1] + bytes([data[-1] ^ 1])}


def sealed_to_another(members):
    """Seal the contact, which is small, to a stranger of the same key id, and sign anew."""
    stranger = bytes(pyrage.encrypt(b"x" * 70_000, [parcel_cast.Keys.make().feedback.recipient.key]))
    return parcel_hands.resigned(members | {"contact.age": stranger}, keys())


def key_of_another_year(members):
    def older(manifest):
        manifest["parts"][0]["key_id"] = "0" * 16

    return parcel_hands.resigned(members, keys(), older)


def part_missing(members):
    return {name: data for name, data in members.items() if name != "data-0001.age"}


def part_twice(members):
    return [item for item in members.items() for _ in range(1 + (item[0] == "data-0001.age"))]


def part_of_another_set(members):
    """Take the data of another parcel of the same sender, and sign anew."""
    other = replace(parcel_cast.facts(keys()), forsendelse="ff" * 16)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "other.forsendelse"
        (made,) = pack(other, parcel_cast.rows(), parcel_cast.contact(), keys().recipients, keys().sender, path, None)
        foreign = parcel_hands.members_of(made)
    return parcel_hands.resigned(members | {"data-0001.age": foreign["data-0001.age"]}, keys())


PARCELS = {
    made.__name__: made
    for made in (
        as_sealed, byte_changed, sealed_to_another, key_of_another_year, part_missing, part_twice, part_of_another_set,
    )
}  # fmt: skip


@pytest.mark.parametrize(("collection", "number", "kind", "example"), drawn("K001", "K002", "K003"))
def test_an_example_parcel_is_opened_as_it_says(collection, number, kind, example, tmp_path):
    (path,) = parcel_cast.packed(tmp_path, keys())
    members = PARCELS[example["parcel"]](parcel_hands.members_of(path))
    found = broken(
        parcel_hands.open_all, parcel_hands.written(tmp_path, members), keys(), parcel_cast.layout(), tmp_path
    )
    assert found == (number if kind == "breaks" else None)


def test_the_examples_of_every_code_rule_are_run():
    here = {*(f"K{number:03}" for number in (*range(1, 9), 10, 11, 16, 17, *range(20, 27)))}
    for year in YEARS:
        rules = rulebook.of(packaged("iplos", year)).rules.values()
        assert {rule.id for rule in rules if rule.kind in {Kind.CODE, Kind.IDENTITY}} <= here | IN_ROOMS
