"""The error mix of real deliveries (`mix` in rates.toml), planted in whole columns with the findings that follow.

Each kind of fault takes persons or services that no other kind has taken where the two would change each other's
findings; persons with a fault of the catalogue are left alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ipis.kernel.demo import demo_care_unit, demo_orgnr
from ipis.synth import identities
from ipis.synth.faults import whole
from ipis.synth.faults.listed import Listed
from ipis.synth.people import Place
from ipis.synth.rates import rates
from ipis.synth.rows import Bits, Draw, Ints, Rows, dates, joined

_PRACTICAL, _NURSING, _LONG_TERM = ("01", "02", "03"), ("15",), ("21",)
_SHORT_STAYS = ("18", "19", "20")
_WEEK = 168 * 60
_FEW_UNTIL = 8
_UNLISTED, _HOME_UNIT = 50, 9
_WRONG_UNIT = "812345678"
_FORTY_MONTHS, _FIRST_DIGIT = 4_000_000, 100_000_000
_NO_DATE = -1_000_000


@dataclass(slots=True)
class Mixing:
    """An extract in which the mix is being planted: rows by record, persons free to take, and the findings so far."""

    place: Place
    rng: np.random.Generator
    rows: dict[str, Rows]
    free: Bits
    listed: Listed
    at_ssb: Listed

    def user(self, persons: Ints) -> pa.Array:
        """Give user numbers."""
        return self.rows["person"].columns["brukerNr"].take(pa.array(persons))

    def put(self, record: str, values: Mapping[str, pa.Array | None], places: Ints) -> None:
        """Put values into fields of some rows, in the order of the places; None empties a field."""
        if not len(places):
            return
        rows, columns = self.rows[record], dict(self.rows[record].columns)
        order = np.argsort(places, kind="stable")
        mask = np.zeros(len(rows), np.bool_)
        mask[places] = True
        for name, value in values.items():
            given = pa.nulls(len(places), pa.string()) if value is None else value.take(pa.array(order))
            columns[name] = pc.replace_with_mask(columns[name], pa.array(mask), given)
        self.rows[record] = Rows(rows.person, columns)

    def some(self, places: Ints, count: float) -> Ints:
        """Choose so many of some places at random, in order."""
        whole = int(count + self.rng.random())
        return np.sort(self.rng.permutation(places)[:whole])


def mix(draw: Draw, place: Place, taken: Ints, seed: int, listed: Listed, at_ssb: Listed) -> Draw:
    """Plant the mix; `taken` are persons to leave alone, `at_ssb` lists what SSB alone finds of it."""
    free = np.ones(draw.persons, np.bool_)
    free[taken] = False
    rng = np.random.default_rng([seed, place.collection.year, int(place.kommune), int(place.bydel), 2])
    mixing = Mixing(place, rng, dict(draw.rows), free, listed, at_ssb)
    if whole.fault_of(place, seed) == "guests":
        _guests(mixing)
    without = _without_level(mixing)
    _without_diagnosis(mixing)
    _identities(mixing)
    services = _Services.of(mixing)
    _ended_before_start(mixing, services, without)
    _wrong_units(mixing, services)
    _without_hours(mixing, services)
    _twice(mixing, services)
    return Draw(draw.header, mixing.rows)


def _share(name: str) -> float:
    return float(rates()["mix"][name])


def _has(rows: Rows, codes: tuple[str, ...], count: int, which: pa.Array | None = None) -> Bits:
    hits = pc.is_in(rows.columns["kode"], pa.array(codes))
    hits = pc.fill_null(hits if which is None else pc.and_(hits, which), fill_value=False)
    found: Bits = np.zeros(count, np.bool_)
    found[rows.person[hits.to_numpy(zero_copy_only=False)]] = True
    return found


def _without_level(mixing: Mixing) -> Bits:
    """Leave out assessments, or all but a few scores, by what the person gets; tell who has none left."""
    services, assessments = mixing.rows["tjeneste"], mixing.rows["vurdering"]
    count = len(mixing.free)
    running = services.columns["sluttDato"].is_null()
    practical, nursing = _has(services, _PRACTICAL, count), _has(services, _NURSING, count)
    kinds = [
        _has(services, _LONG_TERM, count),
        _has(services, _SHORT_STAYS, count, running),
        practical & nursing,
        practical,
        nursing,
    ]
    levels = rates()["mix"]["without_level"]
    names = ("long_term", "time_limited", "both", "practical", "nursing")
    chance = np.select(kinds, [levels[name] for name in names], 0.0)
    assessed = np.zeros(count, np.bool_)
    assessed[assessments.person] = True
    chosen: Bits = mixing.free & assessed & (mixing.rng.random(count) < chance)
    few = chosen & ~kinds[0] & (mixing.rng.random(count) < _share("few_scores"))
    _few_scores(mixing, few)
    none: Bits = chosen & ~few
    mixing.rows["vurdering"] = mixing.rows["vurdering"].keep(~none[mixing.rows["vurdering"].person])
    asked = none & _has(services, ("01", "15", *_SHORT_STAYS, *_LONG_TERM), count)
    mixing.listed.add("K094", "person", mixing.user(np.flatnonzero(asked)), None, "")
    return none


def _few_scores(mixing: Mixing, who: Bits) -> None:
    rows = mixing.rows["vurdering"]
    places = np.flatnonzero(who[rows.person])
    scores = mixing.place.collection.layout.records["vurdering"].families["F"]
    unlike = {
        scores[1]: pa.array(["1"] * len(places), pa.string()),
        scores[2]: pa.array(["2"] * len(places), pa.string()),
    }
    mixing.put("vurdering", unlike | dict.fromkeys(scores[_FEW_UNTIL:], None), places)
    mixing.listed.add(
        "K097", "vurdering", mixing.user(rows.person[places]), rows.columns["dato"].take(pa.array(places)), ""
    )


def _guests(mixing: Mixing) -> None:
    """Let some live elsewhere: in the first municipality that has no districts."""
    codes, kommune = mixing.place.collection.codes, mixing.place.kommune
    cities = {*codes["bydeler"]["kommune"].to_pylist(), kommune}
    home = next(name for name in sorted(mixing.place.collection.kommuner) if name not in cities)
    chance = rates()["mix"]["whole"]["guests_share"]
    persons = np.flatnonzero(mixing.free & (mixing.rng.random(len(mixing.free)) < chance))
    mixing.put("person", {"bostedKommuneNr": pa.array([home] * len(persons), pa.string())}, persons)
    mixing.listed.add("K031", "person", mixing.user(persons), None, "bostedKommuneNr")


def _without_diagnosis(mixing: Mixing) -> None:
    none = mixing.free & (mixing.rng.random(len(mixing.free)) < _share("without_diagnosis"))
    mixing.rows["diagnose"] = mixing.rows["diagnose"].keep(~none[mixing.rows["diagnose"].person])
    mixing.listed.add("K049", "person", mixing.user(np.flatnonzero(none)), None, "")


def _identities(mixing: Mixing) -> None:
    """Give some persons a birth date, an H-number or an FH-number, and some wrong check digits."""
    person = mixing.rows["person"].columns
    plain = pc.fill_null(pc.equal(person["typeID"], "1"), fill_value=False).to_numpy(zero_copy_only=False)
    number = _number(person["fid"], mixing.free)
    individual, count = number // 100 % 1000, len(number)
    age = mixing.place.collection.year - (number // 100_000 % 100 + np.where(individual >= 500, 2000, 1900))
    # A date alone must tell the same year of birth: the latest that fits.
    drawn = mixing.rng.permutation(np.flatnonzero(mixing.free & plain & (age < 100)))
    wishes = [_share(name) * count for name in ("birth_date_only", "h_number", "fh_number", "wrong_check_digits")]
    ends = np.cumsum([int(wish + mixing.rng.random()) for wish in wishes])
    date_only, h, fh, wrong = np.split(drawn, np.minimum(ends, len(drawn)))[:4]
    _identify(
        mixing, np.sort(date_only), "9", pc.utf8_slice_codeunits(identities.texts(number[np.sort(date_only)]), 0, 6)
    )
    # An H-number has month + 40 (here from + 80); an FH-number begins with 8 or 9, and keeps the synthetic month.
    stems = {"3": number[np.sort(h)] // 100 - _FORTY_MONTHS, "12": number[np.sort(fh)] // 100 % _FIRST_DIGIT}
    stems["12"] += 8 * _FIRST_DIGIT
    for who, kind in ((h, "3"), (fh, "12")):
        given, usable = identities.with_check_digits(stems[kind])
        _identify(mixing, np.sort(who)[usable], kind, identities.texts(given[usable]))
    _same_person(mixing, drawn[ends[-1] :], number, age, _share("same_person") * count)
    last = number[np.sort(wrong)]
    spoilt = last // 10 * 10 + (last % 10 + 1 + mixing.rng.integers(0, 9, len(last))) % 10
    # Endings that stand for "birth date only" are another fault.
    kept = ~np.isin(spoilt % 100_000, [100, 200, 99_999])
    mixing.put("person", {"fid": identities.texts(spoilt[kept])}, np.sort(wrong)[kept])
    mixing.listed.add("K022", "person", mixing.user(np.sort(wrong)[kept]), None, "fid")


def _same_person(mixing: Mixing, persons: Ints, number: Ints, age: Ints, count: float) -> None:
    """Give persons the number of another of their age, as if one person had two user numbers: SSB alone sees it."""
    sorted_by_age = persons[np.argsort(age[persons], kind="stable")]
    first, second = sorted_by_age[0:-1:2], sorted_by_age[1::2]
    pairs = mixing.some(np.flatnonzero(age[first] == age[second]), count)
    order = np.argsort(second[pairs])
    first, second = first[pairs][order], second[pairs][order]
    mixing.put("person", {"fid": identities.texts(number[first])}, second)
    mixing.at_ssb.add("K027", "person", mixing.user(np.concatenate([first, second])), None, "brukerNr")


def _identify(mixing: Mixing, persons: Ints, kind: str, numbers: pa.Array) -> None:
    kinds = pa.array([kind] * len(persons), pa.string())
    mixing.put("person", {"fid": numbers, "typeID": kinds}, persons)
    mixing.listed.add("K024", "person", mixing.user(persons), None, "typeID")


@dataclass(slots=True)
class _Services:
    """Services that faults are drawn from: days since 1970-01-01, unit, rule on the unit's number, and what is free."""

    start: Ints
    end: Ints
    code: np.ndarray[Any, np.dtype[np.str_]]
    unit: np.ndarray[Any, np.dtype[np.str_]]
    orgnr: np.ndarray[Any, np.dtype[np.str_]]
    minutes: Ints
    given: Bits
    staffed: Bits
    free: Bits

    @classmethod
    def of(cls, mixing: Mixing) -> _Services:
        rows = mixing.rows["tjeneste"]
        free = mixing.free[rows.person]
        columns = rows.columns
        known = {row["code"]: row for row in mixing.place.collection.codes["service_types"].to_pylist()}
        code = np.array(pc.fill_null(columns["kode"], "").to_numpy(zero_copy_only=False), np.str_)
        codes, place = np.unique(code, return_inverse=True)
        unit, rule = (
            np.array([str(known.get(each, {}).get(name) or "") for each in codes.tolist()], np.str_)
            for name in ("unit", "orgnr")
        )
        minutes = [_number(columns[name], free) for name in ("timerUke", "minutterUke")]
        return cls(
            start=_days(columns["startDato"], free),
            end=_days(columns["sluttDato"], free),
            code=code,
            unit=unit[place] if len(codes) else code,
            orgnr=rule[place] if len(codes) else code,
            minutes=minutes[0] * 60 + minutes[1],
            given=columns["orgNr"].is_valid().to_numpy(zero_copy_only=False),
            staffed=pc.fill_null(pc.is_in(columns["boligBemanning"], pa.array(["1", "2"])), fill_value=False).to_numpy(
                zero_copy_only=False
            ),
            free=free,
        )

    def take(self, places: Ints) -> None:
        """Leave these to no other kind of fault."""
        self.free[places] = False


