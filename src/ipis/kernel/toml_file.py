"""A TOML file of a definition folder as its author wrote it: what is wrong with it is told by file, line and column.

The classes say what may stand there (pydantic); here their complaints become errors in the words of the file.
"""

from __future__ import annotations

import re
import tomllib
from collections import abc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple, NoReturn, get_args, get_origin, get_type_hints

from pydantic import ValidationError

from ipis.kernel.errors import DefinitionRefused

Path = tuple[str, ...]
"""The keys that lead to a value: ("person", "fields", "antall", "length")."""

_WORD: Final = r"(?:[A-Za-z0-9_-]+|\"(?:[^\"\\]|\\.)*\"|'[^']*')"
_DOTTED: Final = rf"{_WORD}(?:\s*\.\s*{_WORD})*"
_HEADING: Final = re.compile(rf"\s*\[\[?\s*({_DOTTED})\s*\]")
_KEY: Final = re.compile(rf"\s*({_DOTTED})\s*=")
_AT: Final = re.compile(r"at line (\d+), column (\d+)")
_TWICE: Final = re.compile(r"twice|overwrite|Duplicate")
_UNBOUNDED: Final = re.compile(r"[0-9][0-9_]{999}|\[[\[\s]{99}|\{(?:[\w\s]+=\s*\{){99}")
_COMPLAINTS: Final = {
    "int": "toml.not_number", "float": "toml.not_number", "bool": "toml.not_truth", "string": "toml.not_text",
    "tuple": "toml.not_list", "frozen": "toml.not_list", "mapping": "toml.not_table", "dict": "toml.not_table",
    "dataclass": "toml.not_table", "date": "toml.not_time", "datetime": "toml.not_time",
}  # fmt: skip
"""What a complaint of pydantic comes to, by its first word."""


@dataclass(frozen=True, slots=True)
class Written:
    """The text of a file, in which a path of keys has a line and a column."""

    text: str
    origin: str

    @classmethod
    def decode(cls, data: bytes, origin: str) -> Written:
        """Take the bytes; raises `DefinitionRefused` at the line that is not UTF-8."""
        try:
            return cls(data.decode("utf-8"), origin)
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            column = error.start - data.rfind(b"\n", 0, error.start)
            raise DefinitionRefused("toml.encoding", file=origin, line=line, column=column) from None

    def tables(self) -> dict[str, Any]:
        """Read the TOML; raises `DefinitionRefused` where it is none."""
        try:
            return tomllib.loads(self.text)
        except tomllib.TOMLDecodeError as error:
            code = "toml.twice" if _TWICE.search(str(error)) else "toml.syntax"
            at = _AT.search(str(error))
            line, column = (int(at[1]), int(at[2])) if at else (len(self.text.splitlines()), 1)
            raise DefinitionRefused(code, file=self.origin, line=line, column=column) from None
        except (ValueError, RecursionError):
            # A number longer than Python converts, or a nest deeper than it follows; neither says where.
            line, column = _unbounded(self.text)
            raise DefinitionRefused("toml.syntax", file=self.origin, line=line, column=column) from None

    def refuse(self, code: str, path: Path, **params: object) -> NoReturn:
        """Refuse what stands at a path, or where it should have stood."""
        line, column = place(self.text, path)
        where = {"file": self.origin, "line": line, "column": column, "place": ".".join(path)}
        raise DefinitionRefused(code, rule=None, **where, **params)

    def table(self, value: object, path: Path) -> dict[str, Any]:
        """Give a value that must be a table."""
        if not isinstance(value, dict):
            self.refuse("toml.not_table", path)
        return value

    def require_among(self, value: object, allowed: Sequence[str], path: Path) -> None:
        """Refuse a value that is none of those allowed."""
        if value not in allowed:
            self.refuse("toml.not_among", path, allowed=", ".join(filter(None, allowed)))

    def refuse_complaint(
        self,
        error: ValidationError,
        root: type,
        path_of: Callable[[Path], Path] = lambda path: path,
        implied: frozenset[str] = frozenset(),
        own: Mapping[str, str] | None = None,
    ) -> NoReturn:
        """Refuse the first thing that `root` complains of.

        `path_of` gives the path in the file for one in the classes; `implied` are members that nobody writes; `own`
        has the code of the error for some keys' values.
        """
        first = error.errors(include_url=False, include_input=False)[0]
        kind, inside = first["type"], tuple(str(part) for part in first["loc"])
        path = path_of(inside)
        if kind == "missing":
            self.refuse("toml.missing_key", path[:-1], key=path[-1])
        if kind == "unexpected_keyword_argument":
            known = [key for key in keys_at(root, inside[:-1]) if key not in implied]
            self.refuse("toml.unknown_key", path, key=path[-1], known=", ".join(known))
        if kind == "enum":
            self.refuse("toml.not_among", path, allowed=first["ctx"]["expected"].replace("'", "").replace(" or ", ", "))
        of_kind = _COMPLAINTS.get(kind.partition("_")[0], "toml.value")
        self.refuse((own or {}).get(path[-1], of_kind), path)


