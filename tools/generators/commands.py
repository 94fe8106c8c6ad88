"""Writes the page of all commands from the command line itself."""

from __future__ import annotations

import importlib
from typing import Any

import typer

PAGE = "docs/generated/commands.md"
WHOLE = {"ipis.local.cli", "ipis.validation.author.cli"}
"""Where the name of the room is the verb itself."""


def generate() -> dict[str, str]:
    """Give the page."""
    from ipis.__main__ import ROOMS

    lines = ["# Commands", "", "What `ipis … --help` says. Exit codes: 0 done, 1 findings to correct, 2 refused,"]
    lines += ["3 try again later, 64 wrong use of the command line, 70 our fault.", ""]
    seen: set[str] = set()
    for room, (module, _) in ROOMS.items():
        if module in seen:
            continue
        seen.add(module)
        command = typer.main.get_command(importlib.import_module(module).app)
        lines += _page(command, "ipis" if module in WHOLE else f"ipis {room}")
    return {PAGE: "\n".join(lines)}


def _page(command: Any, name: str) -> list[str]:
    verbs = getattr(command, "commands", {})
    if verbs:
        return [line for verb, one in sorted(verbs.items()) for line in _page(one, f"{name} {verb}")]
    return [f"## `{name}`", "", *_text(command), ""]


def _text(command: Any) -> list[str]:
    lines = [" ".join((command.help or "").split("\f")[0].split()), ""]
    if command.params:
        lines += ["| option | |", "|---|---|"]
    for parameter in command.params:
        words = " ".join((getattr(parameter, "help", None) or "").split()).replace("|", "\\|")
        required = "**required.** " if parameter.required else ""
        is_option = parameter.param_type_name == "option"
        names = ", ".join(parameter.opts) if is_option else parameter.name.upper()
        lines.append(f"| `{names}` | {required}{words} |")
    return lines
