"""How the author's commands read on a terminal: tables, the heaviest first, and what was not judged."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from itertools import islice
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from ipis.kernel.errors import sentence
from ipis.validation import rulebook
from ipis.validation.catalogue import Level

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from ipis.kernel.errors import DefinitionRefused
    from ipis.validation.author.answer import Answer
    from ipis.validation.author.trial import Hits
    from ipis.validation.findings import Verdict

STYLE = {Level.KRITISK: "bold red", Level.FEIL: "red", Level.ADVARSEL: "yellow", Level.INFO: "cyan"}
_SHOWN = 20
"""Findings shown with their values; --json gives all."""


@cache
def texts(language: str) -> Mapping[str, str]:
    """Give the words of the author's commands in a language."""
    source = files("ipis.validation.author").joinpath("texts.toml").read_text(encoding="utf-8")
    return {key: text[language] for key, text in tomllib.loads(source).items()}


def grid(*headings: str, right: frozenset[str] = frozenset()) -> Table:
    """Begin a table without frames; counts stand to the right."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, justify="right" if heading in right else "left")
    return table


def show_problems(
    found: Sequence[tuple[str, DefinitionRefused]], looked_at: Sequence[str], console: Console, language: str
) -> None:
    """Show each problem with its place, what was expected and what to do."""
    said = texts(language)
    for origin, problem in found:
        text, names = problem.render(language), problem.params.values()
        of = "" if text.found.startswith(f"{origin}/") else f"{origin}: "
        console.print(Text(of, style="dim") + Text(sentence(text.found, names), style="red"))
        console.print(Text(f"  {said['expected']}: {sentence(text.expected, names)}"))
        console.print(Text(f"  {said['do']}: {sentence(text.do, names)}"))
    console.print(said["problems"].format(count=len(found), folders=", ".join(looked_at)), style="bold")


def show_trial(hits: Sequence[Hits], console: Console, language: str) -> None:
    """Show what rules came to, the most breaches first, and the sum of each rule."""
    said = texts(language)
    counts = ("ok", said["breach"], "%", said["not_assessed"])
    table = grid(said["rule"], "kommune", "bydel", "", *counts, said["why"], right=frozenset(counts))
    totals: dict[str, Verdict] = {}
    for each in sorted(hits, key=lambda hit: (hit.rule, -hit.verdict.breach, hit.kommune, hit.bydel)):
        totals[each.rule] = totals[each.rule] + each.verdict if each.rule in totals else each.verdict
        table.add_row(each.rule, each.kommune, each.bydel, each.name, *_cells(each.verdict))
    for rule, verdict in totals.items():
        table.add_row(rule, said["all"], "", "", *_cells(verdict), style="bold")
    console.print(table)


def _cells(verdict: Verdict) -> tuple[str, ...]:
    judged = verdict.ok + verdict.breach
    share = f"{100 * verdict.breach / judged:.1f}" if judged else "–"
    why = ", ".join(f"{reason} {count}" for reason, count in sorted(verdict.reasons.items()))
    return str(verdict.ok), str(verdict.breach), share, str(verdict.not_assessed), why


def _printable(text: str) -> str:
    """Take out what a terminal would act on: a value is a stranger's."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def show_answer(answer: Answer, console: Console, language: str) -> None:
    """Show the verdicts by rule, the first findings, and what had no table."""
    said, book = texts(language), rulebook.of(answer.collection)
    counts = {"ok", said["breach"], said["not_assessed"]}
    table = grid(
        said["rule"], said["level"], "ok", said["breach"], said["not_assessed"], said["why"], right=frozenset(counts)
    )
    weight = {level: place for place, level in enumerate(reversed(Level))}
    for number, counted in sorted(
        answer.rules().items(), key=lambda item: (not item[1]["breach"], weight[book.rules[item[0]].level], item[0])
    ):
        level = book.rules[number].level
        why = ", ".join(f"{reason} {count}" for reason, count in counted["reasons"].items())
        cells = (counted["ok"], counted["breach"], counted["not_assessed"])
        table.add_row(number, Text(level.value, style=STYLE[level]), *map(str, cells), why)
    console.print(table)
    found = list(islice(answer.findings(language), _SHOWN))
    for each in found:
        key = " ".join(f"{name}={value}" for name, value in each["key"].items())
        place = Text(f"{each['rule']} {each['record']} {_printable(key)}: ", style="bold")
        console.print(place + Text(_printable(each["message"])))
    total = len(answer.report.findings)
    console.print(said["total"].format(count=total, shown=len(found)), style="bold")
    for name in answer.data.missing:
        console.print(said["missing"].format(record=name), style="yellow")
    for name, columns in answer.data.missing_columns.items():
        console.print(said["missing_columns"].format(record=name, columns=", ".join(columns)), style="yellow")
    for rule, kind in answer.report.culprits.items():
        console.print(said["culprit"].format(rule=rule, kind=kind), style="yellow")
