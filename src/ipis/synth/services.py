"""What persons get: services with time, dates and unit, and the decisions behind them, refusals included."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa

from ipis.kernel.demo import demo_care_unit
from ipis.synth.people import People, Place
from ipis.synth.rates import PROFILES, rates, share
from ipis.synth.rows import Bits, Ints, Rows, blank, choices, dates, decimals, numbered, numbers

UNITS = 10
"""Care units of a demo municipality."""

_SHORT_STAYS, _ACUTE, _DAYS_OF_ACUTE = ("18", "19", "20"), "25", 14
_PENDING = 4
_MEAN_DAYS_RUNNING = 1000.0
_FIRST_START = (date(1980, 1, 1) - date(1970, 1, 1)).days


@dataclass(frozen=True, slots=True)
class Services:
    """Drawn services, sorted by person: code (a place in `codes`), days of start and end (end -1 while running)."""

    codes: list[str]
    person: Ints
    code: Ints
    start: Ints
    end: Ints

    def is_code(self, *codes: str) -> Bits:
        """Tell which services have one of these codes."""
        return np.isin(self.code, [self.codes.index(code) for code in codes if code in self.codes])


def draw_services(rng: np.random.Generator, place: Place, people: People) -> Services:
    """Draw each person's services by profile and age; everybody has at least one."""
    table = place.collection.codes["service_types_valid"]
    codes: list[str] = table["code"].to_pylist()
    gets = np.zeros((len(people), len(codes)), np.bool_)
    for number, code in enumerate(codes):
        chance = np.array([rates()["services"][profile].get(code, 0.0) for profile in PROFILES])[people.profile]
        low, high = rates()["ages"].get(code, (0, 150))
        fits = (people.age >= low) & (people.age <= high)
        gets[:, number] = (rng.random(len(people)) < chance) & fits
    nothing = ~gets.any(axis=1)
    for code in rates()["fallback"]["codes"]:
        if code in codes:
            low, high = rates()["ages"].get(code, (0, 150))
            fits = nothing & (people.age >= low) & (people.age <= high)
            gets[fits, codes.index(code)] = True
            nothing &= ~fits
    person, code_number = np.nonzero(gets)
    services = Services(codes, person, code_number, np.zeros(len(person), np.int64), np.zeros(len(person), np.int64))
    _draw_dates(rng, place, people, services)
    return services


def _draw_dates(rng: np.random.Generator, place: Place, people: People, services: Services) -> None:
    """Fill in start and end: start after birth and 1980, end in the year; short stays are short."""
    count, first, last = len(services.person), place.first_day, place.last_day
    ago = np.floor(rng.exponential(_MEAN_DAYS_RUNNING, count)).astype(np.int64)
    earliest = np.maximum(people.born[services.person], _FIRST_START)
    start = np.maximum(last - 1 - ago, earliest)
    # One in forty at least: even the smallest extract has services that ended.
    ended = (rng.random(count) < share("ended")) | (np.arange(count) % 40 == 0)
    end = np.maximum(first, start) + np.floor(rng.random(count) * (last - np.maximum(first, start) + 1)).astype(
        np.int64
    )
    short, acute = services.is_code(*_SHORT_STAYS), services.is_code(_ACUTE)
    born_then = np.maximum(first - 60, earliest)
    stay = np.where(acute, rng.integers(1, _DAYS_OF_ACUTE + 1, count), rng.integers(7, 120, count))
    entered = born_then + np.floor(rng.random(count) * (last - born_then)).astype(np.int64)
    left = np.maximum(entered + stay - 1, first)
    entered = np.where(acute, np.maximum(entered, left - _DAYS_OF_ACUTE + 1), entered)
    brief = short | acute
    services.start[:] = np.where(brief, entered, start)
    services.end[:] = np.where(brief, np.where(left > last, -1, left), np.where(ended, end, -1))


def end_at_death(services: Services, died: Ints) -> None:
    """End what runs on the day its person died (-1: lives)."""
    day = died[services.person]
    running_on = (services.end < 0) | (services.end > day)
    services.end[(day >= 0) & running_on] = day[(day >= 0) & running_on]


def days_of_death(rng: np.random.Generator, place: Place, people: People, services: Services) -> Ints:
    """Draw days of death in the year, after each of the person's services began; -1 for those who live."""
    latest = np.full(len(people), place.first_day, np.int64)
    np.maximum.at(latest, services.person, services.start)
    day = latest + np.floor(rng.random(len(people)) * (place.last_day - latest + 1)).astype(np.int64)
    return np.where(people.dies, day, -1)


