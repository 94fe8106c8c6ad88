"""A collection year that the program does not carry: a packaged year copied and edited, as a newcomer would do it."""

import re
import shutil
from pathlib import Path

import ipis.definitions
from ipis.kernel.collection import load
from ipis.kernel.definitions import DefinitionFolder

PACKAGE = Path(next(iter(ipis.definitions.__path__)))


def copied_folder(into: Path, year: int, model: int = 2017) -> Path:
    """Copy a year's folder and edit three things in `collection.toml`: the year, its window and its reference days."""
    folder = into / "iplos" / str(year)
    shutil.copytree(PACKAGE / "iplos" / str(model), folder)
    path = folder / "collection.toml"
    text = path.read_text(encoding="utf-8")
    text = re.sub(rf"\b{model + 1}-", f"{year + 1}-", text)
    text = re.sub(rf"\b{model}-", f"{year}-", text)
    path.write_text(re.sub(rf"\b{model}\b", str(year), text), encoding="utf-8")
    return folder


def copied_year(into: Path, year: int, model: int = 2017):
    return load(DefinitionFolder.from_path(copied_folder(into, year, model)))


def members(year: int = 2017) -> dict[str, bytes]:
    """Give a year's definitions as a dict that a test may spoil."""
    return dict(DefinitionFolder.packaged("iplos", year))
