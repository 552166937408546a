"""Months as the books count them: the text 2026-10 in the zone that a ledger closes in."""

import re

import msgspec

from collector.core.errors import UsageError
from collector.core.periods import Period, day_number, format_day, parse_day, parse_period

_MONTH = re.compile(r"(19[7-9]\d|2[01]\d\d)-(0[1-9]|1[0-2])", re.ASCII)


class Month(msgspec.Struct, frozen=True):
    """A calendar month: its days, half-open, and its instants in a zone."""

    name: str
    first_day: int
    end_day: int
    period: Period


def month_named(text: str, zone: str) -> Month:
    """The month of a text such as 2026-10. Raises UsageError, naming the text."""
    if not _MONTH.fullmatch(text):
        raise UsageError(f"{text[:40]!r} is not a month between 1970 and 2199: write it as 2026-10")
    period = parse_period(text, zone, 0)
    return Month(text, parse_day(f"{text}-01"), _following(parse_day(f"{text}-01")), period)


def month_of(day: int) -> str:
    """The name of the month that a day is in."""
    return format_day(day)[:7]


def month_at(us: int, zone: str) -> str:
    """The name of the month that an instant is in."""
    return month_of(day_number(us, zone))


def month_of_days(first_day: int, end_day: int) -> str:
    """The month that two days bound. Raises UsageError when it is none."""
    if not format_day(first_day).endswith("-01") or _following(first_day) != end_day:
        raise UsageError(
            f"{format_day(first_day)}..{format_day(end_day)} is not a month: months are booked, one a file, such as"
            " --from 2026-10-01 --to 2026-11-01"
        )
    return month_of(first_day)


def _following(first_day: int) -> int:
    return parse_day(f"{format_day(first_day + 31)[:7]}-01")
