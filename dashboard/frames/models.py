"""Models as a list: what each was used for, with the address of its page."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

import pandas as pd

from dashboard import texts
from dashboard.frames.spend import USD

LINK = "Page"
COLUMNS = ("Model", "Tokens", "Calls", USD, LINK)


def model_path(model: str, **query: str) -> str:
    """The address of a model's page."""
    return f"/model?{urlencode([('model', model), *query.items()])}"


def model_table(usage: Sequence[Any], spend: Sequence[Any], **query: str) -> pd.DataFrame:
    """One line per model, most tokens first, from rows by model of `tokens_per_day` and `spend_per_day`.

    A model without a priced call has no spend, which is not 0.
    """
    sums: dict[str, list[int]] = {}
    for row in usage:
        line = sums.setdefault(row.group, [0, 0])
        line[0] += row.tokens_in + row.tokens_out
        line[1] += row.calls
    costs: dict[str, int] = {}
    for row in spend:
        if row.calls > row.unpriced_calls:
            costs[row.group] = costs.get(row.group, 0) + row.cost_picousd
    lines = [
        [name or "no model", *sums[name], texts.dollars(costs.get(name)), model_path(name, **query) if name else ""]
        for name in sorted(sums, key=lambda name: (-sums[name][0], -sums[name][1], name))
    ]
    return pd.DataFrame(lines, columns=COLUMNS).astype({USD: object})
