"""Three verdicts: ok, breach, not assessed with its reason. What is missing or invalid never passes silently."""

import pytest
from tests.validation import desk

BAD = {"n": "mye"}


@pytest.mark.parametrize(
    ("require", "where", "row", "verdict"),
    [
        ("n < 5", "", {"n": 4}, "ok"),
        ("n < 5", "", {"n": 5}, "breach"),
        ("n < 5", "", {"n": None}, "missing_value"),
        ("n < 5", "", BAD, "invalid_value"),
        ("n < 5", "", {"n": 101}, "invalid_value"),
        ("n < 5", "kode = '01'", {"kode": "01", "n": 7}, "breach"),
        ("n < 5", "kode = '01'", {"kode": "02", "n": 7}, "outside"),
        ("n < 5", "kode = '01'", {"kode": None, "n": 7}, "missing_value"),
        ("n < 5", "kode = '01'", {"kode": "99", "n": 7}, "invalid_value"),
        # Whether an invalid value is there is not known: it is neither empty nor given.
        ("n is null", "", BAD, "invalid_value"),
        ("n is not null", "", BAD, "invalid_value"),
        ("n is null", "", {"n": None}, "ok"),
        ("n is not null", "", {"n": None}, "breach"),
        ("tekst = 'x'", "n is not null", BAD, "invalid_value"),
        # One side of an `or` may decide without the other.
        ("n < 5 or tekst = 'x'", "", {"n": "mye", "tekst": "x"}, "ok"),
        ("n < 5 and tekst = 'x'", "", {"n": "mye", "tekst": "y"}, "breach"),
        ("coalesce(n, 0) = 0", "", {"n": None}, "ok"),
        ("coalesce(n, 0) = 0", "", BAD, "invalid_value"),
        ("not (n between 1 and 3)", "", {"n": 2}, "breach"),
        ("n in (1, 2)", "", {"n": 3}, "breach"),
        ("10 / n > 1", "", {"n": 0}, "missing_value"),
        ("d * 4 = 4.4", "", {"d": "1.10"}, "ok"),
        ("d = 1.1", "", {"d": "1.10"}, "ok"),
        ("-n + 1 = 0", "", {"n": 1}, "ok"),
        ("n * n * n * n * n * n * n * n * n * n > 1", "", {"n": 100}, "ok"),
        ("til - fra = 30", "", {"fra": "2017-01-01", "til": "2017-01-31"}, "ok"),
        ("fra + 30 = til", "", {"fra": "2017-01-01", "til": "2017-01-31"}, "ok"),
        ("fra + 999999999 > til", "", {"fra": "2017-01-01", "til": "2017-01-31"}, "missing_value"),
        ("year(fra) = uttrekk.aargang", "", {"fra": "2017-06-01"}, "ok"),
        ("fra between uttrekk.fraDato and uttrekk.tilDato", "", {"fra": "2018-01-01"}, "breach"),
        ("length(tekst) = 2 and tekst <> 'a''b'", "", {"tekst": "øå"}, "ok"),
        ("matches(tekst, '[A-Z][0-9]{2}|Z')", "", {"tekst": "A01"}, "ok"),
        ("matches(tekst, '[A-Z][0-9]{2}|Z')", "", {"tekst": "xA01"}, "breach"),
        ("tid <> vist", "", {"tid": "a", "vist": "a"}, "breach"),
        ("filled(A) = 1", "", {"A1": "1"}, "ok"),
        ("filled(A) = 1", "", {"A1": "1", "A2": "7"}, "ok"),
        ("all_equal(A)", "", {"A1": "1", "A2": "1"}, "ok"),
        ("all_equal(A)", "", {"A1": "1", "A2": "2"}, "breach"),
        ("all_equal(A)", "", {"A1": "2"}, "ok"),
        ("all_equal(A)", "", {}, "missing_value"),
        ("abs(n - 10) = 3", "", {"n": 7}, "ok"),
        ("true", "", {}, "ok"),
    ],
)
def test_a_row_gets_the_verdict_that_its_values_allow(require, where, row, verdict):
    counted = desk.judged(require, [row], where)
    given = {"ok": counted.ok, "breach": counted.breach, "outside": counted.outside} | dict(counted.reasons)
    assert {key: count for key, count in given.items() if count} == {verdict: 1}
    assert counted.not_assessed == sum(counted.reasons.values())


def test_every_row_has_one_verdict_and_every_breach_one_finding():
    rows = [{"n": value} for value in (1, 2, 3, 50, 60, None, "x", 200)]
    report = desk.judge(desk.collection(desk.rule("n < 50", "n > 1")), ting=rows)
    counted = report.verdicts["K900"]
    assert (counted.ok, counted.breach, counted.not_assessed, counted.outside) == (2, 2, 3, 1)
    assert report.findings.count_by_rule()["K900"] == counted.breach


