"""What expressions of a year can name: stored and supplied columns, families, code lists and header values."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pyarrow as pa

from ipis.kernel.layout import Kind
from ipis.validation.derived import Declaration, Resolver, World, declarations, tables
from ipis.validation.terms import ColumnInfo, Schema, Type

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ipis.kernel.collection import Collection
    from ipis.kernel.layout import Field, RecordType

HEADER = "uttrekk"
PERIOD = ("aargang", "fraDato", "tilDato")
"""Header values that the collection year itself gives: rules judge by the year asked for."""

_TYPES = {
    Kind.ID: Type.ID,
    Kind.STR: Type.TEXT,
    Kind.CODE: Type.TEXT,
    Kind.INT: Type.INT,
    Kind.DEC: Type.DEC,
    Kind.DATE: Type.DATE,
    Kind.DATETIME: Type.DATE,
}


def checked(field: Field) -> bool:
    """Tell whether a value of the field can be found invalid, so that it is unknown to every other rule."""
    return field.has_raw or bool(field.rules.keys() & {"form", "code", "range"})


def of(collection: Collection) -> World:
    """Describe a collection year's world before anything is derived."""
    layout = collection.layout
    header = {
        name: ColumnInfo(_TYPES[field.kind], source="" if name in PERIOD else "header")
        for name, field in layout.header.fields.items()
    }
    schemas = {name: _schema(record, header) for name, record in layout.records.items()}
    codes = {
        name: {column.name: _code_type(column.type) for column in table.schema}
        for name, table in collection.codes.items()
    }
    return World(schemas, codes, tables(layout.derived_tables, collection.folder))


def resolver(collection: Collection) -> Resolver:
    """Give a resolver that has typed every derived column of the collection year."""
    world = of(collection)
    declared = [
        *(each for record in collection.layout.records.values() for each in _declared(record, collection)),
        *(each for table in world.tables.values() for each in table.declarations),
    ]
    made = Resolver(world, declared)
    made.resolve()
    return made


def header_values(collection: Collection, header: Mapping[str, str | None] | None) -> dict[str, object]:
    """Give the header as typed values; what does not parse is null, the period is the collection year's."""
    values: dict[str, object] = {}
    for name, field in collection.layout.header.fields.items():
        text = (header or {}).get(name)
        values[name] = None if text is None else _value(field, text)
    period = dict(zip(PERIOD, (collection.year, collection.begins_on, collection.ends_on), strict=True))
    return {**values, **{name: value for name, value in period.items() if name in values}}


def _value(field: Field, text: str) -> object:
    try:
        if field.kind is Kind.INT:
            return int(text)
        if field.kind in {Kind.DATE, Kind.DATETIME}:
            return dt.date.fromisoformat(text[:10])
    except ValueError:
        return None
    return text


def _schema(record: RecordType, header: Mapping[str, ColumnInfo]) -> Schema:
    columns = {
        name: ColumnInfo(_TYPES[field.kind], flagged=checked(field))
        for name, field in record.fields.items()
        if not field.identity
    }
    for name, supplied in record.supplied.items():
        columns[name] = ColumnInfo(Type.TEXT if supplied.type == "string" else Type.INT)
    return Schema(record.name, columns, record.families, header)


def _code_type(kind: pa.DataType) -> Type:
    return Type.INT if pa.types.is_integer(kind) else Type.TEXT


def _declared(record: RecordType, collection: Collection) -> tuple[Declaration, ...]:
    return declarations(record.name, record.derived, collection.folder)
