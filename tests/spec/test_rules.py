"""The worked examples of every rule of every year: what passes, what breaks it, what cannot be assessed."""

import pytest

from ipis.kernel.collection import packaged
from ipis.kernel.definitions import packaged_years
from ipis.kernel.identifiers import FIELD_OF_REASON, RULE_OF_REASON, Reason
from ipis.validation import examples, rulebook
from ipis.validation.catalogue import Kind

COLLECTIONS = {year: packaged("iplos", year) for year in packaged_years("iplos")}
DRAWN = [
    pytest.param(year, rule.id, kind, place, id=f"{year}-{rule.id}-{kind}-{place}")
    for year, collection in COLLECTIONS.items()
    for rule in rulebook.of(collection).rules.values()
    for kind, drawn in rule.examples.items()
    for place in range(len(drawn))
]


@pytest.mark.parametrize(("year", "number", "kind", "place"), DRAWN)
def test_an_example_gets_the_verdict_it_stands_under(year, number, kind, place):
    collection = COLLECTIONS[year]
    rule = rulebook.of(collection).rules[number]
    report = examples.judge(collection, rule, rule.examples[kind][place])
    assert not report.culprits
    assert examples.verdict(report, number) == kind
    # The examples are the preview of the message: no placeholder is left, no value is missing where it is named.
    messages = [text for language in ("nb", "nn", "en") for text in report.findings.messages(language).to_pylist()]
    assert bool(messages) == (kind == examples.BREAKS)
    assert not [text for text in messages if "{" in text or "None" in text]


@pytest.mark.parametrize("year", COLLECTIONS)
def test_every_rule_with_a_condition_has_examples(year):
    for rule in rulebook.of(COLLECTIONS[year]).rules.values():
        if rule.kind is Kind.EXPRESSION:
            assert rule.examples["breaks"], rule.id
            assert rule.examples["passes"] or rule.id == "K090", rule.id


@pytest.mark.parametrize("year", COLLECTIONS)
def test_every_reason_of_the_identity_number_has_its_rule(year):
    """K020–K026: each reason code is a finding of exactly the rules it stands for, pointing at one field."""
    rules = rulebook.of(COLLECTIONS[year]).rules
    for reason in Reason:
        for number in RULE_OF_REASON[reason]:
            assert rules[number].kind is Kind.IDENTITY
            assert FIELD_OF_REASON[reason] in {"fid", "typeID"}
