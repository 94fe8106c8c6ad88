"""Where in a definition something stands, so that an error names file, line and column of what its author wrote."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

from ipis.kernel.errors import DefinitionRefused


@dataclass(frozen=True, slots=True)
class Place:
    """A spot in a definition file; `source` is the file's text from there on, where an expression begins.

    Lines and columns count from 1.
    """

    file: str
    line: int
    column: int
    source: str = ""
    text: str = ""

    def at(self, offset: int) -> tuple[int, int]:
        """Give line and column of the character `offset` of the expression.

        The value of a YAML key is folded, indented and quoted in ways of its own; what never changes is the order of
        its visible characters, so they are counted off against the source.
        """
        line, column, wanted = self.line, self.column, len("".join(self.text[:offset].split()))
        if self.source[:1] in {"|", ">"}:
            skip = self.source.find("\n") + 1
            source, line, column = self.source[skip:], line + 1, 1
        elif self.source[:1] in {"'", '"'}:
            source, column = self.source[1:], column + 1
        else:
            source = self.source
        previous = ""
        for character in source:
            if not character.isspace():
                doubled = character == previous == "'" == self.source[:1]
                if wanted == 0 and not doubled:
                    return line, column
                wanted -= not doubled
                previous = "" if doubled else character
            line, column = (line + 1, 1) if character == "\n" else (line, column + 1)
        return self.line, self.column


def refuse(code: str, place: Place, *, offset: int = 0, **params: object) -> NoReturn:
    """Refuse a definition, naming the file, the line and the column."""
    line, column = place.at(offset) if place.source else (place.line, place.column)
    raise DefinitionRefused(code, rule=None, file=place.file, line=line, column=column, **params)
