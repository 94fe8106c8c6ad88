"""DuckDB as the embedded engine: a database in memory that is handed Arrow tables and can reach nothing else.

External access is off (allowed folders would still permit writing), Python names are not looked up, and the
configuration is locked before the first statement of ours.
"""

from __future__ import annotations

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


class DuckDB:
    """One connection, for one run."""

    dialect = DuckDBDialect()

    def __init__(self, threads: int = 2) -> None:
        """Open an empty database and lock it."""
        self._connection = duckdb.connect(":memory:", config={**_SETTINGS, "threads": threads})
        self._connection.execute("SET lock_configuration = true")
        # A view of an Arrow table does not keep the table alive.
        self._tables: dict[str, pa.Table] = {}

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

    def keep(self, name: str, select: str) -> None:
        """Keep the rows of a SELECT."""
        self._run(f"CREATE OR REPLACE TEMP TABLE {name} AS {select}")

    def query(self, select: str) -> pa.Table:
        """Run one query and read its result to the end (an open result blocks the next statement)."""
        try:
            return self._connection.sql(select).to_arrow_table()
        except duckdb.Error as error:
            raise ScanFailed(type(error).__name__) from None

    def close(self) -> None:
        """Forget everything."""
        self._connection.close()
        self._tables.clear()

    def _run(self, statement: str) -> None:
        try:
            self._connection.execute(statement)
        except duckdb.Error as error:
            raise ScanFailed(type(error).__name__) from None
