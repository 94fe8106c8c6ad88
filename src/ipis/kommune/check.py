"""`ipis kommune check`: the municipality's own extract against the year's rules, before anything is sent.

0 clean, info or warnings only; 1 findings of level feil; 2 refused. Findings name brukerNr and the record's own id,
never an identity number.
"""

from __future__ import annotations

import json
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import TimeElapsedColumn

from ipis.kernel.errors import Misuse
from ipis.kommune import precheck
from ipis.kommune.check_report import page, texts_of
from ipis.kommune.check_summary import summarise
from ipis.kommune.precheck import Outcome
from ipis.kommune.progress import bars
from ipis.kommune.season import load_season, tell_trust
from ipis.kommune.told import Told, told
from ipis.lib.settings import speak
from ipis.lib.storage import write_durably

if TYPE_CHECKING:
    from ipis.kernel.seasonpack import SeasonPack
    from ipis.kommune.precheck import Checked

EXIT_CODES = {Outcome.CLEAN: 0, Outcome.LOOK_AT: 0, Outcome.TO_CORRECT: 1, Outcome.REFUSED: 2}


class Language(StrEnum):
    """The language of messages and report."""

    NB = "nb"
    NN = "nn"
    EN = "en"


def register(app: typer.Typer) -> None:
    """Add the verb to the municipality's commands."""
    app.command("check")(check)


def check(
    extract: Annotated[Path, typer.Argument(help="The XML, or a folder with <record>.csv|parquet.")],
    pack: Annotated[Path, typer.Option(help="The season pack.")],
    report: Annotated[Path | None, typer.Option(help="A page to write: every finding, and what to do.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Every finding as JSON on stdout.")] = False,
    language: Annotated[
        Language, typer.Option(envvar="IPIS_LANGUAGE", help="Language of messages and report.")
    ] = Language.NB,
    keyring: Annotated[Path | None, typer.Option(help="The keyring that remembers the root and the version.")] = None,
) -> int:
    """Check an extract before it is sealed."""
    speak(language.value)
    if report is not None and (report.is_dir() or not report.parent.is_dir()):
        raise Misuse("check.report", file=report)
    first_seen: list[SeasonPack] = []
    season, _ = load_season(pack, keyring, first_seen.append if as_json else tell_trust)
    with bars(TimeElapsedColumn(), quiet=as_json) as shown:
        reading = shown.add_task("extract", total=None)
        checked = precheck.run(
            extract, season, progress=lambda done, whole: shown.update(reading, completed=done, total=whole)
        )
    found = told(checked, season.collection, language.value)
    if report is not None:
        write_durably(report, page(checked, found, season, extract.name).encode("utf-8"))
    if as_json:
        trusted = {"trusted_at_first_use": first_seen[0].root.fingerprint} if first_seen else {}
        json.dump(as_object(checked, found) | trusted, sys.stdout, ensure_ascii=False)
        sys.stdout.write(os.linesep)
    else:
        summarise(checked, found, season.collection.layout, report)
        for rule in checked.report.culprits:
            _tell_culprit(rule, language)
    return EXIT_CODES[checked.outcome]


def as_object(checked: Checked, found: Told) -> dict[str, object]:
    """Give the findings as `check --json` writes them, and how many there are of each level."""
    findings = [
        {
            "rule": row["rule"],
            "level": row["level"],
            "effect": row["effect"],
            "record": row["record"],
            "key": {"brukerNr": row["brukerNr"], "id": row["id"]},
            "fields": [row["field"]] if row["field"] else [],
            "message": row["message"],
        }
        for row in found.table.to_pylist()
    ]
    return {"findings": findings, "counts": checked.report.findings.count_by_level()}


def _tell_culprit(rule: str, language: str) -> None:
    """Say on stderr that a rule could not be run."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(texts_of(language)["text"]["culprit"].format(rule=rule), style="yellow")
