"""Lays many deliveries side by side, so that each table is one query for all of them.

Records come from the relations that rules run over; what a delivery has beside them (its outcomes, its findings) is
added here. The unit, in which several deliveries may be counted together, is joined to every row.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ipis.ssb.tables.conditions import POST, PSEUDO
from ipis.ssb.tables.query import PERSON, UNIT
from ipis.validation import rulebook
from ipis.validation.compile import quote
from ipis.validation.content import Content
from ipis.validation.engines import engine_named
from ipis.validation.relations import Relations

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ipis.kernel.collection import Collection
    from ipis.validation.compile import Scope
    from ipis.validation.engines import Engine


@dataclass(frozen=True, slots=True)
class Counted:
    """What counts of one delivery: its tables after the effects, its header, its outcomes and findings (may lack)."""

    tables: Mapping[str, pa.Table]
    header: Mapping[str, str | None] | None = None
    outcomes: pa.Table | None = None
    findings: pa.Table | None = None


@dataclass(slots=True)
class Batch:
    """The relations of many deliveries by record type; each has `_unit` and `_everyone` besides its columns."""

    engine: Engine
    units: int
    """How many units there are."""
    relations: dict[str, tuple[str, Scope]] = field(default_factory=dict)

    def of(self, record: str) -> tuple[str, Scope]:
        """Give a record type's relation, and the scope in which expressions over it are written."""
        return self.relations[record]

    def query(self, sql: str) -> pa.Table:
        """Run one query."""
        return self.engine.query(sql)


@contextmanager
def batch(
    collection: Collection,
    counted: Sequence[Counted],
    wanted: Iterable[tuple[str, str]],
    units: Sequence[int] | None = None,
) -> Iterator[Batch]:
    """Open the relations of many deliveries with the columns that are wanted, and no others."""
    resolver = rulebook.of(collection).resolver
    needed = resolver.closure(wanted)
    contents = [Content(_narrowed(one.tables, needed, collection), one.header) for one in counted]
    with engine_named("duckdb") as engine:
        relations = Relations(engine, collection, resolver, needed)
        relations.prepare(contents)
        of = np.arange(len(counted), dtype=np.int32) if units is None else np.array(units, np.int32)
        engine.register("units", pa.table({"_delivery": np.arange(len(counted), dtype=np.int32), UNIT: of}))
        made = Batch(engine, int(of.max(initial=-1)) + 1)
        for name in collection.layout.records:
            view = _view(engine, name, f"r.*, r._owner AS {PERSON}", relations.names[name])
            made.relations[name] = view, relations.scope_of(name)
        for name, columns in PSEUDO.items():
            engine.register(f"x_{name}", _stacked(name, columns, counted))
            listed = ", ".join(f"r.{quote(column)}" for column in columns)
            view = _view(engine, name, f"{listed}, CAST(NULL AS INTEGER) AS {PERSON}", f"x_{name}")
            made.relations[name] = view, replace(relations.scope, dirty=frozenset())
        yield made


def _view(engine: Engine, name: str, columns: str, source: str) -> str:
    engine.view(f"m_{name}", f"SELECT {columns}, u.{UNIT} FROM {source} r JOIN units u ON r._delivery = u._delivery")
    return f"m_{name}"


def _narrowed(
    tables: Mapping[str, pa.Table], needed: set[tuple[str, str]], collection: Collection
) -> dict[str, pa.Table]:
    """Take of each table what is needed, and what ties a row to its person.

    The texts of what did not parse are left out: once the effects are applied, it counts as not given.
    """
    ties = {"_row", "_person", "person_key"}
    made = {}
    for name, table in tables.items():
        keys = collection.layout.records[name].key_fields[:1]
        made[name] = table.select(
            [each for each in table.column_names if each in ties or each in keys or (name, each) in needed]
        )
    return made


def _stacked(name: str, columns: Sequence[str], counted: Sequence[Counted]) -> pa.Table:
    """Put the deliveries' own records under each other."""
    schema = pa.schema([*(pa.field(column, pa.string()) for column in columns), pa.field("_delivery", pa.int32())])
    parts = [schema.empty_table()]
    for number, one in enumerate(counted):
        table = one.outcomes if name == POST else one.findings
        if table is not None:
            of = pa.array(np.full(table.num_rows, number, np.int32))
            parts.append(table.select(list(columns)).append_column("_delivery", of).cast(schema))
    return pa.concat_tables(parts)
