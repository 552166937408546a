"""Who spent what: groups by spend, the rest of them in one line that adds up, and what providers say beside it."""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import pandas as pd

from dashboard import texts
from dashboard.frames.series import REST, gather, kept
from dashboard.frames.usage import names_of

TOTAL = "Total"
AMOUNTS = ("Spend, USD", "Least a day, USD", "Average a day, USD", "Most a day, USD")
REPORTED_AMOUNTS = ("Spend, USD", "Reported, USD", "Difference, USD")


class Sums(NamedTuple):
    """What some rows of `spend_per_day` add up to; `days` are the exact amounts of days with a priced call."""

    calls: int
    unpriced_calls: int
    days: tuple[int, ...]
    reported_calls: int
    reported: int

    @property
    def spend(self) -> int | None:
        """None where nothing had a price, which is not 0."""
        return sum(self.days) if self.days else None


def sums(rows: Iterable[Any]) -> Sums:
    """The sums of rows, added in Python, where a sum cannot overflow."""
    its = list(rows)
    days: dict[int, int] = {}
    for row in its:
        if row.calls > row.unpriced_calls:
            days[row.day] = days.get(row.day, 0) + row.cost_picousd
    return Sums(
        sum(row.calls for row in its),
        sum(row.unpriced_calls for row in its),
        tuple(days.values()),
        sum(row.reported_calls for row in its),
        sum(row.reported_cost_picousd for row in its),
    )


def series_of(rows: Sequence[Any], dimension: str) -> list[str]:
    """The groups that the chart shows by name, the dearest first."""
    names = names_of(rows, dimension)
    return kept(gather((row.day, names[row.group], row.cost_picousd) for row in rows))


def by_spend(rows: Sequence[Any], dimension: str, most: int) -> dict[str, Sums]:
    """The `most` dearest groups, all others in one, and the total, which they add up to."""
    names = names_of(rows, dimension)
    groups: dict[str, list[Any]] = {}
    for row in rows:
        groups.setdefault(names[row.group], []).append(row)
    folded = groups.pop(REST, [])
    ranked = sorted(groups, key=lambda name: (-sum(row.cost_picousd for row in groups[name]), name))
    found = {name: sums(groups[name]) for name in ranked[:most]}
    rest = [row for name in ranked[most:] for row in groups[name]] + folded
    if rest:
        found[REST if folded else f"{REST} ({len(ranked) - most:,})"] = sums(rest)
    return found | {TOTAL: sums(rows)}


def spend_table(ranked: dict[str, Sums], dimension: str) -> pd.DataFrame:
    """A line per group: its sum, and the least, the average and the most of its days with a priced call."""
    total = ranked[TOTAL].spend or 0
    lines = [_line(name, its, total) for name, its in ranked.items()]
    columns = [dimension.capitalize(), AMOUNTS[0], "Share", *AMOUNTS[1:], "Days", "Priced calls", "Unpriced calls"]
    return pd.DataFrame(lines, columns=columns).astype(dict.fromkeys(AMOUNTS, object))


def _line(name: str, its: Sums, total: int) -> list[Any]:
    average = round(Fraction(its.spend, len(its.days))) if its.spend is not None else None
    amounts = [its.spend, min(its.days, default=None), average, max(its.days, default=None)]
    spend, *daily = map(texts.dollars, amounts)
    share = texts.percent(its.spend, total) if its.spend and its.spend > 0 else "–"
    return [name, spend, share, *daily, len(its.days), its.calls - its.unpriced_calls, its.unpriced_calls]


def reported_table(ranked: dict[str, Sums], dimension: str) -> pd.DataFrame:
    """Reported beside computed; the difference only where both are known of every call."""
    lines = [
        [name, its.calls, texts.dollars(its.spend), its.reported_calls, *map(texts.dollars, _told(its))]
        for name, its in ranked.items()
    ]
    columns = [dimension.capitalize(), "Calls", REPORTED_AMOUNTS[0], "Reported for", *REPORTED_AMOUNTS[1:]]
    return pd.DataFrame(lines, columns=columns).astype(dict.fromkeys(REPORTED_AMOUNTS, object))


def _told(its: Sums) -> tuple[int | None, int | None]:
    if not its.reported_calls:
        return None, None
    is_whole = its.reported_calls == its.calls and not its.unpriced_calls
    return its.reported, its.reported - (its.spend or 0) if is_whole else None


def reported_says(its: Sums) -> str:
    """The sentence above the table, from the total."""
    if not its.reported_calls:
        return "No provider says what it charged for these calls"
    told = f"{its.reported_calls:,} of {texts.count(its.calls, 'call')}"
    return f"For {told} the provider says what it charged: exactly {texts.usd(its.reported)}"
