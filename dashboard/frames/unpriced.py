"""The queue of what has no price, from rows of `unpriced.queue`."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from collector.core.prices.book import NO_USAGE
from dashboard import texts
from dashboard.frames.calls import NOT_STATED

COLUMNS = ("Model", "Provider", "Reason", "Calls", "Since", "Last", "Input tokens", "Output tokens")


def table(rows: Sequence[Any]) -> pd.DataFrame:
    """A line per model, provider and reason, most calls first."""
    lines = [
        [*_what(row), row.calls, texts.day_text(row.first_day), texts.day_text(row.last_day), *_used(row)]
        for row in rows
    ]
    return pd.DataFrame(lines, columns=COLUMNS)


def _what(row: Any) -> list[str]:
    return [row.model or NOT_STATED, row.provider or NOT_STATED, row.reason]


def _used(row: Any) -> list[int]:
    return [row.tokens_in, row.tokens_out]


def advice(reasons: Collection[str], prices: Path) -> list[str]:
    """What to do about calls without a price, by their reasons; a missing price belongs into the file `prices`."""
    told = []
    if set(reasons) - {NO_USAGE}:
        told.append(f"A missing price goes into {prices}; callmeter reprice then fills it in for past calls.")
    if NO_USAGE in reasons:
        told.append("Where no usage was reported no price is missing: the answer ended before its tokens were stated.")
    return told


def says(rows: Sequence[Any]) -> str:
    """The sentence above the table."""
    tokens = texts.count(sum(row.tokens_in + row.tokens_out for row in rows), "token")
    return f"{texts.count(sum(row.calls for row in rows), 'call')} with {tokens} are not part of spend"
