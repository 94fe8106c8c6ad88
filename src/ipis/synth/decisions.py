"""The decision behind each service, and applications of the year that gave none: refused, withdrawn, pending."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ipis.synth.lots import Lots
from ipis.synth.people import People, Place
from ipis.synth.rates import share
from ipis.synth.rows import Bits, Ints, Rows, blank, choices, dates, joined
from ipis.synth.services import Services, Times, user_serials

_REFUSED, _WITHDRAWN, _PENDING = 2, 3, 4
_REFUSAL_OF_ALL = 50
_MANY_SERVICES = 4


@dataclass(frozen=True, slots=True)
class Decisions:
    """Drawn decisions, sorted by person, and the number of the decision behind each service (null: none)."""

    rows: Rows
    of_service: pa.Array


def draw_decisions(place: Place, people: People, services: Services, times: Times) -> Decisions:
    """Draw decisions; a few services of persons with many have none."""
    without = _without(people, services)
    behind = np.flatnonzero(~without)
    extra, outcome = _other_applications(place, people)
    lots = people.lots.take(extra)
    year = place.collection.year
    others = choices([f"X{year % 100:02}-"], np.zeros(len(extra), np.int64))
    code = lots.below(f"applies for in {year}", len(services.codes))
    names = joined(others, user_serials(place, people).take(pa.array(extra)), "-", choices(services.codes, code))
    earliest = np.maximum(people.members.entered[extra], place.first_day)
    decided = earliest + lots.below(f"decided in {year}", times.last[extra] - earliest + 1)
    made = _Made(
        person=np.concatenate([services.person[behind], extra]),
        code=np.concatenate([services.code[behind], code]),
        outcome=np.concatenate([np.where(services.lots.take(behind).hits("partly", 0.1), 1, 0), outcome]),
        day=np.concatenate([services.start[behind], decided]),
        names=pa.concat_arrays([services.names.take(pa.array(behind)), names]),
        lots=Lots(np.concatenate([services.lots.keys[behind], lots.keys])),
        behind=len(behind),
    )
    rows = _rows(people, made, services.codes)
    return Decisions(rows, blank(joined("V", services.names), without))


@dataclass(frozen=True, slots=True)
class _Made:
    """Decisions before they are sorted: the first `behind` give a service that begins on `day`, others fall on it."""

    person: Ints
    code: Ints
    outcome: Ints
    day: Ints
    names: pa.Array
    lots: Lots
    behind: int


def _rows(people: People, made: _Made, codes: tuple[str, ...]) -> Rows:
    order = np.argsort(made.person, kind="stable")
    person, outcome, lots = made.person[order], made.outcome[order], made.lots.take(order)
    before = np.where(order < made.behind, lots.below("decided before", 30), 0)
    decided = np.maximum(made.day[order] - before, people.born[person])
    applied = np.maximum(decided - lots.below("applied before", 90), people.born[person])
    appeal = lots.below("appeal", 100)
    columns = {
        "vedtakId": joined("V", made.names.take(pa.array(order))),
        "tjenesteKode": choices(codes, made.code[order]),
        "soknadDato": dates(applied),
        "vedtakDato": dates(decided, outcome == _PENDING),
        "utfall": choices(["1", "2", "3", "4", "5"], outcome),
        "klage": choices(["1", "2"], (appeal >= 2).astype(np.int64), appeal >= 70),
    }
    return Rows(person, columns)


def _without(people: People, services: Services) -> Bits:
    # Of four lasting services at most one: in a file of any size the share stays below what a rule would ask about.
    lasting = services.form == 0
    count = np.bincount(services.person[lasting], minlength=len(people))[services.person]
    turn = np.arange(len(lasting)) - np.searchsorted(services.person, services.person)
    chosen = people.lots.below("without decision", 4)[services.person]
    without: Bits = lasting & (count >= _MANY_SERVICES) & (turn == chosen)
    return without


def _other_applications(place: Place, people: People) -> tuple[Ints, Ints]:
    """Draw who else applied, and how it ended; with every fifty persons there is a refusal."""
    draw = people.lots.uniform(f"applies in {place.collection.year}")
    outcome = np.full(len(people), -1, np.int64)
    edge = 0.0
    for code, name in ((_REFUSED, "refused"), (_WITHDRAWN, "withdrawn"), (_PENDING, "pending")):
        outcome[(draw >= edge) & (draw < edge + share(name))] = code
        edge += share(name)
    outcome[::_REFUSAL_OF_ALL] = _REFUSED
    person = np.flatnonzero(outcome >= 0)
    return person, outcome[person]
