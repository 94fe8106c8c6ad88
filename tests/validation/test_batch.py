"""Many deliveries in one run: each gets the report that it gets alone, whatever the others hold."""

import random

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.validation import desk, test_both_sides

from ipis.kernel.collection import packaged
from ipis.validation import examples, kinds, relations, rulebook, stages
from ipis.validation.engines import duckdb, engine_named
from ipis.validation.engines.duckdb import DuckDB
from ipis.validation.relations import Relations, derived
from ipis.validation.run import Content, run, run_many

YEAR = 2017
headers = st.sampled_from([None, {"kommuneNr": "0403"}, {"kommuneNr": "0417", "uttakTid": "2018-01-03T08:00:00+01:00"}])
rows = st.fixed_dictionaries(
    {
        "person": st.lists(
            st.fixed_dictionaries(
                {
                    "brukerNr": test_both_sides.ids,
                    "bostedKommuneNr": st.sampled_from(["0403", "0417", "x", None]),
                    "dodsDato": test_both_sides.days,
                    "id_reason": st.sampled_from(["ok", "form", None]),
                }
            ),
            max_size=3,
        ),
        "tjeneste": st.lists(test_both_sides.tjenester, max_size=6),
        "vedtak": st.lists(test_both_sides.vedtak, max_size=3),
    }
)
deliveries = st.lists(st.tuples(rows, headers, st.none() | rows), min_size=1, max_size=3)


def content(collection, drawn):
    made, header, past = drawn
    return Content(tables(collection, made), header, None if past is None else tables(collection, past))


def tables(collection, made):
    return {name: examples.table(record, made.get(name, [])) for name, record in collection.layout.records.items()}


def told(report):
    return report.findings.table.to_pylist(), dict(report.verdicts), dict(report.culprits)


@settings(max_examples=6)
@given(deliveries, st.sampled_from(["M", "S"]))
def test_each_delivery_is_judged_as_if_it_were_alone(drawn, at):
    collection = packaged("iplos", YEAR)
    contents = [content(collection, one) for one in drawn]
    together = run_many(collection, contents, at=at)
    for one, report in zip(contents, together, strict=True):
        alone = run(collection, one.tables, at=at, header=one.header, last_year=one.last_year)
        assert told(report) == told(alone)


EVERYTHING = """
[ting.derived]
som_person = { count = "rows", by = ["person", "kode"] }
samlet = { sum = "n", by = ["tid"] }
forrige = { lag = "til", by = ["person"], order = "fra" }
lengst = { previous_max = "til", by = ["kode"], order = "fra", open_ended = true }
samtidig = { overlap = "rows", by = ["kode"], from = "fra", to = "til" }
dager = { overlap_days = "rows", by = ["person"], from = "fra", to = "til", where = "n > 1" }
tyngde = { concurrent_sum = "n", by = ["tekst"], from = "fra", to = "til" }
i_fjor = { last_year = "count", by = ["kode", "tekst"] }
annen = { lookup = "ting", on = "vist", key = "tid", value = "n" }
finnes = { exists = "ting", on = "vist", key = "tid", where = "n > 1" }
peker = { count = "rows", of = "ting", on = "tid", key = "vist" }
av_person = { lookup = "person", on = "person", value = "nyeste" }
sted = { lookup = "steder", on = "uttrekk.kommuneNr", value = "navn" }
[person.derived]
nyeste = { newest = "kode", of = "ting", on = "person", order = "fra", where = "n > 0" }
sum_av = { sum = "d", of = "ting", on = "person" }
[derived_tables.alt]
rows = "delivery"
[derived_tables.alt.columns]
antall = { count = "ting", distinct = "person" }
andel = { share = "ting", where = "n > 1 and uttrekk.kommuneNr = '0403'" }
fjor = { last_year = "count", of = "ting", distinct = "person" }
[derived_tables.kodene]
rows = { codes = "liste", key = "code", as = "kode" }
[derived_tables.kodene.columns]
antall = { count = "ting", match = "kode" }
fjor = { last_year = "count", of = "ting", match = "kode", where = "n > 1" }
"""
OF_TING = [
    "som_person",
    "samlet",
    "forrige",
    "lengst",
    "samtidig",
    "dager",
    "tyngde",
    "i_fjor",
    "annen",
    "finnes",
    "peker",
    "av_person",
    "sted",
]
RULES = (
    desk.rule("true = false", more=f"shows: [{', '.join(OF_TING)}, uttrekk.kommuneNr]")
    + desk.rule("true = false", number="K901", record="person", more="shows: [nyeste, sum_av]")
    + desk.rule("true = false", number="K902", more="over: alt\nshows: [antall, andel, fjor]")
    + desk.rule("true = false", number="K903", more="over: kodene\nshows: [antall, fjor]")
)
keys = st.sampled_from(["a", "b", None])
dates = st.sampled_from(["2017-01-01", "2017-01-05", "2017-02-01", "2017-12-30", "x", None])
things = st.lists(
    st.fixed_dictionaries(
        {
            "_person": st.sampled_from([0, 1, 2, None]), "tid": keys, "vist": keys, "tekst": keys, "fra": dates, "til": dates,
            "kode": st.sampled_from(["01", "02", "77", None]), "n": st.sampled_from([0, 1, 2, "x", None]),
            "d": st.sampled_from(["0.10", "0.20", "0.70", None]),
        }
    ),
    max_size=5,
)  # fmt: skip
persons = st.lists(st.fixed_dictionaries({"brukerNr": keys}), max_size=3)
whole = st.fixed_dictionaries({"person": persons, "ting": things})


