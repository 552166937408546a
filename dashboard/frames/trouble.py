"""What calls cost that did not end ok, or not at once, from rows of `cost_by_outcome` and `retried`."""

from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from collector.core.outcomes import Outcome
from dashboard import texts
from dashboard.frames.outcomes import NAMES

ALL, RETRIED = "All that did not end ok", "Retried, however they ended"
COST = "Spend, USD"
COLUMNS = ("Ended", "Calls", "Share", COST, "Unpriced calls")
TROUBLES = {str(outcome): name for outcome, name in NAMES.items() if outcome not in (Outcome.OK, Outcome.UNKNOWN)}


def table(rows: Sequence[Any], retried: Sequence[Any]) -> pd.DataFrame:
    """A line per ending other than ok that happened, their sum, and the retried calls where there are any."""
    calls = sum(row.calls for row in rows)
    groups = [(name, [row for row in rows if row.outcome == word]) for word, name in TROUBLES.items()]
    groups += [(ALL, troubled(rows)), (RETRIED, list(retried))]
    lines = [_line(name, its, calls) for name, its in groups if its]
    return pd.DataFrame(lines, columns=COLUMNS).astype({COST: object})


def _line(name: str, rows: Sequence[Any], of_calls: int) -> list[Any]:
    calls, unpriced = _sum(rows, "calls"), _sum(rows, "unpriced_calls")
    cost = _sum(rows, "cost_picousd") if calls > unpriced else None
    return [name, calls, texts.percent(calls, of_calls), texts.dollars(cost), unpriced]


def troubled(rows: Iterable[Any]) -> list[Any]:
    """The rows of endings other than ok; one that nobody stated is no trouble."""
    return [row for row in rows if row.outcome in TROUBLES]


def says(rows: Sequence[Any]) -> str:
    """The sentence above the table."""
    lost = troubled(rows)
    calls, unpriced = _sum(lost, "calls"), _sum(lost, "unpriced_calls")
    cost, of_cost = _sum(lost, "cost_picousd"), _sum(rows, "cost_picousd")
    share = f", {texts.percent(cost, of_cost)} of spend" if cost > 0 else ""
    missing = f"; {unpriced:,} of them without a price" if unpriced else ""
    return f"{texts.count(calls, 'call')} did not end ok and cost exactly {texts.usd(cost)}{share}{missing}"


def _sum(rows: Iterable[Any], column: str) -> int:
    return sum(getattr(row, column) for row in rows)
