"""Faults of services and decisions: dates that do not fit, hours, units, decisions that say otherwise."""

from __future__ import annotations

from datetime import date, timedelta

from ipis.kernel.demo import demo_care_unit
from ipis.synth.faults.facts import SHORT_STAYS, birth_year, minutes, nothing_in_year
from ipis.synth.faults.kinds import types_of
from ipis.synth.faults.plot import Fault, Finding, Plot, Row, can_be_written

_WEEK = 168 * 60
_LONG_TERM, _ACUTE, _SUPPORT = "21", "25", "09"
_DAY = timedelta(days=1)
_RULE_ON_STOPS_UNTIL = 2018


def _unit_of(plot: Plot, row: Row) -> str:
    return str(types_of(plot).get(row["kode"] or "", {}).get("unit") or "")


def _rule_on_orgnr(plot: Plot, row: Row) -> str:
    return str(types_of(plot).get(row["kode"] or "", {}).get("orgnr") or "")


def _running(row: Row) -> bool:
    return row["sluttDato"] is None


def _starts_before(row: Row, day: date) -> bool:
    start = row.day("startDato")
    return start is not None and start < day


def _service_after_death(plot: Plot) -> list[Finding] | None:
    if plot.person["dodsDato"] is not None or not any(_running(row) for row in plot.of("tjeneste")):
        return None
    died = plot.collection.ends_on - timedelta(days=plot.rng.randint(0, 90))
    plot.person.put("dodsDato", died.isoformat())
    return [
        plot.finding("K036", row, "sluttDato")
        for row in plot.of("tjeneste")
        if _running(row) or not _starts_or_ends_by(row, died)
    ]


def _starts_or_ends_by(row: Row, day: date) -> bool:
    end = row.day("sluttDato")
    return end is not None and end <= day


def _died_before(plot: Plot) -> list[Finding] | None:
    if plot.person["dodsDato"] is not None:
        return None
    plot.person.put("dodsDato", (plot.collection.begins_on - timedelta(days=plot.rng.randint(1, 300))).isoformat())
    # Each of the services of the year runs or ends after that death.
    late = [plot.finding("K036", row, "sluttDato") for row in plot.of("tjeneste")]
    return [plot.finding("K035", plot.person, "dodsDato"), *late] if late else None


def _ended_before_start(plot: Plot) -> list[Finding] | None:
    row = plot.one("tjeneste", lambda row: not _starts_before(row, plot.collection.begins_on + _DAY))
    if row is None:
        return None
    start = row.day("startDato")
    assert start is not None  # noqa: S101 - drawn with one
    row.put("sluttDato", (start - _DAY).isoformat())
    return [plot.finding("K063", row, "sluttDato")]


def _ended_before_year(plot: Plot) -> list[Finding] | None:
    row = plot.one("tjeneste", lambda row: _starts_before(row, plot.collection.begins_on - _DAY))
    if row is None:
        return None
    row.put("sluttDato", (plot.collection.begins_on - _DAY).isoformat())
    return [plot.finding("K064", row, "sluttDato"), *nothing_in_year(plot)]


def _started_after_year(plot: Plot) -> list[Finding] | None:
    row = plot.one("tjeneste", lambda row: _running(row) and row["kode"] != _LONG_TERM)
    day = plot.after_year(60)
    if row is None or day is None:
        return None
    row.put("startDato", day)
    return [plot.finding("K062", row, "startDato")]


def _started_before_birth(plot: Plot) -> list[Finding] | None:
    # A short stay would then be too long besides.
    row = plot.one("tjeneste", lambda row: row["kode"] not in {*SHORT_STAYS, _ACUTE})
    if row is None:
        return None
    start = date(birth_year(plot) - 1, 6, 1)
    if start < date(1980, 1, 1):
        return None
    row.put("startDato", start.isoformat())
    return [plot.finding("K065", row, "startDato")]


