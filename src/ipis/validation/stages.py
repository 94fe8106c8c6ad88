"""Write derived columns as SQL: a relation per record type and level, each level adding what the one below allows.

A row takes part in what is counted when its keys stand, its inputs are valid and `where` holds; elsewhere the derived
value is null, and `<name>__bad` says when that is because the row's own inputs are invalid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ipis.validation.compile import SQL_TYPES, Scope, constant, quote, render, unknown
from ipis.validation.derived import PERSON
from ipis.validation.terms import Type

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ipis.validation.derived import Declaration, Derived, DerivedTable

FOREVER = "DATE '9999-12-31'"
ROW = "r"


@dataclass(frozen=True, slots=True)
class Piece:
    """What one derived column adds to a relation: value, flag, and the joins that they need."""

    value: str
    bad: str
    joins: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Site:
    """Where a column is derived: the header's values, and the name that each relation has by now."""

    header: Mapping[str, object]
    relations: Mapping[str, str]
    last_year: Mapping[str, str]
    tables: Mapping[str, DerivedTable]
    number: int

    @property
    def scope(self) -> Scope:
        """Give the scope of the row that is looked at."""
        return Scope(self.header, ROW)

    @property
    def other(self) -> Scope:
        """Give the scope inside another relation."""
        return Scope(self.header, "o")

    @property
    def join(self) -> str:
        """Give a name of its own to what this column joins."""
        return f"j{self.number}"


def piece(derived: Derived, site: Site) -> Piece:
    """Write one derived column of a record type or of a derived table."""
    declaration = derived.declaration
    if declaration.owner in site.tables and declaration.kind not in {"lookup", "expression"}:
        return _TABLE_KINDS[declaration.kind](derived, site)
    return _KINDS[declaration.kind](derived, site)


def _bad(derived: Derived, site: Site) -> str:
    flags = [site.scope.bad(column) for column in derived.inputs if column.info.flagged]
    return f"({' OR '.join(flags)})" if flags else "FALSE"


def _key(name: str, alias: str, record: str = "") -> str:
    """Write a key column; the person of a person row is the row itself."""
    if name == PERSON:
        return f"{alias}.{'_row' if record == PERSON else '_person'}"
    return f"{alias}.{quote(name)}"


def _taking_part(derived: Derived, site: Site) -> str:
    """Write whether the row takes part; an id or the person as key must be known, other keys may be empty."""
    declaration, scope = derived.declaration, site.scope
    demands = [f"NOT {scope.bad(column)}" for column in derived.inputs if column.info.flagged]
    by = set(declaration.names("by"))
    for column in derived.inputs:
        if column.name == "_person":
            demands.append(f"{_key(PERSON, ROW, declaration.owner)} IS NOT NULL")
        elif column.name in by and column.type is Type.ID:
            demands.append(f"{scope.column(column)} IS NOT NULL")
    for key in ("order", "from"):
        demands += [f"{ROW}.{quote(name)} IS NOT NULL" for name in declaration.names(key)]
    if declaration.names("to"):
        (start,), (end,) = declaration.names("from"), declaration.names("to")
        demands.append(f"({ROW}.{quote(end)} IS NULL OR {ROW}.{quote(end)} >= {ROW}.{quote(start)})")
    if derived.where is not None:
        demands.append(f"({render(derived.where, scope)}) IS TRUE")
    return f"({' AND '.join(demands)})" if demands else "TRUE"


def _partition(derived: Derived, taking: str) -> str:
    declaration = derived.declaration
    keys = [_key(name, ROW, declaration.owner) for name in declaration.names("by")]
    return f"PARTITION BY {', '.join([taking, *keys])}"


def _window(derived: Derived, site: Site, aggregate: str) -> Piece:
    taking = _taking_part(derived, site)
    value = f"CASE WHEN {taking} THEN {aggregate} OVER ({_partition(derived, taking)}) END"
    return Piece(value, _bad(derived, site))


def _count(derived: Derived, site: Site) -> Piece:
    return _window(derived, site, "COUNT(*)")


