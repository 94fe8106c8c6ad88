"""Set up the relations that rules run over: the tables handed in, their flagged views, and the stages of derivation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ipis.validation import layout_rules, stages
from ipis.validation.compile import SQL_TYPES, quote
from ipis.validation.engines.duckdb import DuckDB, ScanFailed
from ipis.validation.terms import Type

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from ipis.kernel.collection import Collection
    from ipis.kernel.layout import RecordType
    from ipis.validation.derived import Derived, Resolver


@dataclass(slots=True)
class Relations:
    """The relations of one run by their newest names, the checks of fields, and the columns that failed."""

    engine: DuckDB
    collection: Collection
    resolver: Resolver
    header: Mapping[str, object]
    names: dict[str, str] = field(default_factory=dict)
    last_year: dict[str, str] = field(default_factory=dict)
    tables: dict[str, pa.Table] = field(default_factory=dict)
    states: dict[str, dict[str, NDArray[np.int8]]] = field(default_factory=dict)
    failed: dict[tuple[str, str], str] = field(default_factory=dict)

    def add_records(self, tables: Mapping[str, pa.Table], *, year_back: bool = False) -> None:
        """Register every record type's table, invalid values emptied and flagged; one not handed in has no rows."""
        prefix = "y" if year_back else "t"
        for name, record in self.collection.layout.records.items():
            table = _plain(linked(name, tables.get(name, record.schema().empty_table()), tables))
            states = {
                field.name: layout_rules.states(self.collection, field, table)
                for field in record.fields.values()
                if not field.identity
            }
            self.engine.register(f"{prefix}_{name}", _stored(table, states))
            view = f"{prefix}v_{name}"
            self.engine.execute(f"CREATE VIEW {view} AS {_flagged(record, table, states, f'{prefix}_{name}')}")
            if year_back:
                self.last_year[name] = view
            else:
                self.tables[name], self.states[name], self.names[name] = table, states, view

    def add_codes(self, wanted: Iterable[Derived]) -> None:
        """Register the code lists that are looked into."""
        lists = {derived.declaration.subject for derived in wanted if derived.declaration.kind in {"lookup", "exists"}}
        for name in sorted(lists & self.collection.codes.keys()):
            self.engine.register(f"c_{name}", self.collection.codes[name])

    def add_derived_tables(self, wanted: Iterable[str]) -> None:
        """Register the derived tables' own rows: one for the delivery, or one per code."""
        for name in sorted(set(wanted)):
            table = self.resolver.world.tables[name]
            if table.codes:
                codes = _first_of_each(self.collection.codes[table.codes], table.key)[table.key]
                rows = pa.table({"_row": pa.array(np.arange(len(codes), dtype=np.int32)), table.shown_as: codes})
            else:
                rows = pa.table({"_row": pa.array([0], pa.int32())})
            self.engine.register(f"t_{name}", rows)
            flags = f", FALSE AS {quote(table.shown_as + '__bad')}" if table.codes else ""
            self.engine.execute(f"CREATE VIEW tv_{name} AS SELECT *{flags} FROM t_{name}")
            self.tables[name], self.names[name] = rows, f"tv_{name}"

    def derive(self, wanted: Iterable[Derived]) -> None:
        """Build the stages, level by level; each relation's newest name then carries all its derived columns."""
        by_level: dict[int, dict[str, list[Derived]]] = {}
        for derived in wanted:
            by_level.setdefault(derived.level, {}).setdefault(derived.declaration.owner, []).append(derived)
        for level in sorted(by_level):
            made = {owner: self._stage(owner, level, columns) for owner, columns in by_level[level].items()}
            self.names.update(made)

    def _stage(self, owner: str, level: int, columns: list[Derived]) -> str:
        name = f"s_{owner}_{level}"
        types = {derived.declaration.name: derived.info.type for derived in columns}
        pieces = {
            derived.declaration.name: stages.piece(derived, self._site(number))
            for number, derived in enumerate(columns)
        }
        try:
            self.engine.execute(f"CREATE TEMP TABLE {name} AS {stages.stage(self.names[owner], pieces, types)}")
        except ScanFailed:
            # The language should have excluded it: find the culprit, go on without it, and say so.
            self._stage_without_culprits(owner, name, pieces, types)
        return name

    def _stage_without_culprits(
        self, owner: str, name: str, pieces: dict[str, stages.Piece], types: dict[str, Type]
    ) -> None:
        for column, piece in list(pieces.items()):
            probe = stages.stage(self.names[owner], {column: piece}, types)
            try:
                self.engine.execute(f"CREATE OR REPLACE TEMP TABLE probe AS {probe}")
            except ScanFailed as error:
                self.failed[owner, column] = type(error).__name__
                pieces[column] = stages.nothing(types[column])
        self.engine.execute(f"CREATE TEMP TABLE {name} AS {stages.stage(self.names[owner], pieces, types)}")

    def _site(self, number: int) -> stages.Site:
        return stages.Site(self.header, self.names, self.last_year, self.resolver.world.tables, number)


