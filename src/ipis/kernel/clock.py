"""Business time: windows, receipts and releases follow a clock that is passed in; leases and lockouts use real time."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol


class Clock(Protocol):
    """What tells the business time."""

    def now(self) -> datetime:
        """Give the instant, aware, in UTC."""


@dataclass(frozen=True, slots=True)
class SystemClock:
    """The machine's own time."""

    def now(self) -> datetime:
        """Give the instant, aware, in UTC."""
        return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class TurnableClock:
    """A clock that a file turns and that runs on from there; for demo and test only. A missing file means real time."""

    path: Path

    def now(self) -> datetime:
        """Give the instant, aware, in UTC."""
        try:
            offset = float(json.loads(self.path.read_text(encoding="ascii"))["offset_seconds"])
        except FileNotFoundError:
            offset = 0.0
        return datetime.now(UTC) + timedelta(seconds=offset)


def turn(path: Path, to: datetime) -> None:
    """Turn the clock in the file to an aware instant, in one step that a reader cannot see half done."""
    offset = (to - datetime.now(UTC)).total_seconds()
    beside = path.with_name(f"{path.name}.{os.getpid()}.new")
    beside.write_text(json.dumps({"offset_seconds": offset}), encoding="ascii")
    beside.replace(path)
