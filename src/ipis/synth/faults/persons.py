"""Faults of what is recorded about persons: home, household, diagnoses, scores, participation."""

from __future__ import annotations

from ipis.synth.faults.facts import age, odd_scores, stale_assessment
from ipis.synth.faults.plot import Fault, Finding, Plot
from ipis.synth.people import districts_of

_FEW = 8
_ADULT, _OLD = 16, 75


def _lives_elsewhere(plot: Plot) -> list[Finding] | None:
    cities = set(plot.collection.codes["bydeler"]["kommune"].to_pylist())
    others = sorted(set(plot.collection.kommuner) - cities - {plot.where.kommune})
    if not others:
        return None
    plot.person.put("bostedKommuneNr", plot.rng.choice(others))
    plot.person.put("bostedBydel", plot.collection.no_bydel)
    return [plot.finding("K031", plot.person, "bostedKommuneNr")]


def _no_such_district(plot: Plot) -> list[Finding]:
    known = districts_of(plot.collection, plot.where.kommune)
    plot.person.put("bostedBydel", next(code for code in ("88", "77", "66") if code not in known))
    return [plot.finding("K033", plot.person, "bostedBydel")]


def _cares_at_that_age(plot: Plot) -> list[Finding] | None:
    if _ADULT <= age(plot) <= _OLD:
        return None
    plot.person.put("omsorgBarn", "1")
    return [plot.finding("K039", plot.person, "omsorgBarn")]


def _child_alone(plot: Plot) -> list[Finding] | None:
    if age(plot) >= _ADULT:
        return None
    plot.person.put("husstand", "1")
    return [plot.finding("K040", plot.person, "husstand")]


def _code_of_the_other_system(plot: Plot) -> list[Finding] | None:
    row = plot.one("diagnose", lambda row: row["kodeverk"] == "1")
    if row is None:
        return None
    row.put("kode", f"{row['kode']}1")
    return [plot.finding("K046", row, "kode")]


def _diagnosis_twice(plot: Plot) -> list[Finding] | None:
    row = plot.one("diagnose")
    if row is None:
        return None
    again = plot.add("diagnose", row.values | {"diagNr": str(len(plot.of("diagnose")) + 1)})
    return [plot.finding("K048", each, "kode") for each in (row, again)]


def _assessed_too_late(plot: Plot) -> list[Finding] | None:
    row, day = plot.one("vurdering"), plot.after_year(30)
    if row is None or day is None:
        return None
    row.put("dato", day)
    return [plot.finding("K093", row, "dato"), *stale_assessment(plot)]


def _all_the_same(plot: Plot) -> list[Finding] | None:
    row = plot.one("vurdering")
    if row is None:
        return None
    score = plot.rng.choice(["1", "3", "9"])
    for name in _scores(plot):
        if row[name] is not None:
            row.put(name, score)
    return [plot.finding("K096", row, ""), *odd_scores(plot, row)]


def _few_scores(plot: Plot) -> list[Finding] | None:
    row = plot.one("vurdering")
    if row is None:
        return None
    for place, name in enumerate(_scores(plot)):
        row.put(name, str(1 + place % 2) if place < _FEW else None)
    return [plot.finding("K097", row, ""), *odd_scores(plot, row)]


def _scores(plot: Plot) -> tuple[str, ...]:
    return plot.collection.layout.records["vurdering"].families["F"]


def _help_without_need(plot: Plot) -> list[Finding] | None:
    row = plot.one("deltakelse")
    if row is None:
        return None
    area = plot.rng.choice(["arbeid", "organisasjon", "kultur", "transport"])
    row.put(f"{area}Behov", "2")
    row.put(f"{area}Mottar", plot.rng.choice(["1", "2"]))
    return [plot.finding("K100", row, f"{area}Mottar")]


def faults() -> tuple[Fault, ...]:
    """List the faults of what is recorded about persons."""
    return (
        Fault("K031", 2.0, _lives_elsewhere),
        Fault("K033", 0.7, _no_such_district),
        Fault("K039", 0.7, _cares_at_that_age),
        Fault("K040", 8.0, _child_alone),
        Fault("K046", 0.7, _code_of_the_other_system),
        Fault("K048", 0.7, _diagnosis_twice),
        Fault("K093", 0.5, _assessed_too_late),
        Fault("K096", 1.0, _all_the_same),
        Fault("K097", 1.0, _few_scores),
        Fault("K100", 0.7, _help_without_need),
    )
