"""The few pieces of SQL that engines write in ways of their own; all others are shared words of standard SQL."""

from __future__ import annotations

from typing import Protocol


class Dialect(Protocol):
    """How one engine counts days, matches texts, and adds exactly."""

    def days_between(self, later: str, earlier: str) -> str:
        """Write the days from one day to a later one, as a whole number of 64 bits."""

    def day_plus(self, day: str, sign: str, days: str) -> str:
        """Write a day so many days on (`sign` "+") or back ("-"); null beyond what a day can be."""

    def matches(self, text: str, pattern: str) -> str:
        """Write whether the whole text is of the pattern, both given as SQL."""

    def exact(self, number: str) -> str:
        """Write a number with six decimals, so that a sum does not depend on the order; null where it has none."""

    def total(self, numbers: str) -> str:
        """Write the sum of exact numbers, over a group or (with OVER behind it) a window."""


class DuckDBDialect:
    """DuckDB's own words."""

    def days_between(self, later: str, earlier: str) -> str:
        """Write the difference of two days."""
        return f"({later} - {earlier})"

    def day_plus(self, day: str, sign: str, days: str) -> str:
        """Write a day moved by days."""
        return f"({day} {sign} CAST({days} AS INTEGER))"

    def matches(self, text: str, pattern: str) -> str:
        """Write a match of the whole text."""
        return f"REGEXP_FULL_MATCH({text}, {pattern})"

    def exact(self, number: str) -> str:
        """Write a cast that gives null where the number is not finite or too great."""
        return f"TRY_CAST({number} AS DECIMAL(36, 6))"

    def total(self, numbers: str) -> str:
        """Write the sum; of 36 digits it has room for a hundred."""
        return f"SUM({numbers})"
