"""The queue of what has no price, from rows of `unpriced.queue`."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

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


def says(rows: Sequence[Any]) -> str:
    """The sentence above the table."""
    tokens = texts.count(sum(row.tokens_in + row.tokens_out for row in rows), "token")
    return f"{texts.count(sum(row.calls for row in rows), 'call')} with {tokens} are not part of spend"
