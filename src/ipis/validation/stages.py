"""Write derived columns as SQL: those made at the row, among rows that share keys, and of whole derived tables.

A row takes part in what is counted when its keys stand, its inputs are valid and `where` holds; elsewhere the derived
value is null, and `<name>__bad` says when that is because the row's own inputs are invalid. Rows of different
deliveries never meet: `_delivery` is the first key of every group, window and join (`_at` and `_owner` are places
among the rows of all deliveries, so that they need none beside them).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ipis.validation.compile import SQL_TYPES, Scope, constant, quote, render, stored_name
from ipis.validation.derived import OWNER
from ipis.validation.terms import Type

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    from ipis.validation.declared import DerivedTable
    from ipis.validation.derived import Derived
    from ipis.validation.dialect import Dialect

FOREVER = "DATE '9999-12-31'"
ROW = "r"
OTHER = "o"
SORTED = "w"
FALSE = "FALSE"
"""The flag of a column that is valid on every row."""
_GREATEST_WHOLE = 10**15
"""A derived whole number beyond it is null, so that no sum of such overflows."""


@dataclass(frozen=True, slots=True)
class Piece:
    """What one derived column adds to a relation: value, flag, and the joins that they need.

    `sorts`: the value is a window over the relation's own rows.
    """

    value: str
    bad: str
    joins: tuple[str, ...] = ()
    sorts: bool = False


@dataclass(frozen=True, slots=True)
class Site:
    """Where a column is derived: the period, and the name that each relation and list has by now.

    `dirty` are the columns of each relation that are invalid on some row.
    """

    period: Mapping[str, object]
    ends_on: dt.date
    relations: Mapping[str, str]
    last_year: Mapping[str, str]
    tables: Mapping[str, DerivedTable]
    lists: Mapping[tuple[str, tuple[str, ...]], str]
    number: int
    dialect: Dialect
    dirty: Mapping[str, frozenset[str]]
    owner: str

    @property
    def scope(self) -> Scope:
        """Give the scope of the row that is looked at."""
        return Scope(self.period, ROW, self.dialect, self.dirty[self.owner])

    def other(self, record: str) -> Scope:
        """Give the scope inside another relation."""
        return Scope(self.period, OTHER, self.dialect, self.dirty[record])

    def past(self, record: str) -> Scope:
        """Give the scope inside the same relation of the year before."""
        return Scope(self.period, OTHER, self.dialect, self.dirty[f"{record} of last year"])

    @property
    def join(self) -> str:
        """Give a name of its own to what this column joins."""
        return f"j{self.number}"


def bad(derived: Derived, site: Site) -> str:
    """Write whether one of the row's own inputs is invalid."""
    scope = site.scope
    flags = [scope.bad(column) for column in derived.inputs if scope.may_be_bad(column)]
    return f"({' OR '.join(flags)})" if flags else FALSE


def key_of(name: str, alias: str) -> str:
    """Write a key column; the person as a key is a place in the table of persons."""
    return f"{alias}.{quote(OWNER if name == 'person' else name)}"


def taking_part(derived: Derived, site: Site, *, ends: str = "") -> str:
    """Write whether the row takes part; an id or the person as key must be known, other keys may be empty.

    `ends` is what a missing last day stands for, where the period may not begin after it.
    """
    declaration, scope = derived.declaration, site.scope
    demands = [f"NOT {scope.bad(column)}" for column in derived.inputs if scope.may_be_bad(column)]
    by = {OWNER if name == "person" else name for name in declaration.names("by")}
    demands += [
        f"{scope.column(column)} IS NOT NULL"
        for column in derived.inputs
        if stored_name(column) in by and column.type is Type.ID
    ]
    for key in ("order", "from"):
        demands += [f"{ROW}.{quote(name)} IS NOT NULL" for name in declaration.names(key)]
    if declaration.names("to"):
        (start,), (end,) = declaration.names("from"), declaration.names("to")
        last, first = f"{ROW}.{quote(end)}", f"{ROW}.{quote(start)}"
        demands.append(f"COALESCE({last}, {ends}) >= {first}" if ends else f"({last} IS NULL OR {last} >= {first})")
    if derived.where is not None and derived.declaration.kind != "overlap_days":
        demands.append(f"({render(derived.where, scope)}) IS TRUE")
    return f"({' AND '.join(demands)})" if demands else "TRUE"


