"""The findings as they are met: problems that are mended in one way are one card, with what falls away with them.

A card is told by its main findings (rule, record type, field); the findings that follow from them stand beneath.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ipis.ssb.feedback import cells
from ipis.ssb.feedback.feilliste import Status

if TYPE_CHECKING:
    from markupsafe import Markup
    from numpy.typing import NDArray

    from ipis.ssb.feedback.contents import Contents

SHOWN = 100
"""Findings listed under a card on the page; how many more there are, and where they stand, is said."""
_KIND = ("rule", "record", "field")
_KEYS = ("brukerNr", "record", "id", "field", "value")
_WORDS = ("found", "expected", "do")


@dataclass(frozen=True, slots=True)
class Card:
    """Problems that are mended in one way."""

    place: int
    rule: str
    level: str
    effect: str
    problems: int
    count: int
    persons: int
    new: int
    said: dict[str, str]
    """Found, expected and do, where they are the same for all main findings; else empty and in the columns."""
    example: str
    """What was found in the first, where each has its own words."""
    also: tuple[tuple[str, int], ...]
    """Rules whose findings follow from these problems, and how many."""
    columns: tuple[str, ...]
    """The columns that tell the findings apart; none for a finding about the delivery."""
    body: Markup

    @property
    def title(self) -> str:
        """Say what is wrong."""
        return self.said["found"] or self.example

    @property
    def hidden(self) -> bool:
        """Tell whether there are more findings than the page lists."""
        return self.count > SHOWN


def cards(findings: pa.Table, contents: Contents, first: int = 0) -> list[Card]:
    """Put together what is met in one way: the weightiest level first, then the whole delivery, then the most problems.

    `findings` are lines of the feilliste, problem by problem; `first` is the place of the first card on the page.
    """
    if not findings.num_rows:
        return []
    sorted_, card = _by_card(findings)
    parts = _Parts(sorted_, card, np.flatnonzero(np.r_[True, card[1:] != card[:-1]]))
    made = _made(parts, contents)
    weight = list(contents.levels_in_order)
    made.sort(key=lambda each: (weight.index(each.level), bool(each.columns), -each.problems, each.rule))
    return [replace(each, place=place) for place, each in enumerate(made, start=first + 1)]


@dataclass(frozen=True, slots=True)
class _Parts:
    """Findings card by card: the card of each finding, and where each card starts."""

    findings: pa.Table
    card: NDArray[np.int64]
    starts: NDArray[np.int64]

    def distinct(self, name: str, among: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
        """Count the different values that each card has in a column, empty ones aside where `among` leaves them out."""
        codes = np.asarray(self.findings[name].combine_chunks().dictionary_encode().indices, np.int64)
        pairs = self.card * (int(codes.max()) + 1) + codes
        chosen = pairs if among is None else pairs[among]
        return np.bincount(np.unique(chosen) // (int(codes.max()) + 1), minlength=len(self.starts))

    def any(self, rows: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Tell for each card whether one of its findings is among these."""
        found: NDArray[np.bool_] = np.logical_or.reduceat(rows, self.starts)
        return found

    def filled(self, name: str) -> NDArray[np.bool_]:
        """Tell for each finding whether there is something in a column."""
        return np.asarray(pc.not_equal(pc.fill_null(self.findings[name], ""), ""))


def _by_card(findings: pa.Table) -> tuple[pa.Table, NDArray[np.int64]]:
    """Sort findings by card: that of their problem's main finding."""
    problem = np.asarray(findings["problem"])
    starts = np.flatnonzero(np.r_[True, problem[1:] != problem[:-1]])
    mains = findings.select(_KIND).take(pa.array(starts))
    kinds = pc.binary_join_element_wise(*(mains[name].combine_chunks() for name in _KIND), "\x1f").dictionary_encode()
    card = np.repeat(np.asarray(kinds.indices, np.int64), np.diff(np.r_[starts, len(problem)]))
    order = np.argsort(card, kind="stable")
    return findings.take(pa.array(order)).combine_chunks(), card[order]


