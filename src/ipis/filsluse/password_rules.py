"""The letter's password rules (L17 §4.2): at least six characters, a letter and a digit, nothing like the user name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import SequenceMatcher

LONGEST = 200
_ALIKE = 0.7
_SHORTEST_PART = 4


@dataclass(frozen=True, slots=True)
class PasswordRules:
    """What a new password must keep; the letter's floor, raised by settings or by the collection."""

    least: int = 6

    def broken(self, password: str, username: str) -> list[str]:
        """Name the rules that the password breaks: length, letter, digit, username."""
        found = []
        if not self.least <= len(password) <= LONGEST:
            found.append("length")
        if not any(c.isalpha() for c in password):
            found.append("letter")
        if not any(c.isdigit() for c in password):
            found.append("digit")
        if resembles(password, username):
            found.append("username")
        return found


def resembles(password: str, username: str) -> bool:
    """Tell whether the password contains the user name, one of its parts, or is much like one."""
    text = password.casefold()[:LONGEST]
    parts = _parts(username.casefold())
    return any(part in text or _alike(text, part) for part in parts)


def _parts(username: str) -> list[str]:
    """Split `postmottak@hamar.kommune.no` into itself, its two sides of the @, and the longer names in them."""
    local, _, domain = username.partition("@")
    names = [name for name in re.split(r"[^\w]+", local + "." + domain) if len(name) >= _SHORTEST_PART]
    return [part for part in dict.fromkeys([username, local, domain, *names]) if part]


def _alike(text: str, part: str) -> bool:
    letters = re.sub(r"[\W\d_]+", "", text)
    return any(SequenceMatcher(None, one, part).ratio() >= _ALIKE for one in (text, letters) if one)
