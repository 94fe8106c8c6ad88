"""What persons get: lasting services from entry to leaving, and stays of the year, with time, dates and unit.

A lasting service keeps its number and start from year to year; a stay over New Year stands in both years' files.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa

from ipis.kernel.collection import Collection
from ipis.kernel.demo import demo_care_unit
from ipis.synth.lots import Floats, Lots
from ipis.synth.people import People, Place
from ipis.synth.rates import PROFILES, rates, share
from ipis.synth.rows import Bits, Ints, Rows, choices, dates, decimals, digits, joined, numbers

UNITS = 10
"""Care units of a demo municipality."""
INSTITUTIONS = 8
"""How many of them, the first, are institutions."""

_STAYS, _ACUTE, _DAYS_OF_ACUTE = ("18", "19", "20"), "25", 14
_LONG_TERM = PROFILES.index("long_term")
_LONGEST_LAG = 120
_STAY_OF_ALL = 15
_FORMS = ("", "N", "S", "A")
"""What a service is, as its number says: lasting, a stay over New Year, a stay within the year, acute."""


@dataclass(frozen=True, slots=True)
class Services:
    """Drawn services, sorted by person; `code`: place in `codes`, `end`: -1 while running, `began`: year of a stay."""

    codes: tuple[str, ...]
    person: Ints
    code: Ints
    form: Ints
    began: Ints
    start: Ints
    end: Ints
    lots: Lots
    names: pa.Array

    def is_code(self, *codes: str) -> Bits:
        """Tell which services have one of these codes."""
        return np.isin(self.code, [self.codes.index(code) for code in codes if code in self.codes])


@dataclass(frozen=True, slots=True)
class Types:
    """The year's service types: code, unit, group and rule on the organisation number, a place each."""

    codes: tuple[str, ...]
    unit: tuple[str, ...]
    group: tuple[str, ...]
    orgnr: tuple[str, ...]

    @classmethod
    def of(cls, collection: Collection) -> Types:
        """Read them from the code list."""
        rows: list[dict[str, Any]] = collection.codes["service_types_valid"].to_pylist()
        parts = {name: tuple(row[name] or "" for row in rows) for name in ("code", "unit", "group", "orgnr")}
        return cls(parts["code"], parts["unit"], parts["group"], parts["orgnr"])


@dataclass(frozen=True, slots=True)
class Times:
    """From when to when each person's services run: last possible day in the year, and the day of leaving or -1."""

    last: Ints
    left: Ints
    died: Ints


@dataclass(frozen=True, slots=True)
class _Some:
    """Services of one form, before they are put together."""

    person: Ints
    code: Ints
    start: Ints
    end: Ints
    began: int
    form: str


def draw_services(place: Place, people: People, types: Types) -> tuple[Services, Times]:
    """Draw each person's services, and when those who leave do; everybody has at least one service."""
    lasting = _lasting(place, people, types)
    latest = np.zeros(len(people), np.int64)
    np.maximum.at(latest, lasting.person, lasting.start)
    times = _times(place, people, latest)
    lasting.end[:] = times.left[lasting.person]
    some = [
        lasting,
        *_over_new_year(place, people, types, times, place.collection.year - 1),
        *_over_new_year(place, people, types, times, place.collection.year),
        *_within_year(place, people, types, times),
    ]
    return _together(place, people, types, some), times


def _lasting(place: Place, people: People, types: Types) -> _Some:
    gets = np.zeros((len(people), len(types.codes)), np.bool_)
    for number, code in enumerate(types.codes):
        chance = np.array([rates()["services"][profile].get(code, 0.0) for profile in PROFILES])
        if chance.any():
            gets[:, number] = people.lots.hits(f"gets {code}", chance[people.profile]) & _fits(people, code)
    nothing = ~gets.any(axis=1)
    for code in rates()["fallback"]["codes"]:
        if code in types.codes:
            gets[:, types.codes.index(code)] |= nothing & _fits(people, code)
            nothing &= ~_fits(people, code)
    begins = _later_begins(place, people, types, gets)
    person, code_number = np.nonzero(gets)
    entered = people.members.entered[person]
    lots = people.lots.take(person).child(code_number, "service")
    # The first service begins on the day of entry, the others in the months after it, in the same year.
    room = np.minimum(_year_ends(people.members.came)[person] - entered, _LONGEST_LAG)
    lag = lots.below("lag", np.maximum(room, 0) + 1)
    first = np.concatenate([[True], person[1:] != person[:-1]]) if len(person) else np.zeros(0, np.bool_)
    start = entered + np.where(first, 0, lag)
    for number, day in begins.items():
        start = np.where(code_number == number, np.maximum(start, day[person]), start)
    return _Some(person, code_number, start, np.full(len(person), -1), 0, "")


def _fits(people: People, code: str) -> Bits:
    low, high = rates()["ages"].get(code, (0, 150))
    fits: Bits = (people.age_at_entry >= low) & (people.age_at_entry <= high)
    return fits