def service_rows(rng: np.random.Generator, place: Place, people: People, services: Services, decision: Ints) -> Rows:
    """Write services as rows; `decision` is the running number of the decision behind each, -1 for none."""
    known = place.collection.codes["service_types_valid"].to_pylist()
    unit = np.array([row["unit"] or "" for row in known])[services.code]
    group = np.array([row["group"] or "" for row in known])[services.code]
    housing = group == "housing"
    staffed = housing & (rng.random(len(unit)) < share("housing_staffed"))
    minutes = _minutes_a_week(rng, people, services, unit == "hours")
    timed = unit == "hours"
    staff = np.where(staffed, rng.integers(0, 2, len(unit)), 2)
    days = np.where(services.is_code("08"), rng.integers(2, 7, len(unit)) / 2, 7.0)
    columns = {
        "tjenesteId": numbered(f"T{place.bydel}", np.arange(1, len(unit) + 1), 7),
        "vedtakId": blank(numbered(f"V{place.bydel}", np.maximum(decision, 0) + 1, 7), decision < 0),
        "kode": choices(services.codes, services.code),
        "startDato": dates(services.start),
        "sluttDato": dates(services.end, services.end < 0),
        "timerUke": numbers(minutes // 60, ~timed),
        "minutterUke": numbers(minutes % 60, ~timed),
        "dognUke": decimals(days, 1, unit != "days"),
        "orgNr": _units(rng, place, services, known, staffed),
        "boligBemanning": choices(["1", "2", "3"], staff, ~housing),
        "ordinaerBolig": choices(["1", "2"], rng.integers(0, 2, len(unit)), ~housing),
    }
    return Rows(services.person, columns)


def _minutes_a_week(rng: np.random.Generator, people: People, services: Services, timed: Bits) -> Ints:
    """Draw granted minutes, log-normal by code and need, in steps of five; a person's hours stay below a week."""
    hours: dict[str, Any] = rates()["hours"]
    settings = np.array([hours.get(code, [1.0, 1.0, 1.0, 1.0]) for code in services.codes])[services.code]
    median = settings[np.arange(len(settings)), people.need[services.person]]
    drawn = median * np.exp(rng.normal(0.0, hours["spread"], len(settings)))
    drawn = np.where(timed, np.minimum(drawn, settings[:, 3]), 0.0)
    total = np.bincount(services.person, weights=drawn, minlength=len(people))
    drawn *= np.minimum(1.0, hours["total_cap"] / np.maximum(total, 1.0))[services.person]
    minutes: Ints = np.maximum(np.floor(drawn * 12).astype(np.int64) * 5, 5)
    return minutes


def _units(
    rng: np.random.Generator, place: Place, services: Services, known: list[dict[str, Any]], staffed: Bits
) -> pa.Array:
    """Give each service a unit where the year's rule for its code asks for or allows one."""
    rule = np.array([row["orgnr"] or "" for row in known])[services.code]
    given = (rule == "required") | ((rule == "required_if_staffed") & staffed)
    given |= (rule == "optional") & (rng.random(len(rule)) < share("orgnr_when_optional"))
    units = [demo_care_unit(place.kommune, n) for n in range(UNITS)]
    return choices(units, rng.integers(0, UNITS, len(rule)), ~given)


@dataclass(frozen=True, slots=True)
class Decisions:
    """Drawn decisions, sorted by person; those behind services first within a person."""

    rows: Rows
    of_service: Ints


def draw_decisions(rng: np.random.Generator, place: Place, people: People, services: Services) -> Decisions:
    """Draw the decision behind each service (a few have none), and refused, withdrawn and pending applications."""
    behind = np.flatnonzero(~_without_decision(rng, len(services.person)))
    extra_person, extra_outcome = _other_applications(rng, people)
    person = np.concatenate([services.person[behind], extra_person])
    code = np.concatenate([services.code[behind], rng.integers(0, len(services.codes), len(extra_person))])
    partly = rng.random(len(behind)) < 0.1
    outcome = np.concatenate([np.where(partly, 1, 0), extra_outcome])
    latest = place.first_day + np.floor(rng.random(len(extra_person)) * 364).astype(np.int64)
    decided = np.concatenate([services.start[behind] - rng.integers(0, 30, len(behind)), latest])
    decided = np.maximum(decided, people.born[person])
    applied = np.maximum(decided - rng.integers(0, 90, len(person)), people.born[person])
    order = np.argsort(person, kind="stable")
    of_service = np.full(len(services.person), -1, np.int64)
    places = np.empty(len(order), np.int64)
    places[order] = np.arange(len(order))
    of_service[behind] = places[: len(behind)]
    columns = {
        "vedtakId": numbered(f"V{place.bydel}", np.arange(1, len(order) + 1), 7),
        "tjenesteKode": choices(services.codes, code[order]),
        "soknadDato": dates(applied[order]),
        "vedtakDato": dates(decided[order], outcome[order] == _PENDING),
        "utfall": choices(["1", "2", "3", "4", "5"], outcome[order]),
        "klage": choices(["1", "2"], (rng.random(len(order)) > 0.02).astype(np.int64), rng.random(len(order)) < 0.3),
    }
    return Decisions(Rows(person[order], columns), of_service)


def _without_decision(rng: np.random.Generator, count: int) -> Bits:
    # By place and not by chance: in a file of any size the share stays well below what a rule would ask about.
    every = int(1 / share("without_decision"))
    without: Bits = np.arange(count) % every == int(rng.integers(1, every))
    return without


def _other_applications(rng: np.random.Generator, people: People) -> tuple[Ints, Ints]:
    """Draw who else applied, and how it ended; with every two hundred persons there is a refusal."""
    draw = rng.random(len(people))
    outcome = np.full(len(people), -1, np.int64)
    edge = 0.0
    for code, name in ((2, "refused"), (3, "withdrawn"), (4, "pending")):
        outcome[(draw >= edge) & (draw < edge + share(name))] = code
        edge += share(name)
    outcome[::50] = 2
    person = np.flatnonzero(outcome >= 0)
    return person, outcome[person]
