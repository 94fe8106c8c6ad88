"""What the municipality can know before it sends: the same rules as SSB, run where the numbers are still known."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from ipis.kommune.extract import ClearExtract, open_extract
from ipis.validation.catalogue import Level
from ipis.validation.run import run as validate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import pyarrow as pa

    from ipis.kernel.seasonpack import SeasonPack
    from ipis.validation.findings import Report


class Outcome(StrEnum):
    """What a check came to."""

    CLEAN = "clean"
    """No findings."""
    LOOK_AT = "look_at"
    """Warnings or information only."""
    TO_CORRECT = "to_correct"
    """Findings of level feil; they do not stop a forsendelse (L16, L17)."""
    REFUSED = "refused"
    """A finding of level kritisk: the extract may not be sent."""


@dataclass(frozen=True, slots=True, repr=False)
class Checked:
    """An extract with the verdict of the municipality's own check; `tables` are without identity fields."""

    clear: ClearExtract
    tables: Mapping[str, pa.Table]
    report: Report

    @property
    def outcome(self) -> Outcome:
        """Say what the check came to."""
        counts = self.report.findings.count_by_level()
        if counts[Level.KRITISK]:
            return Outcome.REFUSED
        if counts[Level.FEIL]:
            return Outcome.TO_CORRECT
        return Outcome.LOOK_AT if len(self.report.findings) else Outcome.CLEAN


def run(path: Path, pack: SeasonPack, *, progress: Callable[[int, int], None] | None = None) -> Checked:
    """Read an extract and judge it by every rule that runs in the municipality; raises what refuses it whole."""
    clear = open_extract(path, pack, progress)
    tables = clear.tables(pack.year)
    report = validate(pack.collection, tables, at="M", header=clear.extract.header)
    return Checked(clear, tables, report)
