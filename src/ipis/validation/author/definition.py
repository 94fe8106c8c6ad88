"""A rule author's definition folder: `layout.toml`, `rules/*.yaml`, `codes/*.csv`, and whatever else may lie there.

Without a `collection.toml` the year is the one asked for, else the folder's name where that is a year, else this year;
the period (`uttrekk.fraDato`, `uttrekk.tilDato`) is then that calendar year.
"""

from __future__ import annotations

import re
from pathlib import Path

from ipis.kernel.calendar import OSLO
from ipis.kernel.clock import Clock, SystemClock
from ipis.kernel.collection import Collection, load_any, packaged, packaged_years
from ipis.kernel.definitions import DefinitionFolder
from ipis.kernel.errors import DefinitionRefused, Misuse
from ipis.validation import rulebook
from ipis.validation.author import SHIPPED

FILE = "collection.toml"
_MEMBERS = re.compile(r"layout\.toml|collection\.toml|rules/.+|(?:codes|tables|indicators)/[^/]+\.(?:yaml|csv)")
_PARTS = frozenset({"layout.toml", FILE, "rules", "codes", "tables", "indicators"})
_YEAR = re.compile(r"[0-9]{4}")


def open_definition(path: Path, year: int | None = None, clock: Clock | None = None) -> Collection:
    """Read a definition folder of any register; raises `DefinitionRefused` with the place of what is wrong.

    A `year` other than the one of its `collection.toml` is `Misuse`.
    """
    collection = load_any(open_folder(path, year, clock))
    if year is not None and collection.year != year:
        raise Misuse("author.year", found=year, expected=collection.year)
    return collection


def open_folder(path: Path, year: int | None = None, clock: Clock | None = None) -> DefinitionFolder:
    """Read the members of a definition folder, with a `collection.toml` that stands in where there is none."""
    if not path.is_dir():
        raise DefinitionRefused("author.no_folder", folder=path.name)
    found = DefinitionFolder.from_path(path, only=_PARTS)
    members = {name: content for name, content in found.items() if _MEMBERS.fullmatch(name)}
    if FILE not in members:
        members[FILE] = _stand_in(year or _year_of(path, clock))
    return DefinitionFolder.from_members(members, path.name or str(path))


def has_stand_in(folder: DefinitionFolder) -> bool:
    """Tell whether a folder's `collection.toml` is not its own, but the one that stands in."""
    year = re.search(rb"(?m)^year = ([0-9]{4})$", folder[FILE])
    return year is not None and folder[FILE] == _stand_in(int(year[1]))


def with_rules(collection: Collection) -> Collection:
    """Give the collection if it has a rule; judging by none would pass whatever it is handed."""
    if not rulebook.of(collection).rules:
        raise DefinitionRefused("author.no_rules", folder=collection.folder.origin)
    return collection


def shipped(register: str = SHIPPED) -> list[DefinitionFolder]:
    """Give the folders of all years of a register that the program carries."""
    return [DefinitionFolder.packaged(register, year) for year in packaged_years(register)]


def named_year(register: str, year: int | None) -> Collection:
    """Give a collection year of the package: the one asked for, else the newest."""
    years = packaged_years(register)
    if not years:
        raise DefinitionRefused("author.no_register", register=register)
    return packaged(register, year or years[-1])


def year_or_folder(register: str, text: str) -> Collection:
    """Give the collection year that a word of the command line means: a year of the package, else a folder."""
    return named_year(register, int(text)) if _YEAR.fullmatch(text) else open_definition(Path(text))


def _year_of(path: Path, clock: Clock | None) -> int:
    name = path.resolve().name
    return int(name) if _YEAR.fullmatch(name) else (clock or SystemClock()).now().astimezone(OSLO).year


def _stand_in(year: int) -> bytes:
    text = DefinitionFolder.shared("author")[FILE].decode("utf-8")
    return text.replace("{year}", str(year)).replace("{next}", str(year + 1)).encode("utf-8")
