"""A folder to collect by: whether all that collecting needs is there, beside the rules.

What the control tables and figures say is judged where they are counted, at SSB; here, that they can be read.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ipis.kernel.collection import NEEDED, Collection, load
from ipis.kernel.errors import DefinitionRefused
from ipis.validation.author.definition import FILE, has_stand_in
from ipis.validation.catalogue import read_list

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipis.kernel.definitions import DefinitionFolder

_TABLES = re.compile(r"(?:tables|indicators)/[^/]+\.yaml")


def is_to_collect_by(folder: DefinitionFolder) -> bool:
    """Tell whether a folder has a `collection.toml` of its own, or what only collecting has."""
    return not has_stand_in(folder) or any(map(_TABLES.fullmatch, folder))


def gaps(folder: DefinitionFolder) -> Iterator[DefinitionRefused]:
    """List the members that are missing, and the tables and figures that cannot be read."""
    for name in NEEDED:
        if name not in folder or (name == FILE and has_stand_in(folder)):
            yield DefinitionRefused("collection.member_missing", member=name, folder=folder.origin)
    for name in filter(_TABLES.fullmatch, folder):
        try:
            read_list(name, folder[name], "tables.yaml")
        except DefinitionRefused as error:
            yield error


def load_whole(folder: DefinitionFolder) -> Collection:
    """Load a folder as collecting does, the inhabitants included."""
    collection = load(folder)
    collection.inhabitants()
    return collection
