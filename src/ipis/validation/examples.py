"""Run the worked examples of a rule: they are its tests, its documentation and the preview of its message.

An example is one row of the rule's record type, with `person`, other record types, `header`, `last_year`, `nation` and
`codes` (a list that may not be shipped) beside it where they matter; rows belong to the first person unless `_person`
says otherwise. A column of the register is handed in only where a row of the example gives it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ipis.kernel.layout import Kind
from ipis.validation.run import Content, run_many

if TYPE_CHECKING:
    from ipis.kernel.collection import Collection
    from ipis.kernel.layout import Field, RecordType
    from ipis.validation.catalogue import Rule
    from ipis.validation.findings import Report

PASSES, BREAKS, NOT_ASSESSED = "passes", "breaks", "not_assessed"
_BESIDE = frozenset({"codes", "nation"})
_NATION = {"str": pa.string(), "int": pa.int64(), "dec": pa.float64()}


def judge(collection: Collection, rule: Rule, example: Mapping[str, Any]) -> Report:
    """Judge one example as the municipality would, or as SSB where the rule runs there only."""
    lists, nation = beside(collection, example)
    own = replace(collection, codes={**collection.codes, **lists}) if lists else collection
    made = content(collection, rule, example)
    return run_many(own, [made], at=judged_at(rule), nation=nation, only={rule.id})[0]


def judged_at(rule: Rule) -> str:
    """Say which party judges a rule's examples."""
    return "M" if "M" in rule.runs_at else "S"


def beside(collection: Collection, example: Mapping[str, Any]) -> tuple[dict[str, pa.Table], dict[str, pa.Table]]:
    """Give the code lists and the tables of the nation that an example has beside its delivery."""
    lists = {name: pa.Table.from_pylist(list(rows)) for name, rows in example.get("codes", {}).items()}
    nation = {}
    for name, rows in example.get("nation", {}).items():
        declared = collection.layout.nation[name]
        types = {declared.key: "str", **declared.columns}
        nation[name] = pa.table(
            {column: pa.array([row.get(column) for row in rows], _NATION[kind]) for column, kind in types.items()}
        )
    return lists, nation


def content(collection: Collection, rule: Rule, example: Mapping[str, Any]) -> Content:
    """Make the delivery that an example stands for."""
    example = {key: value for key, value in _filled(example, collection.year).items() if key not in _BESIDE}
    header = {"kommuneNr": "0403", "bydel": "00", **example.pop("header", {})}
    past = example.pop("last_year", None)
    records = collection.layout.records
    given = {name: list(example.pop(name)) for name in records if name in example}
    if example or rule.record not in given:
        given.setdefault(rule.record, []).insert(0, example)
    if "person" in records:
        given.setdefault("person", [{}])
    return Content(
        {name: table(record, given.get(name, [])) for name, record in records.items()},
        {key: value if value is None else str(value) for key, value in header.items()},
        {name: table(records[name], rows) for name, rows in past.items()} if past is not None else None,
    )


def verdict(report: Report, rule: str) -> str:
    """Say what an example came to: a breach outweighs, and nothing assessed is not a pass."""
    counted = report.verdicts[rule]
    if counted.breach:
        return BREAKS
    return PASSES if counted.ok else NOT_ASSESSED if counted.not_assessed else "outside"


def table(record: RecordType, rows: list[Mapping[str, Any]]) -> pa.Table:
    """Make a record type's table from rows written by hand, as the extract's reader would; `_repeat` copies a row.

    A copy belongs to a person of its own.
    """
    plain: list[dict[str, Any]] = []
    for row in rows:
        copies = int(row.get("_repeat", 1))
        plain += [{**row, "_person": row.get("_person", 0) if copies == 1 else copy} for copy in range(copies)]
    columns: dict[str, list[Any]] = {"_row": list(range(len(plain))), "_person": []}
    for place, row in enumerate(plain):
        columns["_person"].append(place if record.name == "person" else row["_person"])
    for field in record.fields.values():
        if not field.identity:
            read = [_value(field, row.get(field.name)) for row in plain]
            columns[field.name] = [value for value, _ in read]
            if field.has_raw:
                columns[f"{field.name}__raw"] = [raw for _, raw in read]
    schema = pa.schema([each for each in record.schema() if each.name in columns])
    for name, supplied in record.supplied.items():
        if supplied.source and not any(name in row for row in plain):
            continue
        columns[name] = [row.get(name) for row in plain]
        schema = schema.append(pa.field(name, pa.string() if supplied.type in {"string", "id"} else pa.int32()))
    return pa.table(columns, schema=schema)


def _value(field: Field, written: object) -> tuple[Any, str | None]:
    """Give the typed value, and the text where it does not parse."""
    if written is None:
        return None, None
    text = str(written)
    try:
        if field.kind is Kind.DATE:
            return dt.date.fromisoformat(text), None
        if field.kind is Kind.INT:
            return int(text), None
        if field.kind is Kind.DEC:
            number = Decimal(text).quantize(Decimal(1).scaleb(-field.scale))
            # What has more digits than the field is no value of it, as the extract's reader has it.
            return (number, None) if len(number.as_tuple().digits) <= field.length else (None, text)
    except (ValueError, InvalidOperation):
        return None, text
    return text, None


def _filled(value: Any, year: int) -> Any:
    """Put the collection year where an example writes {year}, and the one after where it writes {next}."""
    if isinstance(value, Mapping):
        return {str(key): _filled(item, year) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, year) for item in value]
    return value.replace("{year}", str(year)).replace("{next}", str(year + 1)) if isinstance(value, str) else value
