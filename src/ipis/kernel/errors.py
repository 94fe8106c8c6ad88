"""One tree of errors for all parties; a person meets three things: what was found, what was expected, what to do now.

    IpisError
    ├── Refused          exit 2    what was handed in cannot be accepted; the same thing again is refused again
    │   ├── ExtractRefused      the extract of the municipality
    │   ├── ParcelRefused       a forsendelse, one of its parts or its signature
    │   ├── PackRefused         a season pack or its key set
    │   ├── LoginRefused        the four fields, a password or a sender key
    │   ├── FeedbackRefused     a feedback zip or its receipt
    │   └── DefinitionRefused   a definition folder, rule or table
    ├── TryLater         exit 3    the same thing may succeed later
    ├── Misuse           exit 64   the command line or a settings file is wrong
    └── OurFault         exit 70   a defect of ours, or of the machine

The texts are data: `definitions/messages/<area>.toml`, the area being the first segment of the code.
Parameters may be file names, positions, counts and instants – never a value from a person's record.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import ClassVar

LANGUAGES = ("nb", "nn", "en")


class Word(str):
    """A parameter that is a word or phrase of ours: shown in the reader's language (`definitions/words.toml`)."""

    __slots__ = ()

    def render(self, language: str) -> str:
        """Give it in a language; one that is not in the catalogue stands as it is."""
        return _words().get(self, {}).get(language, str(self))


@dataclass(frozen=True, slots=True)
class Rendered:
    """The three parts of a message, in one language."""

    found: str
    expected: str
    do: str


def sentence(text: str, names: Iterable[object] = ()) -> str:
    """Begin with a capital, unless the text begins with one of some names, a file's or a key, and end with a stop."""
    first, _, rest = text.partition(" ")
    word = first.rstrip(",.:;")
    ordinary = word.replace("-", "").isalpha() and word[1:] == word[1:].lower() and rest[:1] not in {"=", "'"}
    own = (str(name) for name in names if not isinstance(name, Word))
    named = any(re.match(rf"{re.escape(name)}(?!\w)", text) for name in own if name)
    start = text[:1].upper() if ordinary and not named else text[:1]
    return start + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


class IpisError(Exception):
    """An error with a stable code, whose text stands in the catalogue."""

    exit_code: ClassVar[int] = 70
    retry: ClassVar[bool] = False

    def __init__(self, code: str, *, rule: str | None = None, **params: object) -> None:
        """Name the code, the rule of the catalogue it stands for, and the parameters of its text."""
        super().__init__(code)
        self.code = code
        self.rule = rule
        self.params = params

    def __reduce__(self) -> tuple[object, ...]:
        """Travel whole between processes."""
        return _rebuild, (type(self), self.code, self.rule, self.params)

    def __str__(self) -> str:
        """Read as an operator would meet it in a log: English, with a hint."""
        text = self.render("en")
        return f"{self.code}: {text.found}; expected: {text.expected}; hint: {text.do}"

    def render(self, language: str = "nb") -> Rendered:
        """Fill the three parts in the language asked for; a code without a text is our fault and says so."""
        texts = catalogue(self.code.partition(".")[0]).get(self.code, {})
        text = texts.get(language) or texts.get("en")
        if text is None:
            return Rendered(self.code, "a text for this code in the catalogue", "report this code to the operator")
        params = _Params({key: p.render(language) if isinstance(p, Word) else p for key, p in self.params.items()})
        return Rendered(*(text[part].format_map(params) for part in ("found", "expected", "do")))

    def as_dict(self, language: str = "nb") -> dict[str, object]:
        """Give the error as the one JSON object that commands and interfaces answer with."""
        text = self.render(language)
        return {
            "code": self.code,
            "found": text.found,
            "expected": text.expected,
            "do": text.do,
            "retry": self.retry,
        }


class Refused(IpisError):
    """What was handed in cannot be accepted."""

    exit_code = 2


class ExtractRefused(Refused):
    """The extract cannot be read, or is not one that may be sent."""


class ParcelRefused(Refused):
    """A forsendelse, one of its parts or its signature is not what it must be."""


class PackRefused(Refused):
    """A season pack or its key set cannot be trusted or used."""


class LoginRefused(Refused):
    """The fields of a login, or the key behind it, do not fit."""


class FeedbackRefused(Refused):
    """A feedback zip is not proved to be SSB's answer to one's own forsendelse."""


class DefinitionRefused(Refused):
    """A definition folder, a rule or a table cannot be used."""


class TryLater(IpisError):
    """The same thing may succeed later."""

    exit_code = 3
    retry = True


class Misuse(IpisError):
    """The command line or a settings file is wrong."""

    exit_code = 64


class OurFault(IpisError):
    """A defect of ours, or of the machine."""

    exit_code = 70


class _Params(dict[str, object]):
    """Parameters of a text; one that is missing shows its name and breaks nothing."""

    def __missing__(self, key: str) -> str:
        return "{" + key + "}"


def _rebuild(kind: type[IpisError], code: str, rule: str | None, params: dict[str, object]) -> IpisError:
    return kind(code, rule=rule, **params)


@cache
def catalogue(area: str) -> dict[str, dict[str, dict[str, str]]]:
    """Read one area's texts: code -> language -> part -> text; an area without a file has none."""
    source = files("ipis.definitions").joinpath("messages", f"{area}.toml")
    if not source.is_file():
        return {}
    return tomllib.loads(source.read_text(encoding="utf-8"))


@cache
def _words() -> dict[str, dict[str, str]]:
    """Read the words that parameters may be: word -> language -> text."""
    return tomllib.loads(files("ipis.definitions").joinpath("words.toml").read_text(encoding="utf-8"))
