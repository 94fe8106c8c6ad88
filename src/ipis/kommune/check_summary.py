"""What `ipis kommune check` says on a terminal: what was found, expected and to be done, the heaviest first.

It shows no key and no value of any record: a terminal keeps its history and is read over shoulders. Those stand in
the page. Narrow enough for 80 columns; what the reader needs last, the outcome, stands last.
"""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.text import Text

from ipis.kommune.check_report import texts_of
from ipis.validation.catalogue import Level

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from ipis.kernel.layout import Layout
    from ipis.kommune.precheck import Checked
    from ipis.kommune.told import Group, Told
    from ipis.validation.findings import Texts

_STYLE: Final = {Level.KRITISK: "bold red", Level.FEIL: "bold red", Level.ADVARSEL: "bold yellow", Level.INFO: "bold"}
_PLACEHOLDER: Final = re.compile(r"\{(\w+)\}")
_UNSAID: Final = "…"
_WIDEST: Final = 100
"""Columns beyond which a line is hard to follow."""


def summarise(checked: Checked, found: Told, layout: Layout, report: Path | None) -> None:
    """Say on stdout what was found, level by level, and at the end what it comes to and where the records stand."""
    texts, groups = texts_of(found.language), found.groups()
    out = Console(highlight=False, markup=False)
    for level in reversed(Level):
        own = [group for group in groups if group.level is level]
        if own:
            out.print(_heading(level, own, texts))
        for group in own:
            out.print(_title(group, layout, found.language))
            for part in _parts(group, checked.report.findings.texts, found.language, min(out.width, _WIDEST)):
                out.print(part)
            out.print()
    if groups:
        out.print(_counts(groups, found.table.num_rows, texts))
    out.print(texts["outcome"][checked.outcome], style="bold")
    if report is not None:
        out.print(texts["text"]["written"].format(file=report), soft_wrap=True)
    elif groups:
        out.print(texts["text"]["no_report"])


def without_values(group: Group, texts: Texts, language: str) -> str:
    """Give what was found with a mark for each value of a record, and for the field's name where there are several.

    What is about the delivery as a whole is a count of it, and is said.
    """
    if group.found and all(row["row"] is None for row in group.mains):
        return group.found
    rule, fields = texts.rules[group.rule], {(row["record"], row["field"]) for row in group.mains}
    (record, field), *others = sorted(fields, key=str)
    said = texts.constants(record, field or "", language)
    unsaid = {"v", "value", *(name.rpartition(".")[2] for name in rule.shows), *(("label", "field") if others else ())}
    words = {name: word for name, word in said.items() if name not in unsaid}
    sentence = rule.message[language].found
    if others and sentence.startswith("{label}"):
        sentence = sentence.replace("{label}", texts_of(language)["text"]["the_field"], 1)
    sentence = _PLACEHOLDER.sub(lambda name: words.get(name[1], _UNSAID), sentence)
    return re.sub(rf"{_UNSAID}(?: {_UNSAID})+", _UNSAID, sentence).replace(f"{_UNSAID}.", _UNSAID)


def _heading(level: Level, groups: Sequence[Group], texts: Mapping[str, Mapping[str, str]]) -> Text:
    told = texts["level"][level] + f" ({sum(group.problems for group in groups)})"
    return Text.assemble((told, _STYLE[level]), f"  {texts['level_means'][level]}\n")


def _title(group: Group, layout: Layout, language: str) -> Text:
    """Name the rule, how much it found and the fields that it is about."""
    words = texts_of(language)["page"]
    counted = [f"{group.problems} {words['one_problem'] if group.problems == 1 else words['many_problems']}"]
    if group.count != group.problems:
        counted.append(f"{group.count} {words['many']}")
    return Text.assemble((group.rule, "bold"), " · ", " · ".join((*counted, group.about(layout, language))))


def _parts(group: Group, texts: Texts, language: str, width: int) -> Iterator[Text]:
    """Put the three parts under each other, each behind its name, and what goes away with the problem."""
    words = texts_of(language)
    also = ", ".join(f"{rule} ({count})" for rule, count in group.also.items())
    parts = [
        (words["column"]["found"], without_values(group, texts, language)),
        (words["column"]["expected"], group.expected),
        (words["column"]["do"], group.do),
        *([("", words["page"]["also"].format(rules=also))] if also else []),
    ]
    margin = max(len(name) for name, _ in parts) + 4
    for name, sentence in parts:
        first = f"  {name}".ljust(margin)
        told = textwrap.fill(sentence, width, initial_indent=first, subsequent_indent=" " * margin)
        yield Text.assemble((told[:margin], "dim"), told[margin:])


def _counts(groups: Sequence[Group], findings: int, texts: Mapping[str, Mapping[str, str]]) -> str:
    return texts["text"]["counts"].format(problems=sum(group.problems for group in groups), findings=findings)
