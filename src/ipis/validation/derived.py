"""Derived columns and tables: the only place where rows look at other rows (engine.md, docs/spec/rules.md §4).

Each declaration is typed against what it looks at, and all are put in an order in which each comes after what it
needs; a circle is refused where it begins.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

from ipis.validation import language
from ipis.validation.compile import HEADER, stored_name
from ipis.validation.declared import PERSON, Declaration, DerivedTable
from ipis.validation.position import refuse
from ipis.validation.terms import Column, ColumnInfo, Schema, Term, Type, columns_of, every_column

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pyarrow as pa

OWNER = "_owner"
"""The stored column that holds a row's person: the place of the person's row among those of all deliveries."""

_RESULT = {
    "exists": Type.BOOL,
    "count": Type.INT,
    "overlap": Type.INT,
    "overlap_days": Type.INT,
    "last_year": Type.INT,
    "share": Type.NUM,
    "concurrent_sum": Type.NUM,
    "sum": Type.NUM,
    "choose": Type.TEXT,
}
_SUBJECTS = {"count": "rows", "overlap": "rows", "overlap_days": "rows", "last_year": "count"}
_SUMS = frozenset({"sum", "concurrent_sum"})
_OVER_PERIODS = frozenset({"overlap", "overlap_days", "concurrent_sum"})
"""Kinds that read their own record type a second time, as a relation beside the row's."""


@dataclass(frozen=True, slots=True)
class Derived:
    """A derived column, typed.

    `inputs` are the row's own columns that it needs, `other` the relation that it looks into, `where` is over the
    rows that it counts. `phase` and `level` say when it can be made: what lies in another relation must stand in an
    earlier phase, what stands in the row itself on a lower level. `reads` are the columns it touches, by relation.
    """

    declaration: Declaration
    info: ColumnInfo
    inputs: tuple[Column, ...]
    other: str
    expression: Term | None
    where: Term | None
    choices: tuple[tuple[Term, str], ...]
    phase: int
    level: int
    reads: frozenset[tuple[str, str]]
    value_flagged: bool = False
    """Whether what it gives back of another row can be invalid there."""
    list_keys: tuple[str, ...] = ()
    """The columns by which a list is looked into."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What can be looked up by a key: a code list, or a table of the nation.

    `columns` is None for an optional list that is not there: every name is then a text.
    """

    columns: Mapping[str, Type] | None
    key: str = "code"
    source: str = ""

    def type_of(self, name: str) -> Type | None:
        """Give a column's type, or None where there is no such column."""
        return Type.TEXT if self.columns is None else self.columns.get(name)


@dataclass(frozen=True, slots=True)
class World:
    """All that expressions can name, before anything is derived: stored columns, families, lists, the header."""

    schemas: Mapping[str, Schema]
    header: Mapping[str, ColumnInfo]
    lists: Mapping[str, Listing]
    tables: Mapping[str, DerivedTable]


@dataclass(slots=True)
class _Typing:
    """What has been gathered while one declaration is typed."""

    declaration: Declaration
    phase: int = 0
    level: int = 0
    reads: set[tuple[str, str]] = field(default_factory=set)
    inputs: list[Column] = field(default_factory=list)
    others: list[Column] = field(default_factory=list)
    """Columns of the other relation whose value is given back, so that its faults and sources are too."""
    sources: set[str] = field(default_factory=set)

    def follow(self, derived: Derived, *, across: bool) -> None:
        """Come after another derived column."""
        after = (derived.phase + 1, 0) if across else (derived.phase, derived.level)
        self.phase, self.level = max((self.phase, self.level), after)


