"""The numbers of tables and indicators: counts, sums, means, percentiles and shares of a record type's rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ipis.ssb.tables.conditions import names_in
from ipis.validation.terms import Type

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ipis.ssb.tables.conditions import Conditions
    from ipis.ssb.tables.keys import Key
    from ipis.ssb.tables.reading import Node, Text
    from ipis.validation.terms import Column, Term

COUNTING = ("count", "distinct", "sum", "missing")
"""Kinds that are 0 where there is nobody; the others are empty there."""
KINDS = (*COUNTING, "mean", "median", "min", "max", "percentile", "share")
_NUMBERS = (Type.INT, Type.DEC, Type.NUM)


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One number of rows: its kind, the column or condition it is about, and which rows it takes."""

    kind: str
    column: Column | None
    condition: Term | None
    at: float
    where: Term | None

    @property
    def counts(self) -> bool:
        """Tell whether the number of no rows is 0."""
        return self.kind in COUNTING

    def columns(self) -> Iterator[str]:
        """Go through the columns it needs."""
        if self.column is not None and self.column.name != "_person":
            yield self.column.name
        yield from names_in(self.condition, self.where)


@dataclass(frozen=True, slots=True)
class Per:
    """One number of the whole delivery, by which a measure is divided; `factor` 100 makes per cent."""

    record: str
    aggregate: Aggregate
    factor: float


@dataclass(frozen=True, slots=True)
class Measure:
    """One measure of a table; `column_of` names other columns for keys (by id)."""

    id: str
    label: Text
    aggregate: Aggregate
    decimals: int = 0
    column_of: Mapping[str, str] = field(default_factory=dict)
    per: Per | None = None

    @property
    def counts(self) -> bool:
        """Tell whether a cell that nobody fills is 0."""
        return self.aggregate.counts and self.per is None

    def columns(self, record: str) -> Iterator[tuple[str, str]]:
        """Go through the columns it needs: (record, name)."""
        yield from ((record, name) for name in (*self.aggregate.columns(), *self.column_of.values()))
        if self.per is not None:
            yield from ((self.per.record, name) for name in self.per.aggregate.columns())


def read_measure(node: Node, record: str, conditions: Conditions, keys: Sequence[Key]) -> Measure:
    """Read a measure of a table over a record type."""
    raw = node.mapping({"id", "label"}, {*KINDS, "at", "where", "decimals", "column_of", "per"})
    aggregate = read_aggregate(node, raw, record, conditions)
    per = _per(raw["per"], conditions) if "per" in raw else None
    if per is not None and not aggregate.counts:
        raw["per"].refuse("tables.value", allowed=", ".join(COUNTING))
    return Measure(
        id=raw["id"].text(),
        label=raw["label"].languages(),
        aggregate=aggregate,
        decimals=raw["decimals"].integer() if "decimals" in raw else 0,
        column_of=_column_of(raw["column_of"], record, conditions, keys) if "column_of" in raw else {},
        per=per,
    )


def read_aggregate(node: Node, raw: Mapping[str, Node], record: str, conditions: Conditions) -> Aggregate:
    """Read the one kind that a measure, a numerator or a denominator has."""
    kinds = [kind for kind in KINDS if kind in raw]
    if len(kinds) != 1:
        node.refuse("tables.kind", kinds=", ".join(KINDS))
    (kind,) = kinds
    if ("at" in raw) != (kind == "percentile"):
        node.refuse("tables.missing" if kind == "percentile" else "tables.key", key="at", keys=", ".join(KINDS))
    at = raw["at"].number() if "at" in raw else 0.5
    if not 0 <= at <= 1:
        raw["at"].refuse("tables.value", allowed="0 … 1")
    column = condition = None
    if kind == "share":
        condition = conditions.condition(raw[kind], record)
    elif kind == "count":
        if raw[kind].text() != "rows":
            raw[kind].refuse("tables.value", allowed="rows")
    else:
        column = conditions.column(raw[kind], record, *(() if kind in {"distinct", "missing"} else _NUMBERS))
    return Aggregate(kind, column, condition, at, conditions.perhaps(raw.get("where"), record))


def _per(node: Node, conditions: Conditions) -> Per:
    raw = node.mapping({"record"}, {"count", "distinct", "sum", "where", "factor"})
    record = raw["record"].text()
    if record not in conditions.records:
        raw["record"].refuse("rules.record", record=record)
    factor = raw["factor"].number() if "factor" in raw else 100.0
    return Per(record, read_aggregate(node, raw, record, conditions), factor)


def _column_of(node: Node, record: str, conditions: Conditions, keys: Sequence[Key]) -> dict[str, str]:
    known = {key.id: key for key in keys}
    found = node.mapping((), known)
    return {
        name: conditions.column(child, record, *((Type.DATE,) if known[name].months else ())).name
        for name, child in found.items()
    }
