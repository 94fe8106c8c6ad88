"""DuckDB as the embedded engine: a database in memory that is handed Arrow tables and can reach nothing else.

External access is off (allowed folders would still permit writing), Python names are not looked up, and the
configuration is locked before the first statement of ours.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Self

import duckdb

from ipis.validation.dialect import DuckDBDialect
from ipis.validation.engines import ScanFailed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    import pyarrow as pa

_SETTINGS: Mapping[str, str | bool | int] = {
    "enable_external_access": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "python_enable_replacements": False,
    "python_scan_all_frames": False,
}
_FEW_ROWS = 100_000
"""Up to here one thread is faster than two, and opening a database would cost more than the rules do."""
_IDLE_MOST = 2
_FOR_MANY_ROWS = (
    "join_order,statistics_propagation,common_subexpressions,column_lifetime,build_side_probe_side,"
    "compressed_materialization,duplicate_groups,reorder_filter,join_filter_pushdown"
)
"""What the planner thinks over that pays only where rows are many."""
_idle: list[duckdb.DuckDBPyConnection] = []
_lock = threading.Lock()
# A connection does not live on in a forked process.
os.register_at_fork(after_in_child=_idle.clear)


class DuckDB:
    """One connection, for one run. For few rows it is one that an earlier run has emptied and left."""

    dialect = DuckDBDialect()
    distributed = False

    def __init__(self, rows: int = 0) -> None:
        """Take an empty database, locked; `rows` is about how many it will be handed."""
        self._small = rows <= _FEW_ROWS
        self._connection = _opened(self._small)
        # A view of an Arrow table does not keep the table alive.
        self._tables: dict[str, pa.Table] = {}
        self._made: dict[str, str] = {}
        self._sound = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def register(self, name: str, table: pa.Table) -> None:
        """Make an Arrow table readable under a name."""
        self._tables[name] = table
        self._connection.register(name, table)

    def view(self, name: str, select: str) -> None:
        """Give a SELECT a name."""
        self._run(f"CREATE OR REPLACE TEMP VIEW {name} AS {select}")
        self._made[name] = "VIEW"

    def keep(self, name: str, select: str) -> None:
        """Keep the rows of a SELECT."""
        self._run(f"CREATE OR REPLACE TEMP TABLE {name} AS {select}")
        self._made[name] = "TABLE"

    def query(self, select: str) -> pa.Table:
        """Run one query and read its result to the end (an open result blocks the next statement)."""
        try:
            return self._connection.sql(select).to_arrow_table()
        except duckdb.Error as error:
            self._sound = False
            raise ScanFailed(type(error).__name__) from None

    def close(self) -> None:
        """Forget everything; a small database in which nothing failed is left, empty, to the next run."""
        if self._small and self._sound:
            self._connection.execute("".join(f"DROP {kind} {name};" for name, kind in self._made.items()))
            for name in self._tables:
                self._connection.unregister(name)
        with _lock:
            kept = self._small and self._sound and len(_idle) < _IDLE_MOST
            if kept:
                _idle.append(self._connection)
        if not kept:
            self._connection.close()
        self._tables.clear()
        self._made.clear()
        self._sound = False

    def _run(self, statement: str) -> None:
        try:
            self._connection.execute(statement)
        except duckdb.Error as error:
            self._sound = False
            raise ScanFailed(type(error).__name__) from None


def _opened(small: bool) -> duckdb.DuckDBPyConnection:  # noqa: FBT001 -- of this module alone
    """Take an idle database, or open one; its settings are locked before anyone uses it."""
    with _lock:
        if small and _idle:
            return _idle.pop()
    connection = duckdb.connect(":memory:", config={**_SETTINGS, "threads": 1 if small else 2})
    if small:
        connection.execute(f"SET disabled_optimizers = '{_FOR_MANY_ROWS}'")
    connection.execute("SET lock_configuration = true")
    return connection