def _later_begins(place: Place, people: People, types: Types, gets: Bits) -> dict[int, Ints]:
    """Leave out services that come into use later than this year; give the first days of those that came late."""
    begins: dict[int, Ints] = {}
    for code, late in rates()["new"].items():
        if code not in types.codes:
            continue
        number = types.codes.index(code)
        # So many times as many each year: the last to begin do so in the year in which all who may have it do.
        years_early = np.floor(-np.log1p(-people.lots.uniform(f"begins {code}")) / np.log(late["grows"]))
        year = late["all_in"] - years_early.astype(np.int64)
        # Whoever has nothing else has had it from the start.
        others = gets.sum(axis=1) > gets[:, number]
        gets[:, number] &= ~(others & (year > place.collection.year))
        day = _year_ends(year - 1) + 1 + people.lots.below(f"begins {code} on", 365)
        begins[number] = np.where(others & (year <= place.collection.year), day, 0)
    return begins


def _year_ends(years: Ints) -> Ints:
    return (years + 1 - 1970).astype("datetime64[Y]").astype("datetime64[D]").astype(np.int64) - 1


def _times(place: Place, people: People, latest: Ints) -> Times:
    earliest = np.maximum(latest, place.first_day)
    drawn = earliest + people.lots.below("leaves", place.last_day - earliest + 1)
    left = np.where(people.members.leaves, drawn, -1)
    return Times(np.where(left >= 0, left, place.last_day), left, np.where(people.dies, left, -1))


def _over_new_year(place: Place, people: People, types: Types, times: Times, year: int) -> list[_Some]:
    """Give stays that run on the last day of a year; of last year's, those of persons who were there then."""
    chance = np.array(rates()["stays"]["over_new_year"])[people.need]
    has = people.lots.hits(f"stay over {year}", chance) & _may_stay(people)
    has &= (people.members.came <= year) & ~(people.members.leaves & (year == place.collection.year))
    person = np.flatnonzero(has)
    lots = people.lots.take(person)
    last = int(_year_ends(np.array([year]))[0])
    start = np.maximum(last - lots.below(f"stay over {year} from", 45), people.members.entered[person])
    end = np.minimum(last + 1 + lots.below(f"stay over {year} to", 75), times.last[person])
    end = np.where(year == place.collection.year, -1, end)
    return [_Some(person, _stay_code(lots, types, 0), start, end, year, "N")]


def _within_year(place: Place, people: People, types: Types, times: Times) -> list[_Some]:
    """Give stays and acute stays that begin and end in the year; every so many persons have one."""
    chance = np.array(rates()["stays"]["within_year"])[people.need]
    has = people.lots.hits(f"stay in {place.collection.year}", chance) & _may_stay(people)
    every = np.arange(len(people)) % _STAY_OF_ALL == 0
    has |= every & people.assessed
    person = np.flatnonzero(has)
    lots = people.lots.take(person)
    start, end = _within(place, people, times, person, "stay", 60)
    some = [_Some(person, _stay_code(lots, types, 1), start, end, place.collection.year, "S")]
    if _ACUTE in types.codes:
        acute = people.lots.hits(f"acute in {place.collection.year}", rates()["stays"]["acute"])
        acute &= _fits(people, _ACUTE) & (people.profile != _LONG_TERM)
        person = np.flatnonzero(acute | (every & ~people.assessed))
        start, end = _within(place, people, times, person, "acute", _DAYS_OF_ACUTE)
        code = np.full(len(person), types.codes.index(_ACUTE))
        some.append(_Some(person, code, start, end, place.collection.year, "A"))
    return some


def _may_stay(people: People) -> Bits:
    # Nobody stays without having been assessed; who stays for good does not stay for a time.
    may: Bits = people.assessed & (people.profile != _LONG_TERM)
    return may


def _within(place: Place, people: People, times: Times, person: Ints, what: str, most: int) -> tuple[Ints, Ints]:
    lots, year = people.lots.take(person), place.collection.year
    earliest = np.maximum(people.members.entered[person], place.first_day)
    start = earliest + lots.below(f"{what} in {year} from", times.last[person] - earliest + 1)
    return start, np.minimum(start + lots.below(f"{what} in {year} for", most), times.last[person])


def _stay_code(lots: Lots, types: Types, turn: int) -> Ints:
    # Stays over New Year and within the year are of different kinds: two of one kind never overlap.
    codes = np.array([types.codes.index(code) for code in _STAYS if code in types.codes])
    return codes[(lots.pick("stay", np.array(rates()["stays"]["kinds"][: len(codes)])) + turn) % len(codes)]


def _together(place: Place, people: People, types: Types, some: list[_Some]) -> Services:
    sizes = [len(each.person) for each in some]
    person = np.concatenate([each.person for each in some])
    order = np.argsort(person, kind="stable")
    form = np.repeat([_FORMS.index(each.form) for each in some], sizes)[order]
    began = np.repeat([each.began for each in some], sizes)[order]
    code = np.concatenate([each.code for each in some])[order]
    person = person[order]
    kinds = form * 100_000 + began * 10 + code * 1_000_000
    return Services(
        codes=types.codes,
        person=person,
        code=code,
        form=form,
        began=began,
        start=np.concatenate([each.start for each in some])[order],
        end=np.concatenate([each.end for each in some])[order],
        lots=people.lots.take(person).child(kinds, "service and stay"),
        names=_names(place, people, types, person, code, form, began),
    )


