"""What one feedback says, before any format: whose delivery, its feilliste, its control tables, and in which words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ipis.kernel.calendar import OSLO
from ipis.ssb.feedback.feilliste import Status, count_by_status, count_problems, of_status, unanswered
from ipis.ssb.feedback.figures import Figures, figures_of
from ipis.ssb.feedback.rules import by_rule

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from ipis.ssb.feedback.texts import Texts
    from ipis.ssb.tables.compare import ControlTable
    from ipis.ssb.tables.indicators import IndicatorResult

LEVELS = ("kritisk", "feil", "advarsel", "info")
_WORDED = ("status", "level", "effect")


@dataclass(frozen=True, slots=True)
class Tally:
    """How much of one kind there is."""

    problems: int
    findings: int
    persons: int

    @classmethod
    def of(cls, findings: pa.Table) -> Tally:
        """Count the problems, findings and persons of some lines of the feilliste."""
        persons = pc.count_distinct(findings["brukerNr"].filter(pc.not_equal(findings["brukerNr"], ""))).as_py()
        return cls(count_problems(findings), findings.num_rows, persons)


@dataclass(frozen=True)
class Contents:
    """One feedback; what is counted in it is counted once, though page, workbook and index all say it."""

    kommune: str
    kommune_name: str
    bydel: str
    year: int
    sequence: int
    forsendelse: str
    phase: str
    arrived_at: datetime
    made_at: datetime
    corrections_until: datetime
    address: str
    short_code: str
    """Of R3: the code for the phone."""
    pack_version: int
    feilliste: pa.Table
    tables: tuple[ControlTable, ...]
    record_labels: Mapping[str, str]
    field_labels: Mapping[tuple[str, str], str]
    texts: Texts
    indicators: tuple[IndicatorResult, ...] = ()
    guide: str = ""
    """Where the guide stands (collection.addresses); the place of a rule in it is its number."""

    @property
    def levels_in_order(self) -> tuple[str, ...]:
        """List the levels, the weightiest first."""
        return LEVELS

    @cached_property
    def statuses(self) -> dict[str, int]:
        """Count findings by status."""
        return count_by_status(self.feilliste)

    @cached_property
    def unanswered(self) -> pa.Table:
        """Give the findings that ask for something."""
        return unanswered(self.feilliste)

    @cached_property
    def answered(self) -> pa.Table:
        """Give the findings that the municipality has said are right as they are."""
        return of_status(self.feilliste, Status.ANSWERED)

    @cached_property
    def fixed(self) -> pa.Table:
        """Give the findings that are gone since the delivery before."""
        return of_status(self.feilliste, Status.FIXED)

    @cached_property
    def by_rule(self) -> pa.Table:
        """Sum the feilliste by rule."""
        return by_rule(self.feilliste)

    def figures(self) -> list[Figures]:
        """Put the control tables in words; the work is done at each call."""
        return figures_of(self.tables, self.texts)

    def levels(self) -> dict[str, int]:
        """Count the findings that ask for something by level, the weightiest first."""
        counted = pc.value_counts(self.unanswered["level"].combine_chunks()).to_pylist()
        found = {item["values"]: item["counts"] for item in counted}
        return {level: found.get(level, 0) for level in LEVELS}

    @cached_property
    def tallies(self) -> Mapping[str, Tally]:
        """Count problems, findings and persons: to correct, to look through, for information, answered, fixed.

        A problem is counted where its main finding weighs; its findings are counted with it.
        """
        asked = self.unanswered
        heaviest = _heaviest(asked)
        parts = {
            "correct": asked.filter(pc.less_equal(heaviest, 1)),
            "look": asked.filter(pc.equal(heaviest, 2)),
            "info": asked.filter(pc.greater_equal(heaviest, 3)),
            "answered": self.answered,
            "fixed": self.fixed,
        }
        return {name: Tally.of(part) for name, part in parts.items()}

    def todo(self) -> list[str]:
        """Say what to do now, step by step: what weighs most first, and until when it counts."""
        texts, tallies = self.texts, self.tallies
        errors, others = tallies["correct"].problems, tallies["look"].problems + tallies["info"].problems
        if not errors + others:
            return [texts["now.clean"]]
        steps = [texts["now.correct"]] if errors else [texts["now.look"]]
        if errors and others:
            steps.append(texts["now.warnings"])
        last_day = f"{(self.corrections_until - timedelta(seconds=1)).astimezone(OSLO):{self._day_form}}"
        if self.made_at >= self.corrections_until:
            return [*steps, texts["now.over"].format(day=last_day, address=self.address)]
        return [*steps, texts["now.resend" if errors else "now.resend_if"].format(day=last_day)]

    @property
    def counts_for(self) -> str:
        """Say which publications the delivery counts for."""
        return self.texts["page." + {"open": "march_and_june", "late": "june"}.get(self.phase, "none")]

    def moment(self, at: datetime) -> str:
        """Write an instant as the language does, in Norwegian time."""
        return f"{at.astimezone(OSLO):{self._day_form} %H:%M}"

    @property
    def _day_form(self) -> str:
        return "%Y-%m-%d" if self.texts.language == "en" else "%d.%m.%Y"

    def guide_of(self, rule: str) -> str:
        """Give the address of a rule in the guide, or nothing where the collection names none."""
        return f"{self.guide}#{rule}" if self.guide else ""

    def name_of(self, row: IndicatorResult) -> str:
        """Name an indicator, and the group that its figure is about."""
        language = self.texts.language
        return f"{row.title[language]}: {row.group_label[language]}" if row.group else row.title[language]

    def reason_of(self, row: IndicatorResult) -> str:
        """Say why an indicator has no figure."""
        return self.texts[f"indicators.{row.reason}"] if row.reason else ""

    def why_empty(self, row: IndicatorResult) -> str:
        """Say why an indicator lacks a figure, and why all of them lack last year's or the nation's."""
        said = [f"{self.reason_of(row)}."] if row.reason else []
        if all(each.last_year is None for each in self.indicators):
            said.append(self.texts["why.last_year_none"])
        if all(each.nation is None for each in self.indicators):
            said.append(self.texts["why.nation_not_published"])
        return " ".join(said)

    def found_by_rule(self) -> pa.Array:
        """Say what each rule found: as an example where its findings have words of their own."""
        first = self.by_rule["found"].combine_chunks()
        example = pc.binary_join_element_wise(self.texts["page.example"], first, " ")
        return pc.if_else(pc.greater(self.by_rule["wordings"].combine_chunks(), 1), example, first)

    def in_words(self, column: str, findings: pa.Table) -> pa.Array:
        """Give a column of the feilliste in words: codes, record types and fields by name; others as they are."""
        values = findings[column].combine_chunks()
        if column in _WORDED:
            return _named(values, self.texts.sections[column])
        if column == "record":
            return _named(values, self.record_labels)
        if column == "field":
            both = pc.binary_join_element_wise(findings["record"].combine_chunks(), values, "\x1f")
            words = _named(both, {f"{record}\x1f{name}": label for (record, name), label in self.field_labels.items()})
            return pc.if_else(pc.equal(words, both), values, words)
        return pc.fill_null(values, "") if pa.types.is_string(values.type) else values


def _heaviest(findings: pa.Table) -> pa.Array:
    """Give for each finding the weight (place in LEVELS) of its problem."""
    weights = np.asarray(pc.index_in(findings["level"].combine_chunks(), value_set=pa.array(LEVELS)))
    problem = np.asarray(findings["problem"])
    least = np.full(problem.max(initial=0) + 1, len(LEVELS))
    np.minimum.at(least, problem, weights)
    return pa.array(least[problem])


def _named(values: pa.Array, words: Mapping[str, str]) -> pa.Array:
    """Put words for codes; a code without a word stays as it is."""
    codes, named = pa.array(list(words), pa.string()), pa.array(list(words.values()), pa.string())
    return pc.coalesce(named.take(pc.index_in(values, value_set=codes, skip_nulls=True)), values)