def _days(column: pa.Array, valid: Bits) -> Ints:
    texts = pc.if_else(pa.array(valid), column, pa.scalar(None, pa.string()))
    days: Ints = texts.cast(pa.date32()).cast(pa.int32()).fill_null(_NO_DATE).to_numpy().astype(np.int64)
    return days


def _number(column: pa.Array, valid: Bits) -> Ints:
    texts = pc.if_else(pa.array(valid), column, pa.scalar(None, pa.string()))
    found: Ints = texts.cast(pa.int64()).fill_null(0).to_numpy()
    return found


def _list(mixing: Mixing, rule: str, places: Ints, name: str) -> None:
    rows = mixing.rows["tjeneste"]
    mixing.listed.add(
        rule, "tjeneste", mixing.user(rows.person[places]), rows.columns["tjenesteId"].take(pa.array(places)), name
    )


def _ended_before_start(mixing: Mixing, services: _Services, without: Bits) -> None:
    """End services on the day before they start; the start is in the year, and not that of a long-term stay."""
    suits = services.free & (services.start > mixing.place.first_day) & (services.code != _LONG_TERM[0])
    suits &= ~without[mixing.rows["tjeneste"].person]
    places = mixing.some(np.flatnonzero(suits), _share("ended_before_start") * len(suits))
    mixing.put("tjeneste", {"sluttDato": dates(services.start[places] - 1)}, places)
    _list(mixing, "K063", places, "sluttDato")
    services.take(places)


