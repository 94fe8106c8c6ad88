"""Secrets a person types, such as a PIN: they show and carry nothing, and come out only by `.reveal()`."""

from __future__ import annotations

import hmac
from typing import Final, NoReturn


class Secret:
    """A text that no log, exception, copy or pickle can hold."""

    __slots__ = ("_text",)
    __hash__: Final = None  # type: ignore[assignment]  # a hash of a PIN would be its fingerprint

    def __init__(self, text: str) -> None:
        """Take the text."""
        self._text = text

    def reveal(self) -> str:
        """Give the text: every use is found by one search."""
        return self._text

    def __eq__(self, other: object) -> bool:
        """Compare in constant time."""
        return isinstance(other, Secret) and hmac.compare_digest(self._text.encode(), other._text.encode())

    def __repr__(self) -> str:
        """Show nothing."""
        return "<Secret>"

    def __format__(self, _spec: str) -> str:
        """Show nothing."""
        return "<Secret>"

    def __reduce__(self) -> NoReturn:
        """Refuse to travel."""
        raise TypeError("a secret does not travel")
