"""What one feedback says, before any format: whose delivery, its feilliste, its control tables, and in which words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ipis.ssb.feedback.feilliste import count_by_status, standing

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    import pyarrow as pa

    from ipis.ssb.feedback.texts import Texts
    from ipis.ssb.tables.compute import ControlTable

LEVELS = ("kritisk", "feil", "advarsel", "info")


@dataclass(frozen=True, slots=True)
class Contents:
    """One feedback."""

    kommune: str
    kommune_name: str
    bydel: str
    year: int
    sequence: int
    forsendelse: str
    phase: str
    arrived_at: datetime
    made_at: datetime
    corrections_until: datetime
    address: str
    short_code: str
    """Of R3: the code for the phone."""
    pack_version: int
    feilliste: pa.Table
    tables: tuple[ControlTable, ...]
    record_labels: Mapping[str, str]
    field_labels: Mapping[tuple[str, str], str]
    texts: Texts

    @property
    def statuses(self) -> dict[str, int]:
        """Count findings by status."""
        return count_by_status(self.feilliste)

    @property
    def standing(self) -> pa.Table:
        """Give the findings that are there now."""
        return standing(self.feilliste)

    def levels(self) -> dict[str, int]:
        """Count standing findings by level, the weightiest first."""
        counted = self.standing.group_by("level").aggregate([("rule", "count")]).to_pylist()
        found = {row["level"]: row["rule_count"] for row in counted}
        return {level: found.get(level, 0) for level in LEVELS}

    def column_label(self, column: str) -> str:
        """Give a column's heading."""
        return self.texts[f"column.{column}"]

    def display(self, column: str, value: object) -> object:
        """Give a coded cell in words; other cells as they are."""
        if column in ("status", "level", "effect") and value:
            return self.texts[f"{column}.{value}"]
        if column == "record":
            return self.record_labels.get(str(value), value)
        return value