def _partition(derived: Derived, taking: str) -> str:
    keys = [key_of(name, ROW) for name in derived.declaration.names("by")]
    return f"PARTITION BY {', '.join([f'{ROW}._delivery', *keys, taking])}"


def _window(derived: Derived, site: Site, aggregate: str, of: str = "") -> Piece:
    taking = taking_part(derived, site)
    over = f"{aggregate} OVER ({_partition(derived, taking)})"
    value = f"CASE WHEN {taking} THEN {f'CAST({over} AS {of})' if of else over} END"
    return Piece(value, bad(derived, site), sorts=True)


def count(derived: Derived, site: Site) -> Piece:
    """Write how many rows share the keys."""
    return _window(derived, site, "COUNT(*)")


def total(derived: Derived, site: Site) -> Piece:
    """Write the sum over rows that share the keys."""
    number = site.dialect.exact(f"{ROW}.{quote(derived.declaration.subject)}")
    return _window(derived, site, site.dialect.total(number), "DOUBLE")


def _ordered(derived: Derived, site: Site, function: str, frame: str) -> Piece:
    declaration, taking = derived.declaration, taking_part(derived, site)
    value = f"{ROW}.{quote(declaration.subject)}"
    if declaration.options.get("open_ended"):
        value = f"COALESCE({value}, {FOREVER})"
    days = [f"{ROW}.{quote(name)}" for name in declaration.names("order")]
    # Nulls last, said aloud: engines differ.
    order = ", ".join(f"{each} ASC NULLS LAST" for each in (*days, value, f"{ROW}._row"))
    window = f"{_partition(derived, taking)} ORDER BY {order}{frame}"
    return Piece(f"CASE WHEN {taking} THEN {function}({value}) OVER ({window}) END", bad(derived, site), sorts=True)


def lag(derived: Derived, site: Site) -> Piece:
    """Write the value of the row before."""
    return _ordered(derived, site, "LAG", "")


def previous_max(derived: Derived, site: Site) -> Piece:
    """Write the greatest value of all rows before."""
    return _ordered(derived, site, "MAX", " ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING")


def expression(derived: Derived, site: Site) -> Piece:
    """Write an expression over the row; a whole number stays within what can be added up."""
    assert derived.expression is not None  # noqa: S101 -- the resolver read it
    value = render(derived.expression, site.scope)
    if derived.info.type is Type.INT:
        value = f"CASE WHEN {value} BETWEEN -{_GREATEST_WHOLE} AND {_GREATEST_WHOLE} THEN {value} END"
    return Piece(value, bad(derived, site))


def choose(derived: Derived, site: Site) -> Piece:
    """Write the text of the first condition that is true; an unknown one before it makes the whole unknown."""
    cases = []
    for when, then in derived.choices:
        condition = render(when, site.scope)
        cases.append(f"WHEN {condition} THEN {constant(then)} WHEN ({condition}) IS NULL THEN NULL")
    otherwise = constant(derived.declaration.options["else"])
    return Piece(f"CASE {' '.join(cases)} ELSE {otherwise} END", bad(derived, site))


def last_year(derived: Derived, site: Site) -> Piece:
    """Write how many rows of the year before share the keys."""
    declaration, join = derived.declaration, site.join
    by = declaration.names("by")
    source = site.last_year.get(declaration.owner)
    if source is None:
        return Piece("CAST(NULL AS BIGINT)", FALSE)
    keys = ", ".join(f"{key_of(name, OTHER)} AS k{place}" for place, name in enumerate(by))
    groups = ", ".join([f"{OTHER}._delivery", *(key_of(name, OTHER) for name in by)])
    rows = f"{source} {OTHER}{_where(derived, site.past(declaration.owner))}"
    counted = f"SELECT {OTHER}._delivery, {keys}, COUNT(*) AS n FROM {rows} GROUP BY {groups}"
    matched = [f"{key_of(name, ROW)} IS NOT DISTINCT FROM {join}.k{place}" for place, name in enumerate(by)]
    on = " AND ".join([f"{ROW}._delivery = {join}._delivery", *matched])
    return Piece(f"COALESCE({join}.n, 0)", bad(derived, site), (f"LEFT JOIN ({counted}) {join} ON {on}",))


