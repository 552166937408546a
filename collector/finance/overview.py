"""The months of a ledger at a glance: what each used and booked, what it corrects, and whether it is closed."""

from collections import Counter
from collections.abc import Collection

import msgspec
from sqlalchemy import Connection, Engine

from collector.core.periods import Period, day_bounds
from collector.finance.manifest import BEFORE, CLOSED, OPEN
from collector.finance.months import month_at, month_of
from collector.finance.sources import streamed
from collector.ledger.questions.booked import BEFORE as BEFORE_ALL
from collector.ledger.questions.booked import Books, booked_in, books_of, first_day, used
from collector.ledger.questions.cells import Source
from collector.ledger.questions.items import sums_of_source

MOST_MONTHS = 120


class MonthBooked(msgspec.Struct, frozen=True):
    """A month: what was used in it by now, and what it books; picodollars. `own` + `corrections` is what it books."""

    month: str
    state: str  # open, closed, before the first close
    used: int
    own: int
    corrections: int
    closed_at: int | None = None


class Overview(msgspec.Struct, frozen=True):
    """The newest months, newest first, and the zone that they are counted in."""

    zone: str
    is_zone_fixed: bool
    months: tuple[MonthBooked, ...]


def months_of(engine: Engine, zones: Collection[str], zone: str, now_us: int) -> Overview:
    """Every month with usage or a close, and the first open one. `zone` counts until a first close fixes one.

    The corrections of the first open month are what would be booked now: over all months used and booked are equal.
    """
    with engine.connect() as connection:
        books = books_of(connection)
        zone = books.zone or zone
        first = first_day(connection, zone)
        period = Period(day_bounds(first, zone)[0], max(now_us, day_bounds(first + 1, zone)[0]), zone)
        by_usage = _by_month(connection, used(period, zones))
        booked = _booked(connection, books, first)
        first_open = month_at(now_us, zone) if books.open_day is None else month_of(books.open_day)
        names = by_usage.keys() | {close.month for close in books.closed} | {month_at(now_us, zone), first_open}
        open_corrections = _open_corrections(connection, books, by_usage, first)
        months = [
            _month(name, books, by_usage, booked, open_corrections if name == first_open else 0)
            for name in sorted(names, reverse=True)[:MOST_MONTHS]
        ]
    return Overview(zone, books.zone is not None, tuple(months))


def _month(
    name: str, books: Books, by_usage: Counter[str], booked: dict[str, tuple[int, int]], open_corrections: int
) -> MonthBooked:
    if (close := books.close_of(name)) is not None:
        return MonthBooked(name, CLOSED, by_usage[name], *booked[name], close.closed_at)
    if books.closed and name < books.closed[0].month:
        return MonthBooked(name, BEFORE, by_usage[name], *booked.get(name, (0, 0)))
    return MonthBooked(name, OPEN, by_usage[name], by_usage[name], open_corrections)


def _booked(connection: Connection, books: Books, first: int) -> dict[str, tuple[int, int]]:
    """What each closed month booked of itself and of earlier ones, and each month before them of itself."""
    found: dict[str, tuple[int, int]] = {}
    if not books.closed:
        return found
    start = books.closed[0].first_day
    for name, cost in _by_month(connection, booked_in(min(first, start), start, BEFORE_ALL)).items():
        found[name] = cost, 0
    before = Counter({name: own for name, (own, _) in found.items()})
    for close in books.closed:
        by_now = _by_month(connection, booked_in(min(first, start), close.end_day, close.id))
        found[close.month] = by_now[close.month], by_now.total() - by_now[close.month] - before.total()
        before = by_now
    return found


def _open_corrections(connection: Connection, books: Books, by_usage: Counter[str], first: int) -> int:
    if not books.closed or books.open_day is None:
        return 0
    is_booked = _by_month(connection, booked_in(min(first, books.closed[0].first_day), books.open_day))
    earlier = sum(cost for name, cost in by_usage.items() if name < month_of(books.open_day))
    return earlier - is_booked.total()


def _by_month(connection: Connection, source: Source) -> Counter[str]:
    found: Counter[str] = Counter()
    for row in streamed(connection, sums_of_source(source, ("day",))):
        found[month_of(row.day)] += row.cost
    return found
