"""Spark says what DuckDB says, row for row, over data in which every rule has ok, breach and not-assessed cases."""

import sys
from collections import Counter, defaultdict

import pyarrow as pa
import pytest
from tests.validation import spark_cast

from ipis.kernel.collection import packaged
from ipis.kernel.definitions import packaged_years
from ipis.kernel.identifiers import Reason
from ipis.kernel.layout import Kind
from ipis.validation import examples, rulebook
from ipis.validation.author import worked
from ipis.validation.catalogue import Kind as RuleKind
from ipis.validation.run import Content

NEWEST = packaged_years("iplos")[-1]
COUNTED = ("ok", "breach", "not_assessed")
LACKING = {
    **{f"L{number:03}": {"not_assessed"} for number in (1, 2, 3, 5, 6, 7, 8, 9)},
    "L011": {"not_assessed", "ok"},
    "K090": {"ok"},
}
"""Cases that a rule cannot have. A field's own form can always be told; L011 has no values yet, K090 none before 2019."""


def examined(collection):
    """Judge every worked example on both engines; gives the reports.

    An example is a delivery of its own. At the municipality it is judged by all rules; at SSB by those that run nowhere
    else; with a code list or a nation beside it, by the rules whose examples have the same.
    """
    for sitting in worked.sittings(collection, worked.drawn(rulebook.of(collection).rules.values())):
        own = sitting.at == "S" or sitting.collection is not collection or sitting.nation
        yield from spark_cast.both(
            sitting.collection,
            sitting.contents,
            at=sitting.at,
            nation=sitting.nation or None,
            only=sitting.rules if own else None,
        )


def hand_made(collection):
    """Judge deliveries that have what examples need not: every field right, every one wrong, nothing beside the rows.

    The last is judged at TPF too, where the rules run elsewhere: the one case of not assessed that some rules can have.
    """
    header = {"kommuneNr": "0403", "bydel": "00", "aargang": str(collection.year)}
    values = {Kind.DATE: f"{collection.year}-05-01", Kind.DEC: "1"}
    right = {
        record.name: [{field.name: _right(collection, field, values) for field in record.fields.values()}]
        for record in collection.layout.records.values()
    }
    wrong = {name: [dict.fromkeys(row, "x" * 400), dict.fromkeys(row, "9")] for name, (row,) in right.items()}
    contents = [Content(_tables(collection, right), header), Content(_tables(collection, wrong), header)]
    bare = Content(_tables(collection, {name: [{}] for name in right}))
    later = {rule.id for rule in rulebook.of(collection).rules.values() if rule.runs_at and "M" not in rule.runs_at}
    for party, only in (("M", None), ("S", later)):
        yield from spark_cast.both(collection, [*contents, bare], at=party, only=only)
    yield from spark_cast.both(collection, [bare], at="T")


def _right(collection, field, values):
    if field.codes is None:
        return values.get(field.kind, "1")
    known = not isinstance(field.codes, str) or field.codes in collection.codes
    return next(iter(collection.code_values(field.codes) if known else ()), "1")


def _tables(collection, rows):
    """Make the tables; persons have every reason that an identity number can have."""
    reasons = [reason.text for reason in Reason]
    tables = {
        name: examples.table(record, rows[name] * (len(reasons) if name == "person" else 1))
        for name, record in collection.layout.records.items()
    }
    person = tables["person"].drop_columns({"id_reason"} & set(tables["person"].column_names))
    column = pa.array((reasons * len(rows["person"]))[: person.num_rows])
    return tables | {"person": person.append_column("id_reason", column)}


@pytest.mark.parametrize(
    "year", [pytest.param(year, marks=[] if year == NEWEST else pytest.mark.long) for year in packaged_years("iplos")]
)
def test_every_rule_comes_to_the_same_on_both_engines_in_all_its_cases(year, capsys):
    collection = packaged("iplos", year)
    reports = [*examined(collection), *hand_made(collection)]
    cases = defaultdict(Counter)
    for report in reports:
        for number, verdict in report.verdicts.items():
            cases[number] += Counter({case: getattr(verdict, case) for case in COUNTED})
    by_rows = {rule.id for rule in rulebook.of(collection).rules.values() if rule.kind is not RuleKind.CODE}
    with capsys.disabled():
        total = dict(sum(cases.values(), Counter()))
        sys.stdout.write(f"\n{year}: {len(by_rows)} rules, {len(reports)} deliveries: {total} on both engines\n")
    lacking = {number: {case for case in COUNTED if not cases[number][case]} for number in by_rows}
    assert {number: without for number, without in lacking.items() if without} == LACKING
