"""Faults of a person's circumstances: what is missing or does not fit beside the services that the person has."""

from __future__ import annotations

from datetime import date, timedelta

from ipis.synth.faults.facts import (
    ASSESSED_SERVICES,
    HOUSEHOLD,
    LONG_TERM,
    age,
    birth_year,
    lives_in_institution,
    newest_assessment,
    running,
    unused_decision,
)
from ipis.synth.faults.plot import Fault, Finding, Plot, Row, can_be_written

_HOME = ("01", "02", "03", "07", "11", "15", "16")
_SMALL_CHILD = 8
_SETTLED = 93


def _household_missing(plot: Plot) -> list[Finding] | None:
    if not any(row["kode"] in _HOME for row in plot.of("tjeneste")):
        return None
    name = plot.rng.choice(["husstand", "omsorgBarn"])
    plot.person.put(name, None)
    return [plot.finding("K038", plot.person, name)]


def _seen_too_late(plot: Plot) -> list[Finding] | None:
    day = plot.after_year(30)
    if day is None:
        return None
    name = plot.rng.choice(["legeDato", "tannhelseDato"])
    plot.person.put(name, day)
    return [plot.finding("K041", plot.person, name)]


def _seen_before_birth(plot: Plot) -> list[Finding] | None:
    day = date(birth_year(plot) - 1, 5, 1).isoformat()
    if lives_in_institution(plot) or not can_be_written(day):
        return None
    name = plot.rng.choice(["legeDato", "tannhelseDato"])
    plot.person.put(name, day)
    return [plot.finding("K041", plot.person, name)]


def _not_seen_by_doctor(plot: Plot) -> list[Finding] | None:
    if not lives_in_institution(plot):
        return None
    long_ago = plot.collection.ends_on - timedelta(days=400)
    plot.person.put("legeDato", long_ago.isoformat() if birth_year(plot) <= long_ago.year else None)
    return [plot.finding("K042", plot.person, "legeDato")]


def _not_seen_by_dentist(plot: Plot) -> list[Finding] | None:
    settled = plot.collection.ends_on - timedelta(days=_SETTLED)

    def suits(row: Row) -> bool:
        start = row.day("startDato")
        return row["kode"] == LONG_TERM and running(plot, row) and start is not None and start <= settled

    if plot.one("tjeneste", suits) is None:
        return None
    plot.person.put("tannhelseDato", None)
    return [plot.finding("K043", plot.person, "tannhelseDato")]


def _plan_without_coordinator(plot: Plot) -> list[Finding]:
    plot.person.put("individuellPlan", "1")
    plot.person.put("koordinator", plot.rng.choice(["2", "3", "9", None]))
    return [plot.finding("K044", plot.person, "koordinator")]


def _no_diagnosis(plot: Plot) -> list[Finding]:
    plot.leave_out("diagnose")
    return [plot.finding("K049", plot.person, "")]


def _service_left_out(plot: Plot) -> list[Finding] | None:
    """Leave out a service of a person who has others, and keep its decision, which granted it long ago."""
    for row in plot.of("tjeneste"):
        others = [other for other in plot.of("tjeneste") if other is not row and other["sluttDato"] is None]
        row.gone = True
        found = unused_decision(plot, row["vedtakId"]) if others and row["vedtakId"] is not None else []
        if found:
            return found
        row.gone = False
    return None


def _nothing_at_all(plot: Plot) -> list[Finding]:
    for record in ("tjeneste", "vedtak"):
        plot.leave_out(record)
    return [plot.finding("K091", plot.person, "")]


def _never_assessed(plot: Plot) -> list[Finding] | None:
    if not any(row["kode"] in ASSESSED_SERVICES for row in plot.of("tjeneste")) or not plot.of("vurdering"):
        return None
    plot.leave_out("vurdering")
    return [plot.finding("K094", plot.person, "")]


def _assessed_long_ago(plot: Plot) -> list[Finding] | None:
    newest = newest_assessment(plot)
    day = plot.collection.ends_on - timedelta(days=plot.rng.randint(366, 900))
    if newest is None or day.year < birth_year(plot) or not any(running(plot, row) for row in plot.of("tjeneste")):
        return None
    for row in plot.of("vurdering"):
        row.gone = row is not newest
    newest.put("dato", day.isoformat())
    return [plot.finding("K095", plot.person, "")]


def _no_need_in_institution(plot: Plot) -> list[Finding] | None:
    newest = newest_assessment(plot)
    if newest is None or not lives_in_institution(plot):
        return None
    for place, name in enumerate(plot.collection.layout.records["vurdering"].families["F"]):
        newest.put(name, str(1 + place % 2))
    return [plot.finding("K098", newest, "")]


def _household_of_small_child(plot: Plot) -> list[Finding] | None:
    row = plot.one("vurdering")
    if row is None or age(plot) >= _SMALL_CHILD:
        return None
    name = plot.rng.choice(HOUSEHOLD)
    row.put(name, plot.rng.choice(["3", "4", "5"]))
    return [plot.finding("K099", row, name)]


def faults() -> tuple[Fault, ...]:
    """List the faults of circumstances."""
    return (
        Fault("K038", 1.0, _household_missing),
        Fault("K041", 0.5, _seen_too_late),
        Fault("K041", 0.3, _seen_before_birth),
        Fault("K042", 4.0, _not_seen_by_doctor),
        Fault("K043", 4.0, _not_seen_by_dentist),
        Fault("K044", 0.7, _plan_without_coordinator),
        Fault("K049", 1.0, _no_diagnosis),
        Fault("K056", 1.0, _service_left_out),
        Fault("K091", 0.3, _nothing_at_all),
        Fault("K094", 1.0, _never_assessed),
        Fault("K095", 1.0, _assessed_long_ago),
        Fault("K098", 4.0, _no_need_in_institution),
        Fault("K099", 30.0, _household_of_small_child),
    )
