"""The calendar of the submission: Norwegian working days, the hour of the receipt, and the phase of an instant."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from zoneinfo import ZoneInfo

OSLO = ZoneInfo("Europe/Oslo")


class Phase(StrEnum):
    """Where an instant lies in the season of a collection (architecture §2.10)."""

    BEFORE = "before"
    """Not open yet: refused with the opening instant, to be tried again."""
    OPEN = "open"
    """In the window: counts for the March publication."""
    LATE = "late"
    """After the window, before the corrections end: accepted, marked late, counts for June."""
    CLOSED = "closed"
    """After the corrections: stored, counts for no publication."""


@dataclass(frozen=True, slots=True)
class Window:
    """The half-open windows of a season; all three instants are aware."""

    opens_at: datetime
    closes_at: datetime
    corrections_until: datetime

    def __post_init__(self) -> None:
        """Refuse instants without a zone and windows that end before they begin."""
        if any(at.tzinfo is None for at in (self.opens_at, self.closes_at, self.corrections_until)):
            raise ValueError("an instant of the window has no time zone")
        if not self.opens_at < self.closes_at <= self.corrections_until:
            raise ValueError("the instants of the window are not in order")

    def phase(self, at: datetime) -> Phase:
        """Tell which phase an aware instant falls in."""
        if at < self.opens_at:
            return Phase.BEFORE
        if at < self.closes_at:
            return Phase.OPEN
        return Phase.LATE if at < self.corrections_until else Phase.CLOSED


def is_working_day(day: date) -> bool:
    """Tell whether a day is neither Saturday, Sunday nor a Norwegian public holiday."""
    return day.weekday() < 5 and day not in _holidays(day.year)


@lru_cache(maxsize=8)
def _holidays(year: int) -> frozenset[date]:
    # Few programs ask, and the package brings the calendars of all the world.
    import holidays

    return frozenset(holidays.country_holidays("NO", years=year))


def next_working_day(day: date) -> date:
    """Give the first working day after a day."""
    following = day + timedelta(days=1)
    while not is_working_day(following):
        following += timedelta(days=1)
    return following


def first_working_day(day: date) -> date:
    """Give the day itself when it is a working day, else the next that is."""
    return day if is_working_day(day) else next_working_day(day)


def receipt_instant(arrived_at: datetime, hour: int) -> datetime:
    """Tell when the receipt mail goes: the hour, in Oslo, of the first working day after an instant (L17 §5.3)."""
    local_day = arrived_at.astimezone(OSLO).date()
    return datetime.combine(next_working_day(local_day), time(hour), tzinfo=OSLO)
