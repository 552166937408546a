"""The health cells that make the days of a zone without day cells: those of UTC days, and around midnight finer ones,
which are taken out of one day and put into another.

Where a day begins within an hour, that hour is read by five minutes as long as those are kept; later it goes as a whole
with its beginning.
"""

from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, and_, case, select, union_all

from collector.core.periods import DAY_S, HOUR_S, QUARTER_S, SECOND_US, Period, day_number, is_whole_days
from collector.ledger.questions.ask import Question
from collector.ledger.questions.terms import local_day_of_noon, plain, table_of, zone_id
from collector.ledger.questions.uptime import FIVE_MINUTES, GRAIN_S, HOURS, first_hour
from collector.ledger.questions.utc_days import Moved, moved, whole_utc_days
from collector.ledger.schema import health

_HOUR = HOUR_S // QUARTER_S  # in quarters
_FIVES = QUARTER_S // GRAIN_S[FIVE_MINUTES]  # in a quarter


class _Piece(NamedTuple):
    """Cells of a grain with buckets [first, end), and how often they count in a day: -1 takes them out of it."""

    grain: int
    first: int
    end: int
    is_cut: bool  # the cells of an hour in which a day begins: either its five minutes are read or itself
    day: int
    times: int


def is_made_of_utc_days(period: Period, zones: Collection[str]) -> bool:
    """Whether a period is days of a zone without day cells, and long enough to have some of UTC."""
    utc = whole_utc_days(period)
    is_long = utc.end_us - utc.start_us >= 2 * DAY_S * SECOND_US
    return is_long and "UTC" in zones and period.zone not in zones and is_whole_days(period)


def cells_of_days(
    period: Period, columns: Collection[ColumnElement[Any]], only: ColumnElement[bool], *, apart: bool
) -> Question:
    """One row per cell: day, the columns, of `health`, and times: 1, or -1 where the cell is taken out of the day.

    `only` is a further condition. Unless days are told apart, nothing is taken out of one, and day says nothing.
    """
    h, utc = health.c, whole_utc_days(period)
    first, end = (day_number(us, "UTC") for us in (utc.start_us, utc.end_us))
    whole = select(local_day_of_noon(h.bucket, period).label("day"), *columns, plain(1).label("times"))
    whole = whole.where(h.grain == zone_id("UTC"), h.bucket >= first, h.bucket < end, only)
    pieces = [piece for it in moved(period) if apart or it.counted_in is None for piece in _pieces(it)]
    p = table_of("pieces", _Piece._fields, pieces).c
    kept_from = first_hour() * case((h.grain == FIVE_MINUTES, plain(_HOUR * _FIVES)), else_=plain(1))
    is_read = (p.is_cut == 0) | ((h.bucket >= kept_from) == (h.grain == FIVE_MINUTES))
    its = and_(h.grain == p.grain, h.bucket >= p.first, h.bucket < p.end)
    finer = select(p.day, *columns, p.times).join_from(p.day.table, health, its).where(is_read, only)
    every = union_all(whole, finer).subquery("cells")
    return select(every)


def _pieces(it: Moved) -> Iterator[_Piece]:
    places = [(it.day, 1)] if it.counted_in is None else [(it.day, 1), (it.counted_in, -1)]
    for day, times in places:
        for grain, first, end, is_cut in _cells(it.first, it.end):
            yield _Piece(grain, first, end, is_cut, day, times)


def _cells(first: int, end: int) -> Iterator[tuple[int, int, int, bool]]:
    """Grain, first and end bucket of cells that begin within quarters [first, end), and whether they cut an hour."""
    hour, last = -(-first // _HOUR), end // _HOUR
    if hour < last:
        yield HOURS, hour, last, False
    if first % _HOUR:
        yield FIVE_MINUTES, first * _FIVES, min(hour * _HOUR, end) * _FIVES, True
    if end % _HOUR and last >= hour:
        yield FIVE_MINUTES, last * _HOUR * _FIVES, end * _FIVES, True
        yield HOURS, last, last + 1, True
