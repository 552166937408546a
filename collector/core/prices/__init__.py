"""Prices: the sets, the arithmetic, and the book that chooses the set of a call.

1. sets: one unit price per meter, frozen, its id a digest of its content (PriceSet)
2. arithmetic: meters x price set = cost and line items (price_usage, line_items)
3. book: model, provider, tier, size and instant -> price set, or the reason that there is none (PriceBook, charge)
4. entries: one [[prices]] table of a file -> price set; checks: entries that contradict each other
"""

from collector.core.prices.arithmetic import LineItem, Priced, line_items, price_usage
from collector.core.prices.book import Charge, PriceBook, Route, Source, Unpriced, charge, charge_by, has_usage
from collector.core.prices.sets import IN_TOKENS, PER_IMAGE, PriceSet

__all__ = [
    "IN_TOKENS",
    "PER_IMAGE",
    "Charge",
    "LineItem",
    "PriceBook",
    "PriceSet",
    "Priced",
    "Route",
    "Source",
    "Unpriced",
    "charge",
    "charge_by",
    "has_usage",
    "line_items",
    "price_usage",
]
