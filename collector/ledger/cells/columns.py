"""Rows of calls as columns: what cells are worked out from."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from collector.core.periods import DAY_S, END_US, QUARTER_S, SECOND_US, day_number
from collector.ledger.rows import COLUMNS, Row

QUARTER_US, DAY_US = QUARTER_S * SECOND_US, DAY_S * SECOND_US
IDS = ("model", "provider", "app", "key", "user", "price", "unpriced_reason")

ALL_TIME = range(END_US + DAY_US)  # the instants of calls, of those that were stored before too

Days = tuple[int | None, ...]  # the days that hold a quarter-hour, one in each zone; None where it is not counted


class DaysOf(dict[int, Days]):
    """The days that hold a quarter-hour, by its number; each quarter-hour is looked up once.

    `times`: by zone the instants that are counted, where not all are.
    """

    def __init__(self, zones: Sequence[str], times: Mapping[str, range] | None = None) -> None:
        super().__init__()
        self._times = {zone: (times or {}).get(zone, ALL_TIME) for zone in zones}

    def __missing__(self, quarter: int) -> Days:
        at = quarter * QUARTER_US
        days = self[quarter] = tuple(day_number(at, zone) if at in time else None for zone, time in self._times.items())
        return days


class Columns(NamedTuple):
    """Some rows of `calls`: `told` by column as stored, `ids` by those of IDS with 0 for none, and when they began."""

    told: Mapping[str, Sequence[Any]]
    ids: Mapping[str, Sequence[int]]
    quarters: Sequence[int]
    days: Sequence[Days]


def columns_of(rows: Sequence[Row], days_of: Mapping[int, Days]) -> Columns:
    """The columns of at least one row."""
    told = dict(zip(COLUMNS, zip(*rows, strict=True), strict=True))
    ids = {name: [n or 0 for n in told[name]] for name in IDS}
    quarters = [us // QUARTER_US for us in told["started_at"]]
    return Columns(told, ids, quarters, [days_of[quarter] for quarter in quarters])