def _overlap(plot: Plot) -> list[Finding] | None:
    def suits(row: Row) -> bool:
        plain = row["orgNr"] is not None and row["kode"] != _LONG_TERM and _unit_of(plot, row) != "hours"
        return plain and _running(row) and _starts_before(row, plot.collection.ends_on)

    row = plot.one("tjeneste", suits)
    if row is None:
        return None
    again = _second(plot, row)
    return [plot.finding("K067", again, "startDato")]


def _second_long_stay(plot: Plot) -> list[Finding] | None:
    row = plot.one("tjeneste", lambda row: row["kode"] == _LONG_TERM and _later_than_start(row, plot))
    if row is None:
        return None
    again = _second(plot, row)
    units = [demo_care_unit(plot.where.kommune, n) for n in range(2)]
    again.put("orgNr", units[1] if row["orgNr"] == units[0] else units[0])
    return [plot.finding("K083", again, "startDato")]


def _later_than_start(row: Row, plot: Plot) -> bool:
    # A stay that begins on the last day of another does not overlap it.
    return _starts_before(row, (row.day("sluttDato") or plot.collection.ends_on) - _DAY)


def _second(plot: Plot, row: Row) -> Row:
    """Plant a service like another, begun a day later and ended the same day, under a number of its own."""
    start = row.day("startDato")
    assert start is not None  # noqa: S101 - drawn with one
    values = row.values | {"tjenesteId": f"{row['tjenesteId']}-2", "startDato": (start + _DAY).isoformat()}
    if plot.person["dodsDato"] is None and _running(row):
        values["sluttDato"] = plot.collection.ends_on.isoformat()
    return plot.add("tjeneste", values)


def _too_many_hours(plot: Plot) -> list[Finding] | None:
    """Give two services that run side by side more hours than a week has; each alone is possible."""
    timed = [row for row in plot.of("tjeneste") if _unit_of(plot, row) == "hours" and row["startDato"]]
    pairs = [(a, b) for a in timed for b in timed if a is not b and _runs_on(a, b["startDato"] or "")]
    if not pairs:
        return None
    chosen = plot.rng.choice(pairs)
    for row in chosen:
        row.put("timerUke", "110")
        row.put("minutterUke", "0")
    much_support = [plot.finding("K089", row, "timerUke") for row in chosen if row["kode"] == _SUPPORT]
    return much_support + [
        plot.finding("K070", row, "timerUke")
        for row in timed
        if sum(minutes(other) for other in timed if _runs_on(other, row["startDato"] or "")) > _WEEK
    ]


def _runs_on(row: Row, day: str) -> bool:
    return (row["startDato"] or "") <= day and (row["sluttDato"] is None or day <= (row["sluttDato"] or ""))


def _no_hours(plot: Plot) -> list[Finding] | None:
    row = plot.one("tjeneste", lambda row: _unit_of(plot, row) == "hours")
    if row is None:
        return None
    hours = plot.rng.choice([None, "0"])
    row.put("timerUke", hours)
    row.put("minutterUke", hours)
    return [plot.finding("K072", row, "timerUke")]


def _no_unit(plot: Plot) -> list[Finding] | None:
    row = plot.one("tjeneste", lambda row: _rule_on_orgnr(plot, row) == "required")
    if row is None:
        return None
    row.put("orgNr", None)
    return [plot.finding("K075", row, "orgNr")]


def _no_unit_with_staff(plot: Plot) -> list[Finding] | None:
    def suits(row: Row) -> bool:
        return _rule_on_orgnr(plot, row) == "required_if_staffed" and row["boligBemanning"] in {"1", "2"}

    row = plot.one("tjeneste", suits)
    if row is None:
        return None
    row.put("orgNr", None)
    return [plot.finding("K076", row, "orgNr")]


def _unit_where_none_belongs(plot: Plot) -> list[Finding] | None:
    row = plot.one("tjeneste", lambda row: _rule_on_orgnr(plot, row) == "forbidden")
    if row is None:
        return None
    row.put("orgNr", demo_care_unit(plot.where.kommune, 0))
    return [plot.finding("K077", row, "orgNr")]


