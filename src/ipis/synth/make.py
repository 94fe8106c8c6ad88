"""An extract and the list of its faults as two files: what `ipis synth` does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ipis.kernel.collection import packaged_years
from ipis.synth.document import write
from ipis.synth.draw import draw
from ipis.synth.faults import at_ssb
from ipis.synth.faults.listed import write as write_faults
from ipis.synth.faults.plan import Planted, plant
from ipis.synth.flat import write as write_flat
from ipis.synth.inhabitants import standing_for
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
    at_ssb: bool = False
    """Whether faults_ssb.csv lists what SSB finds besides, also against last year's extract of the same wish."""


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
    """Draw an extract, plant the faults, and write the files into a folder."""
    out.mkdir(parents=True, exist_ok=True)
    planted = _planted(place, wish)
    collection = place.collection
    extract = out / f"{place.kommune}{place.bydel}_{collection.register}_uttrekk_{collection.year}"
    if wish.form == "xml":
        extract = extract.with_name(f"{extract.name}.xml")
        write(planted.draw, collection.layout, extract)
    else:
        write_flat(planted.draw, collection.layout, extract, wish.form)
    faults = out / "faults.csv"
    write_faults(planted.listed, faults)
    if wish.at_ssb:
        earlier = _last_year(place)
        before = None if earlier is None else _planted(earlier, wish).draw
        at_ssb.add(planted.at_ssb, planted.draw, before, place)
        write_faults(planted.at_ssb, out / "faults_ssb.csv")
    services = len(planted.draw.rows["tjeneste"])
    return Made(extract, faults, planted.draw.persons, services, len(planted.listed))


def _planted(place: Place, wish: Wish) -> Planted:
    drawn = draw(place, persons=wish.persons, innsending=wish.innsending, seed=wish.seed)
    return plant(drawn, place, wish.faults, wish.seed, stated=wish.stated, flat=wish.form != "xml")


def _last_year(place: Place) -> Place | None:
    """Give the same place a year earlier, if the program carries that year and the municipality was one then."""
    register, year = place.collection.register, place.collection.year - 1
    if year not in packaged_years(register):
        return None
    before = standing_for(place.collection, year)
    return Place(before, place.kommune, place.bydel) if place.kommune in before.kommuner else None