def _names(place: Place, people: People, types: Types, person: Ints, code: Ints, form: Ints, began: Ints) -> pa.Array:
    """Name each service by its person, code and, if it is a stay, year: what service and decision numbers end in."""
    words = [f"-{each}{letter}" for each in types.codes for letter in _FORMS]
    plain = pa.array(words).take(pa.array(code * len(_FORMS) + form))
    years = [f"{year % 100:02}" for year in range(place.collection.year - 1, place.collection.year + 1)]
    when = pa.array(["", *years]).take(pa.array(np.where(form == 0, 0, began - place.collection.year + 2)))
    return joined(user_serials(place, people).take(pa.array(person)), plain, when)


def user_serials(place: Place, people: People) -> pa.Array:
    """Give what a person's numbers have after their letter: district, two letters for the year of coming, rank."""
    members = people.members
    came = members.came - rates()["register"]["first_year"] + 26
    letters = [chr(65 + each // 26 % 26) + chr(65 + each % 26) for each in range(int(came.max(initial=0)) + 1)]
    joint = [f"{place.bydel}{'' if pool == place.kommune else 'K' + pool}" for pool in members.pools]
    return joined(choices(joint, members.pool), choices(letters, came), digits(members.rank, 5))


def service_rows(place: Place, people: People, services: Services, types: Types, decision: pa.Array) -> Rows:
    """Write services as rows; `decision` is the number of the decision behind each, null for none."""
    lots, count = services.lots, len(services.person)
    unit = np.array(types.unit)[services.code]
    housing = np.array(types.group)[services.code] == "housing"
    staff = lots.pick("staff", np.array(rates()["housing"]["staff"]))
    minutes = minutes_a_week(people, services, types)
    timed = unit == "hours"
    days = np.where(services.is_code("08"), (2 + lots.below("days", 5)) / 2, 7.0)
    columns = {
        "tjenesteId": joined("T", services.names),
        "vedtakId": decision,
        "kode": choices(services.codes, services.code),
        "startDato": dates(services.start),
        "sluttDato": dates(services.end, services.end < 0),
        "timerUke": numbers(minutes // 60, ~timed),
        "minutterUke": numbers(minutes % 60, ~timed),
        "dognUke": decimals(days, 1, unit != "days"),
        "orgNr": _units(place, services, types, housing & (staff < 2)),
        "boligBemanning": choices(["1", "2", "3"], staff, ~housing),
        "ordinaerBolig": choices(["1", "2"], lots.below("ordinary", 2), np.full(count, True) & ~housing),
    }
    return Rows(services.person, columns)


@cache
def _hours_settings(codes: tuple[str, ...]) -> Floats:
    hours: dict[str, Any] = rates()["hours"]
    return np.array([hours.get(code, [1.0, 1.0, 1.0, 1.0]) for code in codes])


def minutes_a_week(people: People, services: Services, types: Types) -> Ints:
    """Draw granted minutes, log-normal by code, need and age, in steps of five; a person's hours stay below a week."""
    hours: dict[str, Any] = rates()["hours"]
    settings = _hours_settings(types.codes)[services.code]
    median = settings[np.arange(len(settings)), people.need[services.person]]
    by_age = np.isin(services.code, [types.codes.index(code) for code in hours["by_age_codes"] if code in types.codes])
    group = np.searchsorted(np.array(rates()["first_age"])[1:], people.age_at_entry, side="right")[services.person]
    median = median * np.where(by_age, np.array(hours["by_age"])[group], 1.0)
    drawn = median * np.exp(hours["spread"] * services.lots.normal("hours"))
    timed = np.array([unit == "hours" for unit in types.unit])[services.code]
    drawn = np.where(timed, np.minimum(drawn, settings[:, 3]), 0.0)
    total = np.bincount(services.person, weights=drawn, minlength=len(people))
    drawn *= np.minimum(1.0, hours["total_cap"] / np.maximum(total, 1.0))[services.person]
    minutes: Ints = np.maximum(np.floor(drawn * 12).astype(np.int64) * 5, 5)
    return minutes


def _units(place: Place, services: Services, types: Types, staffed: Bits) -> pa.Array:
    """Give each service a unit where the year's rule for its code asks for or allows one."""
    rule = np.array(types.orgnr)[services.code]
    given = (rule == "required") | ((rule == "required_if_staffed") & staffed)
    given |= (rule == "optional") & services.lots.hits("unit given", share("orgnr_when_optional"))
    units = [demo_care_unit(place.kommune, n) for n in range(UNITS)]
    drawn = services.lots.below("unit", UNITS)
    # The last units of the synthetic list are home services (codes/care_units.csv): no stay is at one (K081).
    stay = np.array([group == "institution" for group in types.group])[services.code]
    return choices(units, np.where(stay, drawn % INSTITUTIONS, drawn), ~given)
