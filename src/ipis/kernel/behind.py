"""Writes a stream a few blocks behind whoever makes it: a cipher need not wait for the disk, memory stays flat."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

if TYPE_CHECKING:
    from types import TracebackType

BLOCK: Final = 1 << 20
_BLOCKS_BEHIND: Final = 8


class Sink(Protocol):
    """What takes all bytes it is handed."""

    def write(self, data: Any, /) -> int:
        """Take the bytes and tell how many."""


class WriteBehind:
    """A writer whose bytes reach `to` from a thread of its own; leaving the block waits for the last of them.

    What `to` raises is kept in `fault` and raised on leaving: it is the machine's fault, not that of the bytes.
    """

    def __init__(self, to: Sink) -> None:
        """Stand before a sink that another owns and closes."""
        self._to = to
        self._held: list[bytes] = []
        self._size = 0
        self._queue: queue.Queue[bytes | None] = queue.Queue(_BLOCKS_BEHIND)
        self._thread = threading.Thread(target=self._drain, name="write-behind", daemon=True)
        self.fault: Exception | None = None

    def __enter__(self) -> Self:
        """Start the thread."""
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Hand over the rest, wait for it, and raise what the sink raised."""
        self._pass_on()
        self._queue.put(None)
        self._thread.join()
        if self.fault is not None:
            raise self.fault

    def write(self, data: bytes, /) -> int:
        """Take bytes; raises what the sink raised on earlier ones."""
        if self.fault is not None:
            raise self.fault
        self._held.append(bytes(data))
        self._size += len(data)
        if self._size >= BLOCK:
            self._pass_on()
        return len(data)

    def flush(self) -> None:
        """Do nothing: leaving the block is what waits."""

    def _pass_on(self) -> None:
        self._queue.put(b"".join(self._held))
        self._held.clear()
        self._size = 0

    def _drain(self) -> None:
        """Write until told to stop; after a fault take the rest without writing, so that nobody waits for ever."""
        while (block := self._queue.get()) is not None:
            if self.fault is None:
                try:
                    self._to.write(block)
                except Exception as error:  # noqa: BLE001 - raised again where the block is left
                    self.fault = error
