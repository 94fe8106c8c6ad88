"""The findings as they are met: problems that are mended in one way are one card, with what falls away with them.

A card is told by its main findings (rule, record type, field); the findings that follow from them stand beneath.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ipis.ssb.feedback import cells
from ipis.ssb.feedback.feilliste import Status, count_problems

if TYPE_CHECKING:
    from markupsafe import Markup

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
    body: Markup | str

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
    problem = np.asarray(findings["problem"])
    starts = np.flatnonzero(np.r_[True, problem[1:] != problem[:-1]])
    mains = findings.select(_KIND).take(pa.array(starts))
    kinds = pc.binary_join_element_wise(*(mains[name].combine_chunks() for name in _KIND), "\x1f").dictionary_encode()
    of_finding = np.repeat(np.asarray(kinds.indices), np.diff(np.r_[starts, len(problem)]))
    order = np.argsort(of_finding, kind="stable")
    bounds = np.searchsorted(of_finding[order], np.arange(len(kinds.dictionary) + 1))
    made = [
        _card(findings.take(pa.array(order[start:end])), contents)
        for start, end in zip(bounds[:-1], bounds[1:], strict=True)
    ]
    weight = list(contents.levels_in_order)
    made.sort(key=lambda card: (weight.index(card.level), bool(card.columns), -card.problems, card.rule))
    return [_placed(card, place) for place, card in enumerate(made, start=first + 1)]


def _placed(card: Card, place: int) -> Card:
    values = {name: getattr(card, name) for name in Card.__slots__}
    return Card(**(values | {"place": place}))


def _card(part: pa.Table, contents: Contents) -> Card:
    first = part.slice(0, 1).to_pylist()[0]
    mains = part.filter(pc.equal(part["rule"], first["rule"]))
    said = {word: first[word] if len(pc.unique(mains[word])) == 1 else "" for word in _WORDS}
    also = pc.value_counts(part["rule"].combine_chunks()).to_pylist()
    columns = _columns(part, said, contents) if _has_keys(part) else ()
    return Card(
        place=0,
        rule=first["rule"],
        level=first["level"],
        effect=first["effect"],
        problems=count_problems(part),
        count=part.num_rows,
        persons=len(set(part["brukerNr"].to_pylist()) - {""}),
        new=pc.sum(pc.equal(part["status"], Status.NEW.value)).as_py(),
        said=said,
        example="" if said["found"] else first["found"],
        also=tuple((item["values"], item["counts"]) for item in also if item["values"] != first["rule"]),
        columns=columns,
        body=_body(part.slice(0, SHOWN), columns, contents) if columns else "",
    )


def _columns(part: pa.Table, said: dict[str, str], contents: Contents) -> tuple[str, ...]:
    columns = [name for name in _KEYS if pc.any(pc.not_equal(pc.fill_null(part[name], ""), "")).as_py()]
    if contents.sequence > 1 and pc.any(pc.is_in(part["status"], value_set=pa.array(["new", "open"]))).as_py():
        columns.append("status")
    if len(pc.unique(part["found"])) > 1:
        columns.append("found")
        # The sentence says the value.
        columns = [name for name in columns if name != "value"]
    columns += [word for word in ("expected", "do") if not said[word]]
    if pc.any(pc.not_equal(part["answer"], "")).as_py():
        columns.append("answer")
    return tuple(columns)


def _body(part: pa.Table, columns: tuple[str, ...], contents: Contents) -> Markup:
    tags = {"brukerNr": '<td class="key">', "id": '<td class="key">'}
    return cells.rows([(contents.in_words(name, part), tags.get(name, "<td>")) for name in columns])


def _has_keys(part: pa.Table) -> bool:
    return bool(pc.any(pc.or_(pc.not_equal(part["brukerNr"], ""), pc.not_equal(part["id"], ""))).as_py())
