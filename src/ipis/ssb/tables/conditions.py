"""What conditions of tables and indicators can name: the collection year's records, and those of a delivery itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ipis.validation import language, rulebook
from ipis.validation.compile import stored_name
from ipis.validation.terms import Column, ColumnInfo, Family, Schema, Term, Type, columns_of
from ipis.validation.world import PERIOD

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ipis.kernel.collection import Collection
    from ipis.ssb.tables.reading import Node
    from ipis.validation.rulebook import Rulebook

POST = "post"
"""The pseudo-record with one row for each record of a delivery: its `type` and its `utfall`."""
FUNN = "funn"
"""The pseudo-record with one row for each finding: `rule`, `level`, `record` and `field`."""
PSEUDO: Mapping[str, tuple[str, ...]] = {POST: ("type", "utfall"), FUNN: ("rule", "level", "record", "field")}
PERSON = "person"
"""As a column: the person that a row belongs to."""
VALUE = "verdi"
"""The value of the member, where a table goes through the members of a family."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """Reads expressions and column names, typed against the layout."""

    collection: Collection
    book: Rulebook
    schemas: Mapping[str, Schema]

    @classmethod
    def of(cls, collection: Collection) -> Conditions:
        """Take the typed columns of a collection year, derived ones included."""
        book = rulebook.of(collection)
        schemas = {name: book.resolver.schema(name) for name in collection.layout.records}
        header = next(iter(schemas.values())).header
        for name, columns in PSEUDO.items():
            schemas[name] = Schema(name, {column: ColumnInfo(Type.TEXT) for column in columns}, {}, header)
        return cls(collection, book, schemas)

    @property
    def records(self) -> frozenset[str]:
        """Name the record types that a table can be about."""
        return frozenset(self.schemas)

    def with_value(self, record: str, members: tuple[str, ...]) -> Conditions:
        """Let expressions over the record name the value of the family's member at hand."""
        known = self.schemas[record]
        infos = [known.columns[member] for member in members]
        value = ColumnInfo(infos[0].type, flagged=any(info.flagged for info in infos))
        wider = replace(known, columns={**known.columns, VALUE: value})
        return replace(self, schemas={**self.schemas, record: wider})

    def condition(self, node: Node, record: str) -> Term:
        """Read a condition over a record type."""
        return language.parse(node.text(), self.schemas[record], node.place)

    def perhaps(self, node: Node | None, record: str) -> Term | None:
        """Read a condition that may lack."""
        return None if node is None else self.condition(node, record)

    def column(self, node: Node, record: str, *types: Type) -> Column:
        """Read the name of a column, of one of these types if any are named."""
        name = node.text()
        if name == PERSON:
            return Column("_person", ColumnInfo(Type.ID))
        info = self.schemas[record].columns.get(name)
        if info is None:
            node.refuse("rules.field", field=name, record=record)
        if types and info.type not in types:
            node.refuse("tables.type", field=name, found_type=info.type.value, expected_type=types[0].value)
        return Column(name, info)


def names_in(*terms: Term | None) -> Iterator[str]:
    """Go through the columns of the relation that conditions name: members of families, values of the header too.

    The header's period is the collection year's and no column.
    """
    for term in terms:
        for node in term.walk() if term is not None else ():
            if isinstance(node, Family):
                yield from (member.name for member in node.members)
    named = (column for column in columns_of(*terms) if not column.table or column.name not in PERIOD)
    yield from (stored_name(column) for column in named if column.name != VALUE)
