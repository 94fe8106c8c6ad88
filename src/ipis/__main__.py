"""`ipis <room> <verb>`: imports only the room asked for; the one place where errors become text and exit codes."""

from __future__ import annotations

import importlib
import json
import os
import sys
from contextvars import copy_context
from itertools import takewhile

import typer
from rich.console import Console
from rich.text import Text

from ipis.kernel.errors import IpisError, Misuse, OurFault, sentence

ROOMS = {
    "kommune": ("ipis.kommune.cli", "the municipality: check, seal, send, fetch and open"),
    "tpf": ("ipis.tpf.cli", "the trusted pseudonym manager"),
    "ssb": ("ipis.ssb.cli", "Statistics Norway"),
    "filsluse": ("ipis.filsluse.cli", "the file portal"),
    "synth": ("ipis.synth.cli", "synthetic extracts with known faults"),
    "validate": ("ipis.validation.author.cli", "rules over any tables: what a rule author works with"),
    "rules": ("ipis.validation.author.cli", "rules checked, tried on a register, compared between years"),
    "demo": ("ipis.local.cli", "one municipality through all four parties and back, on this machine"),
    "up": ("ipis.local.cli", "all parties on this machine until interrupted"),
    "clock": ("ipis.local.cli", "turn the clock of a demo"),
}
USAGE = 64
_LOCAL = ("demo", "up", "clock")
_WHOLE = (*_LOCAL, "validate", "rules")
"""Rooms whose name is the verb itself."""


def main() -> None:
    """Run the command line and leave with its exit code."""
    # A child would else import from the working folder first: a file there, called as a module is, would be run.
    os.environ["PYTHONSAFEPATH"] = "1"
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command and give its exit code; what went wrong is told on stderr."""
    # The language that a command asks for ends with it.
    return copy_context().run(_run, arguments)


def _run(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("--help", "-h"):
        return _show_rooms()
    room = arguments[0]
    if room not in ROOMS:
        sys.stderr.write(f"error: no such room: {room!r}\nhint: one of {', '.join(ROOMS)}\n")
        return USAGE
    verb = arguments if room in _WHOLE else arguments[1:]
    try:
        app: typer.Typer = importlib.import_module(ROOMS[room][0]).app
        result = app(args=verb, prog_name="ipis" if room in _WHOLE else f"ipis {room}", standalone_mode=False)
    except IpisError as error:
        return tell(error, as_json="--json" in arguments)
    except typer.TyperException as error:
        named = " ".join(takewhile(lambda word: not word.startswith("-"), arguments[:2]))
        sys.stderr.write(f"error: {error.format_message()}\nhint: ipis {named} --help\n")
        return USAGE
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except BrokenPipeError:
        return 0
    except Exception as error:  # noqa: BLE001 - the last line of defence: an unforeseen text may hold a person's value
        return tell(_unforeseen(error, room), "--json" in arguments)
    return result if isinstance(result, int) else 0


def _unforeseen(error: Exception, room: str) -> IpisError:
    """Say that the room's packages are not installed, or name the kind and place of what went wrong, never its text."""
    name = (error.name or "ipis") if isinstance(error, ModuleNotFoundError) else "ipis"
    if name.partition(".")[0] == "ipis":
        return OurFault("program.failed", kind=type(error).__name__, where=_where(error))
    return Misuse("program.not_installed", room=room, extra="local" if room in _LOCAL else room, module=name)


def tell(error: IpisError, as_json: bool) -> int:
    """Say on stderr what was found, what was expected and what to do now; gives the exit code."""
    from ipis.lib.settings import user_language

    language = user_language()
    if as_json:
        sys.stderr.write(json.dumps(error.as_dict(language), ensure_ascii=False) + "\n")
        return error.exit_code
    text, names = error.render(language), error.params.values()
    said, wanted, task = _HEADINGS[language]
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(Text(f"{said}: ", style="bold red") + Text(sentence(text.found, names), style="bold"))
    console.print(Text(f"{wanted}: {sentence(text.expected, names)}"))
    console.print(Text(f"{task}: {sentence(text.do, names)}") + Text(f"  [{error.code}]", style="dim"))
    return error.exit_code


_HEADINGS = {
    "nb": ("Stoppet", "Ventet", "Gjør dette"),
    "nn": ("Stoppa", "Venta", "Gjer dette"),
    "en": ("Stopped", "Expected", "Do this"),
}


def _show_rooms() -> int:
    width = max(map(len, ROOMS))
    lines = [f"  {name:<{width}}  {what}" for name, (_, what) in ROOMS.items()]
    sys.stdout.write("usage: ipis <room> <verb> …\n\n" + "\n".join(lines) + "\n\nhint: ipis <room> --help\n")
    return 0


def _where(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}" if trace else "?"  # noqa: PTH119


if __name__ == "__main__":
    main()
