"""`ipis demo`, `ipis up`, `ipis clock`: a whole season on one machine."""

from __future__ import annotations

import json
import shutil
import signal
import sys
import tempfile
import threading
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ipis.kernel.calendar import OSLO
from ipis.kernel.errors import Misuse
from ipis.local.demo import Demo
from ipis.local.parties import turn_clocks
from ipis.local.season import prepare

app = typer.Typer(no_args_is_help=True, add_completion=False)

_HAMAR = "0403"
_NEWEST_YEAR_HELP = "Collection year; the newest that is shipped if not given."


@app.command()
def up(
    base_port: Annotated[int, typer.Option(help="First of four neighbouring ports.")] = 8460,
    data: Annotated[Path, typer.Option(help="Folder for everything; kept.")] = Path("out/up"),
    year: Annotated[int | None, typer.Option(help=_NEWEST_YEAR_HELP)] = None,
    kommune: Annotated[str, typer.Option(help="Municipality numbers, separated by commas.")] = _HAMAR,
) -> int:
    """Run all parties until interrupted, with municipalities enrolled and the clock in the window."""
    console = Console(stderr=True, highlight=False)
    stop = threading.Event()
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, lambda *_: stop.set())
    with console.status("making keys, databases and the season pack …"):
        season = prepare(data, year or newest_year(), [number.strip() for number in kommune.split(",")], base_port)
    try:
        with console.status("starting the parties …"):
            season.start()
            season.enrol()
        path = season.describe()
        for room, party in season.parties.items():
            console.print(f"  {room:<10} {party.url}")
        console.print(f"  {'mail':<10} {season.mailbox.folder}")
        console.print(f"ready: {path}; stop with Ctrl-C")
        stop.wait()
    finally:
        season.stop()
    return 0


@app.command()
def demo(
    kommune: Annotated[str, typer.Option(help="Municipality number.")] = _HAMAR,
    year: Annotated[int | None, typer.Option(help=_NEWEST_YEAR_HELP)] = None,
    persons: Annotated[int | None, typer.Option(help="Persons in the extract; by the population if not given.")] = None,
    keep: Annotated[Path | None, typer.Option(help="Keep everything in this folder.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of lines.")] = False,
    definitions: Annotated[Path | None, typer.Option(help="Another definition folder than the one shipped.")] = None,
) -> int:
    """Carry one municipality's extract through all four parties and back, and verify each step."""
    console = Console(highlight=False, quiet=as_json, soft_wrap=True)
    folder = keep or Path(tempfile.mkdtemp(prefix="ipis-demo-"))
    folder.mkdir(parents=True, exist_ok=True)
    run = Demo(folder.resolve(), year or newest_year(), kommune, persons, definitions, console)
    try:
        problem = run.run()
    finally:
        if keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    if as_json:
        sys.stdout.write(json.dumps(run.as_dict(), ensure_ascii=False, indent=2) + "\n")
    if problem is not None:
        raise problem
    return 0


@app.command()
def clock(
    data: Annotated[Path, typer.Option(help="The folder of `ipis up`.")],
    to: Annotated[str, typer.Option(help="An instant by ISO 8601; without a zone it is Norwegian time.")],
) -> int:
    """Turn every party's business clock; it runs on from there. For demo and test only."""
    try:
        instant = datetime.fromisoformat(to)
    except ValueError:
        raise Misuse("local.not_a_time", given=to) from None
    if not any((data / room / "settings.toml").exists() for room in ("tpf", "ssb", "filsluse")):
        raise Misuse("local.no_parties", folder=str(data))
    turn_clocks(data, instant if instant.tzinfo else instant.replace(tzinfo=OSLO))
    return 0


def newest_year() -> int:
    """Give the newest collection year that is shipped."""
    shipped = Path(__file__).parent.parent / "definitions" / "iplos"
    return max(int(folder.name) for folder in shipped.iterdir() if folder.name.isdigit())