def _where(derived: Derived, scope: Scope) -> str:
    return f" WHERE ({render(derived.where, scope)}) IS TRUE" if derived.where is not None else ""


def table_count(derived: Derived, site: Site) -> Piece:
    """Write how many rows of a record type the delivery has, or has of a code."""
    return _counted(derived, site, site.relations.get(derived.other), site.other(derived.other))


def table_last_year(derived: Derived, site: Site) -> Piece:
    """Write how many it had in the year before."""
    return _counted(derived, site, site.last_year.get(derived.other), site.past(derived.other))


def _counted(derived: Derived, site: Site, source: str | None, scope: Scope) -> Piece:
    if source is None:
        return Piece("CAST(NULL AS BIGINT)", FALSE)
    declaration, join = derived.declaration, site.join
    distinct = [key_of(name, OTHER) for name in declaration.names("distinct")]
    measure = f"COUNT(DISTINCT {distinct[0]})" if distinct else "COUNT(*)"
    match = [key_of(name, OTHER) for name in declaration.names("match")]
    keys = "".join(f", {key} AS k" for key in match)
    groups = ", ".join([f"{OTHER}._delivery", *match])
    rows = f"{source} {OTHER}{_where(derived, scope)}"
    counted = f"SELECT {OTHER}._delivery{keys}, {measure} AS n FROM {rows} GROUP BY {groups}"
    on = f"{ROW}._delivery = {join}._delivery"
    if match:
        on += f" AND {ROW}.{quote(site.tables[declaration.owner].shown_as)} = {join}.k"
    return Piece(f"COALESCE({join}.n, 0)", FALSE, (f"LEFT JOIN ({counted}) {join} ON {on}",))


def share(derived: Derived, site: Site) -> Piece:
    """Write the share of the rows for which it is known; none known, no share."""
    assert derived.where is not None  # noqa: S101 -- the resolver asked for it
    holds, join = render(derived.where, site.other(derived.other)), site.join
    known = f"AVG(CAST(CASE WHEN {holds} THEN 1 WHEN NOT ({holds}) THEN 0 END AS DOUBLE))"
    source = site.relations[derived.other]
    counted = f"SELECT {OTHER}._delivery, {known} AS n FROM {source} {OTHER} GROUP BY {OTHER}._delivery"
    return Piece(f"{join}.n", FALSE, (f"LEFT JOIN ({counted}) {join} ON {ROW}._delivery = {join}._delivery",))


def stage(source: str, pieces: Mapping[str, Piece], types: Mapping[str, Type], *, stands: bool = False) -> str:
    """Write the query of one level: all of the relation below, and the columns of this level.

    Of a relation that stands (that costs nothing to read twice) what sorts the rows sorts no more of them than it
    needs, and is joined to the others.
    """
    columns, sorted_apart = "", ""
    for name, one in pieces.items():
        # An id is text in the municipality and a number at SSB.
        value = one.value if types[name] is Type.ID else f"CAST({one.value} AS {SQL_TYPES[types[name]]})"
        if stands and one.sorts:
            sorted_apart += f", {value} AS {quote(name)}"
            value = f"{SORTED}.{quote(name)}"
        columns += f", {value} AS {quote(name)}, {one.bad} AS {quote(name + '__bad')}"
    # Columns that look the same thing up share one join.
    joins = " ".join(dict.fromkeys(join for one in pieces.values() for join in one.joins))
    if sorted_apart:
        of = f"SELECT {ROW}._at{sorted_apart} FROM {source} {ROW}"
        joins += f" LEFT JOIN ({of}) {SORTED} ON {ROW}._at = {SORTED}._at"
    return f"SELECT {ROW}.*{columns} FROM {source} {ROW} {joins}"


def nothing(kind: Type) -> Piece:
    """Stand in for a column that could not be derived."""
    return Piece(f"CAST(NULL AS {SQL_TYPES[kind]})", FALSE)
