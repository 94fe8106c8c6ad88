"""`ipis synth`: realistic synthetic extracts, and the list of every finding that `check` must make of each."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ipis.kernel.collection import Collection, DefinitionFolder, load
from ipis.kernel.errors import Misuse
from ipis.synth.flat import FORMS
from ipis.synth.make import Wish, make
from ipis.synth.national import make_nation, places
from ipis.synth.people import Place
from ipis.synth.rates import rates

app = typer.Typer(add_completion=False)


@app.command()
def synth(
    collection: Annotated[str, typer.Option(help="The register, such as iplos.")],
    year: Annotated[int, typer.Option(help="The collection year.")],
    out: Annotated[Path, typer.Option(help="Folder for the extract and faults.csv.")],
    kommune: Annotated[str | None, typer.Option(help="Municipality number, valid in the year.")] = None,
    bydel: Annotated[str, typer.Option(help="City district, 00 for the whole municipality.")] = "00",
    national: Annotated[bool, typer.Option("--national", help="All municipalities, a folder each.")] = False,
    persons: Annotated[int | None, typer.Option(min=0, help="Number of persons; else by the inhabitants.")] = None,
    faults: Annotated[float | None, typer.Option(min=0.0, max=1.0, help="Share of the persons with a fault.")] = None,
    stated: Annotated[bool, typer.Option("--stated", help="Plant the error mix of real deliveries.")] = False,
    innsending: Annotated[int, typer.Option(min=1, max=9999, help="Running number of the submission.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same persons.")] = 0,
    form: Annotated[str, typer.Option("--format", help="xml, or a folder of csv or parquet files.")] = "xml",
    at_ssb: Annotated[bool, typer.Option("--at-ssb", help="List what SSB finds besides, in faults_ssb.csv.")] = False,
    jobs: Annotated[int, typer.Option(min=1, max=64, help="Processes that share the country.")] = 1,
    definitions: Annotated[Path | None, typer.Option(help="Another definition folder than the one shipped.")] = None,
) -> None:
    """Draw extracts from the inhabitants of a municipality or of the country; nobody in them exists."""
    if national == (kommune is not None):
        raise Misuse("synth.option", option="--kommune", expected="--kommune NNNN | --national")
    if kommune is not None and not re.fullmatch("[0-9]{4}", kommune):
        raise Misuse("synth.option", option="--kommune", expected="NNNN")
    if not re.fullmatch("[0-9]{2}", bydel):
        raise Misuse("synth.option", option="--bydel", expected="NN")
    if form not in {"xml", *FORMS}:
        raise Misuse("synth.option", option="--format", expected=" | ".join(("xml", *FORMS)))
    folder = DefinitionFolder.from_path(definitions) if definitions else DefinitionFolder.packaged(collection, year)
    known = load(folder)
    if (known.register, known.year) != (collection, year):
        raise Misuse("synth.option", option="--definitions", expected=f"{collection} {year}")
    stated = stated or (national and faults is None)
    share = faults if faults is not None else float(rates()["mix"]["catalogue"]) if stated else 0.0
    wish = Wish(persons, share, innsending, seed, stated, form, at_ssb)
    if kommune is None:
        _nation(known, wish, out, jobs)
    else:
        _place(Place(known, kommune, bydel), wish, out)


def _place(place: Place, wish: Wish, out: Path) -> None:
    console = Console(stderr=True, soft_wrap=True)
    with console.status(f"{place.kommune} {place.collection.year}"):
        made = make(place, wish, out)
    size = made.size / 1e6
    console.print(
        f"{made.extract}: {made.persons} persons, {size:.1f} MB; {made.faults.name}: {made.findings} findings"
    )


def _nation(collection: Collection, wish: Wish, out: Path, jobs: int) -> None:
    console = Console(stderr=True, soft_wrap=True)
    count, persons, services, findings, size = 0, 0, 0, 0, 0
    with console.status("") as status:
        for made in make_nation(collection, wish, out, jobs):
            count += 1
            persons, services = persons + made.persons, services + made.services
            findings, size = findings + made.findings, size + made.bytes
            status.update(f"{collection.year}: {count} of {len(places(collection))} extracts, {persons} persons")
    console.print(
        f"{out}: {count} extracts, {persons} persons, {services} services, {size / 1e6:.0f} MB; {findings} findings"
    )
