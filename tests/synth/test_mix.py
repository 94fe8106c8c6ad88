"""The error mix of real deliveries: as often as stated, and found to the last row – in every form of the extract."""

from collections import Counter

import pytest
from tests.synth.oracle import found_at_ssb, found_in, found_in_many, listed_in

from ipis.kernel.collection import packaged
from ipis.synth.draw import draw
from ipis.synth.faults.plan import plant
from ipis.synth.faults.whole import KINDS, fault_of, missing_service
from ipis.synth.make import Wish, make
from ipis.synth.national import make_nation, places
from ipis.synth.people import Place
from ipis.validation.catalogue import Kind
from ipis.validation.catalogue import load as load_rules


@pytest.fixture(scope="module")
def years():
    return {year: packaged("iplos", year) for year in (2016, 2017)}


def compare(place, out, **wish):
    made = make(place, Wish(**{"faults": 0.005, "stated": True, **wish}), out)
    found, listed = found_in(made.extract, place.collection), listed_in(made.faults)
    assert found - listed == Counter(), "found, but not listed"
    assert listed - found == Counter(), "listed, but not found"
    return listed


def spoilt(collection, kind, seed=0):
    return next(place for place in places(collection) if fault_of(place, seed) == kind)


@pytest.mark.parametrize(
    ("year", "kommune", "bydel"), [(2017, "0403", "00"), (2016, "0706", "00"), (2017, "0301", "03")]
)
def test_check_finds_the_stated_mix_and_nothing_else(years, tmp_path, year, kommune, bydel):
    listed = compare(Place(years[year], kommune, bydel), tmp_path, seed=2)
    rules = {rule for rule, *_ in listed}
    mixed = {"K024", "K049", "K063", "K067", "K072", "K075", "K078", "K079", "K080", "K083", "K094", "K097"}
    assert mixed | ({"K076"} if year == 2016 else {"K077"}) <= rules


@pytest.mark.parametrize("kind", KINDS)
def test_check_finds_what_is_wrong_with_a_whole_delivery(years, tmp_path, kind):
    rule = {"early": "K013", "no_refusals": "K057", "guests": "K032", "endless": "K104", "undecided": "K105"}
    for collection in years.values():
        listed = compare(spoilt(collection, kind), tmp_path)
        assert kind == "service" or rule[kind] in {each[0] for each in listed}


def test_a_missing_service_is_missing_altogether_with_its_decisions_and_users(years):
    place = spoilt(years[2017], "service")
    clean = draw(place, persons=None, innsending=1, seed=0)
    lacking, listed, _ = plant(clean, place, 0.0, 0, stated=True)
    code = missing_service(place, 0)
    assert code in set(clean.rows["tjeneste"].columns["kode"].to_pylist())
    assert code not in set(lacking.rows["tjeneste"].columns["kode"].to_pylist())
    assert lacking.persons <= clean.persons
    assert "K056" not in set(listed.table()["rule"].to_pylist())


def test_few_municipalities_have_a_fault_of_the_whole_and_others_each_year(years):
    drawn = {year: [p.kommune for p in places(each) if fault_of(p, 0)] for year, each in years.items()}
    assert [len(names) for names in drawn.values()] == [8, 8]
    assert set(drawn[2016]) != set(drawn[2017])


