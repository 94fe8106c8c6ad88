"""Lays many deliveries side by side, so that each table is one query for all of them.

Rows and persons get numbers that are their own over all deliveries; what only one delivery has beside its records
(its header's values, its outcomes and findings) is joined by `_delivery`.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ipis.ssb.tables.conditions import PSEUDO
from ipis.ssb.tables.query import PERSON, UNIT
from ipis.validation import rulebook, world
from ipis.validation.compile import Scope, quote
from ipis.validation.engines.duckdb import DuckDB
from ipis.validation.relations import Relations, linked

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ipis.kernel.collection import Collection


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

    engine: DuckDB
    scope: Scope
    names: dict[str, str] = field(default_factory=dict)

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
    """Open the relations of many deliveries with the derived columns that are wanted."""
    resolver = rulebook.of(collection).resolver
    with DuckDB() as engine:
        values = world.header_values(collection, counted[0].header if len(counted) == 1 else None)
        relations = Relations(engine, collection, resolver, values)
        tables, places = _together(collection, counted)
        relations.add_records(tables)
        needed = resolver.closure(wanted)
        derived = [one for identity, one in resolver.done.items() if identity in needed]
        relations.add_codes(derived)
        relations.derive(derived)
        made = Batch(engine, Scope(values))
        _add_units(engine, len(counted), units)
        for name in collection.layout.records:
            engine.register(f"d_{name}", pa.table({"_row": np.arange(len(places[name])), "_delivery": places[name]}))
            joined = f"{relations.names[name]} r JOIN d_{name} d ON r._row = d._row JOIN units u USING (_delivery)"
            person = "r._row" if name == "person" else "r._person"
            view = f"m_{name}"
            engine.execute(f"CREATE VIEW {view} AS SELECT r.*, {person} AS {PERSON}, u.{UNIT} FROM {joined}")
            made.names[name] = view
        _add_pseudo(made, counted)
        yield made


def _add_units(engine: DuckDB, count: int, units: Sequence[int] | None) -> None:
    of = np.arange(count, dtype=np.int32) if units is None else np.array(units, np.int32)
    engine.register("units", pa.table({"_delivery": np.arange(count, dtype=np.int32), UNIT: of}))


def _together(collection: Collection, counted: Sequence[Counted]) -> tuple[dict[str, pa.Table], dict[str, np.ndarray]]:
    """Concatenate the deliveries' tables: rows and persons renumbered, and the delivery of each row."""
    names = list(collection.layout.records)
    parts: dict[str, list[pa.Table]] = {name: [] for name in names}
    places: dict[str, list[np.ndarray]] = {name: [] for name in names}
    offset = dict.fromkeys(names, 0)
    for number, one in enumerate(counted):
        person = one.tables.get("person")
        known = None if person is None else linked("person", person, {})["_row"].combine_chunks()
        for name in names:
            if name not in one.tables:
                continue
            table = _renumbered(name, linked(name, one.tables[name], one.tables), known, offset)
            parts[name].append(table)
            places[name].append(np.full(table.num_rows, number, np.int32))
        for name in names:
            offset[name] += one.tables[name].num_rows if name in one.tables else 0
    empty = {name: collection.layout.records[name].schema().empty_table() for name in names}
    tables = {
        name: pa.concat_tables(found, promote_options="permissive").combine_chunks() if found else empty[name]
        for name, found in parts.items()
    }
    return tables, {name: np.concatenate([np.empty(0, np.int32), *found]) for name, found in places.items()}


def _renumbered(name: str, table: pa.Table, persons: pa.Array | None, offset: Mapping[str, int]) -> pa.Table:
    """Give a delivery's rows the numbers after those before; what did not parse counts as not given."""
    rows = pa.array(np.arange(offset[name], offset[name] + table.num_rows, dtype=np.int32))
    if name == "person":
        owners: pa.Array = rows
    elif persons is None:
        owners = pa.nulls(table.num_rows, pa.int32())
    else:
        place = pc.index_in(table["_person"].combine_chunks().cast(pa.int32()), value_set=persons.cast(pa.int32()))
        owners = pc.add(place, offset["person"]).cast(pa.int32())
    own = {"_row", "_person", "person_key"}
    dropped = [each for each in table.column_names if each in own or each.endswith("__raw")]
    return table.drop_columns(dropped).append_column("_row", rows).append_column("_person", owners)


def _add_pseudo(made: Batch, counted: Sequence[Counted]) -> None:
    """Register the records of the deliveries themselves."""
    for name, columns in PSEUDO.items():
        given = [one.outcomes if name == "post" else one.findings for one in counted]
        parts = [
            table.select(list(columns)).append_column("_delivery", pa.array(np.full(table.num_rows, number, np.int32)))
            for number, table in enumerate(given)
            if table is not None
        ]
        schema = pa.schema([*(pa.field(column, pa.string()) for column in columns), ("_delivery", pa.int32())])
        table = pa.concat_tables([schema.empty_table(), *(part.cast(schema) for part in parts)])
        made.engine.register(f"d_{name}", table)
        listed = ", ".join(f"d.{quote(column)}" for column in columns)
        made.engine.execute(
            f"CREATE VIEW m_{name} AS SELECT {listed}, CAST(NULL AS BIGINT) AS {PERSON}, u.{UNIT} "
            f"FROM d_{name} d JOIN units u USING (_delivery)"
        )
        made.names[name] = f"m_{name}"
