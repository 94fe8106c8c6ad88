"""Every indicator against figures counted by hand from the deliveries drawn in `tables_drawn`."""

from dataclasses import replace

import pytest
from tests.ssb.tables_drawn import DRAWN, HEADER, collection, delivery

from ipis.ssb.tables.compute import Counted
from ipis.ssb.tables.indicator_definition import load_indicators
from ipis.ssb.tables.indicators import count_many, figures_many, results
from ipis.validation import rulebook

HAMAR = ("0403", "00")
OVER_80, OVER_90, FROM_67_TO_79, UNDER_67, ALL = 1354 + 375, 375, 4116, 5901 + 12387 + 6797, 30930


@pytest.fixture(scope="module")
def year():
    """The year that is drawn."""
    return collection()


@pytest.fixture(scope="module")
def figures(year):
    """All figures of the drawn delivery of Hamar."""
    (made,) = figures_many(year, [delivery(year)], [HAMAR])
    return made


@pytest.mark.parametrize("number", [2016, 2017])
def test_both_years_have_all_23_indicators_in_three_languages(number):
    """N01 to N23; N03 for each service group and age, N15 in two parts."""
    made = load_indicators(collection(number))
    assert sorted({each.id for each in made}) == [f"N{n:02}" for n in range(1, 24)]
    assert sum(each.id == "N03" for each in made) == 24
    assert all(
        set(text) == {"nb", "nn", "en"} and all(text.values()) for each in made for text in (each.title, each.unit)
    )


COUNTED = {
    ("N01", ""): 100 * 1 / OVER_80,
    ("N02", ""): 100 * 1 / OVER_80,
    ("N03", "home_90"): 1000 * 1 / OVER_90,
    ("N03", "home_80"): 0,
    ("N03", "activity_0"): 1000 * 1 / 5901,
    ("N03", "institution_80"): 1000 * 1 / 1354,
    ("N03", "housing_90"): 1000 * 1 / OVER_90,
    ("N04", ""): (4.5 + 42 + 3) / 3,
    ("N05", ""): 1,
    ("N06", ""): 1,
    ("N07", ""): 100 * 1 / FROM_67_TO_79,
    ("N08", ""): 0,
    ("N09", ""): 2,
    ("N10", ""): (40 + 3) / 2,
    ("N11", ""): 0,
    ("N12", ""): 100,
    ("N13", ""): 40,
    ("N14", ""): 0,
    ("N15", "brukere"): 1,
    ("N15", "timer"): 4.5,
    ("N16", ""): 0,
    ("N17", ""): 0,
    ("N18", ""): 100 * 1 / OVER_80,
    ("N19", ""): 100,
    ("N20", ""): 100,
    ("N21", ""): 100 / 3,
    ("N22", ""): 0,
    ("N23", ""): 0,
}


@pytest.mark.parametrize("key", COUNTED, ids="-".join)
def test_the_value_is_the_one_counted_by_hand(figures, key):
    """Inhabitants are those of 31 December by the municipalities of the year."""
    assert figures[key].value == pytest.approx(COUNTED[key])
    assert figures[key].reason is None


def test_a_rate_is_shown_with_what_it_is_made_of(figures):
    """Numerator and denominator stand beside the value."""
    assert (figures["N14", ""].numerator, figures["N14", ""].denominator) == (0, ALL)
    assert (figures["N16", ""].numerator, figures["N16", ""].denominator) == (0, UNDER_67)
    assert (figures["N05", ""].numerator, figures["N05", ""].denominator) == (1, None)


def test_without_a_denominator_a_rate_is_empty_and_says_why(year):
    """A district has no inhabitants by age, a number that is not of the year none at all; counts stand all the same."""
    drawn = delivery(year)
    district, stranger, empty = figures_many(year, [drawn, drawn, Counted({})], [("0301", "03"), ("5001", "00"), HAMAR])
    assert (district["N01", ""].value, district["N01", ""].reason) == (None, "bydel")
    assert (stranger["N01", ""].value, stranger["N01", ""].reason) == (None, "no_population")
    assert district["N05", ""].value == stranger["N05", ""].value == 1
    assert (empty["N12", ""].value, empty["N12", ""].reason) == (None, "nobody")
    assert (empty["N01", ""].value, empty["N05", ""].value) == (0, 0)


def test_predecessors_counted_together_have_their_inhabitants_together():
    """Sandefjord's of 2016 are those of 0706, 0719 and 0720."""
    before = collection(2016)
    kommuner = ("0706", "0719", "0720")
    parts = [delivery(before, header={**HEADER, "kommuneNr": kommune}) for kommune in kommuner]
    (made,) = figures_many(before, parts, [(kommune, "00") for kommune in kommuner], units=[0, 0, 0])
    known = {row["kommune"]: row for row in before.inhabitants().to_pylist()}
    expected = sum(known[kommune]["age_80_89"] + known[kommune]["age_90plus"] for kommune in kommuner)
    assert (made["N01", ""].numerator, made["N01", ""].denominator) == (3, expected)


def test_tables_and_indicators_counted_at_once_are_those_counted_apart(year, figures):
    """One set of relations serves both."""
    ((cells, both),) = count_many(year, [delivery(year)], [HAMAR])
    assert both == figures
    assert cells.num_rows > 100


def test_if_corrected_counts_what_the_effects_left_out(year, figures):
    """The effect of the open errors is the difference; last year and the nation stand beside."""
    lines = DRAWN["tjeneste"].strip().splitlines()
    fewer = {**DRAWN, "tjeneste": "\n".join(line for line in lines if " 09 " not in line)}
    (left,) = figures_many(year, [delivery(year, fewer)], [HAMAR])
    rules = rulebook.of(year).rules
    made = {
        (each.id, each.group): each
        for each in results(
            year,
            left,
            uncorrected=figures,
            last_year=figures,
            nation={("N15", "brukere"): 30961.0},
            open_findings={"K063": 2, "K031": 5},
            rules=rules,
        )
    }
    support = made["N15", "brukere"]
    assert (support.value, support.if_corrected, support.last_year, support.nation) == (0, 1, 1, 30961)
    assert support.open_findings == sum(n for rule, n in (("K063", 2), ("K031", 5)) if "N15" in rules[rule].indicators)
    assert support.open_findings > 0
    assert made["N12", ""].nation is None
    alone = results(year, left)[0]
    assert (alone.if_corrected, alone.last_year, alone.open_findings) == (None, None, 0)


def test_a_finding_of_a_rule_that_nobody_knows_touches_nothing(year, figures):
    """Findings of a rule that has since been taken away do not break the page."""
    rules = {"K063": replace(rulebook.of(year).rules["K063"], indicators=("N01",))}
    made = {
        each.id: each.open_findings
        for each in results(year, figures, open_findings={"K063": 2, "Z999": 7}, rules=rules)
    }
    assert made["N01"] == 2
    assert sum(made.values()) == 2
