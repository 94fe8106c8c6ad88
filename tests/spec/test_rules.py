"""The worked examples of every rule of every year: what passes, what breaks it, what cannot be assessed.

All examples of a year are deliveries of one run at the party that judges them, each read off for its own rule; those
that bring a code list or the nation along are judged one by one.
"""

from functools import cache

import pyarrow.compute as pc
import pytest

from ipis.kernel.collection import packaged
from ipis.kernel.definitions import packaged_years
from ipis.kernel.identifiers import FIELD_OF_REASON, RULE_OF_REASON, Reason
from ipis.validation import examples, rulebook
from ipis.validation.catalogue import Kind
from ipis.validation.findings import Findings
from ipis.validation.run import run_many

COLLECTIONS = {year: packaged("iplos", year) for year in packaged_years("iplos")}
BY_ROWS = {Kind.EXPRESSION, Kind.LAYOUT}


def drawn(year):
    """List (rule, kind, place, example) of the rules that look at rows."""
    return [
        (rule, kind, place, example)
        for rule in rulebook.of(COLLECTIONS[year]).rules.values()
        if rule.kind in BY_ROWS
        for kind, listed in rule.examples.items()
        for place, example in enumerate(listed)
    ]


DRAWN = [
    pytest.param(year, rule.id, kind, place, id=f"{year}-{rule.id}-{kind}-{place}")
    for year in COLLECTIONS
    for rule, kind, place, _ in drawn(year)
]


@cache
def together(year):
    """Judge all examples of a year that are a delivery and nothing beside it: (rule, kind, place) -> report."""
    collection, answers = COLLECTIONS[year], {}
    for party in ("M", "S"):
        chosen = [
            each
            for each in drawn(year)
            if examples.judged_at(each[0]) == party and not {"codes", "nation"} & set(each[3])
        ]
        contents = [examples.content(collection, rule, example) for rule, _, _, example in chosen]
        reports = run_many(collection, contents, at=party)
        answers |= {
            (rule.id, kind, place): report for (rule, kind, place, _), report in zip(chosen, reports, strict=True)
        }
    return answers


def report_on(year, number, kind, place):
    report = together(year).get((number, kind, place))
    if report is None:
        rule = rulebook.of(COLLECTIONS[year]).rules[number]
        report = examples.judge(COLLECTIONS[year], rule, rule.examples[kind][place])
    return report


@pytest.mark.parametrize(("year", "number", "kind", "place"), DRAWN)
def test_an_example_gets_the_verdict_it_stands_under(year, number, kind, place):
    report = report_on(year, number, kind, place)
    assert number not in report.culprits
    assert examples.verdict(report, number) == kind
    # The examples are the preview of the message: no placeholder is left, no value is missing where it is named.
    own = report.findings.table.filter(pc.equal(report.findings.table["rule"], number))
    told = Findings(own, report.findings.texts)
    messages = [text for language in ("nb", "nn", "en") for text in told.messages(language).to_pylist()]
    assert bool(messages) == (kind == examples.BREAKS)
    assert not [text for text in messages if "{" in text or "None" in text]


@pytest.mark.parametrize("year", COLLECTIONS)
def test_every_reason_of_the_identity_number_has_its_rule(year):
    """K020–K026: each reason code is a finding of exactly the rules it stands for, pointing at one field."""
    rules = rulebook.of(COLLECTIONS[year]).rules
    for reason in Reason:
        for number in RULE_OF_REASON[reason]:
            assert rules[number].kind is Kind.IDENTITY
            assert FIELD_OF_REASON[reason] in {"fid", "typeID"}
