"""Writes a table's counting as SQL over the relations of many deliveries: one query for all that has the same keys.

The unit (a delivery, or several together) is always the first key. Nothing of a definition's text passes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ipis.ssb.tables.conditions import VALUE, names_in
from ipis.ssb.tables.keys import BLANK, TOTAL
from ipis.validation.compile import Scope, constant, quote, render

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ipis.ssb.tables.definition import TableDefinition
    from ipis.ssb.tables.keys import Key
    from ipis.ssb.tables.measures import Aggregate, Measure
    from ipis.validation.terms import Term

UNIT = "_unit"
PERSON = "_everyone"
"""A number of its own for each person of each delivery."""
_CODE = "_value"
_DISTINCT_PERSON = "_person"


@dataclass(frozen=True, slots=True)
class Group:
    """Measures of one table that have the same keys, and the columns these keys come from."""

    table: TableDefinition
    columns: tuple[str, ...]
    measures: tuple[Measure, ...]


def groups(table: TableDefinition) -> list[Group]:
    """Put together the measures that can be counted in one query."""
    found: dict[tuple[str, ...], list[Measure]] = {}
    for measure in table.measures:
        columns = tuple(measure.column_of.get(key.id, key.column) for key in table.keys)
        found.setdefault(columns, []).append(measure)
    return [Group(table, columns, tuple(measures)) for columns, measures in found.items()]


def statement(group: Group, relation: str, scope: Scope) -> str:
    """Write the query of a group: the unit, `k0`…, then `m0`… as doubles."""
    table, within = group.table, _scope(group, scope)
    sources = zip(table.keys, group.columns, strict=True)
    keys = [f"{_key(key, column)} AS k{place}" for place, (key, column) in enumerate(sources)]
    measures = [f"CAST({aggregate(each.aggregate, within)} AS DOUBLE) AS m{n}" for n, each in enumerate(group.measures)]
    where = "" if table.where is None else f" WHERE {holds(table.where, within)}"
    names = [UNIT, *(f"k{n}" for n in range(len(table.keys)))]
    shown = [UNIT, *(_or_total(name, key) for name, key in zip(names[1:], table.keys, strict=True))]
    inner = f"SELECT *{''.join(f', {key}' for key in keys)} FROM {_source(group, relation, scope)}{where}"
    return f"SELECT {', '.join([*shown, *measures])} FROM ({inner}) GROUP BY {_sets(names, table.keys)}"


def numbers(wanted: Sequence[tuple[Aggregate, Sequence[Term]]], relation: str, scope: Scope) -> str:
    """Write the query of several numbers per unit (`m0`, `m1`), each of the rows for which its terms hold."""
    written = [
        f"CAST({aggregate(one, scope, terms)} AS DOUBLE) AS m{place}" for place, (one, terms) in enumerate(wanted)
    ]
    return f"SELECT {UNIT}, {', '.join(written)} FROM {relation} GROUP BY {UNIT}"


def by_key(one: Aggregate, key: str, relation: str, scope: Scope, *, units: bool) -> str:
    """Write the query of one number for each value of a column, over all units or of each: `k0` and `m0`."""
    by = [UNIT] if units else []
    counted = f"CAST({aggregate(one, scope)} AS DOUBLE) AS m0"
    chosen = f"FROM {relation} WHERE {quote(key)} IS NOT NULL GROUP BY {', '.join([*by, 'k0'])}"
    return f"SELECT {', '.join([*by, f'CAST({quote(key)} AS VARCHAR) AS k0', counted])} {chosen}"


def aggregate(one: Aggregate, scope: Scope, terms: Sequence[Term] = ()) -> str:
    """Write one number of a group's rows, of those for which its own condition and the terms hold."""
    conditions = [holds(term, scope) for term in (one.where, *terms) if term is not None]
    taken = f" FILTER (WHERE {' AND '.join(conditions)})" if conditions else ""
    if one.kind == "count":
        return f"COUNT(*){taken}"
    if one.kind == "share":
        assert one.condition is not None  # noqa: S101 -- the reader asked for it
        condition = render(one.condition, scope)
        return f"AVG(CASE WHEN {condition} THEN 100.0 WHEN NOT ({condition}) THEN 0.0 END){taken}"
    assert one.column is not None  # noqa: S101 -- the same
    value = PERSON if one.column.name == _DISTINCT_PERSON else scope.column(one.column)
    if one.kind == "distinct":
        return f"COUNT(DISTINCT {value}){taken}"
    if one.kind == "missing":
        return f"(COUNT(*){taken} - COUNT({value}){taken})"
    as_number = f"CAST({value} AS DOUBLE)"
    if one.kind in {"median", "percentile"}:
        return f"QUANTILE_CONT({as_number}, {one.at}){taken}"
    function = {"mean": "AVG", "sum": "SUM", "min": "MIN", "max": "MAX"}[one.kind]
    return f"{function}({as_number}){taken}"


