"""`layout.toml` read into a `Layout`: one that contradicts itself is refused with file, line and column of the fault.

docs/spec/definitions.md describes it for its author.
"""

from __future__ import annotations

import re
from collections.abc import Container
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from ipis.kernel.errors import LANGUAGES
from ipis.kernel.layout import Field, Kind, Layout, RecordType
from ipis.kernel.toml_file import Path, Written, keys_at

_LAYOUT: Final = TypeAdapter(Layout)
_PARTS: Final = ("derived_tables", "nation", "codes", "rules")
_KINDS: Final = ("header", "record", "trailer")
_FAULTS: Final = ("mandatory", "form", "code", "range")
_SUPPLIED_TYPES: Final = ("string", "id", "int", "int16", "int32")
_SOURCES: Final = ("", "register")
_NATION_TYPES: Final = ("str", "int", "dec")
_LONGEST_INT: Final = 9
_LONGEST_DEC: Final = 38
_IMPLIED: Final = frozenset({"name", "id"})
"""What the classes call that by which a table is written."""
_OWN: Final = {"codes": "layout.codes"}
"""Keys of which more is to be said than that a value is no text."""


def parse(data: bytes, origin: str = "layout.toml") -> Layout:
    """Read a layout; raises `DefinitionRefused` for one with unknown or missing keys, or that contradicts itself."""
    written = Written.decode(data, origin)
    arranged, names = _arrange(written.tables(), written)
    try:
        layout = _LAYOUT.validate_python(arranged)
    except ValidationError as error:
        written.refuse_complaint(error, Layout, lambda path: _in_the_file(path, names), _IMPLIED, _OWN)
    _refuse_contradictions(layout, written)
    return layout


def require_rules(layout: Layout, written: Written) -> None:
    """Refuse a field that may have a fault which no rule is about; identity fields are judged by reason code."""
    for record in layout.records.values():
        for each in record.fields.values():
            for fault in _FAULTS:
                if fault in each.faults - each.rules.keys() and not each.identity:
                    path = (record.name, "fields", each.name, "rules")
                    written.refuse("layout.no_rule", path, fault=fault, record=record.name, field=each.name)


def require_lists(layout: Layout, lists: Container[str], written: Written) -> None:
    """Refuse a layout that names a code list which is not there, unless the list is optional."""
    optional = {name for name, options in layout.codes.items() if options.optional}
    for record, each in layout.every_field():
        if isinstance(each.codes, str) and each.codes not in optional and each.codes not in lists:
            written.refuse("layout.code_list", (record.name, "fields", each.name, "codes"), list=each.codes)


def _arrange(raw: dict[str, Any], written: Written) -> tuple[dict[str, Any], dict[str, str]]:
    """Put the tables of the file in the shape of the classes: names into their members, records by their kind.

    Gives also by what names header and trailer go.
    """
    if "format" not in raw:
        written.refuse("toml.missing_key", ("format",), key="format")
    arranged: dict[str, Any] = {"format": raw["format"], "records": {}}
    arranged |= {part: written.table(raw.get(part, {}), (part,)) for part in _PARTS}
    arranged["rules"] = _named(arranged["rules"], "id", ("rules",), written)
    names: dict[str, str] = {}
    for name, record in raw.items():
        if name == "format" or name in _PARTS:
            continue
        made = {**written.table(record, (name,)), "name": name}
        for part in ("fields", "supplied"):
            made[part] = _named(record.get(part, {}), "name", (name, part), written)
        kind = record.get("kind")
        written.require_among(kind, _KINDS, (name, "kind"))
        if kind == "record":
            arranged["records"][name] = made
        elif names.setdefault(kind, name) != name:
            written.refuse("layout.second", (name, "kind"), kind=kind, other=names[kind])
        else:
            arranged[kind] = made
    return arranged, names


