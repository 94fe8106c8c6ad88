"""Letters of a collection year: templates in `letters/<language>/<name>.txt`, whose first line is the subject.

They come from the season pack, signed by the root; they are still run in a sandbox that knows only what it is given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jinja2 import StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from ipis.kernel.errors import LANGUAGES, DefinitionRefused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ipis.kernel.collection import Collection

# Plain text: nothing to escape for.
_ENVIRONMENT = ImmutableSandboxedEnvironment(
    undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False
)


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter as it is sent."""

    subject: str
    body: str


def write(collection: Collection, name: str, language: str, facts: Mapping[str, object]) -> Letter:
    """Fill a letter in a language; the subject never gets a second line."""
    language = language if language in LANGUAGES else LANGUAGES[0]
    raw = collection.folder.require(f"letters/{language}/{name}.txt").decode("utf-8")
    text = _ENVIRONMENT.from_string(raw).render(facts).strip()
    subject, _, body = text.partition("\n")
    if not subject or not body.startswith("\n"):
        raise DefinitionRefused("collection.letter", file=f"letters/{language}/{name}.txt")
    return Letter(subject.strip(), body.strip() + "\n")
