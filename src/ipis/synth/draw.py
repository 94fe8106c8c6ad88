"""One extract drawn: the same collection year, municipality, number of persons and seed give the same persons."""

from __future__ import annotations

from datetime import datetime, time, timedelta

from ipis.kernel.demo import demo_orgnr
from ipis.kernel.errors import Misuse
from ipis.synth import health, need
from ipis.synth.decisions import draw_decisions
from ipis.synth.people import Place, draw_people
from ipis.synth.rows import Draw
from ipis.synth.services import Types, draw_services, service_rows


def draw(place: Place, *, persons: int | None, innsending: int, seed: int) -> Draw:
    """Draw an extract without faults."""
    collection = place.collection
    if place.kommune not in collection.kommuner:
        raise Misuse("synth.kommune", kommune=place.kommune, year=collection.year)
    people = draw_people(place, seed, persons)
    types = Types.of(collection)
    services, times = draw_services(place, people, types)
    decisions = draw_decisions(place, people, services, times)
    rows = {
        "person": health.person_rows(place, people, times),
        "diagnose": health.diagnosis_rows(people),
        "vedtak": decisions.rows,
        "tjeneste": service_rows(place, people, services, types, decisions.of_service),
        "vurdering": need.assessment_rows(place, people, times),
        "deltakelse": health.participation_rows(place, people, times),
    }
    return Draw(_header(place, innsending), rows)


def _header(place: Place, innsending: int) -> dict[str, str]:
    collection = place.collection
    taken = collection.window.opens_at + timedelta(hours=innsending)
    # Before the window on some clock, but always after the period: the extract itself is complete.
    at = max(taken, datetime.combine(collection.ends_on + timedelta(days=1), time(8), taken.tzinfo))
    return {
        "formatVersjon": collection.layout.format,
        "aargang": str(collection.year),
        "fraDato": collection.begins_on.isoformat(),
        "tilDato": collection.ends_on.isoformat(),
        "uttakTid": at.isoformat(timespec="seconds"),
        "kommuneNr": place.kommune,
        "bydel": place.bydel,
        "orgNr": demo_orgnr(collection.successors.get(place.kommune, place.kommune)),
        "leverandor": "IPIS",
        "navnEPJ": "Syntetisk fagsystem",
        "versjonEPJ": "1.0",
        "versjonUt": "1.0",
        "innsending": str(innsending),
    }
