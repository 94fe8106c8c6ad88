"""What one feedback says, before any format: whose delivery, its feilliste, its control tables, and in which words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from ipis.kernel.calendar import OSLO
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

    def todo(self) -> list[str]:
        """Say what to do now, step by step: what weighs most first, and until when it counts."""
        texts, levels = self.texts, self.levels()
        errors, others = levels["kritisk"] + levels["feil"], levels["advarsel"] + levels["info"]
        if not errors + others:
            return [texts["now.clean"]]
        steps = [texts["now.correct"]] if errors else [texts["now.look"]]
        if errors and others:
            steps.append(texts["now.warnings"])
        last_day = f"{(self.corrections_until - timedelta(seconds=1)).astimezone(OSLO):{self._day_form}}"
        if self.made_at >= self.corrections_until:
            return [*steps, texts["now.over"].format(day=last_day, address=self.address)]
        return [*steps, texts["now.resend" if errors else "now.resend_if"].format(day=last_day)]

    @property
    def counts_for(self) -> str:
        """Say which publications the delivery counts for."""
        return self.texts["page." + {"open": "march_and_june", "late": "june"}.get(self.phase, "none")]

    def moment(self, at: datetime) -> str:
        """Write an instant as the language does, in Norwegian time."""
        return f"{at.astimezone(OSLO):{self._day_form} %H:%M}"

    @property
    def _day_form(self) -> str:
        return "%Y-%m-%d" if self.texts.language == "en" else "%d.%m.%Y"

    def display(self, column: str, row: Mapping[str, object]) -> object:
        """Give a cell of a finding in words: codes, record types and fields by their names; other cells as they are."""
        value = row[column]
        if column in ("status", "level", "effect"):
            return self.texts[f"{column}.{value}"]
        if column == "record":
            return self.record_labels.get(str(value), value)
        if column == "field":
            return self.field_labels.get((str(row["record"]), str(value)), value)
        return "" if value is None else value