def _code_of_another_year(plot: Plot) -> list[Finding] | None:
    valid = set(plot.collection.codes["service_types_valid"]["code"].to_pylist())
    others = [code for code, row in types_of(plot).items() if code not in valid and row["unit"] == "none"]
    row = plot.one("tjeneste", lambda row: _unit_of(plot, row) != "hours" and row["kode"] != _LONG_TERM)
    if row is None or not others:
        return None
    row.put("kode", plot.rng.choice(others))
    for name in ("orgNr", "boligBemanning", "ordinaerBolig"):
        row.put(name, None)
    return [plot.finding("K060", row, "kode")]


def _refused_but_running(plot: Plot) -> list[Finding] | None:
    decided = {row["vedtakId"]: row for row in plot.of("vedtak")}
    service = plot.one("tjeneste", lambda row: _running(row) and row["vedtakId"] in decided)
    if service is None:
        return None
    decided[service["vedtakId"]].put("utfall", "3")
    return [plot.finding("K055", service, "vedtakId")]


def _applied_after_decision(plot: Plot) -> list[Finding] | None:
    row = plot.one("vedtak", lambda row: row["soknadDato"] is not None and row["vedtakDato"] is not None)
    if row is None:
        return None
    decided = row.day("vedtakDato")
    assert decided is not None  # noqa: S101 - chosen so
    applied = (decided + timedelta(days=plot.rng.randint(1, 40))).isoformat()
    if not can_be_written(applied):
        return None
    row.put("soknadDato", applied)
    return [plot.finding("K052", row, "soknadDato")]


def _slow_decision(plot: Plot) -> list[Finding] | None:
    row = plot.one("vedtak", lambda row: row["vedtakDato"] is not None)
    if row is None:
        return None
    decided = row.day("vedtakDato")
    assert decided is not None  # noqa: S101 - chosen so
    row.put("soknadDato", (decided - timedelta(days=plot.rng.randint(366, 500))).isoformat())
    return [plot.finding("K053", row, "vedtakDato")]


def _undated_decision(plot: Plot) -> list[Finding] | None:
    row = plot.one("vedtak", lambda row: row["utfall"] in {"1", "2", "3"})
    if row is None:
        return None
    row.put("vedtakDato", None)
    return [plot.finding("K054", row, "vedtakDato")]


def _temporary_stop(plot: Plot) -> list[Finding] | None:
    row = plot.one("tjeneste", _running)
    if row is None or plot.collection.year > _RULE_ON_STOPS_UNTIL:
        return None
    end = plot.collection.ends_on
    period = {"fraDato": (end - 10 * _DAY).isoformat(), "tilDato": (end - 5 * _DAY).isoformat()}
    stop = plot.add("stopp", {"tjenesteId": row["tjenesteId"], **period})
    return [plot.finding("K090", stop, "fraDato")]


def faults() -> tuple[Fault, ...]:
    """List the faults of services and decisions."""
    return (
        Fault("K035", 0.5, _died_before),
        Fault("K036", 1.0, _service_after_death),
        Fault("K052", 0.7, _applied_after_decision),
        Fault("K053", 0.7, _slow_decision),
        Fault("K054", 0.7, _undated_decision),
        Fault("K055", 1.5, _refused_but_running),
        Fault("K060", 1.5, _code_of_another_year),
        Fault("K062", 0.7, _started_after_year),
        Fault("K063", 1.5, _ended_before_start),
        Fault("K064", 1.0, _ended_before_year),
        Fault("K065", 1.0, _started_before_birth),
        Fault("K067", 3.0, _overlap),
        Fault("K070", 2.0, _too_many_hours),
        Fault("K072", 3.0, _no_hours),
        Fault("K075", 3.0, _no_unit),
        Fault("K076", 4.0, _no_unit_with_staff),
        Fault("K077", 3.0, _unit_where_none_belongs),
        Fault("K083", 3.0, _second_long_stay),
        Fault("K090", 0.5, _temporary_stop),
    )