@settings(max_examples=10)
@given(st.lists(st.tuples(whole, headers, st.none() | whole), min_size=1, max_size=3))
def test_no_derived_column_sees_another_delivery(drawn):
    codes = {"steder": "code,navn\n0403,Hamar\n"}
    collection = desk.collection(RULES, EVERYTHING, codes=codes)
    contents = [content(collection, one) for one in drawn]
    for one, report in zip(contents, run_many(collection, contents, at="M"), strict=True):
        assert told(report) == told(run(collection, one.tables, at="M", header=one.header, last_year=one.last_year))


def test_relations_of_many_deliveries_hold_all_columns_and_tell_deliveries_apart():
    derivations = '[ting.derived]\nantall = { count = "rows", by = ["person"] }'
    known = desk.collection(desk.rule("n = 1"), derivations)
    contents = [
        Content(desk.tables(known, {"ting": [{"n": 1, "tekst": "a"}, {"n": "x"}]}), {"kommuneNr": "0403"}),
        Content(desk.tables(known, {"ting": [{"n": 3}]}), None),
    ]
    with derived(known, contents, [("ting", "antall")]) as made:
        found = made.engine.query(
            f'SELECT _delivery, _row, _person, n, n__bad, tekst, antall, "uttrekk.kommuneNr" AS sted FROM {made.names["ting"]} ORDER BY _at'
        )
    assert found.to_pylist() == [
        {"_delivery": 0, "_row": 0, "_person": 0, "n": 1, "n__bad": False, "tekst": "a", "antall": 2, "sted": "0403"},
        {
            "_delivery": 0,
            "_row": 1,
            "_person": 0,
            "n": None,
            "n__bad": True,
            "tekst": None,
            "antall": 2,
            "sted": "0403",
        },
        {"_delivery": 1, "_row": 0, "_person": 0, "n": 3, "n__bad": False, "tekst": None, "antall": 1, "sted": None},
    ]


def test_what_one_delivery_makes_fail_is_not_told_of_another(monkeypatch):
    from ipis.validation.rulebook import CompiledRule

    planted = ("", "CASE WHEN n = 77 THEN CAST(error('planted') AS BOOLEAN) ELSE n < 5 END")
    monkeypatch.setattr(CompiledRule, "conditions", lambda *_: planted)
    known = desk.collection(desk.rule("n < 5"))
    contents = [Content(desk.tables(known, {"ting": [{"n": n}]})) for n in (77, 1)]
    bad, good = run_many(known, contents, at="M")
    assert set(bad.culprits) == {"K900"}
    assert bad.verdicts["K900"].reasons == {"engine_failure": 1}
    assert (good.culprits, good.verdicts["K900"].ok) == ({}, 1)


