"""A bench gives timings of ours and of a peer, for the same work, taken in turns; the best of five counts."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Result:
    """Both rates in units a second, the ratio asked for, and what a reader must know to believe it."""

    name: str
    unit: str
    ours: float
    peer: float
    peer_name: str
    target: float | None
    note: str = ""

    @property
    def ratio(self) -> float:
        """Give how many times the peer's rate ours is."""
        return self.ours / self.peer

    @property
    def reached(self) -> bool:
        """Tell whether the target is reached; a figure without one is for information."""
        return self.target is None or self.ratio >= self.target


def best(ours: Callable[[], object], peer: Callable[[], object], rounds: int = ROUNDS) -> tuple[float, float]:
    """Time both in turns, so that a busy minute of the machine hits both; gives the best seconds of each."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for call, kept in zip((ours, peer), times, strict=True):
            began = time.perf_counter()
            call()
            kept.append(time.perf_counter() - began)
    return min(times[0]), min(times[1])
