"""What expressions of a year can name: stored and supplied columns, families, code lists and header values."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from typing import TYPE_CHECKING

import pyarrow as pa

from ipis.kernel.layout import Kind
from ipis.validation.declared import declarations, tables
from ipis.validation.derived import Listing, Resolver, World
from ipis.validation.terms import ColumnInfo, Schema, Type

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ipis.kernel.collection import Collection
    from ipis.kernel.layout import Field, RecordType

PERIOD = ("aargang", "fraDato", "tilDato")
"""Header values that the collection year itself gives: rules judge by the year asked for."""

_NUMBER = re.compile(r"-?[0-9]{1,9}(?:\.[0-9]{1,9})?")

TYPES = {
    Kind.ID: Type.ID,
    Kind.STR: Type.TEXT,
    Kind.CODE: Type.TEXT,
    Kind.INT: Type.INT,
    Kind.DEC: Type.DEC,
    Kind.DATE: Type.DATE,
    Kind.DATETIME: Type.DATE,
}

SUPPLIED_TYPES = {
    "string": Type.TEXT,
    "id": Type.ID,
    "int": Type.INT,
    "int16": Type.INT,
    "int32": Type.INT,
}
_NATION_TYPES = {"str": Type.TEXT, "int": Type.INT, "dec": Type.DEC}


def checked(field: Field) -> bool:
    """Tell whether a value of the field can be found invalid, so that it is unknown to every other rule.

    An id never is: it is only compared for equality, and at SSB, as a local key, has no form left to judge.
    """
    return field.kind is not Kind.ID and (field.has_raw or bool(field.rules.keys() & {"form", "code", "range"}))


def of(collection: Collection) -> World:
    """Describe a collection year's world before anything is derived."""
    layout = collection.layout
    header = {
        name: ColumnInfo(TYPES[field.kind], sources=frozenset() if name in PERIOD else frozenset({"header"}))
        for name, field in layout.header.fields.items()
    }
    schemas = {name: _schema(record, header, collection) for name, record in layout.records.items()}
    return World(schemas, header, _lists(collection), tables(layout.derived_tables, collection.folder))


def resolver(collection: Collection) -> Resolver:
    """Give a resolver that has typed every derived column of the collection year."""
    world = of(collection)
    declared = [
        *(
            each
            for record in collection.layout.records.values()
            for each in declarations(record.name, record.derived, collection.folder)
        ),
        *(each for table in world.tables.values() for each in table.declarations),
    ]
    made = Resolver(world, declared)
    made.resolve()
    return made


def period(collection: Collection) -> dict[str, object]:
    """Give the header's values that are the collection year's own."""
    values = dict(zip(PERIOD, (collection.year, collection.begins_on, collection.ends_on), strict=True))
    return {name: value for name, value in values.items() if name in collection.layout.header.fields}


def header_value(field: Field, header: Mapping[str, str | None] | None) -> object:
    """Give a value of the header, typed; what is not there or does not parse is null."""
    text = (header or {}).get(field.name)
    return None if text is None else _value(field, text)


def _value(field: Field, text: str) -> object:
    try:
        if field.kind is Kind.INT:
            return int(text)
        if field.kind in {Kind.DATE, Kind.DATETIME}:
            return dt.date.fromisoformat(text[:10])
    except ValueError:
        return None
    return text


def _schema(record: RecordType, header: Mapping[str, ColumnInfo], collection: Collection) -> Schema:
    columns = {
        name: ColumnInfo(TYPES[field.kind], flagged=checked(field))
        for name, field in record.fields.items()
        if not field.identity
    }
    for name, supplied in record.supplied.items():
        sources = {register_source(record.name, name)} if supplied.source == "register" else set()
        columns[name] = ColumnInfo(SUPPLIED_TYPES[supplied.type], sources=frozenset(sources))
    numbers = {
        name: numbers
        for name, field in record.fields.items()
        if isinstance(field.codes, str) and (numbers := _numbers(collection.codes.get(field.codes))) is not None
    }
    return Schema(record.name, columns, record.families, header, numbers)


def register_source(record: str, column: str) -> str:
    """Name what a supplied column of the register is to the rules that need it."""
    return f"register:{record}.{column}"


def _numbers(listed: pa.Table | None) -> dict[str, Decimal] | None:
    """Give the number that each code stands for, by a code list's column `value`; a code without one has none.

    Of a code that stands twice the first row counts, as it does where a list is looked into.
    """
    if listed is None or "value" not in listed.column_names:
        return None
    numbers: dict[str, Decimal] = {}
    for code, value in zip(listed["code"].to_pylist(), listed["value"].to_pylist(), strict=True):
        if value is not None and not _NUMBER.fullmatch(str(value)):
            return None
        if value is not None:
            numbers.setdefault(str(code), Decimal(str(value)))
    return numbers


def _lists(collection: Collection) -> dict[str, Listing]:
    """Give what can be looked up: code lists, optional ones that are not there, the tables of the nation."""
    lists = {
        name: Listing(None, source=f"list:{name}") for name, made in collection.layout.codes.items() if made.optional
    }
    for name, table in collection.codes.items():
        lists[name] = Listing({column.name: _code_type(column.type) for column in table.schema})
    for name, nation in collection.layout.nation.items():
        columns = {column: _NATION_TYPES[kind] for column, kind in nation.columns.items()}
        lists[name] = Listing({nation.key: Type.TEXT, **columns}, nation.key, f"nation:{name}")
    return lists


def _code_type(kind: pa.DataType) -> Type:
    return Type.INT if pa.types.is_integer(kind) else Type.DEC if pa.types.is_floating(kind) else Type.TEXT
