"""Growth: one, two, four, eight nation-years in one register; and both engines over more and more deliveries.

A nation-year here is a share of a real one in all its places, as the page says: what must not grow is the time of one
delivery, and what must grow no faster than the register is a run over all of it.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bench.nation.ground import REGISTER
from bench.nation.stopwatch import peaks
from bench.pairs import Result
from bench.plots import lines
from bench.rules import YEAR, count, extracted
from ipis.kernel.collection import packaged
from ipis.validation.run import run_many

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ipis.validation.content import Content

YEARS = (1, 2, 4, 8)
SHARE = 0.02
SPARK_YEARS = (1, 2)
PLOT = Path(__file__).resolve().parent.parent / "docs" / "generated" / "bench-growth.svg"
_WARM = 8
"""Runs of one delivery until its statements are planned, and as many of which the best counts."""
_TOGETHER = 64
"""As the feedback worker does: so many deliveries a run."""


def growth(*, spark: bool = True) -> Iterator[Result]:
    """Judge a growing register whole, and one delivery of it, and draw the curves."""
    collection = packaged(REGISTER, YEAR)
    with tempfile.TemporaryDirectory() as scratch:
        nation = extracted(collection, Path(scratch), SHARE)
    for _ in range(_WARM):
        _one(nation[-1])
    whole, alone, memory = [], [], []
    for years in YEARS:
        register = list(nation) * years
        whole.append((years, _seconds(register)))
        alone.append((years, min(_one(register[-1]) for _ in range(_WARM))))
        memory.append((years, next(iter(peaks("growth").values())) / 2**20))
    curves = {"DuckDB, all": whole, "DuckDB, one delivery": alone}
    if spark:
        curves["Spark local[2], all"] = [(years, _spark(list(nation) * years)) for years in SPARK_YEARS]
    rows = count(nation)
    lines(PLOT, f"Rules over a growing register, {rows} rows a year", curves, ("nation-years", "seconds"))
    each = ", ".join(f"{years:g}: {seconds:.2f} s" for years, seconds in whole)
    note = f"{SHARE:.0%} of a nation-year ({rows} rows); {each}; peak {memory[0][1]:.0f} → {memory[-1][1]:.0f} MiB"
    linear = whole[0][1] * YEARS[-1]
    yield Result("8 nation-years, whole register", "/s", 1 / whole[-1][1], 1 / linear, "8 × one year", 0.8, note)
    yield Result(
        "one delivery in 8 nation-years", "/s", 1 / alone[-1][1], 1 / alone[0][1], "the same in one", 0.8, "time flat"
    )


def _seconds(register: Sequence[Content]) -> float:
    collection, began = packaged(REGISTER, YEAR), time.perf_counter()
    for start in range(0, len(register), _TOGETHER):
        run_many(collection, register[start : start + _TOGETHER], at="S")
    return time.perf_counter() - began


def _one(content: Content) -> float:
    collection, began = packaged(REGISTER, YEAR), time.perf_counter()
    run_many(collection, [content], at="S")
    return time.perf_counter() - began


def _spark(register: Sequence[Content]) -> float:
    """Time Spark over all in one run, its start left out."""
    collection = packaged(REGISTER, YEAR)
    run_many(collection, register[:1], at="S", engine="spark")
    began = time.perf_counter()
    run_many(collection, register, at="S", engine="spark")
    return time.perf_counter() - began