def _sum(derived: Derived, site: Site) -> Piece:
    return _window(derived, site, f"SUM(CAST({ROW}.{quote(derived.declaration.subject)} AS DOUBLE))")


def _ordered(derived: Derived, site: Site, function: str, frame: str) -> Piece:
    declaration, taking = derived.declaration, _taking_part(derived, site)
    value = f"{ROW}.{quote(declaration.subject)}"
    if declaration.options.get("open_ended"):
        value = f"COALESCE({value}, {FOREVER})"
    order = ", ".join([*(f"{ROW}.{quote(name)}" for name in declaration.names("order")), value, f"{ROW}._row"])
    window = f"{_partition(derived, taking)} ORDER BY {order}{frame}"
    return Piece(f"CASE WHEN {taking} THEN {function}({value}) OVER ({window}) END", _bad(derived, site))


def _lag(derived: Derived, site: Site) -> Piece:
    return _ordered(derived, site, "LAG", "")


def _previous_max(derived: Derived, site: Site) -> Piece:
    return _ordered(derived, site, "MAX", " ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING")


def _expression(derived: Derived, site: Site) -> Piece:
    assert derived.expression is not None  # noqa: S101 -- the resolver read it
    return Piece(render(derived.expression, site.scope), f"({unknown(site.scope, derived.expression)})")


def _lookup(derived: Derived, site: Site) -> Piece:
    declaration, join = derived.declaration, site.join
    value = quote(str(declaration.options["value"]))
    (on,) = declaration.names("on")
    if declaration.subject in site.relations:
        key = _key(PERSON, ROW, declaration.owner)
        joins = (f"LEFT JOIN {site.relations[declaration.subject]} {join} ON {key} = {join}._row",)
        flag = f"({_bad(derived, site)} OR COALESCE({join}.{_flag_name(declaration)}, FALSE))"
        return Piece(f"{join}.{value}", flag, joins)
    key = quote(str(declaration.options.get("key", "code")))
    # A key that stands twice in the list has one row here: derivation never multiplies rows.
    codes = f"SELECT {key}, ANY_VALUE({value}) AS {value} FROM {quote('c_' + declaration.subject)} GROUP BY {key}"
    joins = (f"LEFT JOIN ({codes}) {join} ON {_key(on, ROW)} = {join}.{key}",)
    return Piece(f"{join}.{value}", _bad(derived, site), joins)


def _flag_name(declaration: Declaration) -> str:
    return quote(f"{declaration.options['value']}__bad")


def _exists(derived: Derived, site: Site) -> Piece:
    declaration, join = derived.declaration, site.join
    if declaration.subject not in site.relations:
        return _in_code_list(derived, site)
    (on,) = declaration.names("on")
    own = _key(on, ROW, declaration.owner)
    if declaration.subject == PERSON and on == PERSON and derived.where is None:
        return Piece(f"({own} IS NOT NULL)", "FALSE")
    key = _key(str(declaration.options.get("key", on)), "o", declaration.subject)
    holds = render(derived.where, site.other) if derived.where is not None else "TRUE"
    found = (
        f"SELECT {key} AS k, BOOL_OR({holds}) AS hit, BOOL_OR(({holds}) IS NULL) AS open "
        f"FROM {site.relations[declaration.subject]} o WHERE {key} IS NOT NULL GROUP BY {key}"
    )
    # Unknown where no row holds for certain but one might, as in any `or`.
    value = f"CASE WHEN {own} IS NULL THEN NULL WHEN {join}.hit THEN TRUE WHEN {join}.open THEN NULL ELSE FALSE END"
    return Piece(value, _bad(derived, site), (f"LEFT JOIN ({found}) {join} ON {own} = {join}.k",))