def _named(members: object, key: str, path: Path, written: Written) -> dict[str, Any]:
    """Give each member its name, which may not be written again."""
    tables = {name: written.table(each, (*path, name)) for name, each in written.table(members, path).items()}
    for name, each in tables.items():
        if key in each:
            known = keys_at(Layout, ("rules", name) if path == ("rules",) else ("records", *path, name))
            written.refuse(
                "toml.unknown_key", (*path, name, key), key=key, known=", ".join(sorted({*known} - _IMPLIED))
            )
    return {name: {**each, key: name} for name, each in tables.items()}


def _in_the_file(path: Path, names: dict[str, str]) -> Path:
    """Give the path as it stands in the file: record types, header and trailer go by their names there."""
    begun, *rest = path
    found = tuple(rest) if begun == "records" else (names.get(begun, begun), *rest)
    return found[: found.index("codes", 1) + 1] if "codes" in found[1:] else found


def _refuse_contradictions(layout: Layout, written: Written) -> None:
    """Refuse the first thing in which the layout contradicts itself."""
    for record, each in layout.every_field():
        _refuse_field(layout, record, each, written)
    for name, record in layout.records.items():
        _refuse_alike(record, written)
        for supplied in record.supplied.values():
            path = (name, "supplied", supplied.name)
            written.require_among(supplied.type, _SUPPLIED_TYPES, (*path, "type"))
            written.require_among(supplied.source, _SOURCES, (*path, "source"))
        _refuse_strange(record, written)
    for name, table in layout.nation.items():
        for column, kind in table.columns.items():
            written.require_among(kind, _NATION_TYPES, ("nation", name, "columns", column))
    trailer = layout.trailer
    for each in trailer.fields.values():
        if each.counts is not None:
            written.require_among(each.counts, tuple(layout.records), (trailer.name, "fields", each.name, "counts"))


def _refuse_field(layout: Layout, record: RecordType, each: Field, written: Written) -> None:
    """Refuse a field whose kind lacks what it needs, or that names what is not there."""
    path = (record.name, "fields", each.name)
    if record.name in layout.records:
        written.require_among(each.kind, tuple(kind for kind in Kind if kind is not Kind.DATETIME), (*path, "kind"))
    if each.kind is Kind.CODE and each.codes is None:
        written.refuse("layout.no_codes", path)
    if each.kind is Kind.DEC and not 0 < each.scale < each.length <= _LONGEST_DEC:
        written.refuse("layout.decimal", path, most=_LONGEST_DEC)
    if each.kind is Kind.INT and not 0 < each.length <= _LONGEST_INT:
        written.refuse("layout.whole", path, most=_LONGEST_INT)
    if set(each.label) != set(LANGUAGES):
        written.refuse("layout.label", (*path, "label"))
    if each.pattern is not None and not _compiles(each.pattern):
        written.refuse("layout.pattern", (*path, "pattern"))
    for fault, rule in each.rules.items():
        written.require_among(fault, _FAULTS, (*path, "rules", fault))
        if rule.startswith("L") and rule not in layout.rules:
            written.refuse("layout.undeclared", (*path, "rules", fault), number=rule)


def _refuse_strange(record: RecordType, written: Written) -> None:
    """Refuse names of fields that the record type does not have."""
    named: dict[Path, tuple[str, ...]] = {("key_fields",): record.key_fields}
    named["id_field",] = (record.id_field,) if record.id_field else ()
    named |= {("families", family): fields for family, fields in record.families.items()}
    for path, fields in named.items():
        for field in fields:
            if field not in record.fields:
                written.refuse("layout.no_field", (record.name, *path), field=field, record=record.name)


def _refuse_alike(record: RecordType, written: Written) -> None:
    """Refuse names that differ in capitals only: DuckDB would take the one for the other, Spark would not."""
    seen: dict[str, str] = {}
    for part in ("fields", "supplied", "derived"):
        for name in getattr(record, part):
            other = seen.setdefault(name.lower(), name)
            if other != name:
                written.refuse("layout.alike", (record.name, part, name), other=other)


def _compiles(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True
