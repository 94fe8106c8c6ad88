"""Drawn extracts look like the real thing in numbers, and like nobody in particular."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from tests.kernel.years import copied_year

from ipis.kernel import extract
from ipis.kernel.collection import packaged
from ipis.kernel.demo import demo_care_unit, demo_orgnr
from ipis.kernel.environment import Environment
from ipis.kernel.errors import Misuse
from ipis.kernel.foedselsnummer import judge, read_identities
from ipis.kernel.identifiers import Reason
from ipis.kernel.leak import own_hits, scan
from ipis.synth.make import Wish, make
from ipis.synth.people import Place


@pytest.fixture(scope="module")
def collection():
    return packaged("iplos", 2017)


@pytest.fixture(scope="module")
def hamar(collection, tmp_path_factory):
    made = make(Place(collection, "0403", "00"), Wish(seed=1), tmp_path_factory.mktemp("hamar"))
    return extract.read(made.extract, collection.layout)


def judged(tables, year, environment=Environment.DEMO):
    person = tables["person"]
    return judge(read_identities(person["fid"], person["typeID"], environment), year, environment)


def test_hamar_has_its_part_of_the_persons_of_the_country(hamar):
    assert 2_300 <= hamar.tables["person"].num_rows <= 2_700
    per_person = hamar.tables["tjeneste"].num_rows / hamar.tables["person"].num_rows
    assert 2.0 <= per_person <= 2.5
    ages = 2017 - judged(hamar.tables, 2017).foedselsaar
    assert 0.55 <= np.mean(ages >= 67) <= 0.75
    assert 0.02 <= np.mean(ages < 18) <= 0.08
    women = np.mean(judged(hamar.tables, 2017).kjoenn == 2)
    assert 0.55 <= women <= 0.65


def test_numbers_are_synthetic_valid_and_each_of_one_person(hamar):
    judgement = judged(hamar.tables, 2017)
    assert set(judgement.reason.tolist()) == {Reason.OK}
    fid = hamar.tables["person"]["fid"]
    assert pc.count_distinct(fid).as_py() == len(fid)
    assert set(judged(hamar.tables, 2017, Environment.PRODUCTION).reason.tolist()) == {Reason.SYNTHETIC_IN_PRODUCTION}


def test_no_number_stands_outside_its_field(hamar):
    own = hamar.tables["person"]["fid"]
    for name, table in hamar.tables.items():
        others = table.drop_columns(["fid"]) if name == "person" else table
        assert not any(column.leaks for column in scan(others))
        assert not any(column.hits for column in own_hits(others, own))


def test_units_and_organisation_number_are_those_of_the_demo(hamar):
    assert hamar.header["orgNr"] == demo_orgnr("0403")
    units = set(pc.unique(hamar.tables["tjeneste"]["orgNr"].combine_chunks()).drop_null().to_pylist())
    assert units <= {demo_care_unit("0403", n) for n in range(10)}


def test_the_same_seed_gives_the_same_bytes_and_another_seed_other_persons(collection, tmp_path):
    place = Place(collection, "1144", "00")
    one, again, other = (
        make(place, Wish(faults=0.5, seed=seed), tmp_path / name).extract.read_bytes()
        for name, seed in (("one", 7), ("again", 7), ("other", 8))
    )
    assert one == again
    assert one != other


def test_a_second_submission_has_the_same_persons_under_another_header(collection, tmp_path):
    place = Place(collection, "1144", "00")
    first, second = (
        extract.read(make(place, Wish(innsending=number), tmp_path / str(number)).extract, collection.layout)
        for number in (1, 2)
    )
    assert first.header["innsending"], second.header["innsending"] == ("1", "2")
    assert first.header["uttakTid"] < second.header["uttakTid"]
    assert first.tables["tjeneste"].equals(second.tables["tjeneste"])


@pytest.mark.parametrize("persons", [1, 17, 250])
def test_persons_overrides_the_number(collection, tmp_path, persons):
    assert make(Place(collection, "0403", "00"), Wish(persons=persons), tmp_path).persons == persons


def test_a_district_is_a_part_of_its_city(collection, tmp_path):
    made = make(Place(collection, "0301", "03"), Wish(persons=None), tmp_path)
    assert made.extract.name == "030103_iplos_uttrekk_2017.xml"
    read = extract.read(made.extract, collection.layout)
    assert set(read.tables["person"]["bostedBydel"].to_pylist()) == {"03"}
    assert 1_000 < made.persons < 5_000


def test_a_municipality_of_another_year_is_refused(collection, tmp_path):
    with pytest.raises(Misuse) as refusal:
        make(Place(collection, "5001", "00"), Wish(), tmp_path)
    assert refusal.value.code == "synth.kommune"


def test_a_year_that_no_letter_has_reached_can_be_drawn(tmp_path):
    """Individual numbers tell no birth year after 2039: all are older then."""
    later = copied_year(tmp_path / "definitions", 2099)
    made = make(Place(later, "0403", "00"), Wish(persons=300), tmp_path)
    read = extract.read(made.extract, later.layout)
    judgement = judged(read.tables, 2099)
    assert set(judgement.reason.tolist()) == {Reason.OK}
    assert judgement.foedselsaar.max() <= 2039


def test_text_that_xml_would_read_is_written_safely(collection, tmp_path):
    """No value of a draw needs escaping: the columns are joined as they stand."""
    made = make(Place(collection, "1144", "00"), Wish(faults=1.0), tmp_path)
    read = extract.read(made.extract, collection.layout)
    for table in read.tables.values():
        for column in table.columns:
            if pa.types.is_string(column.type):
                assert not pc.any(pc.match_substring_regex(column, "[<>&\"']")).as_py()
