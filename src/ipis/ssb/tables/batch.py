"""Lays many deliveries side by side, so that each table is one query for all of them.

Rows and persons get numbers that are their own over all deliveries; what only one delivery has beside its records
(its header's values, its outcomes and findings) is joined by `_delivery`.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ipis.ssb.tables.conditions import PSEUDO
from ipis.ssb.tables.query import PERSON, UNIT
from ipis.validation.compile import quote
from ipis.validation.relations import Content, derived

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ipis.kernel.collection import Collection
    from ipis.validation.compile import Scope
    from ipis.validation.engines import Engine


@dataclass(frozen=True, slots=True)
class Counted:
    """What counts of one delivery: its tables after the effects, its header, its outcomes and findings (may lack)."""

    tables: Mapping[str, pa.Table]
    header: Mapping[str, str | None] | None = None
    outcomes: pa.Table | None = None
    findings: pa.Table | None = None


@dataclass(slots=True)
class Batch:
    """The relations of many deliveries by record type; each has `_unit` and `_everyone` besides its columns."""

    engine: Engine
    scope: Scope
    names: dict[str, str] = field(default_factory=dict)

    def query(self, sql: str) -> pa.Table:
        """Run one query."""
        return self.engine.query(sql)


@contextmanager
def batch(
    collection: Collection,
    counted: Sequence[Counted],
    wanted: Iterable[tuple[str, str]],
    units: Sequence[int] | None = None,
) -> Iterator[Batch]:
    """Open the relations of many deliveries with the derived columns that are wanted."""
    contents = [Content(_as_counted(one.tables), one.header) for one in counted]
    with derived(collection, contents, wanted) as relations:
        made = Batch(relations.engine, relations.scope)
        _add_units(relations.engine, len(counted), units)
        for name in collection.layout.records:
            joined = f"{relations.names[name]} r JOIN units u USING (_delivery)"
            relations.engine.view(f"m_{name}", f"SELECT r.*, r._owner AS {PERSON}, u.{UNIT} FROM {joined}")
            made.names[name] = f"m_{name}"
        _add_pseudo(made, counted)
        yield made


def _as_counted(tables: Mapping[str, pa.Table]) -> dict[str, pa.Table]:
    """Give the tables without the texts of what did not parse: it counts as not given."""
    return {
        name: table.drop_columns([each for each in table.column_names if each.endswith("__raw")])
        for name, table in tables.items()
    }


def _add_units(engine: Engine, count: int, units: Sequence[int] | None) -> None:
    of = np.arange(count, dtype=np.int32) if units is None else np.array(units, np.int32)
    engine.register("units", pa.table({"_delivery": np.arange(count, dtype=np.int32), UNIT: of}))


def _add_pseudo(made: Batch, counted: Sequence[Counted]) -> None:
    """Register the records of the deliveries themselves."""
    for name, columns in PSEUDO.items():
        given = [one.outcomes if name == "post" else one.findings for one in counted]
        parts = [
            table.select(list(columns)).append_column("_delivery", pa.array(np.full(table.num_rows, number, np.int32)))
            for number, table in enumerate(given)
            if table is not None
        ]
        schema = pa.schema([*(pa.field(column, pa.string()) for column in columns), ("_delivery", pa.int32())])
        table = pa.concat_tables([schema.empty_table(), *(part.cast(schema) for part in parts)])
        made.engine.register(f"d_{name}", table)
        listed = ", ".join(f"d.{quote(column)}" for column in columns)
        made.engine.view(
            f"m_{name}",
            f"SELECT {listed}, CAST(NULL AS BIGINT) AS {PERSON}, u.{UNIT} "
            f"FROM d_{name} d JOIN units u USING (_delivery)",
        )
        made.names[name] = f"m_{name}"