def linked(name: str, table: pa.Table, tables: Mapping[str, pa.Table]) -> pa.Table:
    """Make sure that a table has `_row` and `_person`; at SSB they follow from the order and the person_key."""
    if "_row" not in table.column_names:
        table = table.append_column("_row", pa.array(np.arange(table.num_rows, dtype=np.int32)))
    if "_person" not in table.column_names:
        table = table.append_column("_person", _persons(name, table, tables))
    return table


def _plain(table: pa.Table) -> pa.Table:
    """Give texts as plain strings: what is dictionary-encoded or large is judged as any other."""
    for place, column in enumerate(table.schema):
        kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
        if column.type != pa.string() and (
            pa.types.is_large_string(kind) or pa.types.is_string_view(kind) or pa.types.is_string(kind)
        ):
            table = table.set_column(place, column.name, table[column.name].cast(pa.string()))
    return table


def _persons(name: str, table: pa.Table, tables: Mapping[str, pa.Table]) -> pa.Array | pa.ChunkedArray:
    if name == "person":
        return table["_row"]
    person = tables.get("person")
    if person is None or "person_key" not in table.column_names or "person_key" not in person.column_names:
        return pa.nulls(table.num_rows, pa.int32())
    found = pc.index_in(table["person_key"].combine_chunks(), value_set=person["person_key"].combine_chunks())
    return linked("person", person, {})["_row"].combine_chunks().take(found)


def _stored(table: pa.Table, states: Mapping[str, NDArray[np.int8]]) -> pa.Table:
    """Give what the engine is handed of a table: the fields' values without the invalid ones, and a flag for these."""
    columns = {name: table[name] for name in table.column_names if not name.endswith("__raw")}
    for name, state in states.items():
        bad = state > layout_rules.FINE
        if name in columns and bad.any():
            values = columns[name].combine_chunks()
            columns[name] = pc.if_else(pa.array(bad), pa.scalar(None, values.type), values)
            columns[f"{name}__bad"] = pa.array(bad)
    return pa.table(columns)


def _flagged(record: RecordType, table: pa.Table, states: Mapping[str, NDArray[np.int8]], source: str) -> str:
    """Write the view in which every column has its flag; most are false in all rows and cost nothing."""
    columns = ["_row", "_person"]
    for name, state in states.items():
        given = name in table.column_names
        kind = SQL_TYPES[SQL_KIND[record.fields[name].kind.value]]
        columns.append(quote(name) if given else f"CAST(NULL AS {kind}) AS {quote(name)}")
        flag = quote(f"{name}__bad")
        columns.append(flag if given and bool((state > layout_rules.FINE).any()) else f"FALSE AS {flag}")
    for name, supplied in record.supplied.items():
        kind = "VARCHAR" if supplied.type == "string" else "BIGINT"
        value = quote(name) if name in table.column_names else "NULL"
        columns += [f"CAST({value} AS {kind}) AS {quote(name)}", f"FALSE AS {quote(name + '__bad')}"]
    return f"SELECT {', '.join(columns)} FROM {source}"


SQL_KIND = {
    "id": Type.ID,
    "str": Type.TEXT,
    "code": Type.TEXT,
    "int": Type.INT,
    "dec": Type.DEC,
    "date": Type.DATE,
    "datetime": Type.DATE,
}


def _first_of_each(table: pa.Table, key: str) -> pa.Table:
    keys = table[key].combine_chunks()
    _, first = np.unique(np.asarray(pc.fill_null(keys, "")).astype(str), return_index=True)
    return table.take(pa.array(np.sort(first))).filter(pc.field(key).is_valid())
