"""The record layout of a collection year: record types and fields as `layout.toml` declares them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import field as member
from enum import StrEnum
from typing import Any

import pyarrow as pa
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from ipis.kernel.errors import LANGUAGES, DefinitionRefused

_STRICT = ConfigDict(extra="forbid", strict=False)


class Kind(StrEnum):
    """What a field holds."""

    ID = "id"
    """A text that is only compared for equality; a local key at Statistics Norway."""
    STR = "str"
    """A text."""
    INT = "int"
    """A whole number of at most `length` digits."""
    DEC = "dec"
    """A decimal number of at most `length` digits, `scale` of them decimals."""
    DATE = "date"
    """A day, yyyy-mm-dd."""
    CODE = "code"
    """A value of a code list."""
    DATETIME = "datetime"
    """An instant in ISO 8601; in the header only."""


_PLAIN = {
    Kind.ID: pa.string(),
    Kind.STR: pa.string(),
    Kind.CODE: pa.string(),
    Kind.DATETIME: pa.string(),
    Kind.INT: pa.int32(),
    Kind.DATE: pa.date32(),
}
_SUPPLIED_TYPES = frozenset({"string", "id", "int", "int16", "int32"})
_NATION_TYPES = frozenset({"str", "int", "dec"})
_FAULTS = frozenset({"mandatory", "form", "code", "range"})


@dataclass(frozen=True, slots=True, config=_STRICT)
class Field:
    """One field of a record: its verbatim name, type, bounds, code list and the rules that its faults break."""

    name: str
    kind: Kind
    label: Mapping[str, str]
    length: int = 0
    scale: int = 0
    required: bool = False
    codes: str | tuple[str, ...] | None = None
    pattern: str | None = None
    check: str | None = None
    pad: int = 0
    counts: str | None = None
    minimum: int | None = None
    maximum: int | None = None
    rules: Mapping[str, str] = member(default_factory=dict)
    identity: bool = False

    @property
    def arrow_type(self) -> pa.DataType:
        """Give the type of the column that the reader makes."""
        return pa.decimal128(self.length, self.scale) if self.kind is Kind.DEC else _PLAIN[self.kind]

    @property
    def has_raw(self) -> bool:
        """Tell whether a companion column keeps the text of values that did not parse."""
        return not pa.types.is_string(self.arrow_type)


@dataclass(frozen=True, slots=True, config=_STRICT)
class Supplied:
    """A column that the chain adds before validation.

    `type` is string, id (compared for equality only) or int16, int32, int. `source` "register": only who has the
    register can supply it; elsewhere the rules that need it are not assessed.
    """

    name: str
    type: str
    label: Mapping[str, str]
    source: str = ""


@dataclass(frozen=True, slots=True, config=_STRICT)
class RecordType:
    """A record type, its fields in the order of the layout; `derived` is handed on as written (validation reads it)."""

    name: str
    kind: str
    element: str
    label: Mapping[str, str]
    fields: Mapping[str, Field]
    key_fields: tuple[str, ...] = ()
    id_field: str = ""
    derived: Mapping[str, Any] = member(default_factory=dict)
    supplied: Mapping[str, Supplied] = member(default_factory=dict)
    families: Mapping[str, tuple[str, ...]] = member(default_factory=dict)

    def schema(self) -> pa.Schema:
        """Give the columns of the reader's table: fields, raw companions, `_row` and `_person`."""
        columns = [pa.field("_row", pa.int32(), nullable=False), pa.field("_person", pa.int32())]
        for each in self.fields.values():
            columns.append(pa.field(each.name, each.arrow_type))
            if each.has_raw:
                columns.append(pa.field(f"{each.name}__raw", pa.string()))
        return pa.schema(columns)


@dataclass(frozen=True, slots=True, config=_STRICT)
class LayoutRule:
    """A rule that only the layout declares (L…): faults of single fields without a number in the catalogue."""

    id: str
    level: str
    effect: str
    message: Mapping[str, str]
    runs_at: str = "M S"


@dataclass(frozen=True, slots=True, config=_STRICT)
class NationTable:
    """A table of the nation as last published: its key, and the type of its other columns (str, int or dec)."""

    key: str
    columns: Mapping[str, str]


@dataclass(frozen=True, slots=True, config=_STRICT)
class ListOptions:
    """What the layout says of a code list; an optional one may not be shipped, and need not be there."""

    optional: bool = False


_NO_LABEL = dict.fromkeys(LANGUAGES, "")


def _nothing(kind: str) -> RecordType:
    """Give the header or trailer of a layout that has none."""
    return RecordType(name=kind, kind=kind, element="", label=_NO_LABEL, fields={})


