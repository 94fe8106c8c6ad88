"""What SSB finds besides what the municipality does: rules that run there alone, and those that look at last year.

Not listed, since one extract cannot tell: rules on persons of several municipalities (K028, K029) and on
the nation as last published (the second half of K074, K103).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ipis.synth.faults.listed import Listed
from ipis.synth.faults.plot import Finding
from ipis.synth.people import Place
from ipis.synth.rows import Bits, Draw, Ints

_MOST_HOURS = 100 * 60
_MOST_PERSONS, _PART_OF_PERSONS = 20, 0.2
_MOST_USERS, _PART_OF_USERS = 10, 0.25


def add(listed: Listed, draw: Draw, before: Draw | None, place: Place) -> None:
    """Add findings on single services, and on the delivery beside last year's (`before`)."""
    services = draw.rows["tjeneste"]
    columns = services.columns
    users = pa.concat_arrays([draw.rows["person"].columns["brukerNr"], pa.array(draw.orphans, pa.string())])

    def on_services(rule: str, which: Bits, name: str) -> None:
        chosen = pa.array(np.flatnonzero(which))
        user, row = users.take(pa.array(services.person)).take(chosen), columns["tjenesteId"].take(chosen)
        listed.add(rule, "tjeneste", pc.fill_null(user, ""), pc.fill_null(row, ""), name)

    home = _bits(pc.is_in(columns["kode"], pa.array(["01", "15"])))
    on_services("K074", home & (_minutes(columns["timerUke"], columns["minutterUke"]) > _MOST_HOURS), "timerUke")
    types = place.collection.codes["service_types"]
    stays = types.filter(pc.equal(types["group"], "institution"))["code"].combine_chunks()
    stay = _bits(pc.is_in(columns["kode"], stays))
    on_services("K081", stay & _bits(pc.is_in(columns["orgNr"], _not_institutions(place))), "orgNr")
    if before is not None:
        listed.single += _beside_last_year(draw, before, place)


def _bits(column: pa.Array) -> Bits:
    bits: Bits = pc.fill_null(column, fill_value=False).to_numpy(zero_copy_only=False)
    return bits


def _minutes(hours: pa.Array, minutes: pa.Array) -> Ints:
    """Give granted minutes; -1 where one of the two is no number that the field may hold."""
    total = np.zeros(len(hours), np.int64)
    wrong = np.zeros(len(hours), np.bool_)
    for column, most, weight in ((hours, 168, 60), (minutes, 59, 1)):
        form = pc.fill_null(pc.match_substring_regex(column, r"^[0-9]{1,3}$"), fill_value=True)
        number = pc.if_else(form, column, pa.scalar(None, pa.string())).cast(pa.int64()).fill_null(0).to_numpy()
        wrong |= ~_bits(form) | (number > most)
        total += number * weight
    return np.where(wrong, -1, total)


def _not_institutions(place: Place) -> pa.Array:
    """Give the listed units whose industry code is not one of institutions."""
    codes = place.collection.codes
    kinds = codes["naeringskoder"]
    others = kinds.filter(pc.not_equal(kinds["institusjon"], "1"))["code"].combine_chunks()
    units = codes["care_units"]
    return units.filter(pc.is_in(units["naeringskode"], others))["orgnr"].combine_chunks()


def _beside_last_year(draw: Draw, before: Draw, place: Place) -> Iterator[Finding]:
    now, then = draw.persons, before.persons
    if _differs(now, then, _MOST_PERSONS, _PART_OF_PERSONS):
        yield Finding("K015", "person", "", "", "")
    codes = place.collection.codes["service_types"]["code"].to_pylist()
    for this, last in zip(_users(draw, codes), _users(before, codes), strict=True):
        if last > _MOST_USERS and this == 0:
            yield Finding("K101", "tjeneste", "", "", "kode")
        if _differs(this, last, _MOST_USERS, _PART_OF_USERS):
            yield Finding("K102", "tjeneste", "", "", "kode")


def _differs(now: int, then: int, most: int, part: float) -> bool:
    change = abs(now - then)
    return change > most and change > part * then


def _users(draw: Draw, codes: list[str]) -> list[int]:
    """Count the persons in the file that have each service type."""
    services = draw.rows["tjeneste"]
    code = pc.fill_null(pc.index_in(services.columns["kode"], pa.array(codes)), -1).to_numpy()
    known = (code >= 0) & (services.person < draw.persons)
    pairs = np.unique(services.person[known] * len(codes) + code[known])
    counts: list[int] = np.bincount(pairs % len(codes), minlength=len(codes)).tolist()
    return counts
