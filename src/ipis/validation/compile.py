"""Write typed terms as SQL. Nothing of a definition's text passes: names are quoted, literals written anew.

Three-valued logic carries what is unknown: a value that is missing, and one that broke its own form (`<name>__bad`),
of which even `is null` is unknown. Arithmetic is total: division by zero is null, products are double precision.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from ipis.validation.dialect import DuckDBDialect
from ipis.validation.terms import Column, Family, Literal, Operation, Term, Type, columns_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ipis.validation.dialect import Dialect

SQL_TYPES = {
    Type.BOOL: "BOOLEAN",
    Type.INT: "BIGINT",
    Type.DEC: "DOUBLE",
    Type.NUM: "DOUBLE",
    Type.TEXT: "VARCHAR",
    Type.DATE: "DATE",
    Type.ID: "VARCHAR",
}

_MOST_DAYS = 3_652_059
HEADER = "uttrekk"

OUTSIDE, OK, BREACH, MISSING, INVALID, NO_LIST = range(6)
"""The verdict of one rule on one row: outside the rule's `where`, ok, breach, not assessed for a missing value, for a
value that is not valid itself, or for a code list that is not there."""


def quote(name: str) -> str:
    """Write a name so that it can be nothing but a name."""
    return '"' + name.replace('"', '""') + '"'


def constant(value: object) -> str:
    """Write a literal; text is doubled-quoted, a day is typed."""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int | Decimal):
        return format(value, "f") if isinstance(value, Decimal) else str(value)
    if isinstance(value, dt.date):
        return f"DATE '{value.isoformat()}'"
    return "'" + str(value).replace("'", "''") + "'"


@dataclass(frozen=True, slots=True)
class Scope:
    """What names mean while SQL is written: the collection year's period, an alias of the relation, the dialect.

    The other values of the header stand in every row of a relation, as `uttrekk.<field>`. `dirty` are the columns of
    the relation that are invalid on some row (None: any may be), so that nothing is written about the others.
    """

    period: Mapping[str, object]
    alias: str = ""
    dialect: Dialect = field(default_factory=DuckDBDialect)
    dirty: frozenset[str] | None = None

    def column(self, column: Column, suffix: str = "") -> str:
        """Write a column, or a value of the header."""
        if column.table and suffix:
            return "FALSE"
        if column.table and column.name in self.period:
            return constant(self.period[column.name])
        prefix = f"{quote(self.alias)}." if self.alias else ""
        return prefix + quote(stored_name(column) + suffix)

    def bad(self, column: Column) -> str:
        """Write whether the column's value is invalid on the row."""
        return self.column(column, "__bad") if self.may_be_bad(column) else "FALSE"

    def may_be_bad(self, column: Column) -> bool:
        """Tell whether the column is invalid on any row."""
        return column.info.flagged and not column.table and (self.dirty is None or column.name in self.dirty)


def stored_name(column: Column) -> str:
    """Give the name that a column has in a relation."""
    return f"{HEADER}.{column.name}" if column.table else column.name


def render(term: Term, scope: Scope) -> str:
    """Write a term as SQL of DuckDB (and of every engine whose `case`, `and`, `or`, `in` follow the standard)."""
    if isinstance(term, Column):
        return scope.column(term)
    if isinstance(term, Literal):
        return constant(term.value)
    if isinstance(term, Family):
        return _family(term, scope)
    assert isinstance(term, Operation)  # noqa: S101 -- the four kinds of term are a closed list
    return _OPERATIONS.get(term.name, _binary)(term, scope)


def unknown(scope: Scope, *terms: Term | None) -> str:
    """Write whether any column that the terms name is invalid on the row."""
    flags = [scope.bad(column) for column in columns_of(*terms) if scope.may_be_bad(column)]
    return " OR ".join(flags) or "FALSE"


