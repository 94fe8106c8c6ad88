"""DuckDB as the embedded engine: a database in memory that is handed Arrow tables and can reach nothing else.

External access is off (allowed folders would still permit writing), Python names are not looked up, and the
configuration is locked before the first statement of ours.

Runs of one kind over few rows write the same statements, and planning them costs more than running them. Such a run
leaves its database, emptied of every row, to the next of its kind: views stand, and plans are made once. It has a
second connection to it, with names and plans of its own, for statements that do not need each other: one statement over
few rows is no work for two cores, two are.
"""

from __future__ import annotations

import atexit
import os
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import duckdb

from ipis.validation.dialect import DuckDBDialect
from ipis.validation.engines import FEW_ROWS, ScanFailed

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
    from types import TracebackType

    import pyarrow as pa

_SETTINGS: Mapping[str, str | bool | int] = {
    "enable_external_access": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "python_enable_replacements": False,
    "python_scan_all_frames": False,
}
# The copy that it warns of is of few rows: binding the statement once more, as `sql` does, costs more than that.
warnings.filterwarnings("ignore", "Arrow output on a DB-API result", UserWarning)
_TWO_CORES = (os.cpu_count() or 1) > 1
_IDLE_MOST = 4
_STATEMENTS_MOST = 200
"""A database with more than these has seen runs that were not alike: it is cleared."""
_FOR_MANY_ROWS = (
    "join_order,statistics_propagation,common_subexpressions,column_lifetime,build_side_probe_side,"
    "compressed_materialization,duplicate_groups,reorder_filter,join_filter_pushdown"
)
"""What the planner thinks over that pays only where rows are many."""


class _Held:
    """What is registered in a table's place, by the Arrow PyCapsule interface: the table of the run at hand.

    Tables of one schema follow each other behind one name, and what was planned over it stays planned.
    """

    def __init__(self, table: pa.Table) -> None:
        self.table = table
        self._without_rows: pa.Table | None = None

    def empty(self) -> None:
        """Let go of the table's rows."""
        if self._without_rows is None:
            self._without_rows = self.table.schema.empty_table()
        self.table = self._without_rows

    def __arrow_c_schema__(self) -> object:
        return self.table.schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self.table.__arrow_c_stream__(requested_schema)


@dataclass(slots=True)
class _Database:
    """A connection, and what stands in it: tables by name, the views' texts, plans by the statement's text.

    `lasting`: it is left to further runs of its kind. A statement seen once has no plan yet: most runs are the only
    one of their kind in a process. `views` are those whose text is sure to hold, `confirmed` those of the run at hand.
    """

    connection: duckdb.DuckDBPyConnection
    lasting: bool = False
    held: dict[str, _Held] = field(default_factory=dict)
    views: dict[str, str] = field(default_factory=dict)
    confirmed: set[str] = field(default_factory=set)
    made: dict[str, str] = field(default_factory=dict)
    plans: dict[str, duckdb.Statement | None] = field(default_factory=dict)
    planned: int = 0
    _second: _Database | None = None

    @property
    def kept(self) -> bool:
        """Tell whether rows of a SELECT are kept here."""
        return "TABLE" in self.made.values()

    def second(self) -> _Database:
        """Give the second connection to this database, which has names and plans of its own."""
        if self._second is None:
            self._second = _Database(self.connection.cursor(), lasting=True)
        return self._second

    def register(self, name: str, table: pa.Table) -> None:
        """Put a table behind a name; another schema is another table, and nothing planned holds any longer."""
        known = self.held.get(name)
        if self.lasting and known is not None and known.table.schema.equals(table.schema):
            known.table = table
            return
        if known is not None:
            self.forget_plans()
            self.views = {view: self.views[view] for view in self.confirmed}
        self.held[name] = _Held(table)
        # Of a table itself only the columns asked for are read.
        self.connection.register(name, self.held[name] if self.lasting else table)

    def view(self, name: str, select: str) -> None:
        """Give a SELECT a name, unless it has it."""
        if self.views.get(name) != select:
            if name in self.made:
                # A plan keeps to the view that it was made over.
                self.forget_plans()
            self.connection.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS {select}")
            self.views[name], self.made[name] = select, "VIEW"
        self.confirmed.add(name)

    def keep(self, name: str, select: str) -> None:
        """Keep the rows of a SELECT."""
        self.connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {select}")
        self.made[name] = "TABLE"

    def query(self, select: str) -> pa.Table:
        """Run a query; by its plan from the second time on."""
        if not self.lasting or select not in self.plans:
            self.plans[select] = None
            return self.connection.sql(select).to_arrow_table()
        plan = self.plans[select]
        if plan is None:
            self.planned += 1
            self.connection.execute(f"PREPARE p{self.planned} AS {select}")
            (plan,) = self.connection.extract_statements(f"EXECUTE p{self.planned}")
            self.plans[select] = plan
        return self.connection.execute(plan).to_arrow_table()

    def answers(self, selects: Iterable[str]) -> dict[str, pa.Table]:
        """Run queries one after the other; one that fails is left without an answer."""
        answers = {}
        for select in selects:
            with suppress(duckdb.Error):
                answers[select] = self.query(select)
        return answers

    def leave(self) -> None:
        """Let go of every row; of a lasting database names and plans stand, unless there are too many of them."""
        if not self.lasting or self.kept or len(self.plans) > _STATEMENTS_MOST:
            self.clear()
        for held in self.held.values():
            held.empty()
        self.confirmed.clear()
        if self._second is not None:
            self._second.leave()

    def clear(self) -> None:
        """Let go of everything."""
        self.forget_plans()
        self.connection.execute("".join(f"DROP {sort} {name};" for name, sort in self.made.items()))
        for name in self.held:
            self.connection.unregister(name)
        for each in (self.held, self.views, self.confirmed, self.made):
            each.clear()
        if self._second is not None:
            self._second.clear()

    def forget_plans(self) -> None:
        """Forget the plans: what they were made over has changed."""
        self.connection.execute("".join(f"DEALLOCATE p{number};" for number in range(1, self.planned + 1)))
        self.plans.clear()
        self.planned = 0

    def close(self) -> None:
        """Close both connections, and with the last one the database."""
        if self._second is not None:
            self._second.close()
        self.connection.close()
        self.held.clear()


