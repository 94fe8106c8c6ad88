"""DuckDB as the embedded engine: a database in memory that is handed Arrow tables and can reach nothing else.

External access is off (allowed folders would still permit writing), Python names are not looked up, and the
configuration is locked before the first statement of ours.
"""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Self

import duckdb
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Mapping

ScanFailed = duckdb.Error
"""What a scan raises when data or statement go beyond what the language should admit."""

_SETTINGS: Mapping[str, str | bool | int] = {
    "enable_external_access": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "python_enable_replacements": False,
    "python_scan_all_frames": False,
}


class DuckDB:
    """One connection, for one run over one delivery."""

    def __init__(self, threads: int = 2) -> None:
        """Open an empty database and lock it."""
        self._connection = duckdb.connect(":memory:", config={**_SETTINGS, "threads": threads})
        self._connection.execute("SET lock_configuration = true")
        # A view of an Arrow table does not keep the table alive.
        self._tables: list[pa.Table] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def register(self, name: str, table: pa.Table) -> None:
        """Make an Arrow table readable under a name."""
        self._tables.append(table)
        self._connection.register(name, table)

    def execute(self, sql: str) -> None:
        """Run a statement that answers nothing."""
        self._connection.execute(sql)

    def query(self, sql: str) -> pa.Table:
        """Run one query and read its result to the end (an open result blocks the next statement)."""
        return self._connection.sql(sql).to_arrow_table()
