"""The rates of `rates.toml`, read once."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEVELS = ("noe", "middels", "omfattende")
PROFILES = ("practical", "nursing", "both", "other", "long_term")
SCORES = ("1", "2", "3", "4", "5", "9")


@cache
def rates() -> dict[str, Any]:
    """Give all rates as they are written."""
    return tomllib.loads(files("ipis.synth").joinpath("rates.toml").read_text(encoding="utf-8"))


def by_group(name: str) -> NDArray[np.float64]:
    """Give a rate by age group."""
    return np.array(rates()[name], np.float64)


def share(name: str) -> float:
    """Give one of the plain shares."""
    return float(rates()["shares"][name])