def _wrong_units(mixing: Mixing, services: _Services) -> None:
    """Leave out numbers of units, and give wrong ones: check digit, unlisted, the municipality's own, forbidden."""
    rule, kommune = services.orgnr, mixing.place.kommune
    total = _share("wrong_units") * len(rule)
    parts = rates()["mix"]["units"]

    def chosen(name: str, suits: Bits) -> Ints:
        places = mixing.some(np.flatnonzero(suits & services.free), total * parts[name])
        services.take(places)
        return places

    places = chosen(
        "missing", ((rule == "required") | ((rule == "required_if_staffed") & services.staffed)) & services.given
    )
    mixing.put("tjeneste", {"orgNr": None}, places)
    _list(mixing, "K075", places[rule[places] == "required"], "orgNr")
    _list(mixing, "K076", places[rule[places] == "required_if_staffed"], "orgNr")
    places = chosen("wrong", services.given)
    _put_unit(mixing, places, _WRONG_UNIT)
    _list(mixing, "K078", places, "orgNr")
    places = chosen("unlisted", services.given)
    _put_unit(mixing, places, demo_care_unit(kommune, _UNLISTED))
    _list(mixing, "K079", places, "orgNr")
    places = chosen("own", services.given)
    _put_unit(mixing, places, demo_orgnr(mixing.place.collection.successors.get(kommune, kommune)))
    _list(mixing, "K079", places, "orgNr")
    _list(mixing, "K080", places, "orgNr")
    # At a unit that is listed, but gives no stays: SSB alone knows its industry.
    units = mixing.place.collection.codes["service_types"]
    stays = units.filter(pc.equal(units["group"], "institution"))["code"].to_pylist()
    places = chosen("not_institution", np.isin(services.code, stays) & services.given)
    _put_unit(mixing, places, demo_care_unit(kommune, _HOME_UNIT))
    places = chosen("forbidden", rule == "forbidden")
    _put_unit(mixing, places, demo_care_unit(kommune, 0))
    _list(mixing, "K077", places, "orgNr")


