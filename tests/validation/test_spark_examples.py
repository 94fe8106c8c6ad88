"""Spark says what DuckDB says, row for row, over data in which every rule has ok, breach and not-assessed cases."""

import sys
from collections import defaultdict

import pytest
from tests.validation import spark_cast

from ipis.kernel.collection import packaged
from ipis.kernel.definitions import packaged_years
from ipis.validation import examples, rulebook
from ipis.validation.catalogue import Kind

NEWEST = packaged_years("iplos")[-1]


def drawn(collection):
    """Give (party, rule, example) of every example of the year whose condition stands in the definitions."""
    for rule in rulebook.of(collection).rules.values():
        if rule.kind in {Kind.EXPRESSION, Kind.LAYOUT}:
            for kind in rule.examples:
                for example in rule.examples[kind]:
                    if "codes" in example:
                        # It brings a list that may not be shipped, and so needs a collection of its own.
                        continue
                    yield examples.judged_at(rule), rule, kind, example


@pytest.mark.parametrize(
    "year", [pytest.param(year, marks=[] if year == NEWEST else pytest.mark.long) for year in packaged_years("iplos")]
)
def test_the_examples_of_every_rule_come_to_the_same_on_both_engines(year, capsys):
    """Each example is a delivery of its own and is judged by all rules of the party, not by its own rule alone."""
    collection = packaged("iplos", year)
    contents, kinds = defaultdict(list), defaultdict(set)
    for party, rule, kind, example in drawn(collection):
        contents[party].append(examples.content(collection, rule, example))
        kinds[rule.id].add(kind)
    reports = [report for party in contents for report in spark_cast.both(collection, contents[party], at=party)]
    total = spark_cast.counted(reports)
    with capsys.disabled():
        sys.stdout.write(f"\n{year}: {len(kinds)} rules, {len(reports)} deliveries: {dict(total)} on both engines\n")
    assert all(total[kind] for kind in ("ok", "breach", "not_assessed"))
    for number, given in kinds.items():
        if not {examples.PASSES, examples.BREAKS} <= given:
            continue
        verdicts = [report.verdicts[number] for report in reports if number in report.verdicts]
        assert sum(verdict.ok for verdict in verdicts), number
        assert sum(verdict.breach for verdict in verdicts), number
        if examples.NOT_ASSESSED in given:
            assert sum(verdict.not_assessed for verdict in verdicts), number
