"""The control tables of a collection year as typed from `tables/*.yaml` (docs/spec/tables.md): whole, or refused.

Conditions are typed terms of the rule language; engines are given SQL made from them, never a definition's own text.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from ipis.kernel.read_once import ReadOnce
from ipis.ssb.tables.conditions import Conditions, names_in
from ipis.ssb.tables.keys import Key, read_key
from ipis.ssb.tables.measures import Measure, read_measure
from ipis.ssb.tables.nation_definition import entries
from ipis.ssb.tables.reading import Node, Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipis.kernel.collection import Collection
    from ipis.validation.terms import Term

MAX_KEYS = 3
"""The most keys a table can have: what is published has as many columns."""


class Compares(StrEnum):
    """What a table stands beside."""

    LAST_YEAR = "last_year"
    """The delivery of the year before."""
    PREVIOUS = "previous"
    """The delivery before in the same year."""


@dataclass(frozen=True, slots=True)
class TableDefinition:
    """One control table: which rows, by which keys, and the numbers that stand in each cell."""

    id: str
    title: Text
    record: str
    where: Term | None
    keys: tuple[Key, ...]
    measures: tuple[Measure, ...]
    compares: Compares = Compares.LAST_YEAR
    nation: bool = True

    @property
    def decimals(self) -> dict[str, int]:
        """Give the decimals with which each measure is shown."""
        return {measure.id: measure.decimals for measure in self.measures}

    def columns(self) -> Iterator[tuple[str, str]]:
        """Go through the columns that the table needs: (record, name)."""
        for key in self.keys:
            yield from ((self.record, name) for name in key.columns())
        for measure in self.measures:
            yield from measure.columns(self.record)
        if self.where is not None:
            yield from ((self.record, name) for name in names_in(self.where))


@ReadOnce
def load_tables(collection: Collection) -> tuple[TableDefinition, ...]:
    """Give every table of the collection in order of id; read once for each content of the folder."""
    return read_tables(collection, Conditions.of(collection))


def read_tables(collection: Collection, conditions: Conditions) -> tuple[TableDefinition, ...]:
    """Read every control table of the folder; raises `DefinitionRefused` with file, line and column."""
    tables: dict[str, TableDefinition] = {}
    for node in entries(collection, published=False):
        table = _table(node, conditions)
        if table.id in tables:
            node.refuse("tables.twice", id=table.id)
        tables[table.id] = table
    return tuple(tables[key] for key in sorted(tables))


def _table(node: Node, conditions: Conditions) -> TableDefinition:
    raw = node.mapping({"id", "title", "record", "keys", "measures"}, {"where", "compares", "nation"})
    record = raw["record"].text()
    if record not in conditions.records:
        raw["record"].refuse("rules.record", record=record)
    keys = [read_key(item, record, conditions) for item in raw["keys"].items()]
    if len(keys) > MAX_KEYS or sum(key.repeats for key in keys) > 1:
        raw["keys"].refuse("tables.value", allowed=f"<= {MAX_KEYS} keys, one of them with family or when")
    within = next((conditions.with_value(record, key.family) for key in keys if key.family), conditions)
    measures = tuple(read_measure(item, record, within, keys) for item in raw["measures"].items())
    if not measures or len({measure.id for measure in measures}) < len(measures):
        raw["measures"].refuse("tables.value", allowed="[{id, label, …}]")
    compares = raw["compares"].text() if "compares" in raw else Compares.LAST_YEAR.value
    if compares not in list(Compares):
        raw["compares"].refuse("tables.value", allowed=", ".join(Compares))
    return TableDefinition(
        id=raw["id"].text(),
        title=raw["title"].languages(),
        record=record,
        where=within.perhaps(raw.get("where"), record),
        keys=tuple(keys),
        measures=measures,
        compares=Compares(compares),
        nation=raw["nation"].boolean() if "nation" in raw else True,
    )