def test_no_delivery_has_no_report():
    assert run_many(desk.collection(desk.rule("n = 1")), [], at="M") == []


def test_deliveries_may_hold_their_columns_in_other_types():
    known = desk.collection(desk.rule("n < 5 and kode = '01'"))
    plain = desk.tables(known, {"ting": [{"n": 1, "kode": "01"}, {"n": 9, "kode": "01"}]})
    ting = plain["ting"]
    packed = ting.set_column(ting.column_names.index("kode"), "kode", ting["kode"].dictionary_encode())
    wide = packed.set_column(ting.column_names.index("n"), "n", ting["n"].cast(pa.int64()))
    reports = run_many(known, [Content(plain), Content(plain | {"ting": wide})], at="M")
    assert [report.verdicts["K900"].breach for report in reports] == [1, 1]


@pytest.mark.parametrize("name", ["polars", ""])
def test_an_engine_that_is_not_there_is_refused_by_name(name):
    with pytest.raises(ValueError, match="no engine of this name"):
        desk.run(desk.collection(desk.rule("n = 1")), {}, at="M", engine=name)


def small_delivery(collection, persons=850):
    """Give a delivery of a small municipality: two services and an assessment each, some of it wrong."""
    dice = random.Random(1)
    made = {
        "person": [
            {"brukerNr": str(row), "bostedKommuneNr": "0403", "bostedBydel": "00", "alder": row % 95, "id_reason": "ok"}
            for row in range(persons)
        ],
        "tjeneste": [
            {
                "_person": row // 2, "brukerNr": str(row // 2), "tjenesteId": str(row), "kode": dice.choice(["01", "15", "21", "99"]),
                "startDato": f"{YEAR}-01-{1 + row % 28:02}", "timerUke": dice.choice(["3", "200", None]),
            }
            for row in range(2 * persons)
        ],
        "vurdering": [
            {"_person": row, "brukerNr": str(row), "dato": f"{YEAR}-05-02", "F01": dice.choice("12345x")}
            for row in range(persons)
        ],
    }  # fmt: skip
    return Content(tables(collection, made), {"kommuneNr": "0403"})


def test_rules_that_have_been_run_a_few_times_are_planned(monkeypatch):
    collection = packaged("iplos", YEAR)
    one = small_delivery(collection)
    made, query = [], duckdb._Database.query

    def note(database, select):
        before = database.planned
        answer = query(database, select)
        made.append(database.planned - before)
        return answer

    duckdb._close_idle()
    monkeypatch.setattr(duckdb._Database, "query", note)
    planned = []
    for _ in range(4):
        report = run_many(collection, [one], at="S")[0]
        planned.append(sum(made))
        made.clear()
    assert report.findings.count_by_rule()["K069"] > 0
    assert planned[-1] == 0 < sum(planned)


def test_twenty_small_deliveries_take_no_more_statements_than_one(monkeypatch):
    collection = packaged("iplos", YEAR)
    one = small_delivery(collection, 100)
    run_many(collection, [one], at="S")
    asked, query = [], DuckDB.query

    def note(engine, select):
        asked.append(select)
        return query(engine, select)

    monkeypatch.setattr(DuckDB, "query", note)
    counts = []
    for contents in ([one], [one] * 20):
        reports = run_many(collection, contents, at="S")
        counts.append(len(asked))
        asked.clear()
    assert len(reports) == 20
    assert 0 < counts[1] <= counts[0]


