"""The words of the feedback, from `letters/<language>/tilbakemelding.toml` of the collection."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from ipis.kernel.errors import DefinitionRefused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ipis.kernel.collection import Collection


@dataclass(frozen=True, slots=True)
class Texts:
    """Words by section and key, in one language."""

    language: str
    sections: Mapping[str, Mapping[str, str]]

    def __getitem__(self, name: str) -> str:
        """Give `section.key`; one that is missing is a fault of the definition and named."""
        section, _, key = name.partition(".")
        try:
            return self.sections[section][key]
        except KeyError:
            raise DefinitionRefused("feedback.no_text", text=name, language=self.language) from None

    def counted(self, name: str, count: int, **more: str) -> str:
        """Give the words for a count: `section.key_one` for 1, else `section.key_many`, with `{count}` filled in."""
        text = self[f"{name}_one" if count == 1 else f"{name}_many"]
        return text.format(count=self.number(count), **more)

    def number(self, value: float | None, decimals: int = 0) -> str:
        """Write a number as the language does."""
        if value is None:
            return ""
        written = f"{value:,.{decimals}f}".replace("-", "\u2212")
        return written if self.language == "en" else written.replace(",", "\u202f").replace(".", ",")


def load_texts(collection: Collection, language: str) -> Texts:
    """Read the words of one language; the same file is read once."""
    name = f"letters/{language}/tilbakemelding.toml"
    if name not in collection.folder:
        raise DefinitionRefused("feedback.no_text", text=name, language=language)
    return _read(language, collection.folder[name])


@lru_cache(maxsize=16)
def _read(language: str, content: bytes) -> Texts:
    return Texts(language, tomllib.loads(content.decode("utf-8")))
