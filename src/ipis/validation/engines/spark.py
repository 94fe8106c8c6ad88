"""Apache Spark as the distributed engine: one session per process, tables handed over as Arrow, the same rules.

Never imported by default: it needs the extra `spark` and Java. The SQL is what `compile` and `stages` write; sqlglot
turns its words into Spark's, and the pieces that differ are marked by the dialect and written here. The session is in
ANSI mode: what overflows fails the scan and names its culprit, as in DuckDB, and never wraps around.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final, Self

import pyarrow as pa
import sqlglot
from sqlglot import exp

from ipis.validation.engines import ScanFailed
from ipis.validation.engines.cluster import joined

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from pyspark.sql import DataFrame

    from ipis.validation.dialect import Dialect

_DAYS, _MOVED, _MATCHES, _EXACT = "IPIS_DAYS", "IPIS_MOVED", "IPIS_MATCHES", "IPIS_EXACT"
_DECIMAL: Final = "DECIMAL(36, 6)"
_INTERPRETED: Final = 20_000
"""Up to so many rows in all, Spark reads its plans itself: writing and compiling Java takes longer than the scans."""


class SparkDialect:
    """Marks what Spark writes in its own way; `translated` puts Spark's words there."""

    def days_between(self, later: str, earlier: str) -> str:
        """Mark the days from one day to a later one."""
        return f"{_DAYS}({later}, {earlier})"

    def day_plus(self, day: str, sign: str, days: str) -> str:
        """Mark a day moved by days."""
        return f"{_MOVED}({day}, {'' if sign == '+' else '-'}({days}))"

    def matches(self, text: str, pattern: str) -> str:
        """Mark a match of the whole text."""
        return f"{_MATCHES}({text}, {pattern})"

    def exact(self, number: str) -> str:
        """Mark a number with six decimals, null where it has none."""
        return f"{_EXACT}({number})"

    def total(self, numbers: str) -> str:
        """Write the sum."""
        return f"SUM({numbers})"


class Spark:
    """One session for one run: views of its own, in the process's one local cluster."""

    dialect: Dialect = SparkDialect()
    distributed = True

    def __init__(self, cores: int = 2, memory: str = "2g") -> None:
        """Join the process's cluster, or start it: `cores` and `memory` are those of the first."""
        self._session = joined(cores, memory).session.newSession()
        self._kept: list[DataFrame] = []
        self._views: set[str] = set()
        self._rows = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def register(self, name: str, table: pa.Table) -> None:
        """Make an Arrow table readable under a name."""
        self._rows += table.num_rows
        self._name(name, self._session.createDataFrame(_plain(table)))

    def view(self, name: str, select: str) -> None:
        """Give a SELECT a name."""
        self._name(name, self._frame(select))

    def keep(self, name: str, select: str) -> None:
        """Run a SELECT now and keep its rows; what is built on it does not run it again."""
        frame = self._frame(select)
        try:
            kept = frame.localCheckpoint(eager=True)
        except Exception as error:  # noqa: BLE001 -- whatever it is, its text may hold a value
            raise ScanFailed(_kind(error)) from None
        self._kept.append(kept)
        self._name(name, kept)

    def query(self, select: str) -> pa.Table:
        """Run a SELECT and read its rows as Arrow."""
        try:
            return self._frame(select).toArrow()
        except ScanFailed:
            raise
        except Exception as error:  # noqa: BLE001 -- as above
            raise ScanFailed(_kind(error)) from None

    def ahead(self, selects: Sequence[str]) -> None:
        """Do nothing yet: every statement has the whole cluster."""

    def close(self) -> None:
        """Drop the views and kept rows of this run; the cluster stays for the next."""
        for name in self._views:
            self._session.catalog.dropTempView(name)
        self._views.clear()
        for frame in self._kept:
            frame.unpersist()
        self._kept.clear()

    def _name(self, name: str, frame: DataFrame) -> None:
        frame.createOrReplaceTempView(name)
        self._views.add(name)

    def _frame(self, select: str) -> DataFrame:
        compiled = self._rows > _INTERPRETED
        self._session.conf.set("spark.sql.codegen.wholeStage", str(compiled).lower())
        self._session.conf.set("spark.sql.codegen.factoryMode", "FALLBACK" if compiled else "NO_CODEGEN")
        try:
            return self._session.sql(translated(select))
        except Exception as error:  # noqa: BLE001 -- as above
            raise ScanFailed(_kind(error)) from None


@cache
def translated(select: str) -> str:
    """Write a SELECT of ours in Spark's words."""
    return sqlglot.parse_one(select, read="duckdb").transform(_spark).sql(dialect="spark")


def _spark(node: exp.Expression) -> exp.Expression:
    """Replace one marked piece; all else is left to sqlglot."""
    if isinstance(node, exp.AnyValue):
        # Which of several values is taken depends on the plan: take the least, on every run.
        return exp.Min(this=node.this.transform(_spark))
    if not isinstance(node, exp.Anonymous) or str(node.this).upper() not in _PIECES:
        return node
    # What is replaced is not looked into again: the pieces within are done first.
    return _PIECES[str(node.this).upper()](*(each.transform(_spark) for each in node.expressions))


def _days(later: exp.Expression, earlier: exp.Expression) -> exp.Expression:
    return _cast(exp.Anonymous(this="DATEDIFF", expressions=[later, earlier]), "BIGINT")


def _moved(day: exp.Expression, days: exp.Expression) -> exp.Expression:
    return exp.Anonymous(this="DATE_ADD", expressions=[day, _cast(days, "INT")])


def _matches(text: exp.Expression, pattern: exp.Expression) -> exp.Expression:
    return exp.RegexpLike(this=text, expression=exp.Literal.string(rf"\A(?:{pattern.name})\z"))


def _exact(number: exp.Expression) -> exp.Expression:
    return exp.TryCast(this=number, to=exp.DataType.build(_DECIMAL), safe=True)


def _cast(value: exp.Expression, kind: str) -> exp.Expression:
    return exp.Cast(this=value, to=exp.DataType.build(kind))


_PIECES: dict[str, Callable[..., exp.Expression]] = {_DAYS: _days, _MOVED: _moved, _MATCHES: _matches, _EXACT: _exact}


def _plain(table: pa.Table) -> pa.Table:
    """Give columns the types that Spark reads from Arrow; what it could not read is of no use to a rule."""
    for place, field in enumerate(table.schema):
        kind = _plain_type(field.type)
        if kind != field.type:
            table = table.set_column(place, field.name, table[field.name].cast(kind))
    # pyspark reads up to the first empty batch and loses what comes after it.
    batches = [batch for batch in table.combine_chunks().to_batches() if batch.num_rows]
    return pa.Table.from_batches(batches, table.schema)


def _plain_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        return _plain_type(kind.value_type)
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_fixed_size_binary(kind):
        return pa.binary()
    if pa.types.is_unsigned_integer(kind):
        return pa.int64()
    return kind


def _kind(error: BaseException) -> str:
    """Name the kind of error; Spark's own text may hold a value."""
    condition = getattr(error, "getCondition", None)
    name = condition() if callable(condition) else None
    return str(name) if name else type(error).__name__
