"""One extract drawn: the same collection year, municipality, number of persons and seed give the same persons."""

from __future__ import annotations

from datetime import datetime, time, timedelta

import numpy as np

from ipis.kernel.demo import demo_orgnr
from ipis.synth import health, services
from ipis.synth.people import Place, draw_people
from ipis.synth.rows import Draw


def draw(place: Place, *, persons: int | None, innsending: int, seed: int) -> Draw:
    """Draw an extract without faults."""
    rng = np.random.default_rng([seed, place.collection.year, int(place.kommune), int(place.bydel)])
    people = draw_people(rng, place, persons)
    gets = services.draw_services(rng, place, people)
    died = services.days_of_death(rng, place, people, gets)
    services.end_at_death(gets, died)
    decisions = services.draw_decisions(rng, place, people, gets)
    rows = {
        "person": health.person_rows(rng, place, people, died),
        "diagnose": health.diagnosis_rows(rng, place, people),
        "vedtak": decisions.rows,
        "tjeneste": services.service_rows(rng, place, people, gets, decisions.of_service),
        "vurdering": health.assessment_rows(rng, place, people, died),
        "deltakelse": health.participation_rows(rng, place, people),
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
