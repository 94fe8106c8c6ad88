"""`ipis validate` and `ipis rules …`: what a rule author works with, over any register's definitions and tables."""

from __future__ import annotations

import json
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ipis.lib.settings import user_language
from ipis.validation.author import SHIPPED

app = typer.Typer(add_completion=False, no_args_is_help=True)
rules = typer.Typer(add_completion=False, no_args_is_help=True, help="Rules checked, tried and compared.")
app.add_typer(rules, name="rules")


class EngineName(StrEnum):
    """What runs the rules."""

    DUCKDB = "duckdb"
    """Embedded: nothing to install."""
    SPARK = "spark"
    """Distributed: pip install ipis[spark], and Java 17."""


_Definition = Annotated[Path, typer.Option(help="Folder with layout.toml, rules/*.yaml and codes/*.csv.")]
_Year = Annotated[
    int | None,
    typer.Option(
        min=1900,
        max=2999,
        help="The year judged by where there is no collection.toml; else the folder's name, this year.",
    ),
]
_Engine = Annotated[EngineName, typer.Option(help="duckdb (embedded) or spark (extra `spark`, needs Java 17).")]
_Json = Annotated[bool, typer.Option("--json", help="The whole answer as JSON on stdout.")]


@app.command()
def validate(
    definition: _Definition,
    data: Annotated[Path, typer.Option(help="Folder with <record>.csv or <record>.parquet, or an extract in XML.")],
    last_year: Annotated[Path | None, typer.Option(help="The same of the year before.")] = None,
    year: _Year = None,
    engine: _Engine = EngineName.DUCKDB,
    as_json: _Json = False,
) -> int:
    """Judge tables by a definition folder's rules. 0 nothing to correct, 1 findings of level feil, 2 refused."""
    from ipis.validation.author.answer import judge
    from ipis.validation.author.definition import open_definition, with_rules
    from ipis.validation.author.show import show_answer
    from ipis.validation.author.tables import read_tables

    collection = with_rules(open_definition(definition, year))
    tables = read_tables(data, collection)
    past = None if last_year is None else read_tables(last_year, collection)
    answer = judge(collection, tables, last_year=past, engine=engine.value)
    if as_json:
        _write(answer.as_object(user_language()))
    else:
        show_answer(answer, _console(), user_language())
    return answer.exit_code


@rules.command()
def check(
    definition: Annotated[
        Path | None, typer.Option(help="Folder with layout.toml, rules/*.yaml and codes/*.csv; else all years shipped.")
    ] = None,
    year: _Year = None,
    as_json: _Json = False,
) -> int:
    """List what is wrong with rules, with file, line and column. 0 nothing, 1 problems, 2 rules that cannot be read."""
    from ipis.validation.author.check import problems
    from ipis.validation.author.definition import open_folder, shipped
    from ipis.validation.author.show import show_problems

    folders = [open_folder(definition, year)] if definition is not None else shipped()
    found = [(folder.origin, problem) for folder in folders for problem in problems(folder)]
    if as_json:
        _write([problem.params | problem.as_dict(user_language()) | {"definition": of} for of, problem in found])
    else:
        show_problems(found, [folder.origin for folder in folders], _console(), user_language())
    unread = any(not problem.code.startswith("rulecheck.") for _, problem in found)
    return 2 if unread else 1 if found else 0


@rules.command("try")
def try_rule(
    rule: Annotated[str, typer.Argument(help="A rule's id, or a YAML file with rules that are not there yet.")],
    on: Annotated[
        Path,
        typer.Option(
            help="The register's object store, an extract in XML, a folder of tables, or a folder of such. Of the "
            "store the newest folder of each sender counts, even if its loading was broken off at the last step and "
            "will be done again."
        ),
    ],
    definition: Annotated[
        Path | None, typer.Option(help="Definition folder; else the one shipped for the register's year.")
    ] = None,
    year: _Year = None,
    as_json: _Json = False,
) -> int:
    """Count what a rule would find, municipality by municipality, before it is switched on. 0 whatever it finds."""
    from ipis.validation.author import trial
    from ipis.validation.author.show import show_trial

    found = trial.places(on, year)
    collection, numbers = trial.with_rule(trial.definition_for(found, definition, year), rule)
    hits = list(trial.trial(collection, numbers, found))
    if as_json:
        _write([each.as_object() for each in hits])
    else:
        show_trial(hits, _console(), user_language())
    return 0


@rules.command()
def changes(
    before: Annotated[str, typer.Argument(help="A year of the register, or a definition folder.")],
    after: Annotated[str, typer.Argument(help="The year to compare it with, or a definition folder.")],
    register: Annotated[str, typer.Option(help="The register whose years are meant.")] = SHIPPED,
) -> int:
    """Write the change page from one year to the next, in Markdown: dates, fields, code lists and rules."""
    from ipis.validation.author.changes import page
    from ipis.validation.author.definition import year_or_folder

    asked = (before, after)
    sys.stdout.write(page(year_or_folder(register, before), year_or_folder(register, after), asked))
    return 0


def _console() -> Console:
    return Console(highlight=False, soft_wrap=True, markup=False)


def _write(answer: object) -> None:
    json.dump(answer, sys.stdout, ensure_ascii=False)
    sys.stdout.write(os.linesep)