def holds(condition: Term, scope: Scope) -> str:
    """Write that a condition holds for certain."""
    return f"(({render(condition, scope)}) IS TRUE)"


def _source(group: Group, relation: str, scope: Scope) -> str:
    """Write the rows that are counted, with the columns that are needed: once for each value of a repeating key."""
    dirty = scope.dirty or frozenset()
    needed = _needed(group)
    listed = ", ".join(
        [UNIT, PERSON, *map(quote, needed), *(quote(f"{name}__bad") for name in needed if name in dirty)]
    )
    repeated = next((key for key in group.table.keys if key.repeats), None)
    if repeated is None:
        return f"(SELECT {listed} FROM {relation})"
    parts = []
    for member in repeated.family:
        flag = quote(f"{member}__bad") if member in dirty else "FALSE"
        own = f"{quote(member)} AS {quote(VALUE)}, {flag} AS {quote(VALUE + '__bad')}"
        parts.append(f"SELECT {listed}, {own}, {constant(member)} AS {_CODE} FROM {relation}")
    for code, condition in repeated.when.items():
        parts.append(f"SELECT {listed}, {constant(code)} AS {_CODE} FROM {relation} WHERE {holds(condition, scope)}")
    return f"({' UNION ALL '.join(parts)})"


def _scope(group: Group, scope: Scope) -> Scope:
    """Give the scope in which a member's value is invalid where the member is."""
    members = {name for key in group.table.keys for name in key.family}
    dirty = scope.dirty or frozenset()
    return replace(scope, dirty=dirty | {VALUE}) if members & dirty else scope


def _needed(group: Group) -> list[str]:
    """List the columns of the relation that the query reads."""
    terms = [term for each in group.measures for term in (each.aggregate.condition, each.aggregate.where)]
    columns = {each.aggregate.column.name for each in group.measures if each.aggregate.column is not None}
    columns |= {*group.columns, *names_in(group.table.where, *terms)}
    return sorted(columns - {"", VALUE, _DISTINCT_PERSON})


def _key(key: Key, column: str) -> str:
    if not column:
        return _CODE
    name = quote(column)
    if key.bands:
        cases = " ".join(f"WHEN {name} >= {bound:g} THEN '{bound:g}'" for bound in reversed(key.bands))
        return f"CASE {cases} ELSE '{BLANK}' END"
    if key.months:
        return f"COALESCE(RIGHT('0' || CAST(MONTH({name}) AS VARCHAR), 2), '{BLANK}')"
    text = f"COALESCE(CAST({name} AS VARCHAR), '{BLANK}')"
    return f"LEFT({text}, {key.prefix})" if key.prefix else text


def _or_total(name: str, key: Key) -> str:
    return f"CASE WHEN GROUPING({name}) = 1 THEN '{TOTAL}' ELSE {name} END AS {name}" if key.total else name


def _sets(names: Sequence[str], keys: Sequence[Key]) -> str:
    """Write by what is grouped: with and without each key that has a total."""
    kept = [[UNIT]]
    for place, key in enumerate(keys):
        name, before = names[place + 1], names[place]
        fine = [each for each in kept if not key.nested or before in each]
        kept = [[*each, name] for each in fine] + (kept if key.total else [])
    return "GROUPING SETS (" + ", ".join(f"({', '.join(each)})" for each in kept) + ")"
