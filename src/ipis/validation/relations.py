"""Set up the relations that rules and tables run over: the tables handed in, their flagged views, what is derived.

Any number of deliveries lie in them one after the other; every relation has the columns of `content.ROW_KEYS`.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ipis.validation import kinds, layout_rules, rulebook, stages, world
from ipis.validation.compile import HEADER, SQL_TYPES, Scope, quote, stored_name
from ipis.validation.content import ROW_KEYS, Content, Stacked, linked, place_persons, rows_of, stack
from ipis.validation.declared import PERSON
from ipis.validation.engines import ScanFailed, engine_named
from ipis.validation.side_by_side import side_by_side
from ipis.validation.tally import taken
from ipis.validation.terms import Type

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from ipis.kernel.collection import Collection
    from ipis.kernel.layout import RecordType
    from ipis.validation.derived import Derived, Resolver
    from ipis.validation.engines import Engine
    from ipis.validation.terms import Column

_MANY_ROWS = 100_000

__all__ = ["Content", "Relations", "derived", "linked"]


@contextmanager
def derived(
    collection: Collection,
    contents: Sequence[Content],
    wanted: Iterable[tuple[str, str]],
    *,
    nation: Mapping[str, pa.Table] | None = None,
    engine: str = "duckdb",
) -> Iterator[Relations]:
    """Open the relations of many deliveries with all stored columns and the derived ones that are wanted.

    `names[record]` is the SQL relation; invalid values are empty there, and `<column>__bad` says so. Every relation
    has `_delivery` (the place in `contents`), `_row` and `_person` as each delivery has them, and `_at`, `_owner`: the
    row and its person among those of all deliveries.
    """
    resolver = rulebook.of(collection).resolver
    stored = ((name, column) for name, columns in resolver.world.schemas.items() for column in columns.columns)
    header = ((name, f"{HEADER}.{field}") for name in resolver.world.schemas for field in resolver.world.header)
    with engine_named(engine, rows_of(contents)) as opened:
        made = Relations(opened, collection, resolver, resolver.closure([*wanted, *stored, *header]))
        made.prepare(contents, nation)
        yield made


@dataclass(frozen=True, slots=True)
class _Source:
    """What the engine is handed of a relation, and how its columns are written: types, and flags of all."""

    table: pa.Table
    written: list[str]


@dataclass(frozen=True, slots=True)
class _Step:
    """What is derived of one relation in one phase: the columns by their levels, and the SQL that makes each."""

    name: str
    owner: str
    columns: list[Derived]
    pieces: Mapping[str, stages.Piece]

    @property
    def names(self) -> list[str]:
        """Name the columns."""
        return [made.declaration.name for made in self.columns]


@dataclass(slots=True)
class Relations:
    """The relations of one run by their newest names, the states of fields, and the columns that failed.

    `needed` says which columns of which relation anyone will read; the others are not set up. `general` statements
    hold for any delivery: every column may have invalid values and every relation rows, whether or not it is so in this
    one. They are longer, but all runs of a kind write the same, and what is planned is planned once. `judged` are the
    fields whose states are asked for besides (None: all).
    """

    engine: Engine
    collection: Collection
    resolver: Resolver
    needed: set[tuple[str, str]]
    names: dict[str, str] = field(default_factory=dict)
    last_year: dict[str, str] = field(default_factory=dict)
    lists: dict[tuple[str, tuple[str, ...]], str] = field(default_factory=dict)
    tables: dict[str, pa.Table] = field(default_factory=dict)
    sources: dict[str, _Source] = field(default_factory=dict)
    deliveries: dict[str, NDArray[np.int32]] = field(default_factory=dict)
    states: dict[str, dict[str, NDArray[np.int8]]] = field(default_factory=dict)
    failed: dict[tuple[str, str], str] = field(default_factory=dict)
    dirty: dict[str, frozenset[str]] = field(default_factory=dict)
    general: bool = False
    judged: frozenset[tuple[str, str]] | None = None

    @property
    def scope(self) -> Scope:
        """Give the scope in which expressions over these relations are written."""
        return Scope(world.period(self.collection), dialect=self.engine.dialect)

    def scope_of(self, relation: str) -> Scope:
        """Give the scope of expressions over one relation: which of its columns are invalid on any row is known."""
        return Scope(world.period(self.collection), dialect=self.engine.dialect, dirty=self.dirty[relation])

    def flags(self, relation: str, columns: set[str]) -> list[str]:
        """Name those of the columns whose flags only the engine knows: derived ones that are invalid on some row."""
        return sorted(columns & self.dirty[relation] - self.states.get(relation, {}).keys())

    def bad_of(self, relation: str, at: NDArray[np.int32]) -> dict[str, NDArray[np.bool_]]:
        """Give for each stored column that is invalid on some row where it is."""
        states = self.states.get(relation, {})
        return {name: (states[name] > layout_rules.FINE)[at] for name in self.dirty[relation] & states.keys()}

    def prepare(self, contents: Sequence[Content], nation: Mapping[str, pa.Table] | None = None) -> None:
        """Set everything up: records, those of the year before, lists, derived tables, derived columns."""
        wanted = [made for identity, made in self.resolver.done.items() if identity in self.needed]
        self._add_records(contents)
        self._add_last_year(contents, [made for made in wanted if made.declaration.kind == "last_year"])
        self._add_lists(wanted, nation or {})
        self._add_derived_tables(contents)
        self._derive(wanted)

    def _add_records(self, contents: Sequence[Content]) -> None:
        """Register every record type's table, invalid values emptied and flagged; one not handed in has no rows."""
        tables, records = [content.tables for content in contents], self.collection.layout.records
        stacked = side_by_side(
            lambda record: stack(record, tables, self.collection), records.values(), rows_of(contents)
        )
        stacks = dict(zip(records, stacked, strict=True))
        for number, (name, record) in enumerate(records.items()):
            placed = place_persons(stacks[name], stacks.get(PERSON), own=name == PERSON)
            states = self._states(record, placed.table)
            self.tables[name], self.states[name] = placed.table, states
            self.deliveries[name] = placed.deliveries
            columns = [column for owner, column in self.needed if owner == name]
            self.dirty[name] = self._dirty(record, placed.table, states)
            if self.needed or self.judged is None:
                self.sources[name] = self._source(record, placed, states, columns, contents, self.dirty[name])
                self.names[name] = self._expose(f"t{number}", self.sources[name])

    def _states(self, record: RecordType, table: pa.Table) -> dict[str, NDArray[np.int8]]:
        """Judge the fields that a rule of the layout is about, or whose values someone reads."""
        fields = [each for each in record.fields.values() if not each.identity]
        if self.judged is not None:
            asked = self.needed | self.judged
            fields = [each for each in fields if (record.name, each.name) in asked]
        found = side_by_side(lambda each: layout_rules.states(self.collection, each, table), fields, table.num_rows)
        return dict(zip((each.name for each in fields), found, strict=True))

    def _add_last_year(self, contents: Sequence[Content], counted: list[Derived]) -> None:
        """Register what is counted of the year before."""
        reads = {(made.other or made.declaration.owner): set[str]() for made in counted}
        for made in counted:
            reads[made.other or made.declaration.owner] |= {column for _, column in made.reads}
        tables = [content.last_year or {} for content in contents]
        records = self.collection.layout.records
        persons = stack(records[PERSON], tables, self.collection) if reads and PERSON in records else None
        for number, (name, columns) in enumerate(reads.items()):
            record = records[name]
            stacked = persons if persons is not None and name == PERSON else stack(record, tables, self.collection)
            placed = place_persons(stacked, persons, own=name == PERSON)
            states = {
                each.name: layout_rules.states(self.collection, each, placed.table)
                for each in record.fields.values()
                if each.name in columns and not each.identity
            }
            dirty = self.dirty[f"{name} of last year"] = self._dirty(record, placed.table, states)
            source = self._source(record, placed, states, columns, contents, dirty)
            self.last_year[name] = self._expose(f"y{number}", source)

    def _dirty(self, record: RecordType, table: pa.Table, states: Mapping[str, NDArray[np.int8]]) -> frozenset[str]:
        """Name the columns that are invalid on some row, or in general may be."""
        given = {name for name in table.column_names if name in states and world.checked(record.fields[name])}
        if self.general:
            return frozenset(given)
        return frozenset(name for name in given if bool((states[name] > layout_rules.FINE).any()))

    def _source(
        self,
        record: RecordType,
        placed: Stacked,
        states: Mapping[str, NDArray[np.int8]],
        columns: Iterable[str],
        contents: Sequence[Content],
        dirty: frozenset[str],
    ) -> _Source:
        """Give the columns that are needed, without the values that are not valid, and a flag for these."""
        given, written = {key: placed.table[key] for key in ROW_KEYS}, list(ROW_KEYS)
        stored = self._stored(record)
        for column in sorted(set(columns) & stored.keys()):
            kind = stored[column]
            wrong = column in dirty
            if column.startswith(f"{HEADER}."):
                given[column] = self._header_column(column.partition(".")[2], contents, placed.deliveries)
            elif column in placed.table.column_names:
                values = placed.table[column]
                given[column] = _without(values, states[column] > layout_rules.FINE) if wrong else values
            value = quote(column) if column in given else "NULL"
            plain = column in given and (column not in record.supplied or kind is Type.ID)
            written.append(value if plain else f"CAST({value} AS {SQL_TYPES[kind]}) AS {quote(column)}")
            flag = f"{column}__bad"
            if wrong:
                given[flag] = pa.array(states[column] > layout_rules.FINE)
            written.append(quote(flag) if wrong else f"FALSE AS {quote(flag)}")
        return _Source(pa.table(given), written)

    def _expose(self, name: str, source: _Source) -> str:
        """Hand the engine a table, and name the view in which every column has its type and its flag."""
        self.engine.register(name, source.table)
        self.engine.view(f"v{name}", f"SELECT {', '.join(source.written)} FROM {name}")
        return f"v{name}"

    def _stored(self, record: RecordType) -> dict[str, Type]:
        """Give the type of each column of a record type that is not derived, the header's values among them."""
        known = self.resolver.world.schemas[record.name].columns
        header = self.resolver.world.header
        stored = {name: info.type for name, info in known.items()}
        period = world.period(self.collection)
        return stored | {f"{HEADER}.{name}": info.type for name, info in header.items() if name not in period}

    def _header_column(self, name: str, contents: Sequence[Content], deliveries: NDArray[np.int32]) -> pa.Array:
        about = self.collection.layout.header.fields[name]
        values = [world.header_value(about, content.header) for content in contents]
        kinds_of = {Type.INT: pa.int64(), Type.DATE: pa.date32()}
        kind = kinds_of.get(self.resolver.world.header[name].type, pa.string())
        return pa.array(values, kind).take(pa.array(deliveries))

    def _add_lists(self, wanted: Iterable[Derived], nation: Mapping[str, pa.Table]) -> None:
        """Register the lists that are looked into, one row for each key."""
        for made in wanted:
            name, keys = made.other, made.list_keys
            listed = self.collection.codes.get(name, nation.get(name))
            if keys and listed is not None and (name, keys) not in self.lists:
                relation = self.lists[name, keys] = f"l{len(self.lists)}"
                self.engine.register(relation, self._first_of_each(listed, keys))

    def _first_of_each(self, listed: pa.Table, keys: tuple[str, ...]) -> pa.Table:
        """Give a list with one row for each key; lists are the year's, and made so once."""
        made = self.resolver.by_key.get((id(listed), keys))
        if made is None or made[0] is not listed:
            made = self.resolver.by_key[id(listed), keys] = (listed, _first_of_each(listed, keys))
        return made[1]

    def _add_derived_tables(self, contents: Sequence[Content]) -> None:
        """Register the derived tables' own rows: one for each delivery, or one per delivery and code."""
        for number, (name, table) in enumerate(self.resolver.world.tables.items()):
            if not any(owner == name for owner, _ in self.needed):
                continue
            listed = self.collection.codes.get(table.codes) if table.codes else None
            codes = None if listed is None else self._first_of_each(listed, (table.key,))[table.key].combine_chunks()
            each = 1 if not table.codes else 0 if codes is None else len(codes)
            rows = np.tile(np.arange(each, dtype=np.int32), len(contents))
            self.deliveries[name] = np.repeat(np.arange(len(contents), dtype=np.int32), each)
            columns = {"_delivery": pa.array(self.deliveries[name]), "_row": pa.array(rows)}
            columns["_at"] = pa.array(np.arange(len(rows), dtype=np.int32))
            if table.codes:
                columns[table.shown_as] = pa.nulls(0, pa.string()) if codes is None else codes.take(pa.array(rows))
            for column in sorted(
                column for owner, column in self.needed if owner == name and column.startswith(f"{HEADER}.")
            ):
                bare = column.partition(".")[2]
                if bare not in world.period(self.collection):
                    columns[column] = self._header_column(bare, contents, self.deliveries[name])
            self.tables[name] = pa.table(columns)
            flags = [f"FALSE AS {quote(table.shown_as + '__bad')}"] if table.codes else []
            self.sources[name] = _Source(self.tables[name], [*map(quote, self.tables[name].column_names), *flags])
            self.names[name], self.dirty[name] = self._expose(f"d{number}", self.sources[name]), frozenset()

    def _derive(self, wanted: Iterable[Derived]) -> None:
        """Build the derived columns, phase by phase; what a phase made, the next one looks into."""
        by_phase: dict[int, dict[str, list[Derived]]] = {}
        for made in wanted:
            by_phase.setdefault(made.phase, {}).setdefault(made.declaration.owner, []).append(made)
        number = 0
        for _, owners in sorted(by_phase.items()):
            steps = []
            for owner, columns in owners.items():
                number += 1
                in_order = sorted(columns, key=lambda made: made.level)
                steps.append(_Step(f"s{number}", owner, in_order, self._pieces(owner, in_order)))
            self.engine.ahead([self._added(step) for step in steps if self._has_rows(step.owner)])
            self.names.update({step.owner: self._keep(step) for step in steps})

    def _keep(self, step: _Step) -> str:
        owner = step.owner
        if not self._has_rows(owner):
            self.engine.view(f"v{step.name}", self._nested(step))
            return f"v{step.name}"
        before = self.sources[owner], self.names[owner]
        try:
            return self._kept_apart(step)
        except ScanFailed:
            # The language should have excluded it: find the culprit, go on without it, and say so.
            self.sources[owner], self.names[owner] = before
            return self._kept(replace(step, pieces=self._without_culprits(step)))

    def _kept_apart(self, step: _Step) -> str:
        """Derive few rows all at once. Of many rows, what sorts them is derived alone: nothing else is sorted along."""
        if self.engine.distributed or len(self.deliveries[step.owner]) < _MANY_ROWS:
            return self._kept(step)
        parts: list[list[Derived]] = []
        for level in sorted({made.level for made in step.columns}):
            now = [made for made in step.columns if made.level == level]
            light = [made for made in now if made.declaration.kind in kinds.LIGHT]
            parts += [[made] for made in now if made not in light]
            parts += [light] if light else []
        for number, columns in enumerate(parts):
            pieces = {made.declaration.name: step.pieces[made.declaration.name] for made in columns}
            part = _Step(f"{step.name}_{number}", step.owner, columns, pieces)
            self.names[step.owner] = self._kept(part)
        return self.names[step.owner]

    def _kept(self, step: _Step) -> str:
        """Derive columns and put them beside those that are there; only what is new is read out of the engine."""
        if self.engine.distributed:
            self.engine.keep(step.name, self._nested(step))
            return step.name
        answer = self.engine.query(self._added(step))
        source, added = self.sources[step.owner], [*step.names, *self._flags(step)]
        table, order = source.table, _in_order(answer)
        for column in added:
            values = answer[column] if order is None else answer[column].combine_chunks().take(order)
            table = table.append_column(column, values)
        clean = [f"FALSE AS {quote(f'{name}__bad')}" for name in step.names if name not in self.dirty[step.owner]]
        self.sources[step.owner] = _Source(table, [*source.written, *map(quote, added), *clean])
        return self._expose(step.name, self.sources[step.owner])

    def _added(self, step: _Step) -> str:
        """Write the query for the columns that are derived, and for their flags."""
        asked = ", ".join(map(quote, [*step.names, *self._flags(step)]))
        return f"SELECT _at, {asked} FROM ({self._nested(step)})"

    def _flags(self, step: _Step) -> list[str]:
        return [f"{name}__bad" for name in step.names if name in self.dirty[step.owner]]

    def shown(self, relation: str, column: Column, places: NDArray[np.intp]) -> pa.Array:
        """Give the values of a column on some rows, as messages name them."""
        name = stored_name(column)
        if column.table and column.name in world.period(self.collection):
            return pa.array([world.period(self.collection)[column.name]] * len(places))
        if name not in self.sources[relation].table.column_names:
            word = self.resolver.word(relation, name)
            if word is not None:
                return self._words(word, relation, places)
            answer = self.engine.query(f"SELECT _at, {quote(name)} FROM {self.names[relation]}")
            order = _in_order(answer)
            values = answer[name] if order is None else answer[name].take(order)
            self.sources[relation] = replace(
                self.sources[relation], table=self.sources[relation].table.append_column(name, values)
            )
        return taken(self.sources[relation].table[name], places)

    def _words(self, word: Derived, relation: str, places: NDArray[np.intp]) -> pa.Array:
        """Look up in a code list what some rows' codes mean."""
        (key,) = word.list_keys
        listed = self._first_of_each(self.collection.codes[word.other], word.list_keys)
        codes = taken(self.sources[relation].table[stored_name(word.inputs[0])], places)
        at = pc.index_in(codes.cast(pa.string()), value_set=listed[key].combine_chunks(), skip_nulls=True)
        return listed[str(word.declaration.options["value"])].combine_chunks().take(at)

    def _has_rows(self, owner: str) -> bool:
        """Tell whether a relation has rows, or in general may have."""
        return self.general or len(self.deliveries[owner]) > 0

    def _pieces(self, owner: str, columns: list[Derived]) -> dict[str, stages.Piece]:
        """Write the columns of one phase; of a relation without rows there is nothing to look into."""
        empty, pieces = not self._has_rows(owner), {}
        for place, made in enumerate(columns):
            name = made.declaration.name
            piece = stages.nothing(made.info.type) if empty else kinds.piece(made, self._site(place, owner))
            pieces[name] = piece
            if piece.bad != stages.FALSE:
                self.dirty[owner] |= {name}
        return pieces

    def _nested(self, step: _Step) -> str:
        """Write the columns of one phase, each level around the one that it needs."""
        relation = self.names[step.owner]
        source, select = relation, f"SELECT * FROM {relation}"
        for level in sorted({made.level for made in step.columns}):
            now = [made for made in step.columns if made.level == level and made.declaration.name in step.pieces]
            if now:
                types = {made.declaration.name: made.info.type for made in now}
                stands = source == relation and len(now) > 1 and not self.engine.distributed
                select = stages.stage(source, {name: step.pieces[name] for name in types}, types, stands=stands)
                source = f"({select})"
        return select

    def _without_culprits(self, step: _Step) -> dict[str, stages.Piece]:
        """Try the columns one by one, and put nothing in place of those that fail."""
        sound: dict[str, stages.Piece] = {}
        for made in step.columns:
            column = made.declaration.name
            sound[column] = step.pieces[column]
            try:
                nested = self._nested(replace(step, pieces=sound))
                self.engine.query(f"SELECT _at, {quote(column)} FROM ({nested})")
            except ScanFailed as error:
                self.failed[step.owner, column] = str(error)
                sound[column] = stages.nothing(made.info.type)
        return sound

    def _site(self, number: int, owner: str) -> stages.Site:
        return stages.Site(
            world.period(self.collection),
            self.collection.ends_on,
            dict(self.names),
            self.last_year,
            self.resolver.world.tables,
            self.lists,
            number,
            self.engine.dialect,
            self.dirty,
            owner,
        )


def _in_order(answer: pa.Table) -> pa.Array | None:
    """Give the order in which an answer's rows stand as the relation's do; None: they do already."""
    at = np.asarray(answer["_at"])
    places = np.arange(len(at), dtype=np.int32)
    if bool(np.array_equal(at, places)):
        return None
    order = np.empty(len(at), np.int32)
    order[at] = places
    return pa.array(order)


def _without(values: pa.ChunkedArray, bad: NDArray[np.bool_]) -> pa.Array:
    """Empty the values that are not valid."""
    whole = values.combine_chunks()
    return pc.if_else(pa.array(bad), pa.scalar(None, whole.type), whole)


def _first_of_each(table: pa.Table, keys: tuple[str, ...]) -> pa.Table:
    """Give the first row of each key: a look into a list never multiplies rows."""
    numbered = table.append_column("_place", pa.array(np.arange(table.num_rows)))
    for key in keys:
        numbered = numbered.filter(pc.field(key).is_valid())
    first = numbered.group_by(list(keys), use_threads=False).aggregate([("_place", "min")])["_place_min"]
    return table.take(first.combine_chunks().sort())