def _binary(term: Operation, scope: Scope) -> str:
    left, right = (_operand(part, term, scope) for part in term.operands)
    if term.name == "/":
        return f"({left} / NULLIF({right}, 0))"
    if term.name == "-" and term.operands[1].type is Type.DATE:
        return scope.dialect.days_between(left, right)
    if term.type is Type.DATE:
        # Ten thousand years to either side: beyond them there is no day, and no engine is asked for one.
        near = f"CASE WHEN ABS({right}) <= {_MOST_DAYS} THEN {right} END"
        return scope.dialect.day_plus(left, term.name, near)
    return f"({left} {term.name.upper()} {right})"


def _operand(part: Term, term: Operation, scope: Scope) -> str:
    text = render(part, scope)
    if term.type is Type.NUM:
        return f"CAST({text} AS DOUBLE)"
    if term.type is Type.INT and part.type is Type.INT:
        return f"CAST({text} AS BIGINT)"
    return text


def _not(term: Operation, scope: Scope) -> str:
    return f"(NOT {render(term.operands[0], scope)})"


def _is_null(term: Operation, scope: Scope) -> str:
    (column,) = term.operands
    assert isinstance(column, Column)  # noqa: S101 -- the reader admits nothing else
    plain = f"({scope.column(column)} IS NULL)"
    return plain if not scope.may_be_bad(column) else f"(CASE WHEN {scope.bad(column)} THEN NULL ELSE {plain} END)"


def _in(term: Operation, scope: Scope) -> str:
    value, *listed = (render(part, scope) for part in term.operands)
    return f"({value} IN ({', '.join(listed)}))"


def _negate(term: Operation, scope: Scope) -> str:
    return f"(- {_operand(term.operands[0], term, scope)})"


def _abs(term: Operation, scope: Scope) -> str:
    return f"ABS({_operand(term.operands[0], term, scope)})"


def _year(term: Operation, scope: Scope) -> str:
    return f"CAST(YEAR({render(term.operands[0], scope)}) AS BIGINT)"


def _length(term: Operation, scope: Scope) -> str:
    return f"CAST(LENGTH({render(term.operands[0], scope)}) AS BIGINT)"


def _coalesce(term: Operation, scope: Scope) -> str:
    column, default = term.operands
    assert isinstance(column, Column)  # noqa: S101 -- the reader admits nothing else
    plain = f"COALESCE({scope.column(column)}, {render(default, scope)})"
    return plain if not scope.may_be_bad(column) else f"(CASE WHEN {scope.bad(column)} THEN NULL ELSE {plain} END)"


def _matches(term: Operation, scope: Scope) -> str:
    value, pattern = (render(part, scope) for part in term.operands)
    return scope.dialect.matches(value, pattern)


def _family(term: Family, scope: Scope) -> str:
    values = [scope.column(column) for column in term.members]
    if term.name == "filled":
        return "(" + " + ".join(f"CAST({value} IS NOT NULL AS BIGINT)" for value in values) + ")"
    if term.name == "mean":
        return _mean(values, term.numbers)
    # True where at least one is filled and all that are filled agree; unknown where none is.
    listed = ", ".join(values)
    return f"(LEAST({listed}) = GREATEST({listed}))"


def _mean(values: list[str], numbers: tuple[tuple[tuple[str, Decimal], ...], ...]) -> str:
    """Write the mean of the numbers that codes stand for; codes without a number do not count."""
    added, counted = [], []
    for value, codes in zip(values, numbers, strict=True):
        if codes:
            cases = " ".join(f"WHEN {constant(code)} THEN {constant(number)}" for code, number in codes)
            listed = ", ".join(constant(code) for code, _ in codes)
            added.append(f"CAST(CASE {value} {cases} ELSE 0 END AS DOUBLE)")
            counted.append(f"CASE WHEN {value} IN ({listed}) THEN 1 ELSE 0 END")
    return f"(({' + '.join(added)}) / NULLIF({' + '.join(counted)}, 0))" if added else "CAST(NULL AS DOUBLE)"


_OPERATIONS: dict[str, Callable[[Operation, Scope], str]] = {
    "not": _not,
    "is null": _is_null,
    "in": _in,
    "negate": _negate,
    "abs": _abs,
    "year": _year,
    "length": _length,
    "coalesce": _coalesce,
    "matches": _matches,
}
