"""`ipis synth`: a realistic synthetic extract, and the list of every finding that `check` must make of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ipis.kernel.collection import DefinitionFolder, load
from ipis.kernel.errors import Misuse
from ipis.synth.make import Wish, make
from ipis.synth.people import Place

app = typer.Typer(add_completion=False)


@app.command()
def synth(
    collection: Annotated[str, typer.Option(help="The register, such as iplos.")],
    year: Annotated[int, typer.Option(help="The collection year.")],
    kommune: Annotated[str, typer.Option(help="Municipality number, valid in the year.")],
    out: Annotated[Path, typer.Option(help="Folder for the extract and faults.csv.")],
    bydel: Annotated[str, typer.Option(help="City district, 00 for the whole municipality.")] = "00",
    persons: Annotated[int | None, typer.Option(min=0, help="Number of persons; else by the inhabitants.")] = None,
    faults: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of the persons that get a fault.")] = 0.0,
    innsending: Annotated[int, typer.Option(min=1, max=9999, help="Running number of the submission.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same persons.")] = 0,
    definitions: Annotated[Path | None, typer.Option(help="Another definition folder than the one shipped.")] = None,
) -> None:
    """Draw an extract from the inhabitants of a municipality; nobody in it exists."""
    if not re.fullmatch("[0-9]{4}", kommune):
        raise Misuse("synth.option", option="--kommune", expected="NNNN")
    if not re.fullmatch("[0-9]{2}", bydel):
        raise Misuse("synth.option", option="--bydel", expected="NN")
    folder = DefinitionFolder.from_path(definitions) if definitions else DefinitionFolder.packaged(collection, year)
    known = load(folder)
    if (known.register, known.year) != (collection, year):
        raise Misuse("synth.option", option="--definitions", expected=f"{collection} {year}")
    console = Console(stderr=True, soft_wrap=True)
    with console.status(f"{kommune} {year}"):
        made = make(Place(known, kommune, bydel), Wish(persons, faults, innsending, seed), out)
    size = made.extract.stat().st_size / 1e6
    console.print(
        f"{made.extract}: {made.persons} persons, {size:.1f} MB; {made.faults.name}: {made.findings} findings"
    )
