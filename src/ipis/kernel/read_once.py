"""What is made of a definition folder – rules, tables, indicators – is made once for each content of it.

A folder that is edited is another content; the same bytes from the package, the disk or a season pack are one.
"""

from __future__ import annotations

from functools import update_wrapper
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipis.kernel.collection import Collection

KEPT: Final = 8
"""How many contents are kept; the one that was read first goes first."""
Made = TypeVar("Made")


class ReadOnce(Generic[Made]):
    """A reader of collections, called like the function it is made of; what that refuses is not kept."""

    def __init__(self, read: Callable[[Collection], Made]) -> None:
        """Stand before a function that reads a collection's folder and nothing else."""
        update_wrapper(self, read)
        self._read = read
        self._kept: dict[str, Made] = {}

    def __call__(self, collection: Collection) -> Made:
        """Give what is made of the collection; the same thing for the same content."""
        key = collection.folder.digest
        if key not in self._kept:
            made = self._read(collection)
            while len(self._kept) >= KEPT:
                self._kept.pop(next(iter(self._kept)))
            self._kept[key] = made
        return self._kept[key]
