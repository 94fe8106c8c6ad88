"""An extract and the list of its faults as two files: what `ipis synth` does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ipis.synth.document import write
from ipis.synth.draw import draw
from ipis.synth.faults.listed import write as write_faults
from ipis.synth.faults.plan import plant
from ipis.synth.flat import write as write_flat
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
    form: str = "xml"
    """How the extract is written: xml, csv or parquet."""


@dataclass(frozen=True, slots=True)
class Made:
    """What was written."""

    extract: Path
    faults: Path
    persons: int
    services: int
    findings: int

    @property
    def size(self) -> int:
        """Give the bytes of the extract."""
        files = [self.extract] if self.extract.is_file() else list(self.extract.iterdir())
        return sum(file.stat().st_size for file in files)


def make(place: Place, wish: Wish, out: Path) -> Made:
    """Draw an extract, plant the faults, and write both files into a folder."""
    out.mkdir(parents=True, exist_ok=True)
    drawn = draw(place, persons=wish.persons, innsending=wish.innsending, seed=wish.seed)
    flat = wish.form != "xml"
    planted, listed = plant(drawn, place, wish.faults, wish.seed, stated=wish.stated, flat=flat)
    collection = place.collection
    extract = out / f"{place.kommune}{place.bydel}_{collection.register}_uttrekk_{collection.year}"
    if flat:
        write_flat(planted, collection.layout, extract, wish.form)
    else:
        extract = extract.with_name(f"{extract.name}.xml")
        write(planted, collection.layout, extract)
    faults = out / "faults.csv"
    write_faults(listed, faults)
    return Made(extract, faults, planted.persons, len(planted.rows["tjeneste"]), len(listed))
