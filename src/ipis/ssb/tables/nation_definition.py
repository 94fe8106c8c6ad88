"""What rules look up in the nation as last published, as typed from `tables/*.yaml` (`published:`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ipis.ssb.tables.conditions import Conditions
from ipis.ssb.tables.measures import COUNTING, KINDS, Aggregate, read_aggregate
from ipis.ssb.tables.reading import Node, read_list
from ipis.validation.terms import Type

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipis.kernel.collection import Collection

PUBLISHED = "published"
"""The key by which an entry of `tables/*.yaml` is told from a control table."""


@dataclass(frozen=True, slots=True)
class Across:
    """A number of each municipality by its inhabitants (times `factor`), of which the column is a percentile."""

    at: float
    factor: float


@dataclass(frozen=True, slots=True)
class NationColumn:
    """One column: a number of all rows with the key, or of each municipality's (`across`)."""

    name: str
    aggregate: Aggregate
    across: Across | None


@dataclass(frozen=True, slots=True)
class NationTable:
    """One table of the nation: a row for each value of a column of a record type."""

    name: str
    record: str
    key: str
    columns: tuple[NationColumn, ...]


def load_nation_tables(collection: Collection) -> tuple[NationTable, ...]:
    """Give every table of the nation that the collection's rules look up."""
    return read_nation_tables(collection, Conditions.of(collection))


def read_nation_tables(collection: Collection, conditions: Conditions) -> tuple[NationTable, ...]:
    """Read every table of the nation of the folder; raises `DefinitionRefused` with file, line and column."""
    found: dict[str, NationTable] = {}
    for node in entries(collection, published=True):
        table = _table(node, conditions)
        if table.name in found:
            node.refuse("tables.twice", id=table.name)
        found[table.name] = table
    return tuple(found.values())


def entries(collection: Collection, *, published: bool) -> Iterator[Node]:
    """Go through the entries of `tables/*.yaml`: control tables, or the tables of the nation."""
    for name in sorted(collection.folder):
        if name.startswith("tables/") and name.endswith(".yaml"):
            for node in read_list(name, collection.folder[name]):
                if (isinstance(node.value, dict) and PUBLISHED in node.value) is published:
                    yield node


def _table(node: Node, conditions: Conditions) -> NationTable:
    raw = node.mapping({PUBLISHED, "record", "key", "columns"})
    record = raw["record"].text()
    if record not in conditions.collection.layout.records:
        raw["record"].refuse("rules.record", record=record)
    columns = tuple(_column(item, record, conditions) for item in raw["columns"].items())
    key = conditions.column(raw["key"], record, Type.TEXT).name
    return NationTable(raw[PUBLISHED].text(), record, key, columns)


def _column(node: Node, record: str, conditions: Conditions) -> NationColumn:
    raw = node.mapping({"name"}, {*KINDS, "at", "where", "across"})
    aggregate, across = read_aggregate(node, raw, record, conditions), None
    if "across" in raw:
        below = raw["across"].mapping({"at", "factor"})
        across = Across(below["at"].number(), below["factor"].number())
        if not aggregate.counts or not 0 <= across.at <= 1:
            raw["across"].refuse("tables.value", allowed=f"{', '.join(COUNTING)}; 0 <= at <= 1")
    return NationColumn(raw["name"].text(), aggregate, across)
