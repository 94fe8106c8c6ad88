"""The municipality and SSB say the same of the same content, though ids, order and identities differ."""

import random

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.validation import desk

from ipis.kernel.collection import packaged
from ipis.kernel.layout import Kind
from ipis.validation import examples, rulebook
from ipis.validation.run import run

YEAR = 2017
HEADER = {"kommuneNr": "0403", "uttakTid": "2018-01-03T08:00:00+01:00"}
ids = st.sampled_from(["a", "b", "c", None])
days = st.sampled_from(["2016-12-31", "2017-01-01", "2017-03-05", "2017-06-01", "2017-12-31", "tull", None])
tjenester = st.fixed_dictionaries(
    {
        "_person": st.sampled_from([0, 1, 2, None]), "brukerNr": ids, "tjenesteId": ids, "vedtakId": ids, "startDato": days,
        "sluttDato": days, "kode": st.sampled_from(["01", "15", "21", "12", "26", "29", "99", None]),
        "timerUke": st.sampled_from(["0", "100", "168", "200", "x", None]), "minutterUke": st.sampled_from(["0", "59", None]),
        "orgNr": st.sampled_from(["974760673", "974760674", None]),
    }
)  # fmt: skip
vedtak = st.fixed_dictionaries(
    {
        "_person": st.sampled_from([0, 1, None]),
        "brukerNr": ids,
        "vedtakId": ids,
        "utfall": st.sampled_from(["1", "3", "8", None]),
    }
)
personer = st.lists(
    st.fixed_dictionaries(
        {
            "brukerNr": ids,
            "bostedKommuneNr": st.sampled_from(["0403", "0417", "x", None]),
            "dodsDato": days,
            "id_reason": st.sampled_from(["ok", "form"]),
        }
    ),
    min_size=3,
    max_size=3,
)


def at_ssb(tables, order):
    """Turn tables as SSB has them: local keys for ids, rows sorted by a random person_key, numbered anew."""
    words = pa.chunked_array(
        [
            table[name].combine_chunks()
            for table in tables.values()
            for name in ("brukerNr", "vedtakId", "tjenesteId")
            if name in table.column_names
        ]
    )
    known = pc.unique(words).drop_null()
    turned = {name: _turned(name, table, order, known) for name, table in tables.items()}
    return {name: table for name, (table, _) in turned.items()}, {name: place for name, (_, place) in turned.items()}


def _turned(name, table, order, known):
    owner = np.asarray(table["_person"].fill_null(-1) if name != "person" else table["_row"])
    place = np.argsort(np.asarray(order)[owner], kind="stable")
    keys = pa.array([f"{order[who]:016d}".encode() for who in owner], pa.binary())
    local = table.append_column("person_key", keys)
    for column in {"brukerNr", "vedtakId", "tjenesteId"} & set(table.column_names):
        numbers = pc.index_in(local[column], value_set=known).cast(pa.int64())
        local = local.set_column(local.column_names.index(column), column, numbers)
    return local.take(place).drop_columns(["_row", "_person"]), place


def told(report, at_both, places=None):
    """Give findings with their row in the extract."""
    found = []
    for item in report.findings.table.to_pylist():
        if item["rule"] in at_both:
            row = item["row"] if places is None or item["row"] is None else int(places[item["record"]][item["row"]])
            found.append((item["rule"], item["record"], row, item["field"], item["value"]))
    return sorted(found, key=repr)


@settings(max_examples=15)
@given(personer, st.lists(tjenester, max_size=8), st.lists(vedtak, max_size=4), st.permutations([0, 1, 2, 3]))
def test_findings_are_the_same_at_both(persons, services, decisions, order):
    collection = packaged("iplos", YEAR)
    rows = {"person": persons, "tjeneste": services, "vedtak": decisions}
    tables = {name: examples.table(record, rows.get(name, [])) for name, record in collection.layout.records.items()}
    ours = run(collection, tables, at="M", header=HEADER)
    theirs_tables, places = at_ssb(tables, order)
    theirs = run(collection, theirs_tables, at="S", header=HEADER)
    rules = rulebook.of(collection).rules
    at_both = {rule.id for rule in rules.values() if {"M", "S"} <= rule.runs_at}
    assert not ours.culprits
    assert not theirs.culprits
    assert told(ours, at_both) == told(theirs, at_both, places)


DAYS = ("2016-06-30", "2017-01-01", "2017-03-05", "2017-06-01", "2017-09-30", "2017-12-31", "2018-02-01", "tull")


