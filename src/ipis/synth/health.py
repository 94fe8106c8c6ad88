"""What is recorded of health and need: diagnoses, scores, participation, and the person's own fields."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from ipis.synth.people import People, Place, districts_of, has_participation
from ipis.synth.rates import LEVELS, PROFILES, SCORES, pick, rates, share
from ipis.synth.rows import Bits, Ints, Rows, choices, dates, decimals, numbered, numbers

_OFTEN_BLANK = ("F01", "F15", "F16", "F17")
_HOUSEHOLD = ("F05", "F06", "F07", "F11")
_CHAPTERS = "ADKLNPRTU"
_MOST_DIAGNOSES = 3
_NOT_RELEVANT = SCORES.index("9")
_CHILD = 16


def diagnosis_rows(rng: np.random.Generator, place: Place, people: People) -> Rows:
    """Draw one to three different diagnoses for each person; codes by syntax, since ICPC-2 is licensed."""
    count = 1 + rng.binomial(_MOST_DIAGNOSES - 1, 0.35, len(people))
    person = np.repeat(np.arange(len(people)), count)
    serial = np.arange(len(person)) - np.repeat(np.cumsum(count) - count, count)
    chapter = (rng.integers(0, 9, len(people))[person] + serial) % len(_CHAPTERS)
    number = rng.integers(70, 100, len(person))
    icd = rng.random(len(person)) < share("icd")
    codes = [f"{letter}{digits}" for letter in _CHAPTERS for digits in range(70, 100)]
    plain = choices(codes, chapter * 30 + number - 70)
    finer = choices([f"{code}{digit}" for code in codes for digit in range(10)], (chapter * 30 + number - 70) * 10 + 3)
    set_on = _days_before(rng, place, people.born[person], 3000)
    columns = {
        "diagNr": numbers(serial + 1),
        "kodeverk": choices(["1", "2"], icd.astype(np.int64)),
        "kode": pa.array(np.where(icd, finer, plain), pa.string()),
        "dato": dates(set_on, rng.random(len(person)) < 0.2),
    }
    return Rows(person, columns)


def assessment_rows(rng: np.random.Generator, place: Place, people: People, died: Ints) -> Rows:
    """Draw one or two assessments for each assessed person, the newest within the year's last twelve months."""
    variables: list[str] = place.collection.codes["bistandsvariabler"]["code"].to_pylist()
    first = np.flatnonzero(people.assessed)
    second = first[rng.random(len(first)) < share("second_assessment")]
    person = np.concatenate([second, first])
    latest = np.where(died[first] >= 0, died[first], place.last_day)
    newest = np.maximum(latest - rng.integers(0, 360, len(first)), people.born[first])
    newest_of = np.zeros(len(people), np.int64)
    newest_of[first] = newest
    older = np.maximum(newest_of[second] - rng.integers(30, 700, len(second)), people.born[second])
    day = np.concatenate([older, newest])
    # An older one that would be dated like the newest is left out: person and date are the record's key.
    kept = np.concatenate([older < newest_of[second], np.ones(len(first), np.bool_)])
    person, day = person[kept], day[kept]
    order = np.argsort(person, kind="stable")
    person, day = person[order], day[order]
    scores, filled = _scores(rng, people, person, variables)
    columns = {"dato": dates(day)}
    for number, name in enumerate(variables):
        columns[name] = choices(list(SCORES), scores[:, number], ~filled[:, number])
    return Rows(person, columns)