def _made(parts: _Parts, contents: Contents) -> list[Card]:
    firsts = parts.findings.take(pa.array(parts.starts)).to_pylist()
    rules = parts.findings["rule"].combine_chunks()
    main = np.asarray(pc.equal(rules, rules.take(pa.array(parts.starts[parts.card]))))
    same = {word: parts.distinct(word, main) == 1 for word in _WORDS}
    columns = _columns(parts, same, contents)
    bodies = _bodies(parts, columns, contents)
    counts = np.diff(np.r_[parts.starts, len(parts.card)])
    problems, persons = parts.distinct("problem"), parts.distinct("brukerNr", parts.filled("brukerNr"))
    is_new = np.asarray(pc.equal(parts.findings["status"], Status.NEW.value))
    new = np.add.reduceat(is_new.astype(np.int64), parts.starts)
    also = _also(parts, ~main)
    made = []
    for place, row in enumerate(firsts):
        said = {word: row[word] if same[word][place] else "" for word in _WORDS}
        card = Card(
            place=0,
            rule=row["rule"],
            level=row["level"],
            effect=row["effect"],
            problems=int(problems[place]),
            count=int(counts[place]),
            persons=int(persons[place]),
            new=int(new[place]),
            said=said,
            example="" if said["found"] else row["found"],
            also=also.get(place, ()),
            columns=tuple(name for name, shown in columns.items() if shown[place]),
            body=bodies[place],
        )
        made.append(card)
    return made


def _columns(parts: _Parts, same: dict[str, NDArray[np.bool_]], contents: Contents) -> dict[str, NDArray[np.bool_]]:
    """Choose the columns of each card, in order: those that tell its findings apart."""
    has_keys = parts.any(parts.filled("brukerNr") | parts.filled("id"))
    told_apart = parts.distinct("found") > 1
    columns = {name: parts.any(parts.filled(name)) for name in _KEYS}
    # The sentence says the value.
    columns["value"] &= ~told_apart
    asked = np.asarray(pc.is_in(parts.findings["status"], value_set=pa.array([Status.NEW.value, Status.OPEN.value])))
    columns["status"] = parts.any(asked) & (contents.sequence > 1)
    columns |= {"found": told_apart, "expected": ~same["expected"], "do": ~same["do"]}
    columns["answer"] = parts.any(parts.filled("answer"))
    return {name: shown & has_keys for name, shown in columns.items()}


def _bodies(parts: _Parts, columns: dict[str, NDArray[np.bool_]], contents: Contents) -> list[Markup]:
    """Write the first rows of every card at once; give them card by card."""
    within = np.arange(len(parts.card)) - parts.starts[parts.card]
    shown = np.flatnonzero(within < SHOWN)
    listed, card = parts.findings.take(pa.array(shown)).combine_chunks(), parts.card[shown]
    tags = {"brukerNr": '<td class="key">', "id": '<td class="key">'}
    lines = cells.rows(
        [
            (contents.in_words(name, listed), tags.get(name, "<td>"), pa.array(has[card]))
            for name, has in columns.items()
        ]
    )
    bounds = np.searchsorted(card, np.arange(len(parts.starts) + 1))
    return [cells.body(lines, start, end) for start, end in pairwise(bounds)]


def _also(parts: _Parts, follows: NDArray[np.bool_]) -> dict[int, tuple[tuple[str, int], ...]]:
    """Count by card the findings of other rules than the main one."""
    following = pa.table({"card": parts.card, "rule": parts.findings["rule"]}).filter(pa.array(follows))
    if not following.num_rows:
        return {}
    counted = following.group_by(["card", "rule"], use_threads=False).aggregate([("rule", "count")])
    also: dict[int, tuple[tuple[str, int], ...]] = {}
    for row in counted.sort_by([("card", "ascending"), ("rule", "ascending")]).to_pylist():
        also[row["card"]] = (*also.get(row["card"], ()), (row["rule"], row["rule_count"]))
    return also
