"""Budgets: what may be spent by whom in a day, a week or a month, and the window that an instant falls in.

A scope is text: `app:NAME`, `key:ID`, `user:U`, `model:M`, `provider:P`, or `all`. Windows are local days, weeks that
begin on Monday, and calendar months of a zone, half-open.
"""

from datetime import date, timedelta
from typing import Literal, get_args

import msgspec

from collector.core.calls import clip
from collector.core.errors import UsageError
from collector.core.money import format_usd, parse_usd
from collector.core.periods import Period, day_number, days_period
from collector.core.selection import DIMENSIONS

Every = Literal["day", "week", "month"]
EVERY: tuple[Every, ...] = get_args(Every)
ALL = "all"
MAX_LIMIT_USD = 9_000_000  # sums of picodollars stay within 64 bits
_EPOCH = date(1970, 1, 1)
_WRITE = f"write {', '.join(f'{each}:NAME' for each in DIMENSIONS)} or {ALL}"


class Budget(msgspec.Struct, frozen=True):
    """At most `limit` picodollars are spent by `scope` in each `period`."""

    scope: str
    period: Every
    limit: int

    @property
    def dimension(self) -> str:
        """What is limited: one of DIMENSIONS, or "" for all calls together."""
        return "" if self.scope == ALL else self.scope.partition(":")[0]

    @property
    def name(self) -> str:
        """The name in that dimension, "" for all calls together."""
        return self.scope.partition(":")[2]

    def __str__(self) -> str:
        return f"{self.scope}: {format_usd(self.limit)} USD a {self.period}"


def budget(scope: str, period: str, limit_usd: str) -> Budget:
    """The budget that texts state; `limit_usd` is decimal text. Raises UsageError, naming what is wrong."""
    return Budget(parse_scope(scope), parse_every(period), parse_limit(limit_usd))


def parse_scope(text: str) -> str:
    """The scope itself, when it is one. Raises UsageError, naming the text."""
    dimension, _, name = text.partition(":")
    if text != ALL and (dimension not in DIMENSIONS or clip(name) != name):
        raise UsageError(f"{text[:80]!r} is not the scope of a budget: {_WRITE}")
    return text


def parse_every(text: str) -> Every:
    """day, week or month. Raises UsageError, naming the text."""
    for every in EVERY:
        if text == every:
            return every
    raise UsageError(f"{text[:40]!r} is not the period of a budget: write {', '.join(EVERY[:-1])} or {EVERY[-1]}")


def parse_limit(text: str) -> int:
    """Picodollars of a limit in USD. Raises UsageError for what is not above 0 and at most MAX_LIMIT_USD.

    Raises InputError for text that is not a number.
    """
    limit = parse_usd(text)
    if not 0 < limit <= parse_usd(str(MAX_LIMIT_USD)):
        raise UsageError(f"{text[:40]} USD is not a limit: write an amount above 0 and at most {MAX_LIMIT_USD}")
    return limit


def window(every: Every, zone: str, now_us: int) -> Period:
    """The running day, week (from Monday on) or month of a zone at an instant."""
    today = day_number(now_us, zone)
    if every == "day":
        return days_period(today, today + 1, zone)
    if every == "week":
        monday = today - (_EPOCH + timedelta(days=today)).weekday()
        return days_period(monday, monday + 7, zone)
    first = (_EPOCH + timedelta(days=today)).replace(day=1)
    following = (first + timedelta(days=31)).replace(day=1)
    return days_period((first - _EPOCH).days, (following - _EPOCH).days, zone)