def _scores(rng: np.random.Generator, people: People, person: Ints, variables: list[str]) -> tuple[Ints, Bits]:
    """Draw scores (n × variables, places in SCORES) that no rule has anything to say about."""
    table = np.array([rates()["scores"][name] for name in LEVELS])
    weights = np.repeat(table[people.need[person]], len(variables), axis=0)
    scores = pick(rng, weights).reshape(-1, len(variables))
    for name in _HOUSEHOLD:
        scores[people.age[person] < _CHILD // 2, variables.index(name)] = _NOT_RELEVANT
    in_institution = people.profile[person] == PROFILES.index("long_term")
    # In long-term stay everybody needs help with something.
    scores[in_institution, variables.index("F08")] = np.maximum(scores[in_institution, variables.index("F08")], 2)
    scores[in_institution & (scores[:, variables.index("F08")] == _NOT_RELEVANT), variables.index("F08")] = 2
    filled = np.ones_like(scores, np.bool_)
    partly = np.flatnonzero(rng.random(len(person)) < rates()["scores"]["partly_filled"])
    for name in _OFTEN_BLANK:
        filled[partly, variables.index(name)] = rng.random(len(partly)) < 0.5
    _tell_apart(scores, [variables.index(name) for name in variables if name not in _OFTEN_BLANK])
    return scores, filled


def _tell_apart(scores: Ints, always_filled: list[int]) -> None:
    """Change one score where all are the same: nobody is alike in everything."""
    first = always_filled[0]
    same = (scores[:, always_filled] == scores[:, [first]]).all(axis=1)
    scores[same, first] = np.where(scores[same, first] == 0, 1, 0)


def participation_rows(rng: np.random.Generator, place: Place, people: People) -> Rows:
    """Draw participation: help is received only where it is needed."""
    person = np.flatnonzero(has_participation(rng, people))
    day = np.maximum(place.last_day - rng.integers(0, 360, len(person)), people.born[person])
    columns = {"dato": dates(day)}
    for area in ("arbeid", "organisasjon", "kultur", "transport"):
        need = pick(rng, np.tile([0.25, 0.65, 0.10], (len(person), 1)))
        gets = pick(rng, np.tile([0.5, 0.2, 0.3], (len(person), 1)))
        columns[f"{area}Behov"] = choices(["1", "2", "9"], need)
        columns[f"{area}Mottar"] = choices(["1", "2", "3"], gets, need != 0)
    return Rows(person, columns)


def person_rows(rng: np.random.Generator, place: Place, people: People, died: Ints) -> Rows:
    """Write the persons themselves."""
    count, child = len(people), people.age < _CHILD
    cares = (people.age >= 20) & (people.age <= 55) & (rng.random(count) < 0.25)
    helped = rng.random(count) < share("private_help")
    plan = pick(rng, np.tile([share("plan"), 0.6, 0.04, 0.3], (count, 1)))
    screened = rng.random(count) < 0.5
    household = np.where(child, 2, pick(rng, np.tile([0.55, 0.30, 0.12, 0.03], (count, 1))))
    stays = people.profile == PROFILES.index("long_term")
    columns = {
        "brukerNr": numbered(f"B{place.bydel}", np.arange(1, count + 1), 6),
        "fid": people.numbers,
        "typeID": choices(["1", "2"], people.d_number.astype(np.int64)),
        "bostedKommuneNr": pa.array([place.kommune] * count, pa.string()),
        "bostedBydel": _districts(rng, place, count),
        "husstand": choices(["1", "2", "3", "9"], household),
        "omsorgBarn": choices(["2", "1"], cares.astype(np.int64)),
        "boforholdEgnet": choices(["1", "2", "9"], pick(rng, np.tile([0.8, 0.1, 0.1], (count, 1)))),
        "privatHjelp": choices(["2", "1"], helped.astype(np.int64)),
        "privatHjelpTimer": decimals(np.minimum(rng.lognormal(1.0, 0.8, count), 60.0), 2, ~helped),
        "legeDato": _seen(rng, place, people, stays | (rng.random(count) < 0.7)),
        "tannhelseDato": _seen(rng, place, people, stays | (rng.random(count) < 0.3)),
        "ernaeringDato": _seen(rng, place, people, screened),
        "ernaeringRisiko": choices(["1", "2"], (rng.random(count) < 0.2).astype(np.int64), ~screened),
        "individuellPlan": choices(["1", "2", "3", "9"], plan),
        "koordinator": choices(["1", "2", "3", "9"], plan),
        "dodsDato": dates(died, died < 0),
    }
    return Rows(np.arange(count), columns)


def _districts(rng: np.random.Generator, place: Place, count: int) -> pa.Array:
    districts = districts_of(place.collection, place.kommune)
    codes = list(districts)
    if place.bydel in codes:
        return pa.array([place.bydel] * count, pa.string())
    if not codes:
        return pa.array([place.collection.no_bydel] * count, pa.string())
    weights = np.array(list(districts.values()), np.float64)
    return choices(codes, pick(rng, np.tile(weights, (count, 1))))


def _seen(rng: np.random.Generator, place: Place, people: People, who: Bits) -> pa.Array:
    """Draw a date within the last twelve months of the year."""
    return dates(np.maximum(place.last_day - rng.integers(0, 350, len(people)), people.born), ~who)


def _days_before(rng: np.random.Generator, place: Place, born: Ints, most: int) -> Ints:
    days: Ints = np.maximum(place.last_day - rng.integers(0, most, len(born)), born)
    return days