@dataclass(frozen=True, slots=True, config=_STRICT)
class Layout:
    """All record types of a year, in nesting order; a collection's first is the person (`kernel.collection`)."""

    format: str
    records: Mapping[str, RecordType]
    header: RecordType = member(default_factory=lambda: _nothing("header"))
    trailer: RecordType = member(default_factory=lambda: _nothing("trailer"))
    rules: Mapping[str, LayoutRule] = member(default_factory=dict)
    derived_tables: Mapping[str, Any] = member(default_factory=dict)
    nation: Mapping[str, NationTable] = member(default_factory=dict)
    codes: Mapping[str, ListOptions] = member(default_factory=dict)

    def by_element(self) -> dict[str, RecordType]:
        """Give header, record types and trailer by the name of their XML element."""
        return {each.element: each for each in (self.header, *self.records.values(), self.trailer)}

    def every_field(self) -> Iterator[tuple[RecordType, Field]]:
        """Go through the fields of all record types, header and trailer included."""
        for record in (self.header, *self.records.values(), self.trailer):
            for each in record.fields.values():
                yield record, each


_LAYOUT = TypeAdapter(Layout)


def parse(data: bytes, origin: str = "layout.toml") -> Layout:
    """Read a layout; refuse one with unknown or missing keys, or that contradicts itself."""
    try:
        layout = _LAYOUT.validate_python(_arrange(tomllib.loads(data.decode("utf-8"))))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise DefinitionRefused("collection.layout", file=origin, place=place, detail=first["msg"]) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DefinitionRefused("collection.layout", file=origin, place="", detail=str(error)) from None
    for place, detail in _contradictions(layout):
        raise DefinitionRefused("collection.layout", file=origin, place=place, detail=detail)
    return layout


def _arrange(raw: dict[str, Any]) -> dict[str, Any]:
    """Put the tables of the file in the shape of the classes: names into their members, records by their kind."""
    arranged: dict[str, Any] = {"format": raw.pop("format"), "records": {}}
    for part in ("derived_tables", "nation", "codes"):
        arranged[part] = raw.pop(part, {})
    arranged["rules"] = {key: {"id": key, **rule} for key, rule in raw.pop("rules", {}).items()}
    for name, record in raw.items():
        named = {"name": name, **record}
        for part in ("fields", "supplied"):
            named[part] = {key: {"name": key, **each} for key, each in record.get(part, {}).items()}
        if record["kind"] == "record":
            arranged["records"][name] = named
        else:
            arranged[record["kind"]] = named
    return arranged


def _contradictions(layout: Layout) -> Iterator[tuple[str, str]]:
    for record in layout.records.values():
        yield from ((f"{record.name}.{name}", detail) for name, detail in _alike(record))
        for supplied in record.supplied.values():
            if supplied.type not in _SUPPLIED_TYPES or supplied.source not in {"", "register"}:
                yield f"{record.name}.{supplied.name}", "a supplied column has an unknown type or source"
    for name, table in layout.nation.items():
        if not set(table.columns.values()) <= _NATION_TYPES:
            yield f"nation.{name}", "a column of the nation is str, int or dec"
    for record, each in layout.every_field():
        yield from ((f"{record.name}.{each.name}", detail) for detail in _field_faults(each))
        used = {rule for rule in each.rules.values() if rule.startswith("L")}
        yield from ((f"{record.name}.{each.name}", f"rule {rule} is not declared") for rule in used - set(layout.rules))
    for record in layout.records.values():
        named = (
            *record.key_fields,
            *filter(None, (record.id_field,)),
            *(n for f in record.families.values() for n in f),
        )
        yield from ((record.name, f"{name} is no field") for name in named if name not in record.fields)
    for each in layout.trailer.fields.values():
        if each.counts is not None and each.counts not in layout.records:
            yield f"{layout.trailer.name}.{each.name}", "counts no record type"


def _alike(record: RecordType) -> Iterator[tuple[str, str]]:
    """Find names that differ in capitals only: DuckDB would take the one for the other, Spark would not."""
    seen: dict[str, str] = {}
    for name in (*record.fields, *record.supplied, *record.derived):
        other = seen.setdefault(name.lower(), name)
        if other != name:
            yield name, f"differs from {other} in capitals only"


def _field_faults(each: Field) -> Iterator[str]:
    if set(each.rules) - _FAULTS:
        yield "unknown kind of fault under rules"
    if each.kind is Kind.CODE and each.codes is None:
        yield "a code needs a code list"
    if each.kind is Kind.DEC and not 0 < each.scale < each.length:
        yield "a decimal number needs length and scale"
    if each.kind is Kind.INT and not 0 < each.length <= 9:
        yield "a whole number needs a length of at most 9"
    if set(each.label) != set(LANGUAGES):
        yield "the label must be in all languages"
    if each.pattern is not None and not _compiles(each.pattern):
        yield "the pattern is no regular expression"


def _compiles(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True
