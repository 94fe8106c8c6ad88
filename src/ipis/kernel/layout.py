"""The record layout of a collection year: record types and fields as `layout.toml` declares them.

`kernel.layout_file` reads the file; docs/spec/layout.md describes it for its author.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field as member
from enum import StrEnum
from typing import Any

import pyarrow as pa
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from ipis.kernel.errors import LANGUAGES

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
    def faults(self) -> frozenset[str]:
        """Name the kinds of fault that its values may have by what it declares, each of which needs a rule."""
        listed = self.codes is not None
        formed = self.has_raw or self.length or self.pattern is not None or self.check is not None
        bounded = self.minimum is not None or self.maximum is not None
        may = {"mandatory": self.required, "form": formed and not listed, "code": listed, "range": bounded}
        return frozenset(fault for fault, possible in may.items() if possible)

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