_idle: dict[Hashable, _Database] = {}
_lock = threading.Lock()
_of_the_parent: list[_Database] = []


def _leave_to_parent() -> None:
    """Keep away from what was idle at a fork: its threads are the parent's, and closing it would wait for them."""
    _of_the_parent.extend(_idle.values())
    _idle.clear()


os.register_at_fork(after_in_child=_leave_to_parent)


# Nor is one left open when the process ends.
@atexit.register
def _close_idle() -> None:
    while _idle:
        _idle.popitem()[1].close()


class DuckDB:
    """One connection, for one run. For few rows it is one that an earlier run has emptied and left."""

    dialect = DuckDBDialect()
    distributed = False

    def __init__(self, rows: int = 0, kind: Hashable = None) -> None:
        """Be ready for about so many rows; `kind` tells like runs. A database is taken when there is work for it."""
        self._small, self._kind = rows <= FEW_ROWS, kind
        self._taken: _Database | None = None
        self._sound = True
        self._named: list[tuple[str, pa.Table | str]] = []
        self._answers: dict[str, pa.Table] = {}

    @property
    def _database(self) -> _Database:
        if self._taken is None:
            self._taken = _opened(self._small, self._kind)
        return self._taken

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def register(self, name: str, table: pa.Table) -> None:
        """Make an Arrow table readable under a name."""
        self._database.register(name, table)
        self._named.append((name, table))

    def view(self, name: str, select: str) -> None:
        """Give a SELECT a name."""
        with self._watched():
            self._database.view(name, select)
        self._named.append((name, select))

    def keep(self, name: str, select: str) -> None:
        """Keep the rows of a SELECT."""
        with self._watched():
            self._database.keep(name, select)

    def query(self, select: str) -> pa.Table:
        """Run one query and read its result to the end (an open result blocks the next statement)."""
        answer = self._answers.pop(select, None)
        if answer is not None:
            return answer
        with self._watched():
            return self._database.query(select)

    def ahead(self, selects: Sequence[str]) -> None:
        """Run small queries on two connections at once; one that fails has no answer yet, and fails when asked for."""
        if len(selects) < 2 or not _TWO_CORES or not self._database.lasting or self._database.kept:
            return
        ours, others = _shared_out(selects)
        with self._watched(), ThreadPoolExecutor(1) as beside:
            begun = beside.submit(self._answers_of_second, others)
            self._answers = self._database.answers(ours)
            self._answers |= begun.result()

    def _answers_of_second(self, selects: Sequence[str]) -> dict[str, pa.Table]:
        """Run queries on the second connection, once it has been told the names given since it was last asked."""
        second = self._database.second()
        for name, meant in self._named:
            if isinstance(meant, str):
                second.view(name, meant)
            else:
                second.register(name, meant)
        self._named.clear()
        return second.answers(selects)

    def close(self) -> None:
        """Forget everything; a small database in which nothing failed is left, without a row, to the next run."""
        database, self._taken = self._taken, None
        self._named.clear()
        self._answers.clear()
        if database is None:
            return
        if self._small and self._sound:
            database.leave()
            with _lock:
                if self._kind not in _idle and len(_idle) < _IDLE_MOST:
                    _idle[self._kind] = database
                    return
        database.close()

    @contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            yield
        except duckdb.Error as error:
            self._sound = False
            raise ScanFailed(type(error).__name__) from None


def _shared_out(selects: Iterable[str]) -> tuple[list[str], list[str]]:
    """Share queries out to two, the longest first: a statement's length tells its time well enough.

    The same queries are always shared out alike: each is planned on one connection only.
    """
    shares: tuple[list[str], list[str]] = ([], [])
    for select in sorted(selects, key=len, reverse=True):
        min(shares, key=lambda share: sum(map(len, share))).append(select)
    return shares


def _opened(small: bool, kind: Hashable) -> _Database:  # noqa: FBT001 -- of this module alone
    """Take the idle database of this kind, or one of another, cleared, or open one; its settings are locked at once."""
    with _lock:
        found = _idle.pop(kind, None) if small else None
        # An opened database costs more than an old one that is cleared; the oldest goes first.
        other = _idle.pop(next(iter(_idle))) if small and found is None and len(_idle) == _IDLE_MOST else None
    if found is not None:
        return found
    if other is not None:
        other.clear()
        other.lasting = kind is not None
        return other
    connection = duckdb.connect(":memory:", config={**_SETTINGS, "threads": 1 if small else 2})
    if small:
        connection.execute(f"SET disabled_optimizers = '{_FOR_MANY_ROWS}'")
    connection.execute("SET lock_configuration = true")
    return _Database(connection, lasting=small and kind is not None)
