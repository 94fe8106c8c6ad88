"""Faults of single kinds of service: stays that last too long, housing, assistance and support contact, wrong units."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from ipis.kernel.demo import demo_care_unit, demo_orgnr
from ipis.synth.faults.facts import LONG_TERM, SHORT_STAYS, age, birth_year, has_room, running
from ipis.synth.faults.plot import Fault, Finding, Plot, Row

_ACUTE, _ASSISTANCE, _SUPPORT, _HOUSING = "25", "03", "09", ("12", "13")
_NURSING = "15"
_TOO_LONG, _ASSISTANCE_UNTIL, _UNLISTED = 366, 67, 50
_RULES_ON_HOUSING_UNTIL = 2018
_DAY = timedelta(days=1)


def types_of(plot: Plot) -> dict[str, dict[str, Any]]:
    """Give the service types of all years by code."""
    return {row["code"]: row for row in plot.collection.codes["service_types"].to_pylist()}


def _unit_of(plot: Plot, row: Row) -> str:
    return str(types_of(plot).get(row["kode"] or "", {}).get("unit") or "")


def _time_where_none_belongs(plot: Plot) -> list[Finding] | None:
    row = plot.one("tjeneste", lambda row: _unit_of(plot, row) in {"days", "none"})
    if row is None:
        return None
    row.put("timerUke", str(plot.rng.randint(1, 30)))
    return [plot.finding("K073", row, "timerUke")]


def _unlisted_unit(plot: Plot) -> list[Finding] | None:
    row = plot.one("tjeneste", lambda row: row["orgNr"] is not None)
    if row is None:
        return None
    row.put("orgNr", demo_care_unit(plot.where.kommune, _UNLISTED + plot.rng.randrange(10)))
    return [plot.finding("K079", row, "orgNr")]


def _municipality_as_unit(plot: Plot) -> list[Finding] | None:
    row = plot.one("tjeneste", lambda row: row["orgNr"] is not None)
    if row is None:
        return None
    kommune = plot.where.kommune
    row.put("orgNr", demo_orgnr(plot.collection.successors.get(kommune, kommune)))
    return [plot.finding("K079", row, "orgNr"), plot.finding("K080", row, "orgNr")]


def _nursing_in_institution(plot: Plot) -> list[Finding] | None:
    last = plot.collection.ends_on

    def suits(row: Row) -> bool:
        start = row.day("startDato")
        return row["kode"] == LONG_TERM and running(plot, row) and start is not None and start < last - 60 * _DAY

    if plot.person["dodsDato"] is not None or plot.one("tjeneste", suits) is None:
        return None
    return [plot.finding("K082", _add(plot, _NURSING, last - plot.rng.randint(31, 59) * _DAY), "startDato")]


def _add(plot: Plot, code: str, start: date) -> Row:
    """Plant a running hour service that is right in itself."""
    values = {
        "tjenesteId": f"T{plot.serial}-{code}-2",
        "kode": code,
        "startDato": start.isoformat(),
        "timerUke": "4",
        "minutterUke": "0",
        "orgNr": demo_care_unit(plot.where.kommune, 9),
    }
    return plot.add("tjeneste", values)


def _stay_without_end(plot: Plot) -> list[Finding] | None:
    start = plot.collection.ends_on - plot.rng.randint(_TOO_LONG, 600) * _DAY
    codes = [row["kode"] for row in plot.of("tjeneste")]

    def suits(row: Row) -> bool:
        return row["kode"] in SHORT_STAYS and row["sluttDato"] is None and codes.count(row["kode"]) == 1

    row = plot.one("tjeneste", suits)
    if row is None or start.year < birth_year(plot):
        return None
    row.put("startDato", start.isoformat())
    return [plot.finding("K084", row, "startDato")]


def _long_acute_stay(plot: Plot) -> list[Finding] | None:
    row = plot.one("tjeneste", lambda row: row["kode"] == _ACUTE and row["sluttDato"] is not None)
    if row is None:
        return None
    start = (row.day("sluttDato") or plot.collection.ends_on) - plot.rng.randint(15, 40) * _DAY
    if start.year < birth_year(plot):
        return None
    row.put("startDato", start.isoformat())
    return [plot.finding("K085", row, "startDato")]


def _housing_not_described(plot: Plot) -> list[Finding] | None:
    row = plot.one("tjeneste", lambda row: row["kode"] in _HOUSING)
    if row is None or plot.collection.year > _RULES_ON_HOUSING_UNTIL:
        return None
    name = plot.rng.choice(["boligBemanning", "ordinaerBolig"])
    row.put(name, None)
    return [plot.finding("K086", row, name)]


def _housing_where_none_is(plot: Plot) -> list[Finding] | None:
    row = plot.one("tjeneste", lambda row: row["kode"] not in _HOUSING)
    if row is None or plot.collection.year > _RULES_ON_HOUSING_UNTIL:
        return None
    name = plot.rng.choice(["boligBemanning", "ordinaerBolig"])
    row.put(name, "2")
    return [plot.finding("K087", row, name)]


def _assistance_of_the_old(plot: Plot) -> list[Finding] | None:
    has = any(row["kode"] == _ASSISTANCE for row in plot.of("tjeneste"))
    if has or age(plot) < _ASSISTANCE_UNTIL or plot.person["dodsDato"] is not None or not has_room(plot, 4):
        return None
    start = plot.collection.begins_on + plot.rng.randint(0, 300) * _DAY
    return [plot.finding("K088", _add(plot, _ASSISTANCE, start), "startDato")]


def _much_support(plot: Plot) -> list[Finding] | None:
    row = plot.one("tjeneste", lambda row: row["kode"] == _SUPPORT)
    if row is None or not has_room(plot, 60):
        return None
    row.put("timerUke", str(plot.rng.randint(41, 60)))
    return [plot.finding("K089", row, "timerUke")]


def faults() -> tuple[Fault, ...]:
    """List the faults of kinds of service."""
    return (
        Fault("K073", 0.7, _time_where_none_belongs),
        Fault("K079", 0.7, _unlisted_unit),
        Fault("K080", 0.7, _municipality_as_unit),
        Fault("K082", 4.0, _nursing_in_institution),
        Fault("K084", 8.0, _stay_without_end),
        Fault("K085", 8.0, _long_acute_stay),
        Fault("K086", 3.0, _housing_not_described),
        Fault("K087", 0.7, _housing_where_none_is),
        Fault("K088", 1.0, _assistance_of_the_old),
        Fault("K089", 4.0, _much_support),
    )
