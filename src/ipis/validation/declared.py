"""Read the derived columns and tables of a layout as written: kinds, keys and places, nothing looked up yet."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from ipis.kernel import toml_file
from ipis.validation.position import Place, refuse

if TYPE_CHECKING:
    from collections.abc import Mapping

PERSON = "person"
"""As a key: the person that a row belongs to, however its brukerNr reads."""

DELIVERY = "delivery"


class _Keys(NamedTuple):
    """The keys that must stand beside a kind, and those that may."""

    must: frozenset[str]
    may: frozenset[str] = frozenset()


def _keys(must: str, may: str = "") -> _Keys:
    return _Keys(frozenset(must.split()), frozenset(may.split()))


_AT_THE_ROW = {
    "lookup": _keys("on value", "key"),
    "expression": _keys(""),
    "choose": _keys("else"),
}
_AMONG_ROWS = {
    "count": _keys("by", "where"),
    "sum": _keys("by", "where"),
    "lag": _keys("by order", "where open_ended"),
    "previous_max": _keys("by order", "where open_ended"),
    "overlap": _keys("by from to", "where"),
    "overlap_days": _keys("by from to", "where"),
    "concurrent_sum": _keys("by from to", "where"),
    "last_year": _keys("by", "where"),
}
_ACROSS = {
    "count": _keys("of on", "key where"),
    "sum": _keys("of on", "key where"),
    "min": _keys("of on", "key where"),
    "max": _keys("of on", "key where"),
    "newest": _keys("of on order", "key where"),
    "exists": _keys("on", "key where"),
}
_IN_A_TABLE = {
    "count": _keys("", "where distinct match"),
    "share": _keys("where"),
    "last_year": _keys("of", "where distinct match"),
    **_AT_THE_ROW,
}
_OF_A_RECORD = {**_ACROSS, **_AMONG_ROWS, **_AT_THE_ROW}
"""Where `count` and `sum` have two forms, `of` says which is meant."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """One derived column as written: where it belongs, its kind, what it works on, and its other keys."""

    owner: str
    name: str
    kind: str
    subject: str
    options: Mapping[str, Any]
    place: Place

    @property
    def id(self) -> tuple[str, str]:
        """Give the owner and the name."""
        return self.owner, self.name

    @property
    def across(self) -> bool:
        """Tell whether it aggregates rows of another record type that share a person or an id."""
        return "of" in self.options and self.kind in _ACROSS

    def names(self, key: str) -> tuple[str, ...]:
        """Give a key's value as a list of names."""
        value = self.options.get(key, ())
        names = (value,) if isinstance(value, str) else tuple(map(str, value))
        # `person_key` is what engine.md calls the person as a key.
        return tuple(PERSON if name == "person_key" else name for name in names)


@dataclass(frozen=True, slots=True)
class DerivedTable:
    """A derived table: one row for the delivery, or one per code of a list (`codes`, whose `key` is `shown_as`)."""

    name: str
    codes: str
    key: str
    shown_as: str
    declarations: tuple[Declaration, ...]
    place: Place


def declarations(
    owner: str, raw: Mapping[str, Any], files: Mapping[str, bytes], *, in_table: bool = False
) -> tuple[Declaration, ...]:
    """Read the `[<record>.derived]` table of a record type, or the columns of a derived table."""
    return tuple(_declaration(owner, name, value, files, in_table=in_table) for name, value in raw.items())


def tables(raw: Mapping[str, Any], files: Mapping[str, bytes]) -> dict[str, DerivedTable]:
    """Read the `[derived_tables.<name>]` tables: `rows = "delivery"`, or `rows = { codes, key, as }`."""
    result = {}
    for name, table in raw.items():
        place = locate(files, "derived_tables", name, "rows")
        rows = table.get("rows") if isinstance(table, dict) else None
        if rows == DELIVERY:
            codes = key = shown = ""
        elif isinstance(rows, dict) and set(rows) == {"codes", "key", "as"}:
            codes, key, shown = (str(rows[part]) for part in ("codes", "key", "as"))
        else:
            refuse("rules.derived_rows", place, table=name)
        columns = declarations(name, table.get("columns", {}), files, in_table=True)
        result[name] = DerivedTable(name, codes, key, shown, columns, place)
    return result


def _declaration(owner: str, name: str, raw: object, files: Mapping[str, bytes], *, in_table: bool) -> Declaration:
    place = locate(files, *(("derived_tables", owner, "columns", name) if in_table else (owner, "derived", name)))
    known = _IN_A_TABLE if in_table else _OF_A_RECORD
    if not isinstance(raw, dict) or not raw:
        refuse("rules.derived_kind", place, kind=name, kinds=", ".join(known))
    kind = next((str(key) for key in raw if key in known), "")
    if not kind:
        refuse("rules.derived_kind", place, kind=next(iter(raw)), kinds=", ".join(known))
    if not re.fullmatch(r"[a-zA-Z][A-Za-z0-9_]*", name) or "__" in name:
        refuse("rules.derived_name", place, name=name)
    keys = _ACROSS[kind] if not in_table and kind in _ACROSS and "of" in raw else known[kind]
    options = {key: value for key, value in raw.items() if key != kind}
    for key in sorted(keys.must - options.keys()):
        refuse("rules.derived_missing", place, kind=kind, key=key)
    for key in sorted(options.keys() - keys.must - keys.may):
        refuse("rules.derived_key", place, kind=kind, key=key)
    if kind == "choose":
        options = {"choices": _choices(raw[kind], place), **options}
        return Declaration(owner, name, kind, "", options, place)
    for key, value in {kind: raw[kind], **options}.items():
        if not _well_written(key, value):
            refuse("rules.derived_key", place, kind=kind, key=key)
    return Declaration(owner, name, kind, str(raw[kind]), options, place)


def _well_written(key: str, value: object) -> bool:
    """Tell whether a key's value is a text, or a list of texts where several names may stand."""
    if key == "open_ended":
        return isinstance(value, bool)
    if key in {"on", "by", "key"} and isinstance(value, list):
        return bool(value) and all(isinstance(each, str) for each in value)
    return isinstance(value, str)


def _choices(raw: object, place: Place) -> tuple[tuple[str, str], ...]:
    if not isinstance(raw, list) or not raw:
        refuse("rules.derived_choose", place)
    for each in raw:
        if (
            not isinstance(each, dict)
            or set(each) != {"when", "then"}
            or not all(isinstance(text, str) for text in each.values())
        ):
            refuse("rules.derived_choose", place)
    return tuple((str(each["when"]), str(each["then"])) for each in raw)


def locate(files: Mapping[str, bytes], *path: str) -> Place:
    """Find where layout.toml writes the key that a path leads to, or the innermost table around it."""
    text = files.get("layout.toml", b"").decode("utf-8", "replace")
    return Place("layout.toml", *toml_file.place(text, path))
