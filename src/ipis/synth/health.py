"""What is recorded of a person: diagnoses, participation, and the person's own fields."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from ipis.synth import identities
from ipis.synth.people import People, Place, districts_of, has_participation
from ipis.synth.rates import PROFILES, share
from ipis.synth.rows import Bits, Rows, choices, dates, decimals, joined, numbers
from ipis.synth.services import Times, user_serials

_CHAPTERS = "ADKLNPRTU"
_MOST_DIAGNOSES = 3
_CHILD = 16
_FIRST_CODE, _CODES = 70, 30
_YEAR = 365
_AREAS = ("arbeid", "organisasjon", "kultur", "transport")


def diagnosis_rows(people: People) -> Rows:
    """Draw one to three different diagnoses for each person; codes by syntax, since ICPC-2 is licensed."""
    count = 1 + people.lots.pick("diagnoses", np.array([0.42, 0.46, 0.12]))
    person = np.repeat(np.arange(len(people)), count)
    serial = np.arange(len(person)) - np.repeat(np.cumsum(count) - count, count)
    lots = people.lots.take(person).child(serial, "diagnosis")
    chapter = (people.lots.below("chapter", len(_CHAPTERS))[person] + serial) % len(_CHAPTERS)
    place = chapter * _CODES + lots.below("code", _CODES)
    icd = lots.hits("icd", share("icd")).astype(np.int64)
    plain = [f"{letter}{number}" for letter in _CHAPTERS for number in range(_FIRST_CODE, _FIRST_CODE + _CODES)]
    words = [*plain, *(f"{code}3" for code in plain)]
    set_on = np.maximum(people.members.entered[person] - lots.below("set", 3000), people.born[person])
    columns = {
        "diagNr": numbers(serial + 1),
        "kodeverk": choices(["1", "2"], icd),
        "kode": choices(words, place + icd * len(plain)),
        "dato": dates(set_on, lots.hits("undated", 0.2)),
    }
    return Rows(person, columns)


def participation_rows(place: Place, people: People, times: Times) -> Rows:
    """Draw participation: help is received only where it is needed."""
    person = np.flatnonzero(has_participation(people))
    lots, year = people.lots.take(person), place.collection.year
    earliest = np.maximum(place.first_day, people.born[person])
    columns = {"dato": dates(earliest + lots.below(f"took part in {year}", times.last[person] - earliest + 1))}
    for area in _AREAS:
        need = lots.pick(f"{area} need", np.array([0.25, 0.65, 0.10]))
        gets = lots.pick(f"{area} gets", np.array([0.5, 0.2, 0.3]))
        columns[f"{area}Behov"] = choices(["1", "2", "9"], need)
        columns[f"{area}Mottar"] = choices(["1", "2", "3"], gets, need != 0)
    return Rows(person, columns)


def person_rows(place: Place, people: People, times: Times) -> Rows:
    """Write the persons themselves."""
    lots, members = people.lots, people.members
    count, child = len(people), people.age < _CHILD
    cares = (people.age >= 20) & (people.age <= 55) & lots.hits("cares", 0.25)
    helped = lots.hits("helped", share("private_help"))
    plan = lots.pick("plan", np.array([share("plan"), 0.6, 0.04, 0.3]))
    screened = lots.hits("screened", 0.5)
    household = np.where(child, 2, lots.pick("household", np.array([0.55, 0.30, 0.12, 0.03])))
    hours = np.minimum(np.exp(1.0 + 0.8 * lots.normal("private help")), 60.0)
    stays = people.profile == PROFILES.index("long_term")
    columns = {
        "brukerNr": joined("B", user_serials(place, people)),
        "fid": identities.texts(members.numbers),
        "typeID": choices(["1", "2"], members.d_number.astype(np.int64)),
        "bostedKommuneNr": choices([place.kommune], np.zeros(count, np.int64)),
        "bostedBydel": _districts(place, people),
        "husstand": choices(["1", "2", "3", "9"], household),
        "omsorgBarn": choices(["2", "1"], cares.astype(np.int64)),
        "boforholdEgnet": choices(["1", "2", "9"], lots.pick("dwelling", np.array([0.8, 0.1, 0.1]))),
        "privatHjelp": choices(["2", "1"], helped.astype(np.int64)),
        "privatHjelpTimer": decimals(hours, 2, ~helped),
        "legeDato": _seen(place, people, times, "doctor", stays | lots.hits("doctor", 0.7)),
        "tannhelseDato": _seen(place, people, times, "dentist", stays | lots.hits("dentist", 0.3)),
        "ernaeringDato": _seen(place, people, times, "nutrition", screened),
        "ernaeringRisiko": choices(["1", "2"], lots.hits("at risk", 0.2).astype(np.int64), ~screened),
        "individuellPlan": choices(["1", "2", "3", "9"], plan),
        "koordinator": choices(["1", "2", "3", "9"], plan),
        "dodsDato": dates(times.died, times.died < 0),
    }
    return Rows(np.arange(count), columns)


def _districts(place: Place, people: People) -> pa.Array:
    """Give the sending district; where the whole city sends, a district by its inhabitants."""
    known = districts_of(place.collection, place.kommune)
    if place.bydel in known or not known:
        own = place.bydel if known else place.collection.no_bydel
        return choices([own], np.zeros(len(people), np.int64))
    parts = np.array(list(known.values()), np.float64)
    return choices(list(known), people.lots.pick("district", parts))


def _seen(place: Place, people: People, times: Times, by_whom: str, who: Bits) -> pa.Array:
    """Draw a day of the year, at latest that of leaving."""
    earliest = np.maximum(place.first_day, people.born)
    lots = people.lots
    days = earliest + lots.below(f"{by_whom} in {place.collection.year}", times.last - earliest + 1)
    return dates(days, ~who)
