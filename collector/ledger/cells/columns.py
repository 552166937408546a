"""Rows of calls as columns: what cells are worked out from."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from collector.core.periods import DAY_S, QUARTER_S, SECOND_US, day_number
from collector.ledger.rows import COLUMNS, Row

QUARTER_US, DAY_US = QUARTER_S * SECOND_US, DAY_S * SECOND_US
IDS = ("model", "provider", "app", "key", "user", "price", "unpriced_reason")

Days = tuple[int, ...]  # the days that hold a quarter-hour, one in each zone


class DaysOf(dict[int, Days]):
    """The days that hold a quarter-hour, by its number; each quarter-hour is looked up once."""

    def __init__(self, zones: Sequence[str]) -> None:
        super().__init__()
        self._zones = zones

    def __missing__(self, quarter: int) -> Days:
        days = self[quarter] = tuple(day_number(quarter * QUARTER_US, zone) for zone in self._zones)
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