def test_a_rule_that_needs_what_is_not_handed_in_is_not_assessed_and_says_why():
    derived = '[ting.derived]\ni_fjor = { last_year = "count", by = ["kode"] }'
    rules = (
        desk.rule("uttrekk.kommuneNr = '0403'")
        + desk.rule("i_fjor > 0", number="K901")
        + desk.rule("n > 0", number="K902", more="runs_at: S")
    )
    report = desk.judge(desk.collection(rules, derived), ting=[{"n": 1}, {"n": 2}])
    assert {name: dict(report.verdicts[name].reasons) for name in ("K900", "K901", "K902")} == {
        "K900": {"no_header": 2},
        "K901": {"no_last_year": 2},
        "K902": {"runs_elsewhere": 2},
    }


def test_a_rule_that_cannot_be_run_is_named_and_spoils_no_other(monkeypatch):
    """peers.md: one broken rule spoils the others."""
    from ipis.validation.rulebook import CompiledRule

    original = CompiledRule.conditions

    def broken(made, scope):
        where, require = original(made, scope)
        return where, "CAST(error('planted') AS BOOLEAN)" if "77" in require else require

    monkeypatch.setattr(CompiledRule, "conditions", broken)
    rules = desk.rule("n <> 77") + desk.rule("n < 5", number="K901")
    report = desk.judge(desk.collection(rules), ting=[{"n": 9}])
    assert set(report.culprits) == {"K900"}
    assert dict(report.verdicts["K900"].reasons) == {"engine_failure": 1}
    assert report.verdicts["K901"].breach == 1


def test_a_derived_column_that_cannot_be_made_is_named_and_spoils_no_other(monkeypatch):
    from ipis.validation import kinds, stages

    original = kinds.piece

    def broken(derived, site):
        made = original(derived, site)
        return stages.Piece("error('planted')", "FALSE", made.joins) if derived.declaration.name == "vond" else made

    monkeypatch.setattr(kinds, "piece", broken)
    derived = '[ting.derived]\nvond = { expression = "n + 1" }\ngod = { expression = "n + 2" }'
    rules = desk.rule("vond = 1") + desk.rule("god = 3", number="K901")
    report = desk.judge(desk.collection(rules, derived), ting=[{"n": 1}])
    assert report.culprits == {"K900": "ting.vond"}
    assert report.verdicts["K901"].ok == 1


def test_a_field_fault_is_one_finding_whatever_else_looks_at_the_field():
    rows = [{"n": "mye"}, {"n": 101}, {"kode": "77"}, {"tid": "lang-id"}, {"fra": "1. mai"}]
    report = desk.judge(desk.collection(desk.rule("n < 5")), ting=rows)
    found = [(item["rule"], item["row"], item["field"], item["value"]) for item in report.findings.table.to_pylist()]
    assert sorted(found) == [
        ("L002", 0, "n", "mye"),
        ("L002", 3, "tid", None),
        ("L002", 4, "fra", "1. mai"),
        ("L003", 2, "kode", "77"),
        ("L004", 1, "n", "101"),
    ]


def test_a_mandatory_field_is_missing_only_when_nothing_is_given():
    report = desk.judge(desk.collection(), person=[{"brukerNr": None}, {"brukerNr": "123456789"}, {"brukerNr": "1"}])
    found = [(item["rule"], item["row"]) for item in report.findings.table.to_pylist()]
    assert found == [("L001", 0), ("L002", 1)]


def test_the_numbers_reason_code_becomes_the_number_rules_findings():
    rules = "".join(
        f"- {{id: {number}, record: person, kind: identity, level: feil, effect: behold, runs_at: M T S, message: {{nb: &m{number} {{found: a, expected: b, do: c}}, nn: *m{number}, en: *m{number}}}}}\n"
        for number in ("K020", "K022", "K025")
    )
    persons = [
        {"id_reason": reason} for reason in ("ok", "missing", "check_digits", "type_mismatch", "type_unknown", None)
    ]
    report = desk.judge(
        desk.collection(rules), person=[{"brukerNr": str(n), **person} for n, person in enumerate(persons)]
    )
    found = [(item["rule"], item["row"], item["field"], item["value"]) for item in report.findings.table.to_pylist()]
    assert found == [
        ("K020", 1, "fid", None),
        ("K022", 2, "fid", None),
        ("K025", 3, "typeID", None),
        ("K025", 4, "typeID", None),
    ]
    assert report.verdicts["K022"].ok == 4
    assert dict(report.verdicts["K022"].reasons) == {"no_identity": 1}


def test_an_empty_delivery_has_no_findings_and_no_verdicts_to_give():
    report = desk.judge(desk.collection(desk.rule("n < 5")), person=[], ting=[])
    assert len(report.findings) == 0
    assert report.verdicts["K900"].ok == 0
