"""Work on many columns at once: Arrow and NumPy let go of the interpreter while they work on a whole one."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from ipis.validation.engines import FEW_ROWS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Item = TypeVar("Item")
Made = TypeVar("Made")

_CORES = min(os.cpu_count() or 1, 4)


def side_by_side(work: Callable[[Item], Made], items: Iterable[Item], rows: int) -> list[Made]:
    """Do the same work on each item, in order of the items; where there are few rows, one after the other."""
    if rows <= FEW_ROWS:
        return list(map(work, items))
    with ThreadPoolExecutor(_CORES) as pool:
        return list(pool.map(work, items))
