"""Writes `layout.toml` for tests, a line a field: whoever reads a test's register sees its fields and not TOML."""

from __future__ import annotations

import json
from typing import Any

_LABEL = {"nb": "N", "nn": "N", "en": "N"}


def record(name: str, *, kind: str = "record", **keys: Any) -> str:
    """Write a record type; its element is its name with a capital."""
    return section(name, kind=kind, element=name.capitalize(), label=_LABEL, **keys)


def field(record: str, name: str, kind: str, *, rules: dict[str, str] | None = None, **keys: Any) -> str:
    """Write a field; `rules` name the rule of each fault."""
    return section(f"{record}.fields.{name}", kind=kind, **keys, label=_LABEL, **({"rules": rules} if rules else {}))


def supplied(record: str, **types: str) -> str:
    """Write columns that are supplied: name = type."""
    return section(f"{record}.supplied", **{name: {"type": kind, "label": _LABEL} for name, kind in types.items()})


def section(name: str, **keys: Any) -> str:
    """Write a section with its keys."""
    return "\n".join([f"[{name}]", *(f"{key} = {_written(value)}" for key, value in keys.items())])


def _written(value: Any) -> str:
    """Write a value; but for tables, what TOML takes is what JSON writes."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_written(each)}" for key, each in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False)
