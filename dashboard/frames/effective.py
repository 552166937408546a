"""What a model really cost per token beside what the list says, from line items: quantity x unit price."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import pandas as pd

from collector.core.meters import METERS
from collector.core.prices import PriceSet, line_items
from dashboard import texts
from dashboard.frames.model import NOT_KNOWN, UNITS, price_range

COLUMNS = (
    "Provider",
    "Input paid, $/M",
    "Input listed, $/M",
    "Cached",
    "Output paid, $/M",
    "Output listed, $/M",
    "Images, USD",
    "Tokens",
)


class Paid(NamedTuple):
    """Tokens and what they cost by their price sets, by side; all sums, money in picodollars."""

    tokens_in: int = 0
    tokens_cached: int = 0
    tokens_out: int = 0
    cost_in: int = 0
    cost_out: int = 0
    cost_images: int = 0

    def plus(self, other: "Paid") -> "Paid":
        return Paid(*(a + b for a, b in zip(self, other, strict=True)))


def paid_by_provider(rows: Sequence[Any], bodies: Mapping[str, str]) -> dict[str, Paid]:
    """From rows of `quantities_by_price` and the JSON of their price sets; unpriced calls are in no sum."""
    found: dict[str, Paid] = {}
    for row in rows:
        if row.price in bodies and not row.unpriced:
            found[row.provider] = found.get(row.provider, Paid()).plus(_paid(row, bodies[row.price]))
    return found


def _paid(row: Any, body: str) -> Paid:
    price_set = PriceSet.from_plain(msgspec.json.decode(body))
    meters = {name: int(getattr(row, meter.column)) for name, meter in METERS.items()}
    items = line_items(meters, price_set)

    def sums(unit: str, side: str) -> tuple[int, int]:
        its = [item for item in items if item.unit == unit and METERS[item.meter].direction == side]
        return sum(item.quantity for item in its), sum(item.cost for item in its)

    (tokens_in, cost_in), (tokens_out, cost_out) = sums("token", "in"), sums("token", "out")
    cached = sum(n for name, n in meters.items() if METERS[name].cache == "read" and METERS[name].unit == "token")
    return Paid(tokens_in, cached, tokens_out, cost_in, cost_out, sums("image", "in")[1] + sums("image", "out")[1])


def effective_table(paid: Mapping[str, Paid], listed: Mapping[str, PriceSet]) -> pd.DataFrame:
    """One line per provider, most tokens first."""
    ranked = sorted(paid.items(), key=lambda item: (-item[1].tokens_in - item[1].tokens_out, item[0]))
    lines = [_line(provider, its, listed.get(provider)) for provider, its in ranked]
    return pd.DataFrame(lines, columns=COLUMNS).astype({"Images, USD": object})


def _line(provider: str, its: Paid, listed: PriceSet | None) -> list[Any]:
    prices = [listed] if listed else []
    list_in, list_out = (price_range(prices, *UNITS[side][:2]) for side in ("Input", "Output"))
    return [
        provider or "no provider",
        _per_million(its.cost_in, its.tokens_in),
        list_in,
        texts.percent(its.tokens_cached, its.tokens_in),
        _per_million(its.cost_out, its.tokens_out),
        list_out,
        texts.dollars(its.cost_images),
        its.tokens_in + its.tokens_out,
    ]


def _per_million(cost: int, tokens: int) -> str:
    return texts.short_usd(cost * 1_000_000 // tokens) if tokens else NOT_KNOWN


def says(paid: Mapping[str, Paid]) -> str:
    """The sentence above the table: what a million tokens of each side cost over all providers."""
    total = Paid()
    for its in paid.values():
        total = total.plus(its)
    given, made = _per_million(total.cost_in, total.tokens_in), _per_million(total.cost_out, total.tokens_out)
    return f"{given} per M input tokens, caches included, and {made} per M output tokens were paid"
