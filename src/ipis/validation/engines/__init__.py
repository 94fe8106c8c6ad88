"""Engines that run the SQL of validation; each is handed tables and nothing else.

All that validation asks of one is here. The SQL is written from typed terms (`compile`, `stages`): plain SELECTs in the
words that DuckDB and Spark share; where they differ, the engine's `dialect` writes the piece.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence
    from types import TracebackType

    import pyarrow as pa

    from ipis.validation.dialect import Dialect


FEW_ROWS = 100_000
"""Up to here a statement is faster in one thread than in two, and opening and planning would cost more than the rules.

Two statements at once still pay (`Engine.ahead`)."""


class ScanFailed(Exception):
    """Data or statement went beyond what the language should admit.

    Its text is the engine's name of the kind of error and nothing else: an engine's own words may hold values.
    """


class Engine(Protocol):
    """An engine for one run. Names are plain words of ours (`t_person`), never a definition's text."""

    @property
    def dialect(self) -> Dialect:
        """Give the engine's own words."""

    @property
    def distributed(self) -> bool:
        """Tell whether kept rows stay where they were made; else they come back as Arrow, beside those handed in."""

    def register(self, name: str, table: pa.Table) -> None:
        """Make an Arrow table readable under a name; a name that stands is taken over."""

    def view(self, name: str, select: str) -> None:
        """Give a SELECT a name, without running it."""

    def keep(self, name: str, select: str) -> None:
        """Run a SELECT and keep its rows under a name; raises `ScanFailed`."""

    def query(self, select: str) -> pa.Table:
        """Run a SELECT and read its result to the end; raises `ScanFailed`."""

    def ahead(self, selects: Sequence[str]) -> None:
        """Be told of SELECTs that `query` is asked for next and that do not need each other: they may run at once."""

    def close(self) -> None:
        """Forget all tables and give back what the engine holds."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the engine."""


def engine_named(name: str, rows: int = 0, kind: Hashable = None) -> Engine:
    """Open an engine for about so many rows: "duckdb", embedded, or "spark" (extra `spark`), distributed.

    Runs of one `kind` (None: of none) write the same statements where they can: an engine may remember their plans.
    """
    if name == "spark":
        from ipis.validation.engines.spark import Spark

        return Spark()
    if name != "duckdb":
        message = f"no engine of this name: {name}"
        raise ValueError(message)
    from ipis.validation.engines.duckdb import DuckDB

    return DuckDB(rows, kind)
