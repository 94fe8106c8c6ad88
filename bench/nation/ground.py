"""The ground of a national run: where extracts, season, parcels and reports lie, and how they come to be there."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ipis.kernel.collection import packaged
from ipis.local.season import prepare
from ipis.synth.make import Wish, make
from ipis.synth.people import Place

if TYPE_CHECKING:
    from collections.abc import Sequence

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
        """Give the folder of extracts: one folder a municipality, with the XML and faults.csv."""
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

    def extract_of(self, kommune: str) -> Path:
        """Give a municipality's extract."""
        return next((self.extracts / kommune).glob("*.xml"))

    def kommuner(self) -> list[str]:
        """List the municipalities of the run."""
        return sorted(path.name for path in self.extracts.iterdir() if path.is_dir())

    def report(self, name: str) -> Path:
        """Give the file in which a process tells of itself."""
        return self.folder / f"{name}.json"


def draw_extracts(ground: Ground, share: float, kommuner: Sequence[str] | None = None, seed: int = 1) -> int:
    """Draw an extract for each municipality of the year by its inhabitants; gives the persons in all."""
    collection = packaged(REGISTER, ground.year)
    inhabitants = {row["kommune"]: row["total"] for row in collection.inhabitants().to_pylist()}
    nation = sum(inhabitants.values())
    persons = 0
    for kommune in kommuner or sorted(inhabitants):
        wish = Wish(max(1, round(PERSONS * share * inhabitants[kommune] / nation)), FAULTS, 1, seed)
        persons += make(Place(collection, kommune, "00"), wish, ground.extracts / kommune).persons
    return persons


def lay_out(ground: Ground) -> None:
    """Set the rooms up as `ipis up` does: settings, keys, databases, a pack signed by an offline root."""
    prepare(ground.season, ground.year, [], None)
    for kommune in ground.kommuner():
        (ground.parcels / kommune).mkdir(parents=True, exist_ok=True)


def run_party(ground: Ground, module: str, *arguments: str) -> None:
    """Run one party of the bench as a process of its own, to its end."""
    command = [sys.executable, "-m", f"bench.nation.{module}", str(ground.folder), str(ground.year), *arguments]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
