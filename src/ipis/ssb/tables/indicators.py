"""The publication indicators of one's own municipality: what would be published if this delivery were final."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ipis.ssb.tables.reading import Text


@dataclass(frozen=True, slots=True)
class IndicatorResult:
    """One indicator of one delivery, or of one population group of it; None where there is no figure."""

    id: str
    group: str
    """The group's code; empty: the indicator has none."""
    title: Text
    group_label: Text
    unit: Text
    decimals: int
    value: float | None
    numerator: float | None
    denominator: float | None
    if_corrected: float | None
    """The value as if rows left out and fields emptied by open findings counted as they stand."""
    open_findings: int
    last_year: float | None
    nation: float | None
    reason: str | None
    """Why there is no value: no_population, nobody, bydel; None where there is one."""