def drawn_rows(collection, dice):
    """Draw rows of every record type: right values, wrong ones and none, ids that stand twice or nowhere."""
    rows = {}
    for name, record in collection.layout.records.items():
        fields = {
            field.name: values_of(collection, field)
            for field in record.fields.values()
            if not field.identity and field.kind is not Kind.DATETIME
        }
        rows[name] = [
            {"_person": dice.choice([0, 1, 2, None])}
            | {key: None if dice.random() < 0.15 else dice.choice(values) for key, values in fields.items()}
            for _ in range(3 if name == "person" else dice.randint(2, 9))
        ]
        for row in rows[name]:
            row |= {key: supplied_value(each, dice) for key, each in record.supplied.items()}
    return rows


def values_of(collection, field):
    if field.kind is Kind.ID:
        return ["a", "b", "c", "d"]
    if field.kind is Kind.DATE:
        return DAYS
    if field.kind is Kind.CODE:
        return [*(collection.code_values(field.codes) if field.codes else []), "77"]
    return (
        ["0", "1", "7", "58", "168", "x"] if field.kind in {Kind.INT, Kind.DEC} else ["974760673", "0403", "A01", "P"]
    )


def supplied_value(supplied, dice):
    if supplied.name == "id_reason":
        return dice.choice(["ok", "form", None])
    year_or_age = [1930, 1950, 1990, 2016] if supplied.name == "foedselsaar" else [0, 17, 40, 89]
    return dice.choice(["1", "2", None] if supplied.type in {"string", "id"} else [*year_or_age, None])


@pytest.mark.parametrize("year", [2016, 2017])
@pytest.mark.parametrize("seed", range(3))
def test_every_rule_says_the_same_at_both_or_why_it_cannot(year, seed):
    """All rules, all record types: equal findings and counts, unless one of the two lacks what the rule needs."""
    collection = packaged("iplos", year)
    dice = random.Random(seed)
    now, past = (
        {
            name: examples.table(collection.layout.records[name], made)
            for name, made in drawn_rows(collection, dice).items()
        }
        for _ in range(2)
    )
    order = dice.sample([0, 1, 2, 3], 4)
    theirs_tables, places = at_ssb(now, order)
    register = {
        name: [key for key, each in record.supplied.items() if each.source]
        for name, record in collection.layout.records.items()
    }
    clear = {name: table.drop_columns(register[name]) for name, table in now.items()}
    ours = run(collection, clear, at="M", header=HEADER, last_year=past)
    theirs = run(collection, theirs_tables, at="S", header=HEADER, last_year=at_ssb(past, order)[0])
    assert not ours.culprits
    assert not theirs.culprits
    lacking = {"runs_elsewhere", "no_register", "no_nation", "no_list", "no_identity"}
    compared = set()
    # The form of an id (L001) is the municipality's alone.
    for number in ours.verdicts.keys() & theirs.verdicts.keys():
        verdict = ours.verdicts[number]
        reasons = verdict.reasons.keys() | theirs.verdicts[number].reasons.keys()
        if not reasons & lacking:
            assert verdict == theirs.verdicts[number], number
            compared.add(number)
    assert len(compared) > 80
    assert told(ours, compared) == told(theirs, compared, places)


def test_the_form_of_an_id_is_not_assessed_where_ids_are_local_keys():
    known = desk.collection()
    tables = desk.tables(known, {"ting": [{"tid": "altfor-lang"}]})
    local = {
        name: table.set_column(table.column_names.index(column), column, pa.array(range(table.num_rows), pa.int64()))
        for name, table, column in ((n, t, "brukerNr" if n == "person" else "tid") for n, t in tables.items())
    }
    report = run(known, local, at="S")
    assert report.findings.count_by_rule() == {}
    assert report.verdicts["L002"].not_assessed == 2


def test_orphans_are_seen_where_there_is_no_person():
    collection = packaged("iplos", YEAR)
    person = examples.table(collection.layout.records["person"], [{"brukerNr": "1"}])
    tjeneste = examples.table(collection.layout.records["tjeneste"], [{"brukerNr": "1"}, {"brukerNr": "2"}])
    tables = {
        "person": person.append_column("person_key", pa.array([b"a"])),
        "tjeneste": tjeneste.drop_columns(["_person", "_row"]).append_column("person_key", pa.array([b"a", b"b"])),
    }
    report = run(collection, tables, at="S")
    assert [(f["rule"], f["row"]) for f in report.findings.table.to_pylist() if f["rule"] == "K058"] == [("K058", 1)]
    without = run(collection, {"tjeneste": tjeneste.drop_columns(["_person"])}, at="S")
    assert without.verdicts["K058"].breach == 2


@pytest.mark.parametrize("year", [YEAR])
def test_rules_of_both_sides_say_where_they_run(year):
    rules = rulebook.of(packaged("iplos", year)).rules
    assert rules["K018"].runs_at == {"M"}
    assert rules["K101"].runs_at == {"S"}
    assert rules["K020"].runs_at == {"M", "T", "S"}
