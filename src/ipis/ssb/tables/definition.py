"""Reads the tables of a definition folder (`tables/*.yaml`); what is not a table is refused, with its file and id."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from ipis.kernel.errors import LANGUAGES, DefinitionRefused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ipis.kernel.collection import Collection

POST = "post"
"""The pseudo-record with one row for each record of a delivery: its `type` and its `utfall`."""

Text = dict[str, str]


@dataclass(frozen=True, slots=True)
class Key:
    """One side of a table: a column, or a number banded by its lower bounds, and the values of the grid in order."""

    column: str
    label: Text
    values: tuple[tuple[str, Text], ...]
    bands: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class TableDefinition:
    """One control table: keys, and the number that stands in each cell."""

    id: str
    title: Text
    record: str
    keys: tuple[Key, ...]
    distinct: str
    """Column whose different values are counted; empty: rows are counted."""
    measure: Text


def load_tables(collection: Collection) -> tuple[TableDefinition, ...]:
    """Read every table of the collection, in order of id."""
    tables = []
    for name in sorted(collection.folder):
        if name.startswith("tables/") and name.endswith(".yaml"):
            tables += [_table(raw, name, collection) for raw in _parse(name, collection.folder[name])]
    ids = [table.id for table in tables]
    if len(set(ids)) != len(ids):
        raise DefinitionRefused("tables.twice", file="tables/")
    return tuple(sorted(tables, key=lambda table: table.id))


def _parse(name: str, content: bytes) -> list[dict[str, Any]]:
    try:
        raw = YAML(typ="safe").load(content.decode("utf-8"))
    except (YAMLError, UnicodeDecodeError):
        raise DefinitionRefused("tables.unreadable", file=name) from None
    if not isinstance(raw, list) or not all(isinstance(item, dict) for item in raw):
        raise DefinitionRefused("tables.unreadable", file=name)
    return raw


def _table(raw: Mapping[str, Any], file: str, collection: Collection) -> TableDefinition:
    where = {"file": file, "table": str(raw.get("id", "?"))}
    if set(raw) != {"id", "title", "record", "keys", "measure"}:
        raise DefinitionRefused("tables.shape", **where, detail=", ".join(sorted(map(str, raw))))
    record, measure = str(raw["record"]), raw["measure"]
    if record != POST and record not in collection.layout.records:
        raise DefinitionRefused("tables.shape", **where, detail=f"record {record}")
    if len({"count", "distinct"} & set(measure)) != 1 or measure.get("count", "rows") != "rows":
        raise DefinitionRefused("tables.shape", **where, detail="measure")
    return TableDefinition(
        id=str(raw["id"]),
        title=_text(raw["title"], where),
        record=record,
        keys=tuple(_key(key, collection, where) for key in raw["keys"]),
        distinct=str(measure.get("distinct", "")),
        measure=_text(measure["label"], where),
    )


def _key(raw: Mapping[str, Any], collection: Collection, where: dict[str, str]) -> Key:
    kinds = {"values", "codes", "bands", "records"} & set(raw)
    if len(kinds) != 1 or set(raw) - kinds != {"column", "label"}:
        raise DefinitionRefused("tables.shape", **where, detail="key")
    column, label = str(raw["column"]), _text(raw["label"], where)
    if "bands" in raw:
        bands = tuple(int(bound) for bound in raw["bands"])
        return Key(column, label, _band_values(bands), bands)
    if "codes" in raw:
        return Key(column, label, _code_values(str(raw["codes"]), collection, where))
    if "records" in raw:
        records = collection.layout.records.values()
        return Key(column, label, tuple((record.name, dict(record.label)) for record in records))
    return Key(column, label, tuple((str(v["code"]), _text(v["label"], where)) for v in raw["values"]))


def _band_values(bands: tuple[int, ...]) -> tuple[tuple[str, Text], ...]:
    ends = (*(bound - 1 for bound in bands[1:]), None)
    names = [f"{low}–{high}" if high is not None else f"{low}+" for low, high in zip(bands, ends, strict=True)]
    known = [(str(low), dict.fromkeys(LANGUAGES, name)) for low, name in zip(bands, names, strict=True)]
    return (*known, ("", {"nb": "Ukjent", "nn": "Ukjend", "en": "Unknown"}))


def _code_values(name: str, collection: Collection, where: dict[str, str]) -> tuple[tuple[str, Text], ...]:
    if name not in collection.codes:
        raise DefinitionRefused("tables.shape", **where, detail=f"codes {name}")
    rows = collection.codes[name].to_pylist()
    return tuple((row["code"], {lang: f"{row['code']} {row[f'label_{lang}']}" for lang in LANGUAGES}) for row in rows)


def _text(raw: Any, where: dict[str, str]) -> Text:
    if not isinstance(raw, dict) or set(raw) != set(LANGUAGES):
        raise DefinitionRefused("tables.languages", **where)
    return {language: str(raw[language]) for language in LANGUAGES}
