"""Findings: one table, totals that match it, messages filled by column and never read again."""

import pyarrow as pa
import pytest
from tests.validation import desk

from ipis.kernel.collection import packaged
from ipis.validation import examples, rulebook
from ipis.validation.catalogue import Level
from ipis.validation.effects import apply, hangs_on
from ipis.validation.findings import FINDINGS, placeholders
from ipis.validation.run import as_text

LABELLED = desk.rule("n < 5", more="field: n\nshows: [fra, tekst, uttrekk.kommuneNr]").replace(
    'found: "Fant {v}."', 'found: "{label} {v}, {fra}, {tekst}, {kommuneNr}, {year}, {record}, {maximum}."'
)


def test_a_message_names_what_was_found_and_the_language_its_dates():
    rows = [{"n": 7, "fra": "2017-03-01", "tekst": "{v} {oops}"}, {"n": 3}, {"n": 8}]
    findings = desk.judge(desk.collection(LABELLED), ting=rows, header={"kommuneNr": "0403"}).findings
    assert findings.messages("nb").to_pylist() == [
        "N 7, 01.03.2017, {v} {oops}, 0403, 2017, N, 100. Noe. Rett.",
        "N 8, –, –, 0403, 2017, N, 100. Noe. Rett.",
    ]
    assert findings.messages("en")[0].as_py().startswith("N 7, 2017-03-01")


def test_totals_match_the_list():
    """peers.md: totals that do not match the list."""
    report = desk.judge(desk.collection(desk.rule("n < 5")), ting=[{"n": n % 9, "kode": "7"} for n in range(2000)])
    found = report.findings.table["rule"].to_pylist()
    assert report.findings.count_by_rule() == {rule: found.count(rule) for rule in set(found)}
    assert sum(report.findings.count_by_level().values()) == len(found) == len(report.findings)
    assert report.findings.table.schema.names == FINDINGS.names


def test_no_finding_is_cut_off():
    """peers.md: a silent cap on findings."""
    report = desk.judge(desk.collection(desk.rule("n < 5")), ting=[{"n": 9}] * 50_000)
    assert report.findings.count_by_rule() == {"K900": 50_000}


def test_an_empty_list_of_findings_has_no_messages():
    findings = desk.judge(desk.collection(desk.rule("n < 5")), ting=[{"n": 1}]).findings
    assert findings.messages("nb").to_pylist() == []
    assert findings.count_by_level() == dict.fromkeys((level.value for level in Level), 0)


def test_a_critical_finding_refuses_the_extract():
    report = desk.judge(desk.collection(desk.rule("n < 5").replace("level: feil", "level: kritisk")), ting=[{"n": 9}])
    assert report.refused
    assert not desk.judge(desk.collection(desk.rule("n < 5")), ting=[{"n": 9}]).refused


def test_values_are_written_as_people_write_them():
    from decimal import Decimal

    assert as_text(pa.array([1.0, 66.6667, None])).to_pylist() == ["1", "66.7", None]
    assert as_text(pa.array([Decimal("7.50"), Decimal("10.00")])).to_pylist() == ["7.5", "10"]
    assert placeholders("a {b} c {d_e}") == {"b", "d_e"}


def test_effects_leave_out_records_and_empty_fields():
    """`hold_utenfor` takes a person's rows along; `nullstill_felt` empties the field alone; the original stays."""
    rules = desk.rule("n < 5", number="K900") + desk.rule("alder < 100", number="K901", record="person")
    known = desk.collection(rules)
    rows = {
        "person": [{"brukerNr": "1", "alder": 7}, {"brukerNr": "2", "alder": 120}, {"brukerNr": "3", "alder": 8}],
        "ting": [
            {"tid": "a", "n": 9},
            {"tid": "b", "n": 1, "kode": "77"},
            {"tid": "c", "_person": 1},
            {"tid": "d", "_person": None},
        ],
    }
    tables = desk.tables(known, rows)
    findings = desk.judge(known, **rows).findings
    counted = apply(tables, findings, known)
    assert counted["person"]["brukerNr"].to_pylist() == ["1", "3"]
    assert counted["ting"]["tid"].to_pylist() == ["b", "d"]
    assert counted["ting"]["kode"].to_pylist() == [None, None]
    assert tables["ting"]["kode"].to_pylist() == [None, "77", None, None]