def _put_unit(mixing: Mixing, places: Ints, number: str) -> None:
    mixing.put("tjeneste", {"orgNr": pa.array([number] * len(places), pa.string())}, places)


def _without_hours(mixing: Mixing, services: _Services) -> None:
    hours = services.unit == "hours"
    places = mixing.some(np.flatnonzero(hours & services.free), _share("without_hours") * np.count_nonzero(hours))
    mixing.put("tjeneste", {"timerUke": None, "minutterUke": None}, places)
    _list(mixing, "K072", places, "timerUke")
    services.take(places)


def _twice(mixing: Mixing, services: _Services) -> None:
    """Enter services a second time, from the day after they start; one a person, and with room for it in the week."""
    rows, last = mixing.rows["tjeneste"], mixing.place.last_day
    lasts = (services.end == _NO_DATE) | (services.end - services.start >= 3)
    total = np.bincount(rows.person, weights=services.minutes, minlength=len(mixing.free))[rows.person]
    suits = services.free & lasts & (services.start < last - 1) & (total + services.minutes <= _WEEK)
    drawn = mixing.rng.permutation(np.flatnonzero(suits))
    one_each = drawn[np.unique(rows.person[drawn], return_index=True)[1]]
    places = mixing.some(one_each, _share("twice") * len(suits))
    taken = pa.array(places)
    columns = {name: column.take(taken) for name, column in rows.columns.items()}
    columns["tjenesteId"] = joined(columns["tjenesteId"], "-2")
    columns["startDato"] = dates(services.start[places] + 1)
    person = np.concatenate([rows.person, rows.person[places]])
    order = pa.array(np.argsort(person, kind="stable"))
    whole = {name: pa.concat_arrays([rows.columns[name], columns[name]]).take(order) for name in rows.columns}
    mixing.rows["tjeneste"] = Rows(np.sort(person, kind="stable"), whole)
    user = mixing.user(rows.person[places])
    mixing.listed.add("K067", "tjeneste", user, columns["tjenesteId"], "startDato")
    long = pa.array(services.code[places] == _LONG_TERM[0])
    mixing.listed.add("K083", "tjeneste", user.filter(long), columns["tjenesteId"].filter(long), "startDato")
