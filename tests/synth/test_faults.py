"""The list of planted faults is exactly what validation finds: same rules, same rows, same number of times."""

from collections import Counter
from itertools import pairwise

import pytest
from tests.kernel.years import copied_year
from tests.synth.oracle import found_in, listed_in

from ipis.kernel.collection import packaged
from ipis.synth.draw import draw
from ipis.synth.faults.plan import catalogue, plant
from ipis.synth.make import Wish, make
from ipis.synth.people import Place
from ipis.validation.catalogue import Kind
from ipis.validation.catalogue import load as load_rules


@pytest.fixture(scope="module")
def years(tmp_path_factory):
    """Give the shipped years, and one that exists nowhere."""
    copied = copied_year(tmp_path_factory.mktemp("definitions"), 2099)
    return {2016: packaged("iplos", 2016), 2017: packaged("iplos", 2017), 2099: copied}


def compare(collection, out, kommune="0403", bydel="00", **wish):
    made = make(Place(collection, kommune, bydel), Wish(**wish), out)
    found, listed = found_in(made.extract, collection), listed_in(made.faults)
    assert found - listed == Counter(), "found, but not listed"
    assert listed - found == Counter(), "listed, but not found"
    return listed


@pytest.mark.parametrize(
    ("year", "kommune", "bydel", "persons", "seed"),
    [
        (2017, "0403", "00", None, 1),
        (2017, "1144", "00", None, 3),
        (2017, "0301", "03", 300, 4),
        (2016, "0706", "00", 400, 6),
        (2016, "0301", "00", 400, 7),
        (2099, "0403", "00", 400, 8),
    ],
)
@pytest.mark.parametrize("share", [0.0, 0.05, 0.5])
def test_check_finds_what_was_planted_and_nothing_else(years, tmp_path, year, kommune, bydel, persons, seed, share):
    listed = compare(years[year], tmp_path, kommune, bydel, persons=persons, faults=share, seed=seed)
    assert bool(listed) is (share > 0)


@pytest.mark.parametrize(
    ("year", "kommune", "seed", "share"),
    [
        pytest.param(2016, "0301", 16, 0.7, id="the one score that differed is no code"),
        pytest.param(2017, "1144", 35, 0.6, id="the same, another year"),
        pytest.param(2016, "0301", 34, 0.5, id="a second service of a person who died on the last day"),
    ],
)
def test_what_follows_from_a_fault_is_listed_too(years, tmp_path, year, kommune, seed, share):
    """Found among many seeds."""
    compare(years[year], tmp_path, kommune, persons=2500, faults=share, seed=seed)


@pytest.mark.parametrize(("persons", "seed"), [(1, 0), (2, 1), (3, 0), (10, 1), (50, 0)])
def test_small_extracts_too_where_one_person_tips_a_share(years, tmp_path, persons, seed):
    for share in (0.0, 1.0):
        compare(years[2017], tmp_path, persons=persons, faults=share, seed=seed)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(40))
def test_many_seeds(years, tmp_path, seed):
    for collection in years.values():
        for kommune in ("0403", "0301", "1144"):
            for persons in (1 + seed % 7, 60 + seed, 2500):
                compare(collection, tmp_path, kommune, persons=persons, faults=(seed % 10 + 1) / 10, seed=seed)


def test_a_lower_share_gives_a_part_of_the_faults_to_the_same_persons(years, tmp_path):
    """That is how the demo corrects half of them."""
    lists, persons = [], []
    for share in (0.0, 0.1, 0.2, 1.0):
        made = make(Place(years[2017], "0403", "00"), Wish(persons=400, faults=share, seed=3), tmp_path)
        lists.append(listed_in(made.faults))
        persons.append(made.persons)
    assert persons == [400] * 4
    delivery = {"K032", "K057", "K104", "K105"}
    for lower, higher in pairwise(lists):
        assert {each for each in lower - higher if each[0] not in delivery} == set()
        assert sum(lower.values()) < sum(higher.values())


def test_every_rule_of_the_municipality_is_planted(years):
    """What has no entry has its reason here; faults of whole deliveries are planted by the mix (test_mix)."""
    elsewhere = {
        "K012": "no persons at all: refused before validation",
        "K026": "production only; a demo refuses real numbers instead",
        "K047": "needs a list that may not be shipped",
        "K050": "flat files only", "K058": "flat files only",
        "K013": "of the delivery", "K032": "of the delivery", "K057": "of the delivery", "K104": "of the delivery",
        "K105": "of the delivery", "K102": "needs last year: listed for SSB",
    }  # fmt: skip
    for year, collection in years.items():
        at_home = {
            rule.id
            for rule in load_rules(collection.folder, year).values()
            if "M" in rule.runs_at and rule.kind is not Kind.CODE
        }
        entries = {fault.rule for fault in catalogue(collection.layout)}
        assert at_home - entries - set(elsewhere) == set(), year


def test_every_entry_of_the_catalogue_is_drawn(years):
    drawn = set()
    for seed in range(2):
        for year in (2016, 2017):
            place = Place(years[year], "0301", "00")
            clean = draw(place, persons=2500, innsending=1, seed=seed)
            drawn |= set(plant(clean, place, 1.0, seed).listed.table()["rule"].to_pylist())
    assert {fault.rule for fault in catalogue(years[2017].layout)} - drawn == set()
