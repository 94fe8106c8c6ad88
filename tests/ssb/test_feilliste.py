"""The feilliste: what is new, open and fixed, by the municipality's own keys, doubles counted."""

import numpy as np
import pyarrow as pa
from tests.calls import calls_of

from ipis.ssb.feedback.feilliste import (
    COLUMNS,
    STORED,
    Keyed,
    as_stored,
    count_by_status,
    count_problems,
    make_feilliste,
    standing,
    unanswered,
)
from ipis.ssb.feedback.rules import by_rule


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


def made_of(*rows, known=9, problems=None, answers=None, before=None):
    """The list of findings (rule, record, row, field) about services of B0, B1 …, one person each."""
    named = {"tjeneste": keys(*((f"B{n}", f"T{n}") for n in range(known)))}
    named["person"] = keys(*((f"B{n}", "") for n in range(known)))
    earlier = None if before is None else Keyed(findings(*before), named, problems or {})
    return make_feilliste(Keyed(findings(*rows), named, problems or {}), earlier, answers)


def answer(*rows):
    """Answers of (rule, record, brukerNr, id, field, begrunnelse, year)."""
    names = ("rule", "record", "brukerNr", "id", "field", "begrunnelse", "year")
    return pa.table(dict(zip(names, zip(*rows, strict=True), strict=True)))


DEAD = {"K035": ("doed", "bruker"), "K036": ("doed", "bruker")}


def test_a_wrong_person_and_its_services_are_one_problem_told_by_the_person_first():
    """Correcting the date of death mends them all; another person's is another problem."""
    made = made_of(
        ("K036", "tjeneste", 2, "sluttDato"),
        ("K036", "tjeneste", 1, "sluttDato"),
        ("K035", "person", 1, "dodsDato"),
        ("K036", "tjeneste", 1, "sluttDato"),
        problems=DEAD,
    )
    lines = [(row["problem"], row["rule"], row["brukerNr"]) for row in made.to_pylist()]
    assert lines == [(1, "K035", "B1"), (1, "K036", "B1"), (1, "K036", "B1"), (2, "K036", "B2")]
    assert count_problems(made) == 2


def test_without_a_named_problem_every_row_is_one():
    """Two faults of one row by one rule are one problem, two rows are two."""
    made = made_of(("K086", "tjeneste", 1, "a"), ("K086", "tjeneste", 1, "b"), ("K086", "tjeneste", 2, "a"))
    assert made["problem"].to_pylist() == [1, 1, 2]


def test_findings_about_the_delivery_are_problems_of_their_own():
    """They have no row to share."""
    made = made_of(("K101", "tjeneste", None, "kode"), ("K101", "tjeneste", None, "kode"))
    assert made["problem"].to_pylist() == [1, 2]


def test_a_value_can_be_the_problem():
    """One wrong organisation number on three services is one thing to mend; empty values have nothing in common."""
    rows = findings(*(("K079", "tjeneste", row, "orgNr") for row in range(5)))
    values = pa.array(["987654321", "987654321", "912345678", None, ""], pa.string())
    rows = rows.set_column(rows.column_names.index("value"), "value", values)
    named = {"tjeneste": keys(*((f"B{n}", f"T{n}") for n in range(5)))}
    made = make_feilliste(Keyed(rows, named, {"K079": ("orgnr", "value")}), None)
    assert made["problem"].to_pylist() == [1, 1, 2, 3, 4]


def test_the_heaviest_problem_comes_first_and_what_it_brings_stays_with_it():
    """Also where what follows is only a warning."""
    rows = findings(("K002", "tjeneste", 0, ""), ("K001", "tjeneste", 1, ""), ("K003", "tjeneste", 1, ""))
    levels = pa.array(["advarsel", "advarsel", "feil"])
    rows = rows.set_column(rows.column_names.index("level"), "level", levels)
    both = {"K001": ("en", "bruker"), "K003": ("en", "bruker")}
    made = make_feilliste(Keyed(rows, {"tjeneste": keys(("B0", "T0"), ("B1", "T1"))}, both), None)
    assert [(row["problem"], row["rule"]) for row in made.to_pylist()] == [(1, "K003"), (1, "K001"), (2, "K002")]


def test_what_is_answered_is_shown_as_answered_and_not_as_open():
    """With the reason; it comes after what is open, before what is fixed."""
    made = made_of(
        ("K063", "tjeneste", 0, "sluttDato"),
        ("K070", "tjeneste", 1, "timerUke"),
        answers=answer(("K063", "tjeneste", "B0", "T0", "sluttDato", "Riktig", 2017)),
        before=[("K063", "tjeneste", 0, "sluttDato"), ("K071", "tjeneste", 3, "minutterUke")],
    )
    lines = [(row["status"], row["rule"], row["answer"]) for row in made.to_pylist()]
    assert lines == [("new", "K070", ""), ("answered", "K063", "Riktig"), ("fixed", "K071", "")]
    assert unanswered(made)["rule"].to_pylist() == ["K070"]
    assert standing(made).num_rows == 2