class Resolver:
    """Types every derived column, each after those it needs; the schemas grow as it goes."""

    def __init__(self, world: World, declared: Iterable[Declaration]) -> None:
        """Take what is stored and what is declared."""
        self.world = world
        self.declared = {item.id: item for item in declared}
        self.schemas = {name: dict(schema.columns) for name, schema in world.schemas.items()}
        self.done: dict[tuple[str, str], Derived] = {}
        self.open: list[tuple[str, str]] = []
        self.by_key: dict[tuple[int, tuple[str, ...]], tuple[pa.Table, pa.Table]] = {}
        """Lists as they are looked into, one row for each key, beside the list that each was made of."""
        for table in world.tables.values():
            listing = world.lists.get(table.codes)
            if table.codes and listing is None:
                refuse("rules.no_list", table.place, list=table.codes)
            if listing is not None and listing.type_of(table.key) is None:
                refuse("rules.derived_rows", table.place, table=table.name)
            self.schemas[table.name] = {table.shown_as: ColumnInfo(Type.TEXT)} if table.codes else {}

    def resolve(self) -> dict[tuple[str, str], Derived]:
        """Type all; give them in an order in which each follows what it needs."""
        for identity in self.declared:
            self._resolved(identity)
        return self.done

    def closure(self, wanted: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
        """Give the columns wanted, stored and derived, and all that they need in turn, by relation."""
        found: set[tuple[str, str]] = set()
        waiting = list(wanted)
        while waiting:
            identity = waiting.pop()
            if identity not in found:
                found.add(identity)
                waiting.extend(self.done[identity].reads if identity in self.done else ())
        return found

    def word(self, owner: str, name: str) -> Derived | None:
        """Give a derived column that is a text in the year's own code list, looked up by a code (None: another)."""
        derived = self.done.get((owner, name))
        if derived is None or derived.declaration.kind != "lookup" or len(derived.list_keys) != 1:
            return None
        listing = self.world.lists[derived.other]
        of_the_year = listing.columns is not None and not listing.source
        return derived if of_the_year and derived.info.type is derived.inputs[0].type is Type.TEXT else None

    def schema(self, record: str) -> Schema:
        """Give what an expression over a record type or derived table may name by now."""
        known = self.world.schemas.get(record)
        families, numbers = (known.families, known.numbers) if known else ({}, {})
        return Schema(record, self.schemas[record], families, self.world.header, numbers)

    def _resolved(self, identity: tuple[str, str]) -> Derived | None:
        """Type a derived column, if it is one that is not yet."""
        declaration = self.declared.get(identity)
        if declaration is None or identity in self.done:
            return self.done.get(identity)
        if identity in self.open:
            round_about = [*self.open[self.open.index(identity) :], identity]
            circle = " → ".join(f"{owner}.{name}" for owner, name in round_about)
            refuse("rules.circle", declaration.place, circle=circle)
        if declaration.name in self.schemas[declaration.owner]:
            refuse("rules.derived_name", declaration.place, name=declaration.name)
        self.open.append(identity)
        derived = self._type(declaration)
        self.open.pop()
        self.schemas[declaration.owner][declaration.name] = derived.info
        self.done[identity] = derived
        return derived

    def _touch(self, typing: _Typing, record: str, name: str, *, across: bool) -> None:
        """Take note that a column is read; a derived one is typed first."""
        derived = self._resolved((record, name))
        if derived is not None:
            typing.follow(derived, across=across)

    def _column(self, typing: _Typing, record: str, name: str, *, across: bool = False) -> Column:
        """Give a column of a relation, or a value of the header."""
        declaration = typing.declaration
        table, _, bare = name.rpartition(".")
        if name == PERSON:
            if PERSON not in self.world.schemas:
                refuse("rules.derived_subject", declaration.place, kind=declaration.kind, subject=name)
            column = Column(OWNER, ColumnInfo(Type.ID))
        else:
            self._touch(typing, record, name, across=across)
            known = self.world.header if table == HEADER else self.schemas[record]
            info = None if table not in {"", HEADER} else known.get(bare)
            if info is None:
                refuse("rules.field", declaration.place, field=name, record=record)
            column = Column(bare, info, table)
        typing.reads.add((record, stored_name(column)))
        return column

    def _expression(self, typing: _Typing, record: str, text: str, *, across: bool, boolean: bool) -> Term:
        """Read an expression over a relation, what it names typed first (seen by its words alone)."""
        for word in sorted(set(re.findall(r"[A-Za-z_][A-Za-z0-9_]*", re.sub(r"'[^']*'", "", text)))):
            self._touch(typing, record, word, across=across)
        read = language.parse if boolean else language.parse_value
        term = read(text, self.schema(record), typing.declaration.place)
        typing.reads |= {(record, stored_name(column)) for column in every_column(term)}
        typing.sources |= {source for column in every_column(term) for source in column.info.sources}
        return term

    def _type(self, declaration: Declaration) -> Derived:
        typing = _Typing(declaration)
        self._check_subject(declaration)
        if declaration.kind in {"expression", "choose"}:
            return self._type_expressions(typing)
        if declaration.owner in self.world.tables and declaration.kind != "lookup":
            return self._type_in_table(typing)
        other = self._other(declaration)
        if other:
            return self._type_across(typing, other)
        return self._type_among_rows(typing)

    def _type_expressions(self, typing: _Typing) -> Derived:
        declaration, owner = typing.declaration, typing.declaration.owner
        if declaration.kind == "expression":
            expression = self._expression(typing, owner, declaration.subject, across=False, boolean=False)
            typing.inputs += columns_of(expression)
            return self._made(typing, expression.type, expression=expression)
        choices = tuple(
            (self._expression(typing, owner, when, across=False, boolean=True), then)
            for when, then in declaration.options["choices"]
        )
        typing.inputs += columns_of(*(when for when, _ in choices))
        return self._made(typing, Type.TEXT, choices=choices)

    def _type_among_rows(self, typing: _Typing) -> Derived:
        """Type what looks at rows of the same record type that share keys."""
        declaration, owner, kind = typing.declaration, typing.declaration.owner, typing.declaration.kind
        again = kind in _OVER_PERIODS
        own = [name for key in ("by", "order", "from", "to") for name in declaration.names(key)]
        if kind not in _SUBJECTS:
            own.append(declaration.subject)
        typing.inputs += [self._column(typing, owner, name, across=again) for name in own]
        self._check_types(declaration)
        where = None
        if "where" in declaration.options:
            where = self._expression(typing, owner, declaration.options["where"], across=again, boolean=True)
            # The days of a row are its own, whether or not it is one of those that others are compared with.
            typing.inputs += columns_of(where) if kind not in {"overlap_days", "last_year"} else ()
        if kind == "last_year":
            self._check_stored(typing, owner)
        of = _RESULT.get(kind) or typing.inputs[len(own) - 1].type
        return self._made(typing, of, where=where)

    def _type_across(self, typing: _Typing, other: str) -> Derived:
        """Type what looks into another relation: by person, by id, or into a list."""
        declaration, owner = typing.declaration, typing.declaration.owner
        typing.inputs += [self._column(typing, owner, name) for name in declaration.names("on")]
        if other not in self.world.schemas or owner in self.world.tables:
            return self._type_listed(typing, self.world.lists[other])
        keys = declaration.names("key") or declaration.names("on")
        matched = [self._column(typing, other, name, across=True) for name in keys]
        if len(typing.inputs) != 1 or len(matched) != 1 or not typing.inputs[0].type.comparable(matched[0].type):
            refuse("rules.derived_key", declaration.place, kind=declaration.kind, key="key")
        value = str(declaration.options["value"]) if declaration.kind == "lookup" else declaration.subject
        if declaration.kind not in {"exists", "count"}:
            typing.others.append(self._column(typing, other, value, across=True))
            self._check_value(declaration, typing.others[0])
        for name in declaration.names("order"):
            if self._column(typing, other, name, across=True).type not in {Type.DATE, Type.INT}:
                refuse("rules.derived_subject", declaration.place, kind=declaration.kind, subject=name)
        where = None
        if "where" in declaration.options:
            where = self._expression(typing, other, declaration.options["where"], across=True, boolean=True)
        of = _RESULT.get(declaration.kind) or typing.others[0].type
        return self._made(typing, of, other=other, where=where)

    def _type_listed(self, typing: _Typing, listing: Listing) -> Derived:
        """Type a look into a code list or a table of the nation."""
        declaration = typing.declaration
        keys = declaration.names("key") or (listing.key,)
        value = str(declaration.options.get("value", keys[0]))
        for name in (*keys, value):
            if listing.type_of(name) is None:
                refuse("rules.field", declaration.place, field=name, record=declaration.subject)
        one_key = declaration.kind == "lookup"
        if len(keys) != len(typing.inputs) or (one_key and len(keys) != 1) or "where" in declaration.options:
            key = "where" if "where" in declaration.options else "key"
            refuse("rules.derived_key", declaration.place, kind=declaration.kind, key=key)
        typing.sources |= {listing.source} - {""}
        of = _RESULT.get(declaration.kind) or listing.type_of(value) or Type.TEXT
        return self._made(typing, of, other=declaration.subject, list_keys=keys)

    def _type_in_table(self, typing: _Typing) -> Derived:
        """Type a column of a derived table that counts rows of a record type."""
        declaration, kind, place = typing.declaration, typing.declaration.kind, typing.declaration.place
        record = str(declaration.options["of"]) if kind == "last_year" else declaration.subject
        if record not in self.world.schemas:
            refuse("rules.derived_subject", place, kind=kind, subject=record)
        for key in ("distinct", "match"):
            for name in declaration.names(key):
                self._column(typing, record, name, across=True)
        codes = self.world.tables[declaration.owner].codes
        if ("match" in declaration.options) != bool(codes):
            refuse("rules.derived_key", place, kind=kind, key="match")
        where = None
        if "where" in declaration.options:
            where = self._expression(typing, record, declaration.options["where"], across=True, boolean=True)
        if kind == "last_year":
            self._check_stored(typing, record)
        typing.sources |= {self.world.lists[codes].source} - {""} if codes else set()
        return self._made(typing, _RESULT[kind], other=record, where=where)

    def _made(
        self,
        typing: _Typing,
        of: Type,
        *,
        other: str = "",
        expression: Term | None = None,
        where: Term | None = None,
        choices: tuple[tuple[Term, str], ...] = (),
        list_keys: tuple[str, ...] = (),
    ) -> Derived:
        columns = (*typing.inputs, *typing.others)
        sources = typing.sources | {source for column in columns for source in column.info.sources}
        info = ColumnInfo(of, any(column.info.flagged for column in columns), frozenset(sources))
        return Derived(
            typing.declaration,
            info,
            tuple(dict.fromkeys(typing.inputs)),
            other,
            expression,
            where,
            choices,
            typing.phase,
            typing.level + 1,
            frozenset(typing.reads),
            value_flagged=any(column.info.flagged for column in typing.others),
            list_keys=list_keys,
        )

    def _check_subject(self, declaration: Declaration) -> None:
        """Check the word that says what is counted."""
        wanted = _SUBJECTS.get(declaration.kind)
        in_table = declaration.owner in self.world.tables and declaration.kind != "last_year"
        if wanted is not None and not in_table and declaration.subject != wanted:
            self._refuse_subject(declaration, declaration.subject)

    def _other(self, declaration: Declaration) -> str:
        """Name the record type or list that the column looks into, if it is another relation."""
        if declaration.kind not in {"lookup", "exists"} and not declaration.across:
            return ""
        other = str(declaration.options["of"]) if declaration.across else declaration.subject
        in_table = declaration.owner in self.world.tables
        in_record = other in self.world.schemas and not in_table
        if not declaration.across and other not in {*self.world.lists, *self.world.schemas}:
            refuse("rules.no_list", declaration.place, list=other)
        if not in_record and (declaration.across or other not in self.world.lists):
            self._refuse_subject(declaration, other)
        return other

    def _check_stored(self, typing: _Typing, record: str) -> None:
        """Check that of the year before only what was delivered is asked for: nothing is derived there."""
        typing.sources.add("last_year")
        for owner, name in sorted(typing.reads):
            if owner == record and (owner, name) in self.declared:
                self._refuse_subject(typing.declaration, name)

    def _check_types(self, declaration: Declaration) -> None:
        """Check that what is summed is a number, and that periods are days."""
        schema, kind = self.schemas[declaration.owner], declaration.kind
        if kind in _SUMS and not schema[declaration.subject].type.numeric:
            self._refuse_subject(declaration, declaration.subject)
        days = [*declaration.names("from"), *declaration.names("to")]
        days += [declaration.subject] if declaration.options.get("open_ended") else []
        for name in days:
            if schema[name].type is not Type.DATE:
                self._refuse_subject(declaration, name)

    def _check_value(self, declaration: Declaration, value: Column) -> None:
        """Check that what is added up is a number, and that what is compared is no id: ids have no order."""
        ordered = declaration.kind in {"min", "max", "newest"} and value.type in {Type.ID, Type.BOOL}
        if ordered or (declaration.kind in _SUMS and not value.type.numeric):
            self._refuse_subject(declaration, declaration.subject)

    def _refuse_subject(self, declaration: Declaration, subject: str) -> NoReturn:
        refuse("rules.derived_subject", declaration.place, kind=declaration.kind, subject=subject)
