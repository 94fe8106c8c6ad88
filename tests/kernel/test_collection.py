"""Collection years as data: what the letters fix is there, and a folder that contradicts itself is refused."""

import pickle
from datetime import date

import pyarrow as pa
import pytest
from tests.kernel.years import copied_year, members

from ipis.kernel.collection import ReceiptAfter, load, packaged
from ipis.kernel.definitions import DefinitionFolder
from ipis.kernel.demo import demo_care_unit
from ipis.kernel.errors import LANGUAGES, DefinitionRefused
from ipis.kernel.organisation import is_orgnr


def refused_code(changed):
    with pytest.raises(DefinitionRefused) as refused:
        load(DefinitionFolder.from_members(changed))
    text = refused.value.render("nb")
    assert "{" not in text.found + text.expected + text.do
    return refused.value.code


@pytest.mark.parametrize(
    ("year", "after", "phone", "guide", "count", "preliminary", "final"),
    [
        (2016, ReceiptAfter.ARRIVED, False, "2.1", 428, date(2017, 3, 15), date(2017, 6, 15)),
        (2017, ReceiptAfter.LOADED, True, "2.3", 426, date(2018, 3, 15), date(2018, 6, 15)),
    ],
)
def test_the_fixed_values_of_the_letters_are_in_the_definitions(year, after, phone, guide, count, preliminary, final):
    """domain §1, row by row."""
    collection = packaged("iplos", year)
    assert (collection.register, collection.year) == ("iplos", year)
    assert collection.receipt.hour == 8
    assert collection.receipt.after is after
    assert collection.contact.email.required
    assert collection.contact.phone.asked is phone
    assert collection.versions.module == "1.4"
    assert collection.versions.guide == guide
    assert len(collection.kommuner) == count
    assert (collection.publication.preliminary_on, collection.publication.final_on) == (preliminary, final)
    assert collection.password.minimum_length == 6
    assert collection.password.link_minutes == 60
    assert collection.addresses["ssb"] == "iplos@ssb.no"
    assert collection.feedback.available == "at_once"
    assert not collection.switches["rule_2032"]
    assert (collection.begins_on, collection.ends_on) == (date(year, 1, 1), date(year, 12, 31))
    assert set(collection.name) == set(LANGUAGES)


def test_municipalities_are_those_of_the_collection_year():
    """L17: report for the number that was valid in the year; 1601, not 5001, and old Sandefjord in 2016 only."""
    first, second = packaged("iplos", 2016).kommuner, packaged("iplos", 2017).kommuner
    assert "1601" in second
    assert "5001" not in second
    assert {"0706", "0719", "0720"} <= first.keys()
    assert not {"0706", "0719", "0720"} & second.keys()
    assert "0710" in second
    assert "9999" not in second
    assert second["0403"] == "Hamar"


def test_successors_answer_for_numbers_that_ended_with_the_year():
    assert packaged("iplos", 2016).successors == {"0706": "0710", "0719": "0710", "0720": "0710"}
    successors = packaged("iplos", 2017).successors
    assert successors["1601"] == "5001"
    assert successors["1624"] == successors["1718"] == "5054"
    assert successors.keys() <= packaged("iplos", 2017).kommuner.keys()


def test_the_orgnr_rule_differs_by_year_in_data():
    """L16 and L17 turn the same row from right to wrong (domain §0.5)."""
    by_year = {
        year: dict(
            zip(
                *(packaged("iplos", year).codes["service_types"][c].to_pylist() for c in ("code", "orgnr")), strict=True
            )
        )
        for year in (2016, 2017)
    }
    assert (by_year[2016]["12"], by_year[2017]["12"]) == ("required_if_staffed", "forbidden")
    assert (by_year[2016]["26"], by_year[2017]["26"]) == ("optional", "forbidden")
    assert by_year[2017]["27"] is None


def test_codes_of_other_years_are_known_but_not_valid():
    collection = packaged("iplos", 2017)
    known, valid = (set(collection.code_values(name)) for name in ("service_types", "service_types_valid"))
    assert {"27", "28", "29"} == known - valid
    assert "10" not in known
    assert collection.code_values(("1", "2")) == ("1", "2")
    assert collection.codes["service_types"]["valid_from"].type == pa.int64()


def test_the_inhabitants_of_every_municipality_are_there():
    """Statistics Norway's totals: 5,258,317 on 1 January 2017 and 5,295,619 one year later."""
    for year, total in ((2016, 5_258_317), (2017, 5_295_619)):
        collection = packaged("iplos", year)
        table = collection.inhabitants()
        assert set(table["kommune"].to_pylist()) == collection.kommuner.keys()
        assert sum(table["total"].to_pylist()) == total
        for row in table.to_pylist():
            assert sum(row[group] for group in collection.population.groups) == row["total"]


def test_a_register_is_called_by_its_title_or_else_by_its_code():
    assert packaged("iplos", 2017).title == dict.fromkeys(LANGUAGES, "IPLOS")
    written = members()
    written["collection.toml"] += b'\n[title]\nnb = "Hjemmehjelp"\n'
    assert load(DefinitionFolder.from_members(written)).title == {"nb": "Hjemmehjelp", "nn": "IPLOS", "en": "IPLOS"}


def test_a_collection_travels_between_processes():
    collection = packaged("iplos", 2017)
    assert pickle.loads(pickle.dumps(collection)).window == collection.window  # noqa: S301 - our own bytes


def test_a_copied_year_loads_with_nothing_in_code(tmp_path):
    collection = copied_year(tmp_path, 2099)
    assert collection.year == 2099
    assert collection.window.opens_at.year == 2100
    assert collection.ends_on == date(2099, 12, 31)
    assert "29" in collection.code_values("service_types_valid")
    assert "12" not in collection.code_values("service_types_valid")


