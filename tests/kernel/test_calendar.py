"""Working days, receipts and phases: the instants of the letters, to the second."""

from datetime import UTC, date, datetime, timedelta

import pytest

from ipis.kernel.calendar import (
    OSLO,
    Phase,
    Window,
    first_working_day,
    is_working_day,
    next_working_day,
    receipt_instant,
)
from ipis.kernel.collection import packaged

SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("year", "opens", "closes", "ends"),
    [
        (2016, (2017, 1, 2), (2017, 1, 16), (2017, 4, 1)),
        (2017, (2018, 1, 2), (2018, 1, 16), (2018, 3, 22)),
    ],
)
def test_each_phase_begins_at_its_instant_and_not_a_second_before(year, opens, closes, ends):
    """L16, L17: the first day counts from midnight in Oslo, the last day to its end."""
    window = packaged("iplos", year).window
    for at, before, after in [
        (opens, Phase.BEFORE, Phase.OPEN),
        (closes, Phase.OPEN, Phase.LATE),
        (ends, Phase.LATE, Phase.CLOSED),
    ]:
        instant = datetime(*at, tzinfo=OSLO)
        assert window.phase(instant - SECOND) is before
        assert window.phase(instant) is after
        assert window.phase(instant + SECOND) is after
        assert window.phase((instant - SECOND).astimezone(UTC)) is before


def test_summer_time_does_not_move_the_end_of_the_corrections():
    """1 April 2017 is summer time: midnight in Oslo is 22:00 UTC."""
    window = packaged("iplos", 2016).window
    assert window.corrections_until.astimezone(UTC) == datetime(2017, 3, 31, 22, tzinfo=UTC)


def test_a_window_without_zone_or_out_of_order_is_no_window():
    first, second = datetime(2018, 1, 2, tzinfo=OSLO), datetime(2018, 1, 16, tzinfo=OSLO)
    with pytest.raises(ValueError, match="order"):
        Window(second, first, second)
    with pytest.raises(ValueError, match="zone"):
        Window(first.replace(tzinfo=None), second, second)


@pytest.mark.parametrize(
    ("day", "following"),
    [
        (date(2018, 1, 2), date(2018, 1, 3)),
        (date(2018, 1, 5), date(2018, 1, 8)),  # Friday to Monday
        (date(2018, 1, 6), date(2018, 1, 8)),
        (date(2018, 3, 28), date(2018, 4, 3)),  # Easter: Maundy Thursday to Easter Monday
        (date(2017, 4, 28), date(2017, 5, 2)),  # 1 May on a Monday
        (date(2018, 5, 16), date(2018, 5, 18)),  # 17 May
        (date(2018, 12, 24), date(2018, 12, 27)),
        (date(2017, 12, 29), date(2018, 1, 2)),  # over New Year
    ],
)
def test_the_next_working_day_leaps_week_ends_and_norwegian_holidays(day, following):
    assert next_working_day(day) == following
    assert is_working_day(following)


def test_a_working_day_is_its_own_first_working_day():
    assert first_working_day(date(2018, 1, 2)) == date(2018, 1, 2)
    assert first_working_day(date(2018, 1, 6)) == date(2018, 1, 8)


@pytest.mark.parametrize(
    ("arrived", "sent"),
    [
        (datetime(2018, 1, 12, 0, 0, tzinfo=OSLO), datetime(2018, 1, 15, 8, tzinfo=OSLO)),
        (datetime(2018, 1, 11, 23, 59, 59, tzinfo=OSLO), datetime(2018, 1, 12, 8, tzinfo=OSLO)),
        (datetime(2018, 1, 15, 7, 59, tzinfo=OSLO), datetime(2018, 1, 16, 8, tzinfo=OSLO)),
        (datetime(2018, 1, 14, 23, 30, tzinfo=UTC), datetime(2018, 1, 16, 8, tzinfo=OSLO)),  # already Monday in Oslo
        (datetime(2018, 3, 28, 12, tzinfo=OSLO), datetime(2018, 4, 3, 8, tzinfo=OSLO)),
    ],
)
def test_the_receipt_goes_at_eight_in_oslo_on_the_first_working_day_after(arrived, sent):
    """L17 §5.3; the day of arrival is the day in Oslo."""
    assert receipt_instant(arrived, 8) == sent
