"""Draws every table of allowed transitions of every room: what each state means and where it can go."""

from __future__ import annotations

import importlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PAGE = "docs/generated/states.md"


def generate() -> dict[str, str]:
    """Give the page; each room is asked in a process of its own."""
    sys.path.insert(0, str(ROOT))
    from tools.rooms import django_rooms

    lines = [
        "# States",
        "",
        "Every change of state goes through one of these tables; what is not drawn is refused.",
        "",
    ]
    for room in django_rooms():
        command = [sys.executable, "-m", "tools.generators.states", room]
        lines.append(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout)
    return {PAGE: "\n".join(lines)}


def room_page(room: str) -> Iterator[str]:
    """Draw the tables of the room that this process is configured for."""
    for path in sorted((ROOT / "src" / "ipis" / room).rglob("transitions.py")):
        name = ".".join(path.relative_to(ROOT / "src").with_suffix("").parts)
        module = importlib.import_module(name)
        for table in _tables(module):
            states = type(next(iter(table)))
            yield f"## {name.removeprefix('ipis.').removesuffix('.transitions')}: {states.__name__}\n\n"
            yield f"{(states.__doc__ or '').strip().splitlines()[0]}\n\n" + "```mermaid\nstateDiagram-v2\n"
            yield f"    [*] --> {_value(next(iter(table)))}\n"
            for state, targets in table.items():
                yield from (f"    {_value(state)} --> {_value(to)}\n" for to in states if to in targets)
                yield "" if targets else f"    {_value(state)} --> [*]\n"
            yield "```\n\n| state | meaning |\n|---|---|\n"
            yield from (f"| `{_value(state)}` | {getattr(state, 'label', '')} |\n" for state in states)
            yield "\n"


def _tables(module: ModuleType) -> list[Mapping[Any, Any]]:
    """Find the mappings from a state to the states after it."""
    return [
        value
        for name, value in vars(module).items()
        if isinstance(value, Mapping) and value and not name.startswith("_")
        if all(isinstance(key, Enum) and key.__class__.__module__ == module.__name__ for key in value)
        if all(isinstance(after, tuple | frozenset) for after in value.values())
    ]


def _value(state: Enum) -> str:
    return str(state.value)


if __name__ == "__main__":
    from tools.rooms import configure

    with tempfile.TemporaryDirectory() as folder:
        configure(sys.argv[1], Path(folder))
        sys.stdout.write("".join(room_page(sys.argv[1])))
