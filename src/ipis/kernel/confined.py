"""Run a function on hostile input in a child process with limits on memory and CPU time.

One child serves many calls; after a breach it is replaced. What a call may take is counted from where the child stands.
"""

from __future__ import annotations

import contextlib
import io
import math
import multiprocessing
import os
import resource
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from ipis.kernel.errors import IpisError, OurFault, ParcelRefused

T = TypeVar("T")
_GRACE_SECONDS: Final = 5.0
_START_SECONDS: Final = 120.0
_READY: Final = "ready"
_NO_CORE: Final = (0, 0)


class Confined:
    """A child process that is started at the first call and lives until `close`."""

    def __init__(self, *, memory_bytes: int = 2 << 30, cpu_seconds: int = 120, wall_seconds: float = 600.0) -> None:
        """Set what one call may take beyond the child's own size and used time."""
        self._memory = memory_bytes
        self._cpu = cpu_seconds
        self._wall = wall_seconds
        self._lock = threading.Lock()
        self._child: BaseProcess | None = None
        self._pipe: Connection | None = None

    def run(self, function: Callable[..., T], *arguments: object) -> T:
        """Call a function of a module (not a lambda) in the child and give its result.

        An error of our tree comes through. Raises ParcelRefused (`parcel.limits`) when the child ran out of memory or
        time, and OurFault (`confined.failed`), naming the kind of error only, for any other.
        """
        with self._lock:
            pipe = self._start()
            try:
                pipe.send((function, arguments))
                if not pipe.poll(self._wall):
                    raise EOFError
                kind, value = pipe.recv()
            except (EOFError, BrokenPipeError, ConnectionResetError) as error:
                self._stop()
                raise ParcelRefused("parcel.limits") from error
            except BaseException:
                self._stop()
                raise
            if kind == "limits":
                # What a failed allocation left behind in native libraries is not to be trusted.
                self._stop()
                raise ParcelRefused("parcel.limits")
        if kind == "failed":
            raise OurFault("confined.failed", kind=value)
        if kind == "refused":
            raise value
        result: T = value
        return result

    def close(self) -> None:
        """End the child."""
        with self._lock:
            self._stop()

    def __enter__(self) -> Self:
        """Give the child for a block."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the child with the block."""
        self.close()

    def _start(self) -> Connection:
        if self._child is not None and self._child.is_alive() and self._pipe is not None:
            return self._pipe
        self._stop()
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe()
        self._child = context.Process(target=_serve, args=(there, self._memory, self._cpu), daemon=True)
        self._child.start()
        there.close()
        self._pipe = here
        # The time a call may take begins when the child has loaded its libraries.
        try:
            ready = here.poll(_START_SECONDS) and here.recv() == _READY
        except (EOFError, OSError):
            ready = False
        if not ready:
            self._stop()
            raise OurFault("confined.failed", kind="start")
        return here

    def _stop(self) -> None:
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None
        if self._child is not None:
            self._child.kill()
            self._child.join(_GRACE_SECONDS)
            self._child = None


def _serve(pipe: Connection, memory: int, cpu: int) -> None:
    """Answer calls until the parent is gone."""
    _settle()
    pipe.send(_READY)
    while True:
        try:
            function, arguments = pipe.recv()
        except (EOFError, OSError):
            return
        _limit(memory, cpu)
        answer = _call(function, arguments)
        try:
            pipe.send(answer)
        except MemoryError:
            pipe.send(("limits", None))


def _call(function: Callable[..., object], arguments: tuple[object, ...]) -> tuple[str, Any]:
    try:
        return "done", function(*arguments)
    except IpisError as error:
        return ("limits", None) if _out_of_memory(error) else ("refused", error)
    except Exception as error:  # noqa: BLE001 - whatever it is, its text may hold a person's value and stays here
        return ("limits", None) if _out_of_memory(error) else ("failed", type(error).__name__)


def _out_of_memory(error: BaseException | None) -> bool:
    """Tell whether an error, or one that caused it, is a failed allocation (ArrowMemoryError is a MemoryError)."""
    while error is not None:
        if isinstance(error, MemoryError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _settle() -> None:
    """Load the heavy libraries before limits are set; Arrow allocates plainly: its pools reserve address space.

    Its threads start here too: one that finds no room for its stack later would look like a fault of ours.
    """
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    pa.set_memory_pool(pa.system_memory_pool())
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    for threads in (True, False):
        pyarrow.csv.read_csv(io.BytesIO(b"a\n1\n"), pyarrow.csv.ReadOptions(use_threads=threads))
    resource.setrlimit(resource.RLIMIT_CORE, _NO_CORE)
    with contextlib.suppress(OSError):
        os.nice(5)


def _limit(memory: int, cpu: int) -> None:
    """Raise the soft limits to what stands now and one call's share."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_below(hard, pages * resource.getpagesize() + memory), hard))
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (_below(hard, math.ceil(used.ru_utime + used.ru_stime) + cpu), hard))


def _below(hard: int, wanted: int) -> int:
    """Keep a soft limit below the hard one that the machine sets."""
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