def test_many_rows_are_derived_in_steps_and_come_to_the_same(monkeypatch):
    codes = {"steder": "code,navn\n0403,Hamar\n"}
    collection = desk.collection(RULES, EVERYTHING, codes=codes)
    dice = random.Random(3)
    drawn = {
        "person": [{"brukerNr": "a"}] * 3,
        "ting": [
            {
                "_person": dice.choice([0, 1, 2, None]), "tid": dice.choice(["a", "b", None]), "vist": dice.choice(["a", "b"]),
                "fra": f"2017-01-{dice.randint(1, 9):02}", "til": dice.choice(["2017-01-09", "2017-02-01", "x", None]),
                "kode": dice.choice(["01", "02", "77"]), "n": dice.choice([0, 1, 2, "x"]), "d": "0.10",
            }
            for _ in range(40)
        ],
    }  # fmt: skip
    contents = [Content(tables(collection, drawn), {"kommuneNr": "0403"})] * 2
    at_once = [told(report) for report in run_many(collection, contents, at="M")]
    monkeypatch.setattr(relations, "_MANY_ROWS", 1)
    assert [told(report) for report in run_many(collection, contents, at="M")] == at_once


def test_a_column_that_fails_in_a_step_is_named_and_the_others_are_derived(monkeypatch):
    original = kinds.piece

    def broken(made, site):
        piece = original(made, site)
        return stages.Piece("error('planted')", "FALSE") if made.declaration.name == "vond" else piece

    monkeypatch.setattr(kinds, "piece", broken)
    monkeypatch.setattr(relations, "_MANY_ROWS", 1)
    columns = '[ting.derived]\nvond = { count = "rows", by = ["tid"] }\ngod = { sum = "n", by = ["tid"] }'
    known = desk.collection(desk.rule("vond = 1") + desk.rule("god = 3", number="K901"), columns)
    report = desk.judge(known, ting=[{"tid": "a", "n": 1}, {"tid": "a", "n": 2}])
    assert report.culprits == {"K900": "ting.vond"}
    assert report.verdicts["K901"].ok == 2


def test_what_earlier_runs_met_changes_no_later_report():
    """From the second run of a kind on statements are written for any delivery: a sound one is judged the same."""
    collection = desk.collection(RULES, EVERYTHING, codes={"steder": "code,navn\n0403,Hamar\n"})
    fresh = desk.collection(RULES + "\n# another digest\n", EVERYTHING, codes={"steder": "code,navn\n0403,Hamar\n"})
    sound = {
        "person": [{"brukerNr": "a"}],
        "ting": [{"_person": 0, "tid": "a", "kode": "01", "n": 2, "fra": "2017-01-01"}],
    }
    faulty = {
        "person": [{"brukerNr": "a"}],
        "ting": [{"_person": 0, "tid": "a", "kode": "77", "n": "x", "fra": "x", "til": "x"}],
    }
    drawn = [{"person": [{"brukerNr": "a"}]}, sound, faulty, {}, {"person": [{"brukerNr": "b"}]}, sound]
    reports = [told(run(collection, tables(collection, one), at="M", header={"kommuneNr": "0403"})) for one in drawn]
    alone = [
        told(run_many(fresh, [Content(tables(fresh, one), {"kommuneNr": "0403"})], at="M", only=EACH)[0])
        for one in drawn
    ]
    assert reports == alone
    assert reports[1] == reports[-1]


def test_verdicts_are_those_of_the_rules_that_were_judged():
    known = desk.collection(desk.rule("n = 1"))
    first, second = run_many(known, [Content(desk.tables(known, {"ting": [{"n": n}]})) for n in (1, 2)], at="M")
    assert (first.verdicts["K900"].ok, second.verdicts["K900"].breach) == (1, 1)
    assert list(first.verdicts) == sorted(first.verdicts)
    assert len(first.verdicts) == len(dict(first.verdicts))
    assert "K901" not in first.verdicts
    with pytest.raises(KeyError):
        first.verdicts["K901"]


class Every:
    """All rules, asked for by number: such a run is of no kind."""

    def __contains__(self, number):
        return True


EACH = Every()


def test_rows_can_be_counted_of_relations_of_which_no_column_is_wanted():
    known = desk.collection(desk.rule("n = 1"))
    contents = [Content(desk.tables(known, {"ting": [{"n": 1}, {"n": 2}]}))]
    with engine_named("duckdb") as engine:
        made = Relations(engine, known, rulebook.of(known).resolver, set())
        made.prepare(contents)
        assert engine.query(f"SELECT COUNT(*) AS n FROM {made.names['ting']}")["n"].to_pylist() == [2]
