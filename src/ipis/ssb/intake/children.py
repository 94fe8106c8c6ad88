"""Several confined children behind one door, one forsendelse in each: more than one core opens what came."""

from __future__ import annotations

from queue import LifoQueue
from typing import TYPE_CHECKING, Final, Self, TypeVar

from ipis.kernel.confined import Confined

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
OPENED_AT_ONCE: Final = 2
"""Children of intake. More would wait for the one thread that writes the rows."""


class Children:
    """Children with limits of their own; one that is not needed is never started."""

    def __init__(self, count: int = OPENED_AT_ONCE, *, memory_bytes: int) -> None:
        """Set how many there are, and the memory that one call may take beyond its child's own size."""
        self._all = tuple(Confined(memory_bytes=memory_bytes) for _ in range(count))
        # The last one used is the first to be used again: with little to do one child does it all.
        self._idle: LifoQueue[Confined] = LifoQueue()
        for child in self._all:
            self._idle.put(child)

    def run(self, function: Callable[..., T], *arguments: object) -> T:
        """Call a function in an idle child, or in the first that becomes idle; see `Confined.run`."""
        child = self._idle.get()
        try:
            return child.run(function, *arguments)
        finally:
            self._idle.put(child)

    def __enter__(self) -> Self:
        """Give the children for a block."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the children with the block."""
        for child in self._all:
            child.close()
