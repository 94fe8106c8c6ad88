"""Several jobs of a step together: their files are worked on side by side, and their rows are one transaction.

A group is bounded, so that nobody's receipt waits long for a neighbour's bytes; what is refused leaves its group and
the others go on. A crash or a fault of ours in a group is nobody's: each of it is then tried alone (`lib.jobs.Batch`).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, TypeVar

from ipis.kernel.errors import IpisError, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence

T = TypeVar("T")
Done = TypeVar("Done")

_HANDS: Final = 4
"""Two cores, and as many that wait for the disk."""


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


def at_once(items: Iterable[T], do: Callable[[T], Done]) -> list[Done]:
    """Work on files side by side, in order; `do` touches no row: a database connection is a thread's own."""
    with ThreadPoolExecutor(_HANDS) as hands:
        return list(hands.map(do, items))


def each(
    items: Sequence[T],
    do: Callable[[T], Done],
    refuse: Callable[[T, IpisError], None],
    refusals: tuple[type[IpisError], ...] = (Refused,),
) -> list[Done]:
    """Work on files as `at_once` does; one that is refused, by an error of these kinds, leaves and the others go on."""

    def attempt(item: T) -> Done | IpisError:
        try:
            return do(item)
        except refusals as error:
            return error

    done = []
    for item, outcome in zip(items, at_once(items, attempt), strict=True):
        if isinstance(outcome, IpisError):
            refuse(item, outcome)
        else:
            done.append(outcome)
    return done
