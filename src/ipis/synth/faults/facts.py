"""What rules ask about a person as a whole, and the findings that follow when a fault changes the answer."""

from __future__ import annotations

from datetime import date

from ipis.synth.faults.plot import Finding, Plot, Row

LONG_TERM = "21"
SHORT_STAYS = ("18", "19", "20")
ASSESSED_SERVICES = ("01", "15", *SHORT_STAYS, LONG_TERM)
HOUSEHOLD = ("F05", "F06", "F07", "F11")
_SMALL_CHILD = 8
_WEEK = 168 * 60


def birth_year(plot: Plot) -> int:
    """Give the year of birth that the (drawn) number tells."""
    digits = plot.person["fid"] or ""
    return (2000 if int(digits[6]) >= 5 else 1900) + int(digits[4:6])


def age(plot: Plot) -> int:
    """Give the age at the end of the year."""
    return plot.collection.year - birth_year(plot)


def running(plot: Plot, row: Row) -> bool:
    """Tell whether a service runs on the last day of the year."""
    start = _day(row["startDato"])
    end = _day(row["sluttDato"])
    last = plot.collection.ends_on
    return start is not None and start <= last and (row["sluttDato"] is None or (end is not None and end >= last))


def lives_in_institution(plot: Plot) -> bool:
    """Tell whether a long-term stay runs on the last day."""
    return any(row["kode"] == LONG_TERM and running(plot, row) for row in plot.of("tjeneste"))


def newest_assessment(plot: Plot) -> Row | None:
    """Give the newest assessment of the year or before."""
    dated = [
        (day, row) for row in plot.of("vurdering") if (day := _day(row["dato"])) and day <= plot.collection.ends_on
    ]
    return max(dated, key=lambda each: each[0])[1] if dated else None


def stale_assessment(plot: Plot) -> list[Finding]:
    """Give what follows when the newest assessment left is more than a year old."""
    newest = newest_assessment(plot)
    old = newest is not None and (plot.collection.ends_on - (newest.day("dato") or plot.collection.ends_on)).days > 365
    served = any(running(plot, row) for row in plot.of("tjeneste"))
    return [plot.finding("K095", plot.person, "")] if old and served else []


def unused_decision(plot: Plot, number: str | None) -> list[Finding]:
    """Give what follows when no service refers to a decision any more."""
    if any(row["vedtakId"] == number for row in plot.of("tjeneste")):
        return []
    found = []
    for row in plot.of("vedtak"):
        day = _day(row["vedtakDato"])
        if row["vedtakId"] == number and row["utfall"] in {"1", "2"} and day is not None:
            found += [plot.finding("K056", row, "vedtakDato")] if (plot.collection.ends_on - day).days > 90 else []
    return found


def nothing_in_year(plot: Plot) -> list[Finding]:
    """Give what follows when the person has neither a service nor a decision of the year."""
    begins = plot.collection.begins_on
    if any(row["sluttDato"] is None or (_day(row["sluttDato"]) or begins) >= begins for row in plot.of("tjeneste")):
        return []
    for row in plot.of("vedtak"):
        day = _day(row["vedtakDato"])
        if day is None or begins <= day <= plot.collection.ends_on:
            return []
    return [plot.finding("K091", plot.person, "")]


def odd_scores(plot: Plot, row: Row) -> list[Finding]:
    """Give what follows from an assessment's scores: long-term stay without need, household scores of a small child."""
    scores = {name: row[name] for name in plot.collection.layout.records["vurdering"].families["F"]}
    found = []
    given = [score for score in scores.values() if score is not None]
    if lives_in_institution(plot) and newest_assessment(plot) is row and given and not set(given) & {"3", "4", "5"}:
        found.append(plot.finding("K098", row, ""))
    if age(plot) < _SMALL_CHILD:
        found += [plot.finding("K099", row, name) for name in HOUSEHOLD if scores[name] in {"3", "4", "5"}]
    return found


def flat_scores(plot: Plot, row: Row, *, unknown: str) -> list[Finding]:
    """Give what follows when one score of an assessment cannot be read: the others may all be the same."""
    names = plot.collection.layout.records["vurdering"].families["F"]
    given = [row[name] for name in names if name != unknown and row[name] is not None]
    flat = unknown in names and len(given) > 1 and len(set(given)) == 1
    return [plot.finding("K096", row, "")] if flat else []


def minutes(row: Row) -> int:
    """Give the granted minutes a week."""
    return 60 * int(row["timerUke"] or 0) + int(row["minutterUke"] or 0)


def has_room(plot: Plot, hours: int) -> bool:
    """Tell whether so many hours more still leave the week long enough, whenever they are given."""
    return sum(minutes(row) for row in plot.of("tjeneste")) + hours * 60 <= _WEEK


def _day(text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        return None
