"""The words of the feedback, from `letters/<language>/tilbakemelding.toml` of the collection."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
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


def load_texts(collection: Collection, language: str) -> Texts:
    """Read the words of one language."""
    name = f"letters/{language}/tilbakemelding.toml"
    if name not in collection.folder:
        raise DefinitionRefused("feedback.no_text", text=name, language=language)
    return Texts(language, tomllib.loads(collection.folder[name].decode("utf-8")))
