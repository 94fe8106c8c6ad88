"""An extract and the list of its faults as two files: what `ipis synth` does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ipis.synth.document import write
from ipis.synth.draw import draw
from ipis.synth.faults.listed import write as write_faults
from ipis.synth.faults.plan import plant
from ipis.synth.people import Place


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for: persons (None: by inhabitants), share of them with a fault, submission number, seed."""

    persons: int | None = None
    faults: float = 0.0
    innsending: int = 1
    seed: int = 0
    stated: bool = False
    """Whether the error mix of real deliveries is planted besides."""


@dataclass(frozen=True, slots=True)
class Made:
    """What was written."""

    extract: Path
    faults: Path
    persons: int
    services: int
    findings: int


def make(place: Place, wish: Wish, out: Path) -> Made:
    """Draw an extract, plant the faults, and write both files into a folder."""
    out.mkdir(parents=True, exist_ok=True)
    drawn = draw(place, persons=wish.persons, innsending=wish.innsending, seed=wish.seed)
    planted, listed = plant(drawn, place, wish.faults, wish.seed, stated=wish.stated)
    collection = place.collection
    extract = out / f"{place.kommune}{place.bydel}_{collection.register}_uttrekk_{collection.year}.xml"
    write(planted, collection.layout, extract)
    faults = out / "faults.csv"
    write_faults(listed, faults)
    return Made(extract, faults, planted.persons, len(planted.rows["tjeneste"]), len(listed))
