"""The feilliste: what is new, open and fixed, by the municipality's own keys, doubles counted."""

import pyarrow as pa
import pytest

from ipis.ssb.feedback.cells import shown, write_csv
from ipis.ssb.feedback.feilliste import COLUMNS, STORED, Keyed, as_stored, count_by_status, make_feilliste


def findings(*rows, seen=1):
    """Make stored findings of (rule, record, row, field)."""
    full = [
        (rule, "feil", "behold", record, row, field, None, "funnet", "ventet", "gjør", seen)
        for rule, record, row, field in rows
    ]
    columns = list(zip(*full, strict=True)) if full else [[] for _ in STORED]
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, STORED, strict=True)], schema=STORED)


def keys(*named):
    """Make the keys of a record's rows from (brukerNr, id)."""
    rows = pa.array(range(len(named)), pa.int32())
    return pa.table({"_row": rows, "brukerNr": [b for b, _ in named], "id": [i for _, i in named]})


def statuses(feilliste):
    """Give (status, rule, brukerNr, id) of each line."""
    return [(r["status"], r["rule"], r["brukerNr"], r["id"]) for r in feilliste.to_pylist()]


def test_everything_is_new_in_a_first_delivery():
    """There is nothing to compare with."""
    now = Keyed(findings(("K063", "tjeneste", 0, "sluttDato")), {"tjeneste": keys(("B1", "T1"))})
    made = make_feilliste(now, None)
    assert statuses(made) == [("new", "K063", "B1", "T1")]
    assert made.column_names == [*COLUMNS, "row"]


def test_row_numbers_do_not_matter_only_the_municipalitys_keys():
    """The same person's record stands elsewhere in the second file."""
    before = Keyed(
        findings(("K063", "tjeneste", 0, "sluttDato"), ("K075", "tjeneste", 1, "orgNr")),
        {"tjeneste": keys(("B1", "T1"), ("B2", "T2"))},
    )
    now = Keyed(
        findings(("K063", "tjeneste", 1, "sluttDato"), ("K072", "tjeneste", 0, "timerUke"), seen=2),
        {"tjeneste": keys(("B9", "T9"), ("B1", "T1"))},
    )
    made = make_feilliste(now, before)
    assert statuses(made) == [
        ("open", "K063", "B1", "T1"),
        ("new", "K072", "B9", "T9"),
        ("fixed", "K075", "B2", "T2"),
    ]
    assert made["first_seen"].to_pylist() == [1, 2, 1]
    assert count_by_status(made) == {"new": 1, "open": 1, "answered": 0, "fixed": 1}


def test_two_of_a_kind_stay_two():
    """One of two doubles corrected is one fixed and one open, not two open."""
    twice = {"tjeneste": keys(("B1", "T1"), ("B1", "T1"))}
    before = Keyed(findings(("K066", "tjeneste", 0, "tjenesteId"), ("K066", "tjeneste", 1, "tjenesteId")), twice)
    now = Keyed(findings(("K066", "tjeneste", 0, "tjenesteId"), seen=2), twice)
    assert count_by_status(make_feilliste(now, before)) == {"new": 0, "open": 1, "answered": 0, "fixed": 1}


def test_a_finding_about_the_delivery_has_empty_keys():
    """Nothing is lost because a finding points at no record."""
    made = make_feilliste(Keyed(findings(("K032", "uttrekk", None, "")), {}), None)
    assert statuses(made) == [("new", "K032", "", "")]


def test_first_seen_travels_over_three_deliveries():
    """A finding that stays keeps the sequence in which it was first seen."""
    key = {"tjeneste": keys(("B1", "T1"))}
    kept = None
    for sequence in (1, 2, 3):
        stored = findings(("K063", "tjeneste", 0, "sluttDato"), seen=sequence)
        made = make_feilliste(Keyed(stored, key), kept)
        kept = Keyed(as_stored(made), key)
    assert made["first_seen"].to_pylist() == [1]
    assert kept.findings.schema == STORED


def test_no_findings_make_an_empty_list():
    """A clean delivery has a list of no lines, not an error."""
    made = make_feilliste(Keyed(findings(), {}), Keyed(findings(), {}))
    assert made.num_rows == 0
    assert made.column_names == [*COLUMNS, "row"]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "'x"])
def test_a_cell_that_a_spreadsheet_would_run_is_marked(text):
    """It shows the text instead."""
    assert shown(text) == "'" + text
    assert ("'" + text) in write_csv(["a"], [[text]]).decode("utf-8-sig")


def test_plain_cells_are_left_alone():
    """Numbers stay numbers and nothing stays nothing."""
    assert [shown(value) for value in ("x", 3, None)] == ["x", 3, ""]
