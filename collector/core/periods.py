"""Half-open ranges of time, days in a zone, and the text that names a period.

Instants are whole microseconds since 1970-01-01 UTC. A day is a calendar day in a zone, stored as its number since
1970-01-01. Period texts: `24h`, `72h`, ... (whole clock hours, up to and including the running one), `7d`, `30d`,
`90d`, ... (days up to and including today), `today`, `month` (the running one), `2026-10` (a month), `2026-10-01` (a
day), `2026-10-01..2026-11-01` (days, half-open).

A quarter-hour belongs as a whole to the day in which it starts: rows, quarter cells and day cells are cut alike. Every
zone has changed its offset at whole quarter-hours only since 2012.
"""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from collector.core.errors import UsageError

SECOND_US = 1_000_000
QUARTER_S = 900
HOUR_S = 3_600
DAY_S = 86_400
# Of every instant between these (1970-02-02 and 2199-12-31) the day and its month can be written in every zone.
FIRST_US, END_US = 32 * DAY_S * SECOND_US, 84_005 * DAY_S * SECOND_US
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_DAY = date(1970, 1, 3)
_LAST_DAY = date(2200, 1, 1)
_WRITE = "write 24h, 7d, 90d, today, month, 2026-10, 2026-10-01 or 2026-10-01..2026-11-01"


class Period(msgspec.Struct, frozen=True):
    """The instants from `start_us` up to but not including `end_us`, and the zone its days are counted in."""

    start_us: int
    end_us: int
    zone: str = "UTC"


def check_zone(name: str) -> str:
    """The name of a time zone, when there is one; raises UsageError otherwise."""
    _zone(name)
    return name


def parse_period(text: str, zone: str, now_us: int) -> Period:
    """The period that a text names in a zone at an instant. Raises UsageError, naming the text."""
    for pattern, read in _FORMS:
        if found := re.fullmatch(pattern, text, re.ASCII):
            return read(found, check_zone(zone), now_us)
    raise UsageError(f"{text[:40]!r} is not a period: {_WRITE}")


def parse_day(text: str) -> int:
    """The day number of `2026-10-01`, between 1970 and 2200. Raises UsageError, naming the text."""
    try:
        day = date.fromisoformat(text) if re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII) else None
    except ValueError:
        day = None
    if day is None or not _FIRST_DAY <= day <= _LAST_DAY:
        raise UsageError(f"{text[:40]!r} is not a day between 1970 and 2200: write it as 2026-10-01")
    return _number(day)


def format_day(day: int) -> str:
    """The date of a day number, such as 2026-10-01."""
    return (_EPOCH + timedelta(days=day)).date().isoformat()