def _in_code_list(derived: Derived, site: Site) -> Piece:
    """Write whether the row's values stand together in a code list; unknown where one of them is."""
    declaration, join = derived.declaration, site.join
    keys = [quote(key) for key in declaration.names("key") or ("code",)]
    own = [_key(name, ROW) for name in declaration.names("on")]
    listed = f"SELECT DISTINCT {', '.join(keys)}, TRUE AS hit FROM {quote('c_' + declaration.subject)}"
    matched = " AND ".join(f"{mine} = {join}.{key}" for mine, key in zip(own, keys, strict=True))
    absent = " OR ".join(f"{mine} IS NULL" for mine in own)
    value = f"CASE WHEN {absent} THEN NULL ELSE COALESCE({join}.hit, FALSE) END"
    return Piece(value, _bad(derived, site), (f"LEFT JOIN ({listed}) {join} ON {matched}",))


def _events(derived: Derived, site: Site, parts: tuple[tuple[str, str, int, str, str], ...]) -> str:
    """Write dated events of the rows that take part: (condition, instant, order within a day, weight, own?)."""
    declaration = derived.declaration
    keys = [_key(name, ROW, declaration.owner) for name in declaration.names("by")]
    named = ", ".join(f"{key} AS k{place}" for place, key in enumerate(keys))
    source = site.relations[declaration.owner]
    taking = _taking_part(derived, site)
    return " UNION ALL ".join(
        f"SELECT {ROW}._row, {named}, {at} AS ev_at, {order} AS ev_order, {weight} AS ev_weight, {own} AS ev_own "
        f"FROM {source} {ROW} WHERE {taking} AND {condition}"
        for condition, at, order, weight, own in parts
    )


def _running(derived: Derived, events: str) -> str:
    keys = ", ".join(f"k{place}" for place in range(len(derived.declaration.names("by"))))
    # Rows of the same day and order are peers and counted together: the default frame reaches to the last of them.
    total = f"SUM(ev_weight) OVER (PARTITION BY {keys} ORDER BY ev_at, ev_order)"
    return f"SELECT _row, n FROM (SELECT _row, ev_own, {total} AS n FROM ({events})) WHERE ev_own"


def _concurrent_sum(derived: Derived, site: Site) -> Piece:
    declaration, join = derived.declaration, site.join
    (start,), (end,) = declaration.names("from"), declaration.names("to")
    weight = f"COALESCE(CAST({ROW}.{quote(declaration.subject)} AS DOUBLE), 0)"
    events = _events(
        derived,
        site,
        (
            ("TRUE", f"{ROW}.{quote(start)}", 0, weight, "TRUE"),
            (f"{ROW}.{quote(end)} IS NOT NULL", f"{ROW}.{quote(end)}", 1, f"-{weight}", "FALSE"),
        ),
    )
    return Piece(
        f"{join}.n",
        _bad(derived, site),
        (f"LEFT JOIN ({_running(derived, events)}) {join} ON {ROW}._row = {join}._row",),
    )


def _overlap(derived: Derived, site: Site) -> Piece:
    """Count the other rows that overlap: begun by my last day, less ended before my first, less myself."""
    declaration, join = derived.declaration, site.join
    (start,), (end,) = (f"{ROW}.{quote(name)}" for name in declaration.names("from")), declaration.names("to")
    last = f"COALESCE({ROW}.{quote(end)}, {FOREVER})"
    begun = _events(derived, site, (("TRUE", start, 0, "1", "FALSE"), ("TRUE", last, 1, "0", "TRUE")))
    ended = _events(derived, site, (("TRUE", last, 1, "1", "FALSE"), ("TRUE", start, 0, "0", "TRUE")))
    joins = (
        f"LEFT JOIN ({_running(derived, begun)}) {join}a ON {ROW}._row = {join}a._row",
        f"LEFT JOIN ({_running(derived, ended)}) {join}b ON {ROW}._row = {join}b._row",
    )
    return Piece(f"CAST({join}a.n - {join}b.n - 1 AS BIGINT)", _bad(derived, site), joins)


