"""Writes the page of every room's settings from the frozen classes: key, type, default, meaning."""

from __future__ import annotations

import ast
import inspect
from typing import get_origin

from tools.rooms import SOURCE, settings_class

from ipis.lib.settings import RoomSettings

PAGE = "docs/generated/settings.md"


def generate() -> dict[str, str]:
    """Give the page."""
    rooms = sorted(path.parent.name for path in SOURCE.glob("ipis/*/settings.py") if path.parent.name != "lib")
    lines = ["# Settings", "", "One TOML file a room. Any key may also come as `IPIS_<ROOM>_<KEY>`, or as"]
    lines += ["`IPIS_<ROOM>_<KEY>_FILE` naming a file that holds the value. Unknown keys are refused.", ""]
    lines += _section("every room with a server", RoomSettings, set())
    for room in rooms:
        try:
            kind = settings_class(room)
        except LookupError:
            continue  # the municipality's own small file, which is no server's
        lines += _section(room, kind, set(RoomSettings.model_fields))
    return {PAGE: "\n".join(lines)}


def _section(title: str, kind: type[RoomSettings], without: set[str]) -> list[str]:
    meanings = _meanings(kind)
    lines = [f"## {title}", "", "| key | type | default | |", "|---|---|---|---|"]
    for name, field in kind.model_fields.items():
        if name not in without:
            value = None if field.is_required() else field.get_default(call_default_factory=True)
            default = "*required*" if field.is_required() else f"`{_spelt(value)}`"
            lines.append(f"| `{name}` | {_type(field.annotation)} | {default} | {meanings.get(name, '')} |")
    return [*lines, ""]


def _meanings(kind: type) -> dict[str, str]:
    """Read the text that stands below each field."""
    body = ast.parse(inspect.getsource(kind)).body[0]
    meanings: dict[str, str] = {}
    if isinstance(body, ast.ClassDef):
        for field, text in zip(body.body, body.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                said = text.value.value if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) else ""
                meanings[field.target.id] = " ".join(str(said).split()).replace("|", "\\|")
    return meanings


def _type(annotation: object) -> str:
    if get_origin(annotation) is None and isinstance(annotation, type):
        return annotation.__name__
    return str(annotation).replace("pathlib.", "").replace(" | None", " or none").replace("|", "\\|")


def _spelt(value: object) -> str:
    return "none" if value is None else str(value) or "empty"
