"""The nation as last published: one file a year in the object store, written by a publication and read by feedback.

Nothing else of other municipalities reaches feedback. A figure that the publication suppressed is null in the file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ipis.kernel.errors import OurFault
from ipis.lib.storage import durable
from ipis.ssb.tables.batch import batch
from ipis.ssb.tables.compute import CELLS
from ipis.ssb.tables.indicators import count_many
from ipis.ssb.tables.inhabitants import Inhabitants
from ipis.ssb.tables.nation_definition import NationColumn, NationTable, load_nation_tables
from ipis.ssb.tables.query import UNIT, by_key

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from ipis.kernel.collection import Collection
    from ipis.ssb.register.objects import ObjectStore
    from ipis.ssb.tables.batch import Batch, Counted
    from ipis.ssb.tables.inhabitants import Place

_LONG = pa.schema([pa.field("kind", pa.string(), nullable=False), *CELLS])
_TABLE, _INDICATOR, _LOOKUP = "table", "indicator", "lookup"
_VALUE = "value"


@dataclass(frozen=True, slots=True)
class Nation:
    """The nation of one year: cells of its tables, indicators by id and group, and the tables that rules look up."""

    year: int
    release: str
    cells: pa.Table
    indicators: Mapping[tuple[str, str], float | None]
    lookups: Mapping[str, pa.Table]
    """For `validation.run` as `nation`: name -> key column (text) and value columns."""


def nation_of(
    collection: Collection, counted: Sequence[Counted], places: Sequence[Place], *, release: str = ""
) -> Nation:
    """Count the nation from a list of deliveries, unsuppressed; `places[i]` is where delivery i comes from."""
    made = count_many(collection, counted, places, units=[0] * len(counted))
    cells, figures = made[0] if made else (CELLS.empty_table(), {})
    return Nation(
        year=collection.year,
        release=release,
        cells=cells,
        indicators={key: each.value for key, each in figures.items()},
        lookups=lookups_of(collection, counted, places),
    )


def lookups_of(collection: Collection, counted: Sequence[Counted], places: Sequence[Place]) -> dict[str, pa.Table]:
    """Make the tables that rules look up; each municipality is a unit, whatever its districts sent."""
    tables = load_nation_tables(collection)
    kommuner = sorted({kommune for kommune, _ in places})
    units = [kommuner.index(kommune) for kommune, _ in places]
    inhabitants = Inhabitants(
        collection, [(kommune, collection.no_bydel) for kommune in kommuner], range(len(kommuner))
    )
    wanted = {(table.record, name) for table in tables for name in _columns(table)}
    with batch(collection, counted, wanted, units) as rows:
        return {table.name: _lookup(table, rows, inhabitants, len(kommuner)) for table in tables}


def write(store: ObjectStore, register: str, nation: Nation, at: datetime) -> Path:
    """Put a published nation in its place, durably; the file of an earlier release of the year is replaced."""
    path = _path(store, register, nation.year)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    about = {"year": str(nation.year), "release": nation.release, "published_at": at.isoformat()}
    with durable(path) as file:
        pq.write_table(_long(nation).replace_schema_metadata(about), file, compression="zstd")
    return path


def last_published(store: ObjectStore, register: str, year: int) -> Nation | None:
    """Read the newest published nation of the year or of one before; None until there is any."""
    folder = _path(store, register, year).parent
    years = sorted(int(path.stem) for path in folder.glob("*.parquet") if path.stem.isdecimal())
    fitting = [each for each in years if each <= year]
    return _read(_path(store, register, fitting[-1])) if fitting else None


def _path(store: ObjectStore, register: str, year: int) -> Path:
    return store.file(f"nation/{register}", f"{year}.parquet")


def _long(nation: Nation) -> pa.Table:
    parts = [_kind(_TABLE, nation.cells)]
    keys = list(nation.indicators)
    named = {"table": [key[0] for key in keys], "k0": [key[1] for key in keys], "measure": [_VALUE] * len(keys)}
    parts.append(_kind(_INDICATOR, _cells(named, list(nation.indicators.values()))))
    for name, table in nation.lookups.items():
        key, *columns = table.column_names
        for column in columns:
            count = table.num_rows
            listed = {"table": [name] * count, "k0": table[key].to_pylist(), "k1": [key] * count}
            parts.append(_kind(_LOOKUP, _cells(listed | {"measure": [column] * count}, table[column].to_pylist())))
    return pa.concat_tables(parts)


def _kind(kind: str, cells: pa.Table) -> pa.Table:
    return cells.add_column(0, _LONG.field("kind"), pa.repeat(pa.scalar(kind), cells.num_rows)).cast(_LONG)


def _cells(columns: Mapping[str, list[str]], values: list[float | None]) -> pa.Table:
    blank = [""] * len(values)
    texts = [pa.array(columns.get(name, blank), pa.string()) for name in CELLS.names[:-1]]
    return pa.Table.from_arrays([*texts, pa.array(values, pa.float64())], schema=CELLS)


def _read(path: Path) -> Nation:
    table = pq.read_table(path)
    about = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
    if table.schema.names != _LONG.names or not {"year", "release"} <= about.keys():
        raise OurFault("tables.nation", file=path.name)
    parts = {kind: table.filter(pc.equal(table["kind"], kind)) for kind in (_TABLE, _INDICATOR, _LOOKUP)}
    rows = parts[_INDICATOR]
    keys = zip(rows["table"].to_pylist(), rows["k0"].to_pylist(), strict=True)
    return Nation(
        year=int(about["year"]),
        release=about["release"],
        cells=parts[_TABLE].select(CELLS.names).cast(CELLS),
        indicators=dict(zip(keys, rows["value"].to_pylist(), strict=True)),
        lookups=_lookups(parts[_LOOKUP]),
    )


def _lookups(rows: pa.Table) -> dict[str, pa.Table]:
    """Turn the long form back into one table for each name, its columns in order of name."""
    found: dict[str, dict[str, dict[str, float | None]]] = {}
    keys: dict[str, str] = {}
    for row in rows.to_pylist():
        keys[row["table"]] = row["k1"]
        found.setdefault(row["table"], {}).setdefault(row["k0"], {})[row["measure"]] = row["value"]
    made = {}
    for name, values in found.items():
        columns = sorted({column for row in values.values() for column in row})
        listed = {column: pa.array([row.get(column) for row in values.values()], pa.float64()) for column in columns}
        made[name] = pa.table({keys[name]: pa.array(list(values), pa.string()), **listed})
    return made


def _columns(table: NationTable) -> list[str]:
    return [table.key, *(name for column in table.columns for name in column.aggregate.columns())]


def _lookup(table: NationTable, rows: Batch, inhabitants: Inhabitants, count: int) -> pa.Table:
    values = dict[str, dict[str, float]]()
    for column in table.columns:
        answer = rows.query(
            by_key(column.aggregate, table.key, *rows.of(table.record), units=column.across is not None)
        )
        if column.across is None:
            values[column.name] = dict(zip(answer["k0"].to_pylist(), answer["m0"].to_pylist(), strict=True))
        else:
            values[column.name] = _across(answer, column, inhabitants, count)
    codes = sorted({code for each in values.values() for code in each})
    made = {name: pa.array([found.get(code) for code in codes], pa.float64()) for name, found in values.items()}
    return pa.table({table.key: pa.array(codes, pa.string()), **made})


def _across(answer: pa.Table, column: NationColumn, inhabitants: Inhabitants, count: int) -> dict[str, float]:
    """Take the percentile of the municipalities' rates; who has no rows has the rate 0, without inhabitants none."""
    assert column.across is not None  # noqa: S101 -- asked for by the caller
    people = np.array([inhabitants.of(unit)[0] or 0.0 for unit in range(count)])
    found: dict[str, float] = {}
    for code in pc.unique(answer["k0"]).to_pylist():
        rows = answer.filter(pc.equal(answer["k0"], code))
        numbers = np.zeros(count)
        numbers[np.asarray(rows[UNIT])] = np.asarray(rows["m0"])
        rates = column.across.factor * numbers[people > 0] / people[people > 0]
        if len(rates):
            found[code] = float(np.quantile(rates, column.across.at))
    return found
