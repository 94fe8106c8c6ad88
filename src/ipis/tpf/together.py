"""Several jobs of a step together: their files are worked on one by one, the rows of all that went well are one group.

A group is bounded, so that nobody's receipt waits long for a neighbour's bytes; what is refused leaves its group and
the others go on. A crash or a fault of ours in a group is nobody's: each of it is then tried alone (`lib.jobs.Batch`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from ipis.kernel.errors import IpisError, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator

T = TypeVar("T")
Done = TypeVar("Done")


def in_groups(
    items: Iterable[T], size: Callable[[T], int], most: int, owner: Callable[[T], Hashable]
) -> Iterator[list[T]]:
    """Cut into groups, in order, that are together no larger than `most` and hold no two of one owner."""
    group: list[T] = []
    owners: set[Hashable] = set()
    filled = 0
    for item in items:
        if group and (filled + size(item) > most or owner(item) in owners):
            yield group
            group, filled, owners = [], 0, set()
        group.append(item)
        filled += size(item)
        owners.add(owner(item))
    if group:
        yield group


def each(
    items: Iterable[T],
    do: Callable[[T], Done],
    refuse: Callable[[T, IpisError], None],
    refusals: tuple[type[IpisError], ...] = (Refused,),
) -> list[Done]:
    """Do something with each; one that is refused, by an error of these kinds, leaves; any other error is raised."""
    done = []
    for item in items:
        try:
            done.append(do(item))
        except refusals as error:
            refuse(item, error)
    return done
