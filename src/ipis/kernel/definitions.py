"""The one way in which definitions are read: a folder of named bytes, from the package, the disk or a season pack."""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterator, Mapping
from functools import cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath
from typing import Final

from ipis.kernel.errors import DefinitionRefused

_MOST_BYTES: Final = 32 << 20
"""Of a file: as much as a season pack takes."""
_MOST_WRITTEN: Final = 4 << 20
"""Of a file that someone writes by hand, and whose reader is slow."""
_BY_HAND: Final = (".toml", ".yaml", ".yml", ".txt")


class DefinitionFolder(Mapping[str, bytes]):
    """What a collection year is defined by: relative name (with /) -> bytes, in the order of the names."""

    def __init__(self, members: Mapping[str, bytes], origin: str) -> None:
        """Take the members; the origin is named in messages."""
        for name in members:
            _check_name(name)
        self._members = dict(sorted(members.items()))
        self.origin = origin

    @classmethod
    def from_path(cls, folder: Path, *, only: Container[str] | None = None) -> DefinitionFolder:
        """Read a folder on disk, whole or of its files and folders `only` some; refuses what is no file to read."""
        wanted = (entry for entry in sorted(folder.iterdir()) if only is None or entry.name in only)
        return cls(dict(member for entry in wanted for member in _entry(entry, entry.name)), str(folder))

    @classmethod
    def from_members(cls, members: Mapping[str, bytes], origin: str = "season pack") -> DefinitionFolder:
        """Take members that were read and verified elsewhere."""
        return cls(members, origin)

    @classmethod
    def packaged(cls, register: str, year: int) -> DefinitionFolder:
        """Read the folder of a collection year that the program carries."""
        if year not in packaged_years(register):
            raise DefinitionRefused("collection.unknown", register=register, year=year)
        return cls(dict(_walk(_package() / register / str(year))), f"{register}/{year}")

    @classmethod
    def shared(cls, name: str) -> DefinitionFolder:
        """Read a folder of the package that belongs to no single year, such as `geography`."""
        return cls(dict(_walk(_package() / name)), name)

    def __getitem__(self, name: str) -> bytes:
        """Give the bytes of a member."""
        return self._members[name]

    def __iter__(self) -> Iterator[str]:
        """Go through the names in order."""
        return iter(self._members)

    def __len__(self) -> int:
        """Count the members."""
        return len(self._members)

    @cached_property
    def digest(self) -> str:
        """Tell the content by its SHA-256 in hex: over each name, length and bytes, wherever they come from."""
        digest = hashlib.sha256()
        for name, content in self.items():
            digest.update(f"{name}\0{len(content)}\0".encode())
            digest.update(content)
        return digest.hexdigest()

    def require(self, name: str) -> bytes:
        """Give the bytes of a member that must be there."""
        try:
            return self._members[name]
        except KeyError:
            raise DefinitionRefused("collection.member_missing", member=name, folder=self.origin) from None

    def under(self, prefix: str, suffix: str = "") -> dict[str, bytes]:
        """Give the members below a folder (`rules/`), by their whole names."""
        return {name: data for name, data in self.items() if name.startswith(prefix) and name.endswith(suffix)}


def packaged_years(register: str) -> tuple[int, ...]:
    """List the collection years that the program carries, oldest first."""
    folder = _package() / register
    if not _is_plain(register) or not folder.is_dir():
        return ()
    return tuple(sorted(int(entry.name) for entry in folder.iterdir() if entry.name.isdigit()))


def _package() -> Traversable:
    return files("ipis.definitions")


def _walk(folder: Traversable | Path) -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        yield from _entry(entry, entry.name)


def _entry(entry: Traversable | Path, name: str) -> Iterator[tuple[str, bytes]]:
    """Read a file, or all that is below a folder, unless it is hidden."""
    if entry.name.startswith((".", "__")):
        return
    try:
        if entry.is_dir() and not (name.lower().endswith(_BY_HAND) or _leads_back(entry)):
            for inner in entry.iterdir():
                yield from _entry(inner, f"{name}/{inner.name}")
        elif entry.is_file():
            yield name, read_bounded(entry, name)
        else:
            raise DefinitionRefused("collection.odd_member", member=name)
    except OSError:
        raise DefinitionRefused("collection.odd_member", member=name) from None


def _leads_back(folder: Traversable | Path) -> bool:
    """Tell whether a link leads to a folder around itself, which would be read without end."""
    return isinstance(folder, Path) and folder.is_symlink() and folder.resolve() in folder.absolute().parents


def read_bounded(file: Traversable | Path, name: str) -> bytes:
    """Read a definition file; raises `DefinitionRefused` for one that is larger than any has reason to be."""
    most = _MOST_WRITTEN if name.lower().endswith(_BY_HAND) else _MOST_BYTES
    with file.open("rb") as opened:
        content = opened.read(most + 1)
    if len(content) > most:
        raise DefinitionRefused("collection.too_big", member=name, most=most >> 20)
    return content


def _is_plain(name: str) -> bool:
    return name.isalnum()


def _check_name(name: str) -> None:
    path = PurePosixPath(name)
    if path.is_absolute() or "\\" in name or ".." in path.parts or str(path) != name:
        raise DefinitionRefused("collection.member_name", member=name)
