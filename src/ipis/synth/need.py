"""Assessments of need: scores from which the summary measure gives just the level that the person was drawn with."""

from __future__ import annotations

from calendar import isleap
from functools import cache

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ipis.synth.lots import Lots
from ipis.synth.people import People, Place
from ipis.synth.rates import LEVELS, PROFILES, SCORES, rates, share
from ipis.synth.rows import Bits, Ints, Rows, dates
from ipis.synth.services import Times

Scores = NDArray[np.uint8]

_OFTEN_BLANK = ("F01", "F16", "F17")
_SMALL_CHILD = 9
_NOT_RELEVANT = 9
_LEVEL = {name: place for place, name in enumerate(LEVELS)}
_DECISIVE = ("self_care", "cognitive", "social")


def assessment_rows(place: Place, people: People, times: Times) -> Rows:
    """Write this year's assessment of each assessed person, and for some last year's before it."""
    year = place.collection.year
    first = np.flatnonzero(people.assessed)
    had = people.lots.hits("assessed twice", share("second_assessment")) & (people.members.came < year)
    second = first[had[first]]
    last_year = np.full(len(second), place.first_day - 1)
    before = _day(people, second, year - 1, place.first_day - _days_of(year - 1), last_year)
    newest = _day(people, first, year, place.first_day, times.last[first])
    person = np.concatenate([second, first])
    order = np.argsort(person, kind="stable")
    scores, filled = (
        np.concatenate([old, new])[order]
        for old, new in zip(_scores(place, people, second, year - 1), _scores(place, people, first, year), strict=True)
    )
    columns = {"dato": dates(np.concatenate([before, newest])[order])}
    for number, name in enumerate(_variables(place)):
        columns[name] = _letters(scores[:, number], filled[:, number])
    return Rows(person[order], columns)


def _days_of(year: int) -> int:
    return 366 if isleap(year) else 365


def _variables(place: Place) -> list[str]:
    names: list[str] = place.collection.codes["bistandsvariabler"]["code"].to_pylist()
    return names


def _day(people: People, person: Ints, year: int, from_day: int, to_day: Ints) -> Ints:
    earliest = np.maximum(from_day, people.born[person])
    return earliest + people.lots.take(person).below(f"assessed in {year}", to_day - earliest + 1)


def _letters(scores: Scores, filled: Bits) -> pa.Array:
    places = np.searchsorted(np.array([int(score) for score in SCORES], np.uint8), scores)
    return pa.array(SCORES).take(pa.array(places.astype(np.int8), mask=~filled))


def _scores(place: Place, people: People, person: Ints, year: int) -> tuple[Scores, Bits]:
    """Draw scores (n × variables) of which no rule has anything to say, and which of them are filled."""
    variables = _variables(place)
    lots, need = people.lots.take(person), people.need[person]
    scores = _table()[need[:, None], _bytes(lots, year, len(variables))]
    filled = np.ones(scores.shape, np.bool_)
    partly = lots.hits(f"partly in {year}", rates()["scores"]["partly_filled"])
    for name in _OFTEN_BLANK:
        filled[partly & lots.hits(f"{name} blank in {year}", 0.5), variables.index(name)] = False
    measures = place.collection.codes["bistandsvariabler"]["sub_measure"].to_pylist()
    parts = {name: np.flatnonzero(np.array(measures) == name) for name in dict.fromkeys(measures)}
    small = people.age[person] < _SMALL_CHILD
    scores[np.ix_(small, parts["household"])] = _NOT_RELEVANT
    _fit_medium(scores, filled, need == _LEVEL["middels"], parts)
    _fit_extensive(scores, need == _LEVEL["omfattende"], parts)
    stays = people.profile[person] == PROFILES.index("long_term")
    _fit_long_term(scores, stays & (need == _LEVEL["noe"]), variables)
    _tell_apart(scores, [variables.index(name) for name in variables if name not in _OFTEN_BLANK])
    return scores, filled


@cache
def _table() -> Scores:
    """Give 256 scores for each level, as often as the rates say: a random byte is then a score."""
    values = np.array([int(score) for score in SCORES], np.uint8)
    table = np.empty((len(LEVELS), 256), np.uint8)
    for number, level in enumerate(LEVELS):
        edges = np.cumsum(rates()["scores"][level]) / np.sum(rates()["scores"][level])
        table[number] = values[np.searchsorted(edges[:-1], (np.arange(256) + 0.5) / 256, side="right")]
    return table


def _bytes(lots: Lots, year: int, count: int) -> Scores:
    """Draw random bytes (n × count); eight come of one draw."""
    turns = range(-(-count // 8))
    drawn = [lots.bits(f"scores {year} {turn}").astype("<u8").view(np.uint8).reshape(-1, 8) for turn in turns]
    return np.concatenate(drawn, axis=1)[:, :count]


def _mean(scores: Scores, filled: Bits, columns: Ints) -> NDArray[np.float64]:
    counted = np.where(scores[:, columns] == _NOT_RELEVANT, 1, scores[:, columns]) * filled[:, columns]
    mean: NDArray[np.float64] = counted.sum(axis=1) / np.maximum(filled[:, columns].sum(axis=1), 1)
    return mean


def _fit_medium(scores: Scores, filled: Bits, rows: Bits, parts: dict[str, Ints]) -> None:
    """See to it that one part is above 2, and none that decides above 3."""
    for name in _DECISIVE:
        high = np.flatnonzero(rows)[_mean(scores[rows], filled[rows], parts[name]) > 3]
        scores[np.ix_(high, parts[name])] = np.minimum(scores[np.ix_(high, parts[name])], 3)
    above = np.zeros(len(scores), np.bool_)
    for name in (*_DECISIVE, "household", "own_health"):
        above |= _mean(scores, filled, parts[name]) > 2
    scores[np.ix_(rows & ~above, parts["own_health"])] = 3


def _fit_extensive(scores: Scores, rows: Bits, parts: dict[str, Ints]) -> None:
    """See to it that self-care is above 3 where nothing else that decides is."""
    everywhere = np.ones(scores.shape, np.bool_)
    low = np.flatnonzero(rows)[_mean(scores[rows], everywhere[rows], parts["self_care"]) <= 3]
    place = np.ix_(low, parts["self_care"])
    scores[place] = np.where(scores[place] == _NOT_RELEVANT, 4, np.maximum(scores[place], 4))


def _fit_long_term(scores: Scores, rows: Bits, variables: list[str]) -> None:
    """Give those in long-term stay help with something, though little in all."""
    for name, score in (("F08", 3), ("F04", 1), ("F09", 1)):
        scores[rows, variables.index(name)] = score


def _tell_apart(scores: Scores, always_filled: list[int]) -> None:
    """Change one score where all are the same: nobody is alike in everything."""
    first = always_filled[0]
    same = (scores[:, always_filled] == scores[:, [first]]).all(axis=1)
    scores[same, first] = np.where(scores[same, first] == 1, 2, 1)