def test_each_kind_of_fault_is_as_frequent_as_stated(years):
    place = Place(years[2017], "0301", "00")
    clean = draw(place, persons=12_000, innsending=1, seed=1)
    spoilt_draw, listed, _ = plant(clean, place, 0.0, 1, stated=True)
    found = Counter(listed.table()["rule"].to_pylist())
    persons, services = clean.persons, len(clean.rows["tjeneste"])
    hours = services - clean.rows["tjeneste"].columns["timerUke"].null_count
    assert found["K049"] / persons == pytest.approx(0.50, abs=0.02)
    assert (found["K094"] + found["K097"]) / persons == pytest.approx(0.04, abs=0.015)
    assert found["K072"] / hours == pytest.approx(0.08, abs=0.01)
    assert found["K067"] / services == pytest.approx(0.02, abs=0.003)
    assert (found["K075"] + found["K077"] + found["K078"] + found["K079"]) / services == pytest.approx(0.015, abs=0.003)
    assert found["K063"] / services == pytest.approx(0.002, abs=0.001)
    assert found["K024"] / persons == pytest.approx(0.003, abs=0.001)
    assert 0 < found["K022"] / persons < 0.0012
    assert len(spoilt_draw.rows["tjeneste"]) == services + found["K067"]


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize("wish", [{}, {"faults": 0.4, "stated": False}])
def test_flat_files_hold_the_same_and_show_rows_without_a_person(years, tmp_path, form, wish):
    place = Place(years[2017], "1144", "00")
    listed = compare(place, tmp_path, form=form, seed=3, persons=300, **wish)
    assert {"K050", "K058"} <= {rule for rule, *_ in listed}
    assert not {"K018", "K019"} & {rule for rule, *_ in listed}


def test_a_clean_flat_extract_has_no_finding(years, tmp_path):
    assert compare(Place(years[2017], "1144", "00"), tmp_path, form="csv", faults=0.0, stated=False) == Counter()


@pytest.mark.long
@pytest.mark.parametrize("year", [2016, 2017])
def test_the_whole_country_is_found_to_the_last_row(years, tmp_path, year):
    wish = Wish(faults=0.005, stated=True)
    folders = [tmp_path / made.extract for made in make_nation(years[year], wish, tmp_path)]
    for part in (folders[start : start + 100] for start in range(0, len(folders), 100)):
        for path, found in zip(part, found_in_many(part, years[year]), strict=True):
            assert found == listed_in(path.parent / "faults.csv"), path.name


def test_ssb_finds_besides_what_it_alone_knows_and_what_last_year_tells(years, tmp_path):
    """What rules run at the municipality alone (user numbers) is left aside."""
    rules = set()
    for kommune in ("0403", *(p.kommune for p in places(years[2017]) if fault_of(p, 0) in {"service", "endless"})):
        wish = {"faults": 0.02, "stated": True}
        now = make(Place(years[2017], kommune, "00"), Wish(at_ssb=True, **wish), tmp_path / "now")
        then = make(Place(years[2016], kommune, "00"), Wish(**wish), tmp_path / "then")
        both = listed_in(now.faults) + listed_in(tmp_path / "now" / "faults_ssb.csv")
        listed = Counter({each: count for each, count in both.items() if each[0] not in {"K018", "L001"}})
        assert found_at_ssb(now.extract, years[2017], then.extract) == listed
        rules |= {each[0] for each in listed_in(tmp_path / "now" / "faults_ssb.csv")}
    assert {"K015", "K027", "K074", "K081", "K101", "K102"} <= rules


def test_a_place_without_a_year_before_has_nothing_to_compare_with(years, tmp_path):
    make(Place(years[2017], "0710", "00"), Wish(persons=300, at_ssb=True, stated=True), tmp_path)
    make(Place(years[2016], "0403", "00"), Wish(persons=300, at_ssb=True, stated=True), tmp_path / "first")
    for folder in (tmp_path, tmp_path / "first"):
        assert {each[0] for each in listed_in(folder / "faults_ssb.csv")} <= {"K027", "K074", "K081"}


def test_every_rule_of_ssb_alone_is_planted_or_hangs_on_more_than_one_extract(years):
    planted = {"K015", "K027", "K074", "K081", "K101"}
    others = {"K028": "five municipalities", "K029": "two municipalities", "K103": "the nation as last published"}
    for year, collection in years.items():
        rules = load_rules(collection.folder, year).values()
        alone = {
            rule.id for rule in rules if "M" not in rule.runs_at and "S" in rule.runs_at and rule.kind is not Kind.CODE
        }
        assert alone == planted | set(others)
