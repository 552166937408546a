"""Rows as questions answer them, for frames that are tested without a ledger."""

from typing import NamedTuple


class Spent(NamedTuple):
    """A row of `spend_per_day`."""

    day: int
    cost_picousd: int
    calls: int = 1
    unpriced_calls: int = 0
    group: str | None = ""
    label: str = ""
    reported_calls: int = 0
    reported_cost_picousd: int = 0
