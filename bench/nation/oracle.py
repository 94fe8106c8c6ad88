"""Is the national run right? What both sides found against what the synthetic nation was given (faults.csv)."""

from __future__ import annotations

import csv
import io
from collections import Counter
from typing import TYPE_CHECKING

import pyzipper

from ipis.kernel.collection import packaged
from ipis.kernel.demo import demo_pin
from ipis.validation import rulebook

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from bench.nation.ground import Ground

Finding = tuple[str, str, str, str, str]
"""Rule, record, brukerNr, the record's own id, field."""
TOLD = "findings.csv"
_KEYS = ("rule", "record", "brukerNr", "id", "field")


def planted(ground: Ground, place: str) -> Counter[Finding]:
    """Read the faults that were planted in a place's extract."""
    with (ground.extracts / place / "faults.csv").open(encoding="utf-8", newline="") as file:
        return Counter(_findings(csv.DictReader(file)))


def told_at_home(ground: Ground, place: str) -> Counter[Finding]:
    """Read what the municipality's own check found."""
    with (ground.parcels / place / TOLD).open(encoding="utf-8", newline="") as file:
        return Counter(_findings(csv.DictReader(file)))


def answered(ground: Ground) -> Iterator[tuple[str, Counter[Finding]]]:
    """Open each feedback with its PIN and give the place and what its feilliste holds."""
    successors = packaged("iplos", ground.year).successors
    for path in sorted((ground.season / "ssb" / "utgaaende").glob("*/*.zip")):
        place = path.name[:6]
        pin = demo_pin(successors.get(place[:4], place[:4]))
        with pyzipper.AESZipFile(path) as archive:
            archive.setpassword(pin.encode())
            text = archive.read("feilliste.csv").decode("utf-8-sig")
        yield place, Counter(_findings(csv.DictReader(io.StringIO(text, newline=""), delimiter=";")))


def write_told(path: Path, rows: Iterable[Mapping[str, str]]) -> None:
    """Keep what the municipality's check found."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, _KEYS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def rules_at_both(year: int) -> frozenset[str]:
    """Name the rules that run at the municipality and at SSB."""
    rules = rulebook.of(packaged("iplos", year)).rules.values()
    return frozenset(rule.id for rule in rules if {"M", "S"} <= rule.runs_at)


def only(found: Counter[Finding], rules: frozenset[str]) -> Counter[Finding]:
    """Keep the findings of these rules."""
    return Counter({finding: count for finding, count in found.items() if finding[0] in rules})


def differences(found: Counter[Finding], expected: Counter[Finding]) -> dict[str, dict[str, int]]:
    """Tell by rule what is too much and what is lacking; never a key of a person."""
    sides = {"too many": found - expected, "lacking": expected - found}
    return {side: dict(Counter(finding[0] for finding in part.elements())) for side, part in sides.items() if part}


def _findings(rows: Iterable[Mapping[str, str]]) -> Iterator[Finding]:
    for row in rows:
        yield row["rule"], row["record"], row["brukerNr"], row["id"], row["field"]