def test_an_answer_is_of_one_finding_alone():
    """Another field, id or person is another finding; an answer to what is not there changes nothing."""
    made = made_of(
        ("K086", "tjeneste", 0, "boligBemanning"),
        ("K086", "tjeneste", 0, "ordinaerBolig"),
        answers=answer(
            ("K086", "tjeneste", "B0", "T0", "ordinaerBolig", "Stemmer", 2017),
            ("K086", "tjeneste", "B1", "T1", "ordinaerBolig", "Stemmer", 2017),
        ),
    )
    assert count_by_status(made) == {"new": 1, "open": 0, "answered": 1, "fixed": 0}
    assert made["answer"].to_pylist() == ["", "Stemmer"]


def test_the_newest_answer_holds_and_one_without_words_is_an_answer():
    """What was said last year is said anew."""
    rows = [("K063", "tjeneste", "B0", "T0", "sluttDato", "i fjor", 2016)]
    rows.append(("K063", "tjeneste", "B0", "T0", "sluttDato", None, 2017))
    made = made_of(("K063", "tjeneste", 0, "sluttDato"), answers=answer(*rows))
    assert (made["status"].to_pylist(), made["answer"].to_pylist()) == (["answered"], [""])


def test_an_answer_about_the_delivery_needs_no_keys():
    """Empty and missing keys are the same."""
    answers = answer(("K101", "tjeneste", None, None, None, "Lagt ned", 2017))
    made = made_of(("K101", "tjeneste", None, ""), answers=answers)
    assert made["status"].to_pylist() == ["answered"]


def test_a_row_of_the_delivery_before_never_meets_a_row_of_this_one():
    """Row 3 then and row 3 now are two records."""
    made = made_of(("K086", "tjeneste", 3, "a"), before=[("K086", "tjeneste", 3, "b")])
    assert [(row["status"], row["problem"]) for row in made.to_pylist()] == [("new", 1), ("fixed", 2)]


def test_the_sums_by_rule_are_the_list():
    """Whatever became of the findings; a problem counts once under each of its rules."""
    made = made_of(
        ("K035", "person", 1, "dodsDato"),
        ("K036", "tjeneste", 1, "sluttDato"),
        ("K036", "tjeneste", 2, "sluttDato"),
        ("K101", "tjeneste", None, ""),
        problems=DEAD,
        before=[("K036", "tjeneste", 1, "sluttDato"), ("K036", "tjeneste", 4, "sluttDato")],
        answers=answer(("K036", "tjeneste", "B2", "T2", "sluttDato", "Riktig", 2017)),
    )
    summed = {row["rule"]: row for row in by_rule(made).to_pylist()}
    statuses = count_by_status(made)
    assert sum(row["findings"] for row in summed.values()) == made.num_rows
    assert {name: sum(row[name] for row in summed.values()) for name in statuses} == statuses
    assert (summed["K036"]["problems"], summed["K036"]["persons"], summed["K101"]["persons"]) == (3, 3, 0)


def test_half_a_million_findings_are_listed_without_looking_at_each():
    """The nation's findings and those before; nothing loops over rows."""
    count = 500_000
    rows = np.arange(count, dtype=np.int32)
    same = {name: pa.repeat(text, count) for name, text in (("record", "tjeneste"), ("field", "orgNr"), ("value", "x"))}
    same |= {name: pa.repeat(name, count) for name in ("found", "expected", "do")}
    rule = pa.array([f"K{n:03}" for n in range(60)]).take(pa.array(rows % 60))
    listed = {"rule": rule, "level": pa.repeat("feil", count), "effect": pa.repeat("behold", count), "row": rows}
    stored = pa.table({**listed, **same, "first_seen": pa.repeat(pa.scalar(1, pa.int32()), count)}).select(STORED.names)
    named = pa.table(
        {"_row": rows, "brukerNr": pa.array(rows // 3).cast(pa.string()), "id": pa.array(rows).cast(pa.string())}
    )
    now = Keyed(stored.cast(STORED), {"tjeneste": named}, {"K000": ("a", "bruker"), "K001": ("a", "bruker")})
    before = Keyed(now.findings.slice(0, count // 2), now.keys)
    calls, made = calls_of(lambda: make_feilliste(now, before))
    assert calls < count / 10
    assert count_by_status(made) == {"new": count // 2, "open": count // 2, "answered": 0, "fixed": 0}
