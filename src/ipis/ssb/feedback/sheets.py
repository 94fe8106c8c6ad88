"""The feedback as one XLSX workbook: an overview, the feilliste with filters and a frozen header, a sheet a table."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ipis.lib.spreadsheet import Column, Sheet, write_workbook

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ipis.ssb.feedback.contents import Contents
    from ipis.ssb.feedback.figures import Figures

COLUMNS = (
    "level", "problem", "brukerNr", "record", "id", "found", "expected", "do", "field", "value", "status",
    "first_seen", "effect", "rule", "answer",
)  # fmt: skip
"""The columns as a person reads them: how much it weighs, whom and what it is about, what to do, the rest."""
_FROZEN = 3
_WIDTHS = {
    "level": 13, "problem": 10, "brukerNr": 14, "record": 18, "id": 20, "found": 44, "expected": 34, "do": 44,
    "field": 22, "value": 14, "status": 13, "first_seen": 12, "effect": 24, "rule": 8, "answer": 30,
}  # fmt: skip
_WRAPPED = {"found", "expected", "do", "effect", "field", "answer"}
_KEY, _FIGURE = 38, 16


def render_workbook(contents: Contents, figures: Sequence[Figures]) -> bytes:
    """Write the workbook; `figures` are the control tables in words."""
    sheets = [_overview(contents, figures), _feilliste(contents), _rules(contents), *_indicators(contents)]
    sheets += [_table(each) for each in figures]
    return write_workbook(sheets, title=contents.texts["page.title"], at=contents.made_at)


def _overview(contents: Contents, figures: Sequence[Figures]) -> Sheet:
    texts, tallies = contents.texts, contents.tallies
    district = "" if contents.bydel == "00" else f", {texts['page.bydel']} {contents.bydel}"
    above = [
        f"{texts['page.title']} {contents.year}",
        f"{contents.kommune} {contents.kommune_name}{district}",
        " · ".join(
            (
                f"{texts['page.delivery']} {contents.sequence}",
                f"{texts['page.arrived']} {contents.moment(contents.arrived_at)}",
                f"{texts['page.counts']} {contents.counts_for}",
            )
        ),
        "",
        texts["page.what_now"],
        *(f"{place}. {step}" for place, step in enumerate(contents.todo(), start=1)),
        "",
    ]
    names = [
        texts["sheet.feilliste"],
        texts["sheet.rules"],
        *([texts["sheet.indicators"]] if contents.indicators else []),
    ]
    notes = [
        texts["page.cause"],
        texts["page.secret"],
        "",
        texts["answer.title"],
        *re.split(r"(?<=[.?]) (?=[A-ZÅ])", texts["answer.how"]),
        "",
        texts["sheet.contents"],
        *names,
        *(f"{each.id}  {each.title}" for each in figures),
    ]
    counted = [(texts[f"tally.{name}"], tally) for name, tally in tallies.items()]
    columns = [
        Column(texts["tally.heading"], pa.array([name for name, _ in counted]), 44),
        Column(texts["tally.problems"], pa.array([tally.problems for _, tally in counted]), 14),
        Column(texts["tally.findings"], pa.array([tally.findings for _, tally in counted]), 14),
        Column(texts["tally.persons"], pa.array([tally.persons for _, tally in counted]), 14),
    ]
    return Sheet(texts["sheet.overview"], columns, above=above, frozen=None, notes=notes)


def _feilliste(contents: Contents) -> Sheet:
    listed, texts = contents.feilliste, contents.texts
    columns = [
        Column(texts[f"column.{name}"], contents.in_words(name, listed), _WIDTHS[name], wrap=name in _WRAPPED)
        for name in COLUMNS
    ]
    return Sheet(texts["sheet.feilliste"], columns, frozen=_FROZEN)


def _rules(contents: Contents) -> Sheet:
    listed, texts = contents.by_rule, contents.texts
    words = {"rule": 8, "level": 14, "found": 50, "do": 50}
    said = {name: contents.in_words(name, listed) for name in words} | {"found": contents.found_by_rule()}
    columns = [Column(texts[f"column.{name}"], said[name], width, wrap=width > 14) for name, width in words.items()]
    columns += [
        Column(texts[f"rules.{name}"], listed[name].combine_chunks(), 12)
        for name in ("problems", "findings", "persons", "new", "open", "answered", "fixed")
    ]
    guide = [contents.guide_of(rule) for rule in listed["rule"].to_pylist()]
    columns.append(Column(texts["rules.guide"], pa.array(guide, pa.string()), 60))
    return Sheet(texts["sheet.rules"], columns, above=[texts["rules.title"], texts["rules.about"]], frozen=1)


def _indicators(contents: Contents) -> Iterator[Sheet]:
    if not contents.indicators:
        return
    texts, rows, language = contents.texts, contents.indicators, contents.texts.language
    title = [contents.name_of(row) for row in rows]
    columns = [
        Column(texts["indicators.id"], pa.array([row.id for row in rows]), 8),
        Column(texts["indicators.name"], pa.array(title), 60, wrap=True),
        Column(texts["indicators.unit"], pa.array([row.unit[language] for row in rows]), 24),
    ]
    columns += [
        Column(
            texts[f"indicators.{name}"],
            pa.array([getattr(row, name) for row in rows], pa.float64()),
            _FIGURE,
            decimals=1,
        )
        for name in ("value", "if_corrected", "last_year", "nation")
    ]
    columns.append(Column(texts["indicators.open"], pa.array([row.open_findings for row in rows]), _FIGURE))
    columns.append(Column(texts["indicators.why"], pa.array([contents.why_empty(row) for row in rows]), 40))
    yield Sheet(
        texts["sheet.indicators"], columns, above=[texts["indicators.title"], texts["indicators.about"]], frozen=2
    )


def _table(figures: Figures) -> Sheet:
    columns = [
        Column(heading, column.combine_chunks(), _KEY)
        for heading, column in zip(figures.headings, figures.keys.columns, strict=True)
    ]
    frame, decimals = figures.table.frame, int(np.asarray(figures.decimals).max(initial=0))
    columns += [
        Column(figures.heading(side), frame[side].combine_chunks(), _FIGURE, decimals=decimals)
        for side in ("this", "last_year", "change", "nation")
    ]
    title = f"{figures.id} {figures.title}" + (f" – {figures.measured}" if figures.measured else "")
    return Sheet(figures.id, columns, above=[title, *figures.reasons], frozen=len(figures.headings))
