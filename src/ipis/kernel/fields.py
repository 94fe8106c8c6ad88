"""Read fields out of parsed JSON into types that cannot be wrong; what does not fit is refused by name."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from ipis.kernel.environment import Environment
from ipis.kernel.errors import IpisError, ParcelRefused

HEX32 = r"[0-9a-f]{32}"
HEX64 = r"[0-9a-f]{64}"
KOMMUNE = r"[0-9]{4}"
BYDEL = r"[0-9]{2}"
ORGNR = r"[0-9]{9}"
FINGERPRINT = r"SHA256:[A-Za-z0-9+/]{43}"
NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}"
_INSTANT = "%Y-%m-%dT%H:%M:%SZ"


def write_instant(at: datetime) -> str:
    """Write an aware instant in UTC to the second."""
    return at.astimezone(UTC).strftime(_INSTANT)


@dataclass(frozen=True, slots=True)
class Reader:
    """One JSON object, read field by field; `what` names it in a refusal."""

    values: dict[str, object]
    what: str
    code: str = "parcel.field"
    error: Callable[..., IpisError] = ParcelRefused

    def only(self, keys: frozenset[str] | set[str]) -> None:
        """Refuse a missing or an unknown key."""
        for key in sorted(keys ^ self.values.keys()):
            raise self.refuse(key)

    def refuse(self, key: str) -> IpisError:
        """Make the refusal of one field."""
        return self.error(self.code, what=self.what, field=key if re.fullmatch(r"\w{1,40}", key) else "?")

    def text(self, key: str, pattern: str) -> str:
        """Read a string that matches the whole pattern."""
        value = self.values.get(key)
        if not isinstance(value, str) or not re.fullmatch(pattern, value, re.ASCII):
            raise self.refuse(key)
        return value

    def free(self, key: str, longest: int) -> str:
        """Read a printable string of 1 to `longest` characters."""
        value = self.values.get(key)
        if not isinstance(value, str) or not 1 <= len(value) <= longest or not value.isprintable():
            raise self.refuse(key)
        return value

    def item(self, key: str, value: object, pattern: str) -> str:
        """Read one text of the list or object that stands under a key."""
        return Reader({key: value}, self.what, self.code, self.error).text(key, pattern)

    def texts(self, key: str, pattern: str, most: int) -> tuple[str, ...]:
        """Read a list of at most so many texts."""
        value = self.values.get(key)
        if not isinstance(value, list) or len(value) > most:
            raise self.refuse(key)
        return tuple(self.item(key, each, pattern) for each in value)

    def named(self, key: str, pattern: str, most: int = 20_000) -> dict[str, object]:
        """Read an object whose names match the pattern."""
        value = self.values.get(key)
        if not isinstance(value, dict) or len(value) > most:
            raise self.refuse(key)
        return {self.item(key, name, pattern): each for name, each in value.items()}

    def inner(self, key: str, value: object) -> Reader:
        """Read an object that stands under a key."""
        if not isinstance(value, dict):
            raise self.refuse(key)
        return Reader(value, self.what, self.code, self.error)

    def maybe(self, key: str, pattern: str) -> str | None:
        """Read a string that matches, or null."""
        return None if self.values.get(key, "") is None else self.text(key, pattern)

    def number(self, key: str, least: int, most: int) -> int:
        """Read an integer between two bounds, both included."""
        value = self.values.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise self.refuse(key)
        return value

    def instant(self, key: str) -> datetime:
        """Read an instant to the second, in UTC."""
        text = self.text(key, r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
        try:
            return datetime.strptime(text, _INSTANT).replace(tzinfo=UTC)
        except ValueError as error:
            raise self.refuse(key) from error

    def environment(self, key: str = "environment") -> Environment:
        """Read the environment."""
        return Environment(self.text(key, "|".join(Environment)))

    def objects(self, key: str, most: int) -> list[Reader]:
        """Read a list of 1 to `most` objects."""
        value = self.values.get(key)
        if not isinstance(value, list) or not 1 <= len(value) <= most or not all(isinstance(v, dict) for v in value):
            raise self.refuse(key)
        return [Reader(item, self.what, self.code, self.error) for item in value]

    def counts(self, key: str) -> dict[str, int]:
        """Read an object of names and counts."""
        value = self.values.get(key)
        if not isinstance(value, dict) or len(value) > 100:
            raise self.refuse(key)
        inner = Reader(value, self.what, self.code, self.error)
        return {name: inner.number(name, 0, 10**9) for name in value}
