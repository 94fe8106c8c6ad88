"""The 105 checks of the list (checks.csv, beside) stand in every year's catalogue, as the list has them or as read otherwise."""

import csv
import re
from pathlib import Path

import pytest

from ipis.kernel.collection import packaged
from ipis.kernel.definitions import packaged_years
from ipis.kernel.errors import LANGUAGES
from ipis.validation import rulebook
from ipis.validation.catalogue import Kind

LIST = list(csv.DictReader((Path(__file__).parent / "checks.csv").read_text(encoding="utf-8").splitlines()))
YEARS = packaged_years("iplos")
# What rules.md §8 says: SSB reads the number rules off the reason code that TPF hands on.
RUNS_ALSO_AT_SSB = {f"K{number:03}" for number in range(20, 27)}
# Rules whose condition is not of one record, or that nothing can pass, have no such example.
NOTHING_PASSES = {"K090"}
INDICATORS = {f"N{number:02}" for number in range(1, 24)}
ENDS = re.compile(r"[.:»?]$|\.\)$")


def applies(years, year):
    """Read the list's years: all, 2016, 2017, 2017+, ≤2018; "rule table" is in every year's code list."""
    if years.endswith("+"):
        return year >= int(years[:4])
    if years.startswith("≤"):
        return year <= int(years[1:])
    # 2017 is said of a rule that came with that letter, and holds on.
    return years in {"all", "rule table"} or year == int(years) or (years == "2017" and year > int(years))


@pytest.fixture(params=YEARS)
def rules(request):
    return request.param, rulebook.of(packaged("iplos", request.param)).rules


def test_the_list_is_whole():
    assert [row["id"] for row in LIST] == [f"K{number:03}" for number in range(1, 106)]
    assert {level: sum(row["level"] == level for row in LIST) for level in ("kritisk", "feil", "advarsel", "info")} == {
        "kritisk": 12, "feil": 41, "advarsel": 49, "info": 3,
    }  # fmt: skip


def test_each_year_has_every_check_that_applies_in_it_and_no_other(rules):
    year, known = rules
    wanted = {row["id"] for row in LIST if applies(row["years"], year)}
    assert {number for number in known if number.startswith("K")} == wanted


@pytest.mark.parametrize("row", LIST, ids=lambda row: row["id"])
def test_a_check_stands_as_in_the_list(row):
    for year in YEARS:
        rule = rulebook.of(packaged("iplos", year)).rules.get(row["id"])
        if rule is None:
            assert not applies(row["years"], year)
            continue
        runs_at = set(row["runs_at"].split()) | ({"S"} if row["id"] in RUNS_ALSO_AT_SSB else set())
        found = (rule.level, rule.effect, rule.audience, set(rule.runs_at))
        assert found == (row["level"], row["effect"], row["audience"], runs_at)


def test_a_message_says_in_three_languages_what_was_found_what_was_expected_and_what_to_do_now(rules):
    for rule in rules[1].values():
        assert set(rule.message) == set(LANGUAGES)
        for text in rule.message.values():
            for part in (text.found, text.expected, text.do):
                assert ENDS.search(part), (rule.id, part)
                assert part[0].isupper() or part[0] in "{«0123456789", (rule.id, part)
        assert len({text.do for text in rule.message.values()}) >= 2, rule.id


def test_every_rule_has_an_example_that_passes_and_one_that_breaks_it(rules):
    """Those that are code or are read off the number, too; what cannot be assessed is drawn where it can happen."""
    for rule in rules[1].values():
        if rule.id.startswith("K"):
            assert rule.examples.get("breaks"), rule.id
            assert rule.examples.get("passes") or rule.id in NOTHING_PASSES, rule.id


def test_indicators_are_those_that_are_published(rules):
    touched = {name for rule in rules[1].values() for name in rule.indicators}
    assert touched == INDICATORS


def test_rules_about_other_municipalities_are_for_staff_only(rules):
    """Architecture §2.7: K028 and K029 look at another municipality's rows."""
    staff = {rule.id for rule in rules[1].values() if rule.audience == "ssb"}
    assert staff == {"K028", "K029", "K081"}
    assert {rule.id for rule in rules[1].values() if rule.scope == "register"} == {"K028", "K029"}


def test_rules_that_are_code_say_so(rules):
    """Architecture §2.7 names them: the parcel, the header, the contact; the number rules are read off its reason."""
    of_kind = {kind: {rule.id for rule in rules[1].values() if rule.kind is kind} for kind in Kind}
    code = {f"K{number:03}" for number in (*range(1, 12), 14, 16, 17)}
    assert of_kind[Kind.CODE] == {number for number in code if number in rules[1]}
    assert of_kind[Kind.IDENTITY] == {f"K{number:03}" for number in range(20, 27)}


def test_what_one_correction_mends_is_one_problem(rules):
    """Found by the value of a field that is shown – never an id –, by the user number, or in one row."""
    collection = packaged("iplos", rules[0])
    shared: dict[str, set[str]] = {}
    for rule in rules[1].values():
        shared.setdefault(rule.problem.name, set()).add(rule.problem.by)
        if rule.problem.by == "value":
            (check,) = {check.field for check in rule.checks}
            record = collection.layout.records[rule.record]
            assert check in record.fields, rule.id
            assert record.fields[check].kind != "id", rule.id
    assert {name: ways for name, ways in shared.items() if len(ways) > 1} == {}
