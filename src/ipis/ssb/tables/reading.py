"""Reads the YAML of tables and indicators strictly: what is no key, no text in three languages or no number is refused.

Every node knows its place, so that an error names file, line and column of what its author wrote.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from ipis.kernel.errors import LANGUAGES, Word
from ipis.validation.position import Place, refuse

if TYPE_CHECKING:
    from collections.abc import Collection as Names
    from collections.abc import Iterator

Text = dict[str, str]
"""A text in the three languages."""


@dataclass(frozen=True, slots=True)
class Node:
    """A value of a definition file and the place where it stands."""

    value: object
    place: Place

    def refuse(self, code: str, **params: object) -> NoReturn:
        """Refuse the definition at this place."""
        refuse(code, Place(self.place.file, self.place.line, self.place.column), offset=0, **params)

    def mapping(self, required: Names[str], optional: Names[str] = ()) -> dict[str, Node]:
        """Read a mapping that has all required keys and no others than the optional."""
        if not isinstance(self.value, CommentedMap):
            self.refuse("tables.value", allowed="{" + ", ".join(sorted(required)) + "}")
        found = {str(key): self._child(self.value[key], *self.value.lc.value(key)) for key in self.value}
        for key, child in found.items():
            if key not in {*required, *optional}:
                child.refuse("tables.key", key=key, keys=", ".join(sorted({*required, *optional})))
        for key in sorted(required):
            if key not in found:
                self.refuse("tables.missing", key=key)
        return found

    def items(self) -> list[Node]:
        """Read a list."""
        if not isinstance(self.value, CommentedSeq):
            self.refuse("tables.value", allowed="[…]")
        return [self._child(item, *self.value.lc.item(index)) for index, item in enumerate(self.value)]

    def text(self) -> str:
        """Read a text that is not empty."""
        if not isinstance(self.value, str) or not self.value:
            self.refuse("tables.value", allowed="text")
        return str(self.value)

    def words(self) -> tuple[str, ...]:
        """Read a list of texts."""
        return tuple(item.text() for item in self.items())

    def integer(self) -> int:
        """Read a whole number."""
        if isinstance(self.value, bool) or not isinstance(self.value, int):
            self.refuse("tables.value", allowed="0, 1, 2 …")
        return int(self.value)

    def number(self) -> float:
        """Read a number."""
        if isinstance(self.value, bool) or not isinstance(self.value, int | float):
            self.refuse("tables.value", allowed="0, 0.5, 1 …")
        return float(self.value)

    def boolean(self) -> bool:
        """Read true or false."""
        if not isinstance(self.value, bool):
            self.refuse("tables.value", allowed="true, false")
        return self.value

    def languages(self) -> Text:
        """Read a text in the three languages."""
        if not isinstance(self.value, CommentedMap) or set(self.value) != set(LANGUAGES):
            self.refuse("tables.languages")
        return {language: child.text() for language, child in self.mapping(LANGUAGES).items()}

    def _child(self, value: object, line: int, column: int) -> Node:
        source = self.place.source
        if not isinstance(value, str):
            return Node(value, Place(self.place.file, line + 1, column + 1, source))
        lines = source.splitlines(keepends=True)
        rest = "".join(lines[line:])[column:]
        return Node(str(value), Place(self.place.file, line + 1, column + 1, rest, str(value)))


def read_list(file: str, content: bytes) -> Iterator[Node]:
    """Read a file that is a list; give its items."""
    start = Place(file, 1, 1)
    try:
        text = content.decode("utf-8")
        tree = YAML(typ="rt").load(text)
    except UnicodeDecodeError:
        refuse("tables.yaml", start, detail=Word("not UTF-8"))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(file, mark.line + 1, mark.column + 1) if mark else start
        refuse(
            "tables.yaml", place, detail=Word("doubled key" if "duplicate key" in str(error.problem) else "not YAML")
        )
    except YAMLError:
        refuse("tables.yaml", start, detail=Word("not YAML"))
    yield from Node(tree, Place(file, 1, 1, text)).items()
