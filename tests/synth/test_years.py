"""Who lives on is there next year too: the same number, the same services, a year older; the dead are gone."""

from datetime import date

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from ipis.kernel.collection import packaged
from ipis.synth.draw import draw
from ipis.synth.people import Place


@pytest.fixture(scope="module")
def years():
    return {year: packaged("iplos", year) for year in (2016, 2017)}


@pytest.fixture(scope="module")
def hamar(years):
    return {year: draw(Place(each, "0403", "00"), persons=None, innsending=1, seed=4) for year, each in years.items()}


def table(one, record):
    rows = one.rows[record]
    users = one.rows["person"].columns["brukerNr"].take(pa.array(rows.person))
    return pa.table({**rows.columns, "brukerNr": users})


def by(key, rows):
    return {row[key]: row for row in rows.to_pylist()}


def test_most_are_there_again_under_the_same_numbers(hamar):
    before, after = (by("brukerNr", table(hamar[year], "person")) for year in (2016, 2017))
    both = before.keys() & after.keys()
    assert 0.70 < len(both) / len(before) < 0.85
    for user in both:
        assert before[user]["fid"] == after[user]["fid"]
        assert before[user]["typeID"] == after[user]["typeID"]
    fids = [row["fid"] for row in before.values()]
    assert not {after[user]["fid"] for user in after.keys() - both} & set(fids)


def test_the_dead_are_gone_and_nobody_dies_twice(hamar):
    before, after = (by("brukerNr", table(hamar[year], "person")) for year in (2016, 2017))
    dead = {user for user, row in before.items() if row["dodsDato"] is not None}
    assert dead
    assert not dead & after.keys()


def test_whoever_has_a_running_service_at_the_end_of_the_year_comes_again(hamar):
    before, after = (by("brukerNr", table(hamar[year], "person")) for year in (2016, 2017))
    services = table(hamar[2016], "tjeneste")
    running = set(services.filter(pc.is_null(services["sluttDato"]))["brukerNr"].to_pylist())
    assert running == before.keys() & after.keys()


def test_running_services_keep_number_start_and_what_else_was_granted(hamar):
    before, after = (by("tjenesteId", table(hamar[year], "tjeneste")) for year in (2016, 2017))
    running = {number for number, row in before.items() if row["sluttDato"] is None}
    assert running <= after.keys()
    same = ("brukerNr", "kode", "startDato", "vedtakId", "timerUke", "minutterUke", "dognUke", "boligBemanning")
    for number in running:
        assert [before[number][name] for name in same] == [after[number][name] for name in same]
    ended = before.keys() - running
    assert not ended & after.keys()


def test_services_that_are_new_began_in_the_year(hamar):
    before, after = (by("tjenesteId", table(hamar[year], "tjeneste")) for year in (2016, 2017))
    new = after.keys() - before.keys()
    assert new
    assert {after[number]["startDato"][:4] for number in new} == {"2017"}


def test_a_decision_behind_a_running_service_stands_as_it_stood(hamar):
    before, after = (by("vedtakId", table(hamar[year], "vedtak")) for year in (2016, 2017))
    for number in before.keys() & after.keys():
        assert before[number] == after[number]


def test_last_years_newest_assessment_is_the_older_one_of_those_who_have_two(hamar):
    def dates(year):
        found = {}
        for row in table(hamar[year], "vurdering").to_pylist():
            found.setdefault(row["brukerNr"], []).append(row)
        return found

    before, after = dates(2016), dates(2017)
    twice = [user for user, rows in after.items() if len(rows) == 2]
    assert len(twice) > 100
    for user in twice:
        assert after[user][0] == before[user][-1]


def test_those_of_a_merged_municipality_come_from_its_parts(years):
    after = draw(Place(years[2017], "0710", "00"), persons=None, innsending=1, seed=4)
    parts = [
        draw(Place(years[2016], old, "00"), persons=None, innsending=1, seed=4) for old in ("0706", "0719", "0720")
    ]
    before = {number for part in parts for number in part.rows["person"].columns["fid"].to_pylist()}
    now = set(after.rows["person"].columns["fid"].to_pylist())
    assert 0.70 < len(now & before) / len(before) < 0.85
    users = after.rows["person"].columns["brukerNr"]
    assert pc.count_distinct(users).as_py() == len(users)


def test_age_at_entry_is_never_negative_and_services_begin_in_a_life(hamar):
    for one in hamar.values():
        for row in table(one, "tjeneste").to_pylist():
            assert date(1980, 1, 1) <= date.fromisoformat(row["startDato"])