def test_a_finding_about_the_delivery_changes_no_row():
    derived = '[derived_tables.alt]\nrows = "delivery"\n[derived_tables.alt.columns]\nantall = { count = "ting" }'
    known = desk.collection(desk.rule("antall > 5", more="over: alt"), derived)
    tables = desk.tables(known, {"ting": [{"tid": "a"}]})
    report = desk.judge(known, ting=[{"tid": "a"}])
    assert report.findings.table["row"].to_pylist() == [None]
    assert apply(tables, report.findings, known)["ting"].num_rows == 1


def test_effects_find_rows_by_their_own_number_wherever_they_stand():
    known = desk.collection(desk.rule("n < 5"))
    tables = desk.tables(known, {"ting": [{"tid": "a", "n": 1}, {"tid": "b", "n": 9}, {"tid": "c", "n": 2}]})
    tables["ting"] = tables["ting"].take([2, 1, 0])
    from ipis.validation.run import run

    report = run(known, tables, at="S")
    assert [(found["row"], found["value"]) for found in report.findings.table.to_pylist()] == [(1, None)]
    assert apply(tables, report.findings, known)["ting"]["tid"].to_pylist() == ["c", "a"]


STOPS = """
[stopp]
kind = "record"
element = "Stopp"
label = { nb = "N", nn = "N", en = "N" }
key_fields = ["tid", "dag"]
id_field = "tid"
[stopp.fields.tid]
kind = "id"
label = { nb = "N", nn = "N", en = "N" }
[stopp.fields.dag]
kind = "date"
length = 10
label = { nb = "N", nn = "N", en = "N" }
rules = { form = "L003" }
"""


def test_what_hangs_on_a_left_out_record_goes_with_it():
    """A stop of a service left out is nothing; unless a service that counts has the same id."""
    rules = desk.rule("n < 5") + desk.rule("alder < 100", number="K901", record="person")
    known = desk.collection(rules, layout=desk.LAYOUT + STOPS)
    rows = {
        "person": [{"brukerNr": "1", "alder": 7}, {"brukerNr": "2", "alder": 120}],
        "ting": [
            {"tid": "a", "n": 9}, {"tid": "b", "n": 1}, {"tid": "c", "n": 9}, {"tid": "c", "n": 1},
            {"tid": "d", "n": 1, "_person": 1}, {"tid": None, "n": 9},
        ],
        "stopp": [{"tid": tid, "dag": "tull"} for tid in ("a", "b", "c", "d", "e", None)],
    }  # fmt: skip
    tables = desk.tables(known, rows)
    counted = apply(tables, desk.judge(known, **rows).findings, known)
    assert counted["ting"]["tid"].to_pylist() == ["b", "c"]
    assert counted["stopp"]["tid"].to_pylist() == ["b", "c", "e", None]
    assert counted["stopp"]["dag__raw"].null_count == counted["stopp"].num_rows
    assert tables["stopp"]["dag__raw"].to_pylist() == ["tull"] * 6
    assert hangs_on(known.layout, "stopp") == ("ting",)
    assert hangs_on(known.layout, "ting") == ()


@pytest.mark.parametrize("year", [2016, 2017])
def test_only_stops_hang_on_another_record_than_the_person(year):
    layout = packaged("iplos", year).layout
    hanging = {name: above for name in layout.records if (above := hangs_on(layout, name))}
    assert hanging == {"stopp": ("tjeneste",)}


def test_computed_numbers_have_the_decimal_sign_of_the_language():
    """K089: half an hour is ,5 in Norwegian and .5 in English."""
    collection = packaged("iplos", 2017)
    rule = rulebook.of(collection).rules["K089"]
    report = examples.judge(collection, rule, {"kode": "09", "timerUke": 40, "minutterUke": 30})
    told = {language: report.findings.messages(language).to_pylist()[0] for language in ("nb", "nn", "en")}
    assert "40,5 timer" in told["nb"]
    assert "40,5 timar" in told["nn"]
    assert "40.5 hours" in told["en"]
