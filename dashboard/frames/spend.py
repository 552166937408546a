"""Spend per day, from rows of `spend_per_day`. Amounts are exact; floats are for drawing only."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from collector.core.money import PICODOLLARS
from dashboard import texts
from dashboard.frames.axis import Axis
from dashboard.frames.series import fold, gather, long_frame
from dashboard.frames.usage import names_of, who, who_columns

SPEND = "Spend"
USD = "Spend, USD"
EXPECTED = "Expected"


def spend(rows: Sequence[Any], axis: Axis, dimension: str, series: Sequence[str]) -> pd.DataFrame:
    """The long frame of spend per bucket in dollars: one series, or each of `series` when there is a dimension.

    A group without a priced call in a bucket has no bar there: unpriced is not zero.
    """
    names = names_of(rows, dimension) if dimension else {}
    priced = [row for row in rows if row.calls > row.unpriced_calls]
    amounts = gather((row.day, names[row.group] if dimension else SPEND, row.cost_picousd) for row in priced)
    shown = series or (SPEND,)
    return long_frame(fold(amounts, shown), axis, shown, texts.usd, PICODOLLARS)


def says(rows: Sequence[Any]) -> str:
    """The sentence above the chart: exact spend, and what is missing from it."""
    calls, unpriced = sum(row.calls for row in rows), sum(row.unpriced_calls for row in rows)
    missing = f"{texts.count(unpriced, 'call')} without a price"
    if unpriced == calls:
        return f"No spend: {missing}"
    exact = f"Exactly {texts.usd(sum(row.cost_picousd for row in rows))}"
    return f"{exact}, plus {missing}" if unpriced else exact


def expected(to_come: Mapping[int, int], axis: Axis) -> pd.DataFrame:
    """The long frame of what the days to come are expected to cost, in dollars."""
    amounts = {(day, EXPECTED): cost for day, cost in to_come.items() if day in axis.keys}
    return long_frame(amounts, axis, (EXPECTED,), lambda cost: f"{texts.short_usd(cost)} expected", PICODOLLARS)


def unpriced_notes(rows: Sequence[Any], axis: Axis) -> tuple[list[str], list[str]]:
    """The buckets with unpriced calls and what to say of each."""
    counts: dict[int, int] = {}
    for row in rows:
        counts[row.day] = counts.get(row.day, 0) + row.unpriced_calls
    found = [(axis.label(day), count) for day, count in sorted(counts.items()) if count]
    return [label for label, _ in found], [texts.count(count, "call") for _, count in found]


def unpriced_table(rows: Sequence[Any]) -> pd.DataFrame:
    """What has no price, by reason, most calls first; rows of `unpriced_per_day`."""
    sums: dict[str, list[int]] = {}
    for row in rows:
        line = sums.setdefault(row.label or row.group, [0, 0, 0])
        for n, amount in enumerate((row.calls, row.tokens_in, row.tokens_out)):
            line[n] += amount
    lines = [[reason, *line] for reason, line in sorted(sums.items(), key=lambda item: (-item[1][0], item[0]))]
    return pd.DataFrame(lines, columns=["Reason", "Calls", "Input tokens", "Output tokens"])


def spend_table(rows: Sequence[Any], axis: Axis, dimension: str) -> pd.DataFrame:
    """The table behind the spend chart: newest first, exact decimals, empty where nothing had a price."""
    names = names_of(rows, dimension) if dimension else {}
    lines = [[*who(row, axis, names), *_values(row)] for row in sorted(rows, key=lambda row: -row.day)]
    table = pd.DataFrame(lines, columns=[*who_columns(dimension), USD, "Priced calls", "Unpriced calls"])
    return table.astype({USD: object})


def _values(row: Any) -> list[Any]:
    priced = row.calls - row.unpriced_calls
    return [texts.dollars(row.cost_picousd) if priced else None, priced, row.unpriced_calls]
