"""Faults of a whole delivery, in a few municipalities: a service type that is missing, an extract taken too early.

Which municipality has which fault is drawn for the country at once, so that each place can be made alone.
"""

from __future__ import annotations

from datetime import datetime, time

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ipis.kernel.collection import Collection
from ipis.synth.inhabitants import total_of
from ipis.synth.lots import named
from ipis.synth.people import Place
from ipis.synth.rates import rates
from ipis.synth.rows import Bits, Draw, Rows, blank

KINDS = ("service", "early", "no_refusals", "guests", "endless", "undecided")


_DRAWN: dict[tuple[int, int], tuple[Collection, dict[str, str]]] = {}


def fault_of(place: Place, seed: int) -> str:
    """Give the kind of fault that a place's delivery has as a whole; empty for nearly all."""
    if place.bydel != place.collection.no_bydel:
        return ""
    # By identity, with the collection kept: it holds tables and cannot be a key itself.
    key = (id(place.collection), seed)
    if key not in _DRAWN:
        _DRAWN[key] = place.collection, _draw(place.collection, seed)
    return _DRAWN[key][1].get(place.kommune, "")


def _draw(collection: Collection, seed: int) -> dict[str, str]:
    """Draw which municipalities of middling size have which fault."""
    settings = rates()["mix"]["whole"]
    low, high = settings["inhabitants"]
    sizes = total_of(collection)
    suitable = [name for name in sizes if low <= sizes[name] <= high and name not in collection.agreements]
    ranked = sorted(suitable, key=lambda name: int(named(f"whole {seed} {collection.year} {name}")))
    return dict(zip(ranked, (kind for kind in KINDS for _ in range(settings[kind])), strict=False))


def missing_service(place: Place, seed: int) -> str:
    """Give the service type that the place's extract lacks; empty for nearly all."""
    if fault_of(place, seed) != "service":
        return ""
    codes = rates()["mix"]["whole"]["services"]
    return str(codes[int(named(f"lacks {seed} {place.kommune}")) % len(codes)])


def spoil(draw: Draw, place: Place, seed: int) -> Draw:
    """Give the delivery its fault, if it has one; what follows is counted when all is planted.

    Guests come with the mix, person by person.
    """
    kind = fault_of(place, seed)
    rng = np.random.default_rng([seed, place.collection.year, int(place.kommune), 3])
    if kind == "service":
        code = missing_service(place, seed)
        return _without_services(draw, _is(draw.rows["tjeneste"].columns["kode"], code))
    if kind == "endless":
        return _without_services(draw, _bits(draw.rows["tjeneste"].columns["sluttDato"].is_valid()))
    if kind == "early":
        taken = datetime.fromisoformat(draw.header["uttakTid"])
        early = datetime.combine(place.collection.ends_on, time(9), taken.tzinfo)
        return Draw({**draw.header, "uttakTid": early.isoformat(timespec="seconds")}, draw.rows)
    if kind == "no_refusals":
        kept = ~_is(draw.rows["vedtak"].columns["utfall"], "3")
        return Draw(draw.header, {**draw.rows, "vedtak": draw.rows["vedtak"].keep(kept)})
    return _without_decisions(draw, rng) if kind == "undecided" else draw


def _is(column: pa.Array, value: str) -> Bits:
    return _bits(pc.fill_null(pc.equal(column, value), fill_value=False))


def _bits(column: pa.Array) -> Bits:
    bits: Bits = column.to_numpy(zero_copy_only=False)
    return bits


def _without_services(draw: Draw, gone: Bits) -> Draw:
    """Leave out services, the decisions behind them, and persons who then have none."""
    services = draw.rows["tjeneste"].keep(~gone)
    referred = draw.rows["tjeneste"].columns["vedtakId"].filter(pa.array(gone))
    decisions = draw.rows["vedtak"].keep(~_bits(pc.is_in(draw.rows["vedtak"].columns["vedtakId"], referred)))
    has = np.zeros(draw.persons, np.bool_)
    has[services.person] = True
    number = np.cumsum(has) - 1
    rows = {}
    for name, each in {**draw.rows, "tjeneste": services, "vedtak": decisions}.items():
        kept = each.keep(has[each.person])
        rows[name] = Rows(number[kept.person], kept.columns)
    return Draw(draw.header, rows)


def _without_decisions(draw: Draw, rng: np.random.Generator) -> Draw:
    """Leave out decisions behind services, and the references to them."""
    services = draw.rows["tjeneste"]
    gone = rng.random(len(services)) < rates()["mix"]["whole"]["undecided_share"]
    referred = services.columns["vedtakId"].filter(pa.array(gone))
    decisions = draw.rows["vedtak"].keep(~_bits(pc.is_in(draw.rows["vedtak"].columns["vedtakId"], referred)))
    columns = dict(services.columns) | {"vedtakId": blank(services.columns["vedtakId"], gone)}
    return Draw(draw.header, {**draw.rows, "tjeneste": Rows(services.person, columns), "vedtak": decisions})