def _last_year(derived: Derived, site: Site) -> Piece:
    declaration, join = derived.declaration, site.join
    by = declaration.names("by")
    holds = f" WHERE ({render(derived.where, site.other)}) IS TRUE" if derived.where is not None else ""
    keys = ", ".join(_key(name, "o") for name in by)
    source = site.last_year.get(declaration.owner)
    if source is None:
        return Piece("CAST(NULL AS BIGINT)", "FALSE")
    matched = " AND ".join(f"{_key(name, ROW)} IS NOT DISTINCT FROM {_key(name, join)}" for name in by)
    joins = (f"LEFT JOIN (SELECT {keys}, COUNT(*) AS n FROM {source} o{holds} GROUP BY {keys}) {join} ON {matched}",)
    return Piece(f"COALESCE({join}.n, 0)", _bad(derived, site), joins)


def _table_count(derived: Derived, site: Site) -> Piece:
    return _counted(derived, site, site.relations.get(derived.declaration.subject), derived.declaration.subject)


def _table_last_year(derived: Derived, site: Site) -> Piece:
    record = str(derived.declaration.options["of"])
    return _counted(derived, site, site.last_year.get(record), record)


def _counted(derived: Derived, site: Site, source: str | None, record: str) -> Piece:
    if source is None:
        return Piece("CAST(NULL AS BIGINT)", "FALSE")
    declaration, join = derived.declaration, site.join
    holds = f"({render(derived.where, site.other)}) IS TRUE" if derived.where is not None else "TRUE"
    distinct = [_key(name, "o", record) for name in declaration.names("distinct")]
    measure = f"COUNT(DISTINCT {distinct[0]})" if distinct else "COUNT(*)"
    table = site.tables[declaration.owner]
    if not table.codes:
        return Piece(f"(SELECT {measure} FROM {source} o WHERE {holds})", "FALSE")
    match = f"o.{quote(declaration.names('match')[0])}"
    counted = f"SELECT {match} AS k, {measure} AS n FROM {source} o WHERE {holds} GROUP BY {match}"
    joined = f"LEFT JOIN ({counted}) {join} ON {ROW}.{quote(table.shown_as)} = {join}.k"
    return Piece(f"COALESCE({join}.n, 0)", "FALSE", (joined,))


def _share(derived: Derived, site: Site) -> Piece:
    """Write the share of the rows for which it is known; none known, no share."""
    assert derived.where is not None  # noqa: S101 -- the resolver asked for it
    holds = render(derived.where, site.other)
    known = f"CASE WHEN {holds} THEN 1.0 WHEN NOT ({holds}) THEN 0.0 END"
    source = site.relations[derived.declaration.subject]
    return Piece(f"(SELECT AVG(CAST({known} AS DOUBLE)) FROM {source} o)", "FALSE")


_KINDS: dict[str, Callable[[Derived, Site], Piece]] = {
    "lookup": _lookup,
    "exists": _exists,
    "expression": _expression,
    "count": _count,
    "sum": _sum,
    "lag": _lag,
    "previous_max": _previous_max,
    "overlap": _overlap,
    "concurrent_sum": _concurrent_sum,
    "last_year": _last_year,
}
_TABLE_KINDS: dict[str, Callable[[Derived, Site], Piece]] = {
    "count": _table_count,
    "share": _share,
    "last_year": _table_last_year,
}


def stage(source: str, pieces: Mapping[str, Piece], types: Mapping[str, Type]) -> str:
    """Write the query of one stage: all of the relation below, and the columns of this level."""
    columns = "".join(
        f", CAST({one.value} AS {SQL_TYPES[types[name]]}) AS {quote(name)}, {one.bad} AS {quote(name + '__bad')}"
        if types[name] is not Type.ID
        else f", {one.value} AS {quote(name)}, {one.bad} AS {quote(name + '__bad')}"
        for name, one in pieces.items()
    )
    joins = " ".join(join for one in pieces.values() for join in one.joins)
    return f"SELECT {ROW}.*{columns} FROM {source} {ROW} {joins}"


def nothing(kind: Type) -> Piece:
    """Stand in for a column that could not be derived."""
    return Piece(f"CAST(NULL AS {SQL_TYPES[kind]})", constant(value=False))
