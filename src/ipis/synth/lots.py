"""Lots that hang on a person's key and the name of what is drawn, and on nothing else.

Whoever is drawn again – in another file, in the year after, by another process – draws the same; no lot moves another.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from ipis.synth.rows import Bits, Ints

Keys = NDArray[np.uint64]
Floats = NDArray[np.float64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_SHIFTS = np.uint64(30), np.uint64(27), np.uint64(31)


def mixed(values: Keys) -> Keys:
    """Scatter 64-bit numbers (the finaliser of SplitMix64): neighbours become unlike."""
    z = values + _GOLDEN
    z ^= z >> _SHIFTS[0]
    z *= _FIRST
    z ^= z >> _SHIFTS[1]
    z *= _SECOND
    z ^= z >> _SHIFTS[2]
    return z


@cache
def named(name: str) -> np.uint64:
    """Turn a name into a number, the same on every machine."""
    return np.uint64(int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big"))


@dataclass(frozen=True, slots=True)
class Lots:
    """A key for each of n persons or services; every draw gives an array of n."""

    keys: Keys

    def __len__(self) -> int:
        return len(self.keys)

    def take(self, places: Ints | Bits) -> Lots:
        """Give the lots of some."""
        return Lots(self.keys[places])

    def child(self, numbers: Ints, name: str) -> Lots:
        """Give keys of what belongs to these: a number each, such as that of a service type."""
        return Lots(mixed(self.keys ^ mixed(numbers.astype(np.uint64) ^ named(name))))

    def bits(self, name: str) -> Keys:
        """Draw 64 bits."""
        return mixed(self.keys ^ named(name))

    def uniform(self, name: str) -> Floats:
        """Draw from 0 to below 1."""
        drawn: Floats = (self.bits(name) >> np.uint64(11)).astype(np.float64) * 2.0**-53
        return drawn

    def hits(self, name: str, chance: float | Floats) -> Bits:
        """Draw whether something happens."""
        return self.uniform(name) < chance

    def below(self, name: str, count: int | Ints) -> Ints:
        """Draw a whole number from 0 to below a count (at least 1)."""
        return np.floor(self.uniform(name) * count).astype(np.int64)

    def normal(self, name: str) -> Floats:
        """Draw from the standard normal distribution (Box–Muller)."""
        radius = np.sqrt(-2.0 * np.log1p(-self.uniform(name)))
        drawn: Floats = radius * np.cos(2.0 * np.pi * self.uniform(f"{name} angle"))
        return drawn

    def pick(self, name: str, weights: Floats) -> Ints:
        """Draw a column of each row of weights (n × k), or of the one row that holds for all (k)."""
        edges = np.cumsum(weights, axis=-1)
        edges /= edges[..., -1:]
        if edges.ndim == 1:
            return np.searchsorted(edges[:-1], self.uniform(name), side="right")
        places: Ints = (self.uniform(name)[:, None] >= edges[:, :-1]).sum(axis=1)
        return places