def day_number(us: int, zone: str) -> int:
    """The number of the local date, in days since 1970-01-01, of the quarter-hour that holds an instant."""
    return _day_of_quarter(us // (QUARTER_S * SECOND_US), zone)


def day_bounds(day: int, zone: str) -> tuple[int, int]:
    """First instant of a local day and of the next one; both are equal for a date that the zone skipped."""
    return _day_start(day, zone), _day_start(day + 1, zone)


def days(period: Period) -> list[int]:
    """The numbers of the local days that a period touches, in order, without dates that the zone skipped."""
    if period.end_us <= period.start_us:
        return []
    first, last = day_number(period.start_us, period.zone), day_number(period.end_us - 1, period.zone)
    return [day for day in range(first, last + 1) if _day_start(day, period.zone) < _day_start(day + 1, period.zone)]


def days_period(first_day: int, end_day: int, zone: str) -> Period:
    """The period of the local days from `first_day` up to but not including `end_day`. Raises UsageError when empty."""
    start_us, end_us = _day_start(first_day, zone), _day_start(end_day, zone)
    if end_us <= start_us:
        raise UsageError(
            f"the period {format_day(first_day)}..{format_day(end_day)} is empty: its end is not part of it"
        )
    return Period(start_us, end_us, zone)


def is_whole_days(period: Period) -> bool:
    """Whether a period starts and ends where days do in its zone."""
    return all(us == _day_start(day_number(us, period.zone), period.zone) for us in (period.start_us, period.end_us))


def previous(period: Period) -> Period:
    """The period of the same length in days (or hours, when it is not made of days) that ends where this one starts."""
    if not is_whole_days(period):
        return Period(2 * period.start_us - period.end_us, period.start_us, period.zone)
    first, end = day_number(period.start_us, period.zone), day_number(period.end_us, period.zone)
    return Period(_day_start(2 * first - end, period.zone), period.start_us, period.zone)


def earlier(period: Period, count: int) -> Period:
    """The same period `count` days earlier: local days, when it is made of days."""
    if not is_whole_days(period):
        shift = count * DAY_S * SECOND_US
        return Period(period.start_us - shift, period.end_us - shift, period.zone)
    first, end = day_number(period.start_us, period.zone), day_number(period.end_us, period.zone)
    return Period(_day_start(first - count, period.zone), _day_start(end - count, period.zone), period.zone)


@lru_cache(maxsize=256)
def offsets(period: Period) -> tuple[tuple[int, int], ...]:
    """The zone's offsets within a period: (first second since 1970, at a quarter-hour; seconds east), in order."""
    start, end = period.start_us // SECOND_US, -(-period.end_us // SECOND_US)
    at = start // QUARTER_S * QUARTER_S
    found = [(at, offset_s(at, period.zone))]
    while at < end:
        later = min(at + DAY_S, -(-end // QUARTER_S) * QUARTER_S)
        if offset_s(later, period.zone) != found[-1][1]:
            later = _change(at, later, period.zone)
            found.append((later, offset_s(later, period.zone)))
        at = later
    return tuple(found)


def offset_s(seconds: int, zone: str) -> int:
    """A zone's offset from UTC, in seconds east, at an instant in seconds since 1970."""
    offset = (_EPOCH + timedelta(seconds=seconds)).astimezone(_zone(zone)).utcoffset()
    return int(offset.total_seconds()) if offset else 0


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UsageError(f"{name[:60]!r} is not a time zone: write a name such as UTC or Europe/Berlin") from error


@lru_cache(maxsize=1 << 16)
def _day_of_quarter(quarter: int, zone: str) -> int:
    seconds = quarter * QUARTER_S
    return (seconds + offset_s(seconds, zone)) // DAY_S


@lru_cache(maxsize=1 << 13)
def _day_start(day: int, zone: str) -> int:
    # zoneinfo reads a midnight that the clocks skip with the offset before the change: that is the change itself.
    midnight = (_EPOCH + timedelta(days=day)).replace(tzinfo=_zone(zone))
    seconds = (midnight.astimezone(UTC) - _EPOCH) // timedelta(seconds=1)
    return -(-seconds // QUARTER_S) * QUARTER_S * SECOND_US


def _change(before: int, after: int, zone: str) -> int:
    """The first quarter-hour, in seconds, at which the offset of `before` no longer holds."""
    old = offset_s(before, zone)
    while after - before > QUARTER_S:
        middle = (before + after) // (2 * QUARTER_S) * QUARTER_S
        before, after = (middle, after) if offset_s(middle, zone) == old else (before, middle)
    return after


def _number(day: date) -> int:
    return (day - date(1970, 1, 1)).days


def _hours(found: re.Match[str], zone: str, now_us: int) -> Period:
    count = int(found[1])
    end = now_us // (HOUR_S * SECOND_US) + 1
    return Period((end - count) * HOUR_S * SECOND_US, end * HOUR_S * SECOND_US, zone)


def _last_days(count: int, zone: str, now_us: int) -> Period:
    today = day_number(now_us, zone)
    return Period(_day_start(today - count + 1, zone), _day_start(today + 1, zone), zone)


def _month(first: date, zone: str) -> Period:
    following = (first.replace(day=28) + timedelta(days=7)).replace(day=1)
    return days_period(parse_day(first.isoformat()), _number(following), zone)


def _running_month(_: re.Match[str], zone: str, now_us: int) -> Period:
    today = (_EPOCH + timedelta(days=day_number(now_us, zone))).date()
    return _month(today.replace(day=1), zone)


def _named_month(found: re.Match[str], zone: str, _: int) -> Period:
    parse_day(f"{found[0]}-01")
    return _month(date.fromisoformat(f"{found[0]}-01"), zone)


def _named_days(found: re.Match[str], zone: str, _: int) -> Period:
    first = parse_day(found[1])
    return days_period(first, parse_day(found[2]) if found[2] else first + 1, zone)


_FORMS: list[tuple[str, Callable[[re.Match[str], str, int], Period]]] = [
    (r"([1-9]\d{0,4})h", _hours),
    (r"([1-9]\d{0,3})d", lambda found, zone, now_us: _last_days(int(found[1]), zone, now_us)),
    (r"today", lambda _, zone, now_us: _last_days(1, zone, now_us)),
    (r"month", _running_month),
    (r"\d{4}-\d\d", _named_month),
    (r"(\d{4}-\d\d-\d\d)(?:\.\.(\d{4}-\d\d-\d\d))?", _named_days),
]