@pytest.mark.parametrize("name", ["collection.toml", "layout.toml", "codes/kommuner.csv", "codes/successors.csv"])
def test_a_folder_that_lacks_a_member_is_refused(name):
    changed = members()
    del changed[name]
    assert refused_code(changed) == "collection.member_missing"


@pytest.mark.parametrize(
    ("old", "new", "code", "at"),
    [
        (b"hour = 8", b"hour = 8\nminute = 3", "toml.unknown_key", b"minute"),
        (b"hour = 8\n", b"", "toml.missing_key", b"receipt]"),
        (b"hour = 8\n", b'hour = "otte"\n', "toml.not_number", b"hour"),
        (b"hour = 8\n", b"hour = 8\nhour = 9\n", "toml.twice", b" 9"),
        (b'after = "loaded"', b'after = "later"', "toml.not_among", b"after"),
        (b"closes_at = 2018", b"closes_at = 2017", "collection.window", b"window]"),
        (b"year = 2017", b"year = ", "toml.syntax", b"= \n"),
        (b"preliminary_on = 2018-", b"preliminary_on = '2018'#", "toml.not_time", b"preliminary_on"),
        (b'zone = "Europe/Oslo"', b'zone = "Europe/Osla"', "collection.zone", b"zone ="),
    ],
)
def test_unknown_missing_and_contradicting_keys_are_refused(old, new, code, at):
    """Unknown or missing: refuse, never guess; each at its line."""
    changed = members()
    assert old in changed["collection.toml"]
    changed["collection.toml"] = changed["collection.toml"].replace(old, new, 1)
    with pytest.raises(DefinitionRefused) as refused:
        load(DefinitionFolder.from_members(changed))
    lines = changed["collection.toml"].splitlines(keepends=True)
    assert refused.value.code == code
    assert at in lines[int(str(refused.value.params["line"])) - 1] + b"\n"


def test_a_code_list_that_the_layout_names_must_exist():
    changed = members()
    del changed["codes/husstand.csv"]
    assert refused_code(changed) == "layout.code_list"


def test_a_broken_code_list_is_refused():
    changed = members()
    changed["codes/husstand.csv"] += b"1,2\n"
    with pytest.raises(DefinitionRefused) as refused:
        load(DefinitionFolder.from_members(changed))
    assert refused.value.code == "collection.csv"
    assert refused.value.params["line"] == changed["codes/husstand.csv"].count(b"\n")


@pytest.mark.parametrize(
    ("content", "code", "line"),
    [
        (b"kode,label_nb\n1,x\n", "collection.no_code", 1), (b"code;label_nb\n1;x\n", "collection.no_code", 1),
        (b"code,code\n1,2\n", "collection.doubled_column", 1), (b"code,n,n\n1,2,3\n", "collection.doubled_column", 1),
        (b"", "collection.csv", 1), (b"c\xf8de\n1\n", "collection.csv", 1), (b"code,label_nb\n1,x\n2,\xf8\n", "collection.csv", 3),
        (b"code\n1\n2,x\n", "collection.csv", 3),
    ],
)  # fmt: skip
def test_a_list_whose_values_cannot_be_found_is_refused_by_name_and_line(content, code, line):
    with pytest.raises(DefinitionRefused) as refused:
        load(DefinitionFolder.from_members(members() | {"codes/husstand.csv": content}))
    found = refused.value
    assert (found.code, found.params["file"], found.params["line"]) == (code, "codes/husstand.csv", line)


@pytest.mark.parametrize("content", [b'"code","label_nb"\n"01","x"\n', b"\xef\xbb\xbfcode,label_nb\r\n01,x\r\n"])
def test_a_list_is_read_whatever_program_wrote_it(content):
    changed = members() | {"codes/husstand.csv": content}
    assert load(DefinitionFolder.from_members(changed)).code_values("husstand") == ("01",)


@pytest.mark.parametrize("year", [2016, 2017])
def test_the_care_units_are_those_of_the_demo_with_an_industry_code_each(year):
    """The real overview (L16, L17) comes with the season pack; the one shipped is made by the rule of the demo."""
    collection = packaged("iplos", year)
    units = collection.codes["care_units"].to_pylist()
    assert [unit["orgnr"] for unit in units] == [
        demo_care_unit(kommune, n) for kommune in collection.kommuner for n in range(10)
    ]
    assert len({unit["orgnr"] for unit in units}) == len(units)
    assert all(is_orgnr(unit["orgnr"]) for unit in units)
    assert {unit["naeringskode"] for unit in units} <= set(collection.code_values("naeringskoder"))
    institutions = [
        unit["orgnr"] for unit in units if unit["kommune"] == "0403" and unit["naeringskode"].startswith("87.")
    ]
    assert institutions == [demo_care_unit("0403", n) for n in range(8)]


def test_lists_that_may_not_be_shipped_are_not():
    """ICPC-2 is Wonca's: its form is known here, its codes come from who has the licence."""
    for year in (2016, 2017):
        collection = packaged("iplos", year)
        assert {name for name, options in collection.layout.codes.items() if options.optional} == {"icpc2", "icd10"}
        assert not {"icpc2", "icd10"} & collection.codes.keys()


def test_a_score_stands_for_a_number():
    """Not relevant counts as no problem in the summary measure (domain §3)."""
    listed = packaged("iplos", 2017).codes["skaar"].to_pylist()
    assert {row["code"]: row["value"] for row in listed} == {"1": "1", "2": "2", "3": "3", "4": "4", "5": "5", "9": "1"}
