"""The typed form of an expression: what is left of a rule's text once every node has been looked at.

Engines are given SQL made from these nodes only; the text of a definition never reaches one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator, Mapping
    from decimal import Decimal


class Type(Enum):
    """What a value is; two values can be compared when their types are of one kind."""

    BOOL = "truth value"
    """A truth value: true, false or unknown."""
    INT = "whole number"
    """A whole number of at most nine digits, or a sum of such."""
    DEC = "decimal number"
    """A number with a fixed number of decimals, as the layout declares it."""
    NUM = "number"
    """A product, a quotient or a share: counted in double precision."""
    TEXT = "text"
    """Text or a code."""
    DATE = "date"
    """A day."""
    ID = "id"
    """An id: equality is all there is to it, for at SSB it is another value than in the municipality."""

    @property
    def numeric(self) -> bool:
        """Tell whether one can count with it."""
        return self in {Type.INT, Type.DEC, Type.NUM}

    def comparable(self, other: Type) -> bool:
        """Tell whether two values may stand on each side of a comparison."""
        return self is other or (self.numeric and other.numeric)


@dataclass(frozen=True, slots=True)
class ColumnInfo:
    """One column that an expression may name.

    `flagged`: a value of it can be invalid, so that it is unknown and not missing.
    `sources`: the outer things it needs: `header`, `last_year`, `nation:<table>`, `register:<record>.<column>`,
    `list:<name>`.
    """

    type: Type
    flagged: bool = False
    sources: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Schema:
    """The columns and families of one record type, and the header's values, which every record type may name.

    `numbers` gives, for a field whose code list has a column `value`, the number that each code stands for.
    """

    record: str
    columns: Mapping[str, ColumnInfo]
    families: Mapping[str, tuple[str, ...]]
    header: Mapping[str, ColumnInfo]
    numbers: Mapping[str, Mapping[str, Decimal]] = field(default_factory=dict)


class Term:
    """A node of an expression."""

    __slots__ = ()

    @property
    def type(self) -> Type:
        """Give the type of the node's value."""
        raise NotImplementedError

    def parts(self) -> tuple[Term, ...]:
        """Give the nodes below."""
        return ()

    def walk(self) -> Iterator[Term]:
        """Give the node and all below it."""
        yield self
        for part in self.parts():
            yield from part.walk()


@dataclass(frozen=True, slots=True)
class Column(Term):
    """A column of the record type itself (`table` empty) or a value of the header (`table` = `uttrekk`)."""

    name: str
    info: ColumnInfo
    table: str = ""

    @property
    def type(self) -> Type:
        """Give the column's type."""
        return self.info.type


@dataclass(frozen=True, slots=True)
class Literal(Term):
    """A value written in the rule."""

    value: bool | int | Decimal | str | dt.date
    of: Type

    @property
    def type(self) -> Type:
        """Give the type as written."""
        return self.of


@dataclass(frozen=True, slots=True)
class Operation(Term):
    """An operator or a function; `name` is one of `language.OPERATORS` and `language.FUNCTIONS`."""

    name: str
    operands: tuple[Term, ...]
    of: Type

    @property
    def type(self) -> Type:
        """Give the type of the result."""
        return self.of

    def parts(self) -> tuple[Term, ...]:
        """Give the operands."""
        return self.operands


@dataclass(frozen=True, slots=True)
class Family(Term):
    """A function over a family of columns: `filled`, `all_equal` or `mean` (by each member's `numbers`)."""

    name: str
    members: tuple[Column, ...]
    of: Type
    numbers: tuple[tuple[tuple[str, Decimal], ...], ...] = ()

    @property
    def type(self) -> Type:
        """Give the type of the result."""
        return self.of


def columns_of(*terms: Term | None) -> tuple[Column, ...]:
    """List the columns that expressions name (members of families aside), each once, in order of first mention."""
    found: dict[tuple[str, str], Column] = {}
    for term in terms:
        for node in term.walk() if term is not None else ():
            if isinstance(node, Column):
                found.setdefault((node.table, node.name), node)
    return tuple(found.values())


def every_column(*terms: Term | None) -> tuple[Column, ...]:
    """List all columns that expressions read, members of families included, each once."""
    found: dict[tuple[str, str], Column] = {}
    for term in terms:
        for node in term.walk() if term is not None else ():
            named = node.members if isinstance(node, Family) else (node,) if isinstance(node, Column) else ()
            for column in named:
                found.setdefault((column.table, column.name), column)
    return tuple(found.values())
