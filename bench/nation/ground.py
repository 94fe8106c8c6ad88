"""The ground of a national run: where extracts, season, parcels and reports lie, and how they come to be there."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from ipis.kernel.collection import packaged
from ipis.local.season import prepare
from ipis.synth.make import Wish, make
from ipis.synth.national import make_nation, places

REGISTER = "iplos"
PERSONS = 361_402
"""Persons of the published year (domain/iplos.md §7)."""
FAULTS = 0.05


@dataclass(frozen=True, slots=True)
class Ground:
    """The folders of one run."""

    folder: Path
    year: int

    @property
    def extracts(self) -> Path:
        """Give the folder of extracts: one folder a place, with the XML and faults.csv."""
        return self.folder / "extracts"

    @property
    def season(self) -> Path:
        """Give the folder in which the parties were laid out."""
        return self.folder / "season"

    @property
    def pack(self) -> Path:
        """Give the signed season pack."""
        return self.season / f"{REGISTER}-{self.year}.sesong"

    def settings(self, room: str) -> Path:
        """Give a room's settings file."""
        return self.season / room / "settings.toml"

    @property
    def parcels(self) -> Path:
        """Give the folder of what the municipalities sealed."""
        return self.folder / "parcels"

    @property
    def handed_over(self) -> Path:
        """Give the folder of what TPF hands to SSB, one folder a forsendelse."""
        return self.folder / "handed-over"

    def extract_of(self, place: str) -> Path:
        """Give the extract of a place (kommune and bydel, six digits)."""
        return next((self.extracts / place).glob("*.xml"))

    def places(self) -> list[str]:
        """List all that send in this run."""
        return sorted(path.name for path in self.extracts.iterdir() if path.is_dir())

    def report(self, name: str) -> Path:
        """Give the file in which a process tells of itself."""
        return self.folder / f"{name}.json"


def draw_extracts(ground: Ground, share: float, most: int | None = None, seed: int = 1) -> int:
    """Draw an extract for each place of the year, or for so many spread over the list; gives the persons in all.

    The whole nation is drawn by inhabitants, as `ipis synth --national` does; a share of it with fewer persons each.
    """
    collection = packaged(REGISTER, ground.year)
    sends = places(collection)
    inhabitants = {row["kommune"]: row["total"] for row in collection.inhabitants().to_pylist()}
    if share == 1.0 and most is None:
        return sum(made.persons for made in make_nation(collection, Wish(None, FAULTS, 1, seed), ground.extracts, 2))
    districts = Counter(place.kommune for place in sends)
    nation, persons = sum(inhabitants.values()), 0
    for place in sends[:: 1 if most is None else max(1, len(sends) // most)][:most]:
        part = PERSONS * share * inhabitants[place.kommune] / nation / districts[place.kommune]
        wish = Wish(max(1, round(part)), FAULTS, 1, seed)
        persons += make(place, wish, ground.extracts / f"{place.kommune}{place.bydel}").persons
    return persons


def lay_out(ground: Ground) -> None:
    """Set the rooms up as `ipis up` does: settings, keys, databases, a pack signed by an offline root."""
    prepare(ground.season, ground.year, [], None)
    for place in ground.places():
        (ground.parcels / place).mkdir(parents=True, exist_ok=True)


def run_party(ground: Ground, module: str, *arguments: str) -> None:
    """Run one party of the bench as a process of its own, to its end."""
    command = [sys.executable, "-m", f"bench.nation.{module}", str(ground.folder), str(ground.year), *arguments]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
