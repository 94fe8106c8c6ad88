"""Puts one Django room of a throwaway folder into this process, for tools and tests that look at a room."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from ipis.kernel.environment import Environment
from ipis.lib.settings import RoomSettings

SOURCE = Path(__file__).resolve().parent.parent / "src"


def django_rooms(source: Path = SOURCE) -> list[str]:
    """Name the rooms that have a `site.py`: the only place where a room meets Django."""
    return sorted(site.parent.name for site in source.glob("ipis/*/site.py"))


def settings_class(room: str) -> type[RoomSettings]:
    """Find the room's frozen settings class."""
    module = importlib.import_module(f"ipis.{room}.settings")
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, RoomSettings) and getattr(value, "room", "") == room
    ]
    if len(found) != 1:
        raise LookupError(f"ipis.{room}.settings: {len(found)} settings classes with room = {room!r}")
    return found[0]


def configure(room: str, folder: Path) -> RoomSettings:
    """Configure Django for the room with a sample value for every key it requires."""
    kind = settings_class(room)
    values: dict[str, Any] = {
        name: _sample(name, field.annotation, folder)
        for name, field in kind.model_fields.items()
        if field.is_required()
    }
    settings = kind.model_validate(values)
    importlib.import_module(f"ipis.{room}.site").configure(settings)
    return settings


def _sample(name: str, annotation: Any, folder: Path) -> Any:
    if annotation is Environment:
        return Environment.TEST
    if annotation is Path:
        return folder / name
    if annotation is str:
        return "http://127.0.0.1:1"
    if annotation is int:
        return 1
    raise LookupError(f"no sample for the required key {name}: {annotation}")
