"""Days of a zone without day cells: the UTC days whose noons they hold, what lies around midnight being moved."""

from collections.abc import Iterator
from typing import NamedTuple

from collector.core.periods import DAY_S, QUARTER_S, SECOND_US, Period, day_bounds, day_number, days

_DAY_US, _QUARTER_US, _DAY_QUARTERS = DAY_S * SECOND_US, QUARTER_S * SECOND_US, DAY_S // QUARTER_S


class Moved(NamedTuple):
    """Quarters [first, end) of a local day; the day cells of their UTC day are counted in another one, or in none."""

    first: int
    end: int
    day: int
    counted_in: int | None


def whole_utc_days(period: Period) -> Period:
    """The UTC days that lie within a period as a whole; it ends before it begins where there are none."""
    return Period(-(-period.start_us // _DAY_US) * _DAY_US, period.end_us // _DAY_US * _DAY_US)


def moved(period: Period) -> Iterator[Moved]:
    """What of a period's quarters is to be read, where its whole UTC days count in the local day of their noon."""
    whole = whole_utc_days(period)
    first_day, end_day = whole.start_us // _DAY_US, whole.end_us // _DAY_US
    for day in days(period):
        start_us, end_us = day_bounds(day, period.zone)
        start, end = max(start_us, period.start_us) // _QUARTER_US, -(-min(end_us, period.end_us) // _QUARTER_US)
        for utc in range(start // _DAY_QUARTERS, -(-end // _DAY_QUARTERS)):
            first, until = max(start, utc * _DAY_QUARTERS), min(end, (utc + 1) * _DAY_QUARTERS)
            noon = day_number(utc * _DAY_US + _DAY_US // 2, period.zone)
            if not first_day <= utc < end_day:
                yield Moved(first, until, day, None)
            elif noon != day:
                yield Moved(first, until, day, noon)
