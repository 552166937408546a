"""The same traffic at the prices of another model or provider, exactly as far as sums can tell."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import pandas as pd

from collector.core.meters import METERS
from collector.core.prices import PriceSet, price_usage
from dashboard import texts

AMOUNTS = ("Spend, USD", "Would be, USD", "Difference, USD")
COLUMNS = ("Model", "Provider", "Calls compared", *AMOUNTS, "Calls left out", "Because")
UNPRICED = "they have no price now"
NOT_KNOWN = (
    "Each day's sums at the list price of the day's beginning, for a small prompt at the standard tier. Sums do not"
    " tell the size of single prompts, tiers, hours and least sums, and another model may count other tokens."
)
PriceOf = Callable[[str, str, int], PriceSet | str]  # (model, provider, day) -> set, or why there is none


class Line(NamedTuple):
    """One model at one provider; money in picodollars, of the calls that have both prices."""

    calls: int = 0
    spend: int = 0
    other: int = 0
    left_out: int = 0
    reasons: tuple[str, ...] = ()


def compare(rows: Sequence[Any], price_of: PriceOf) -> dict[tuple[str, str], Line]:
    """By model and provider, from rows of `sums_by_price` by both; the dearest first."""
    found: dict[tuple[str, str], Line] = {}
    known = cache(price_of)
    for row in rows:
        key = row.model, row.provider
        found[key] = _plus(found.get(key, Line()), row, known)
    return dict(sorted(found.items(), key=lambda item: (-item[1].spend, -item[1].left_out, item[0])))


def _plus(line: Line, row: Any, price_of: PriceOf) -> Line:
    other = UNPRICED if row.unpriced else _at(row, price_of(row.model, row.provider, row.day))
    if isinstance(other, str):
        reasons = tuple(dict.fromkeys((*line.reasons, other)))
        return line._replace(left_out=line.left_out + row.calls, reasons=reasons)
    return line._replace(calls=line.calls + row.calls, spend=line.spend + row.cost, other=line.other + other)


def _at(row: Any, price: PriceSet | str) -> int | str:
    if isinstance(price, str):
        return price
    priced = price_usage({name: getattr(row, meter.column) for name, meter in METERS.items()}, price)
    return priced.unpriced_reason or "no price" if priced.cost is None else priced.cost


def table(compared: dict[tuple[str, str], Line]) -> pd.DataFrame:
    """A line per model and provider; no amounts where nothing can be compared."""
    lines = [
        [model or "no model", provider or "no provider", it.calls, *_amounts(it), it.left_out, "; ".join(it.reasons)]
        for (model, provider), it in compared.items()
    ]
    return pd.DataFrame(lines, columns=COLUMNS).astype(dict.fromkeys(AMOUNTS, object))


def _amounts(it: Line) -> list[Any]:
    amounts = (it.spend, it.other, it.other - it.spend) if it.calls else (None, None, None)
    return [texts.dollars(amount) for amount in amounts]


def says(compared: dict[tuple[str, str], Line]) -> str:
    """The sentence above the table."""
    calls, spend, other, left_out = (
        sum(getattr(it, name) for it in compared.values()) for name in ("calls", "spend", "other", "left_out")
    )
    rest = f"; {texts.count(left_out, 'call')} left out" if left_out else ""
    if not calls:
        return f"Nothing can be compared{rest}"
    change = texts.change(other, spend)
    by = f" ({change})" if change else ""
    return f"Exactly {texts.usd(other)} in place of {texts.usd(spend)} for {texts.count(calls, 'call')}{by}{rest}"