def place(text: str, path: Sequence[str]) -> tuple[int, int]:
    """Find line and column, from 1, of the key that a path leads to, or of the innermost table around it."""
    deepest, found = 0, (1, 1)
    for written in _keys_written(text):
        shared = _shared(written.names, path)
        if shared > deepest:
            deepest, found = shared, (written.number, written.column)
            if not written.heading and shared == len(written.names):
                deeper, column = _within(written.line, written.end, path[shared:])
                deepest, found = shared + deeper, (written.number, column or found[1])
    return found


def _unbounded(text: str) -> tuple[int, int]:
    """Find line and column, from 1, of the first number or nest that has no sensible end."""
    begun = _UNBOUNDED.search(text)
    start = begun.start() if begun else 0
    return text.count("\n", 0, start) + 1, start - text.rfind("\n", 0, start)


class _KeyWritten(NamedTuple):
    """A key or a heading, named from the root: the line that it stands on, and where it begins and ends there."""

    names: Path
    heading: bool
    number: int
    column: int
    line: str
    end: int


@lru_cache(maxsize=4)
def _keys_written(text: str) -> tuple[_KeyWritten, ...]:
    """Find every line that has a heading or begins with a key; once a text, as places are asked for one by one."""
    section: Path = ()
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        heading = _HEADING.match(line)
        match = heading or _KEY.match(line)
        if match is None:
            continue
        names = tuple(map(_unquoted, re.findall(_WORD, match[1])))
        section, names = (names, names) if heading else (section, section + names)
        found.append(_KeyWritten(names, heading is not None, number, match.start(1) + 1, line, match.end()))
    return tuple(found)


def _unquoted(word: str) -> str:
    """Give the name that a key stands for; one that is no TOML stands as it is."""
    if "\\" not in word:
        return word.strip("\"'")
    try:
        return str(tomllib.loads(f"name = {word}")["name"])
    except tomllib.TOMLDecodeError:
        return word


def _within(line: str, start: int, path: Sequence[str]) -> tuple[int, int]:
    """Follow keys into a table that is written on one line; gives how many were found and the last one's column."""
    column = 0
    for count, name in enumerate(path):
        begun = re.compile(rf"(?<![\w\"'-])[\"']?{re.escape(name)}[\"']?\s*=").search(line, start)
        if begun is None:
            return count, column
        start, column = begun.end(), begun.start() + 1
    return len(path), column


def _shared(one: Sequence[str], other: Sequence[str]) -> int:
    """Count the names with which both begin."""
    differing = (n for n, (left, right) in enumerate(zip(one, other, strict=False)) if left != right)
    return next(differing, min(len(one), len(other)))


def keys_at(root: type, path: Sequence[str]) -> list[str]:
    """List the members that a class has, or the one to which a path of members and of keys of mappings leads."""
    hint: Any = root
    for name in path:
        hint = get_args(hint)[-1] if get_origin(hint) is abc.Mapping else get_type_hints(hint)[name]
    return sorted(get_type_hints(hint)) if is_dataclass(hint) else []
