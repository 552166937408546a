"""What caches saved: tokens read from one, at the price of fresh input less what they cost, by price set."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import pandas as pd

from collector.core.meters import METERS
from collector.core.prices import PriceSet
from dashboard import texts

AMOUNTS = ("At the input price, USD", "Paid, USD", "Saved, USD")
COLUMNS = ("Model", "Provider", "Cached tokens", *AMOUNTS, "Price")
_CACHED = {name: it.parent for name, it in METERS.items() if it.cache == "read" and it.unit == "token" and it.parent}


class Saved(NamedTuple):
    """Tokens read from caches under one price set, in picodollars at both prices."""

    price: PriceSet
    tokens: int
    fresh: int
    paid: int


def by_price(rows: Sequence[Any], bodies: Mapping[str, str]) -> list[Saved]:
    """From rows of `sums_by_price` and the JSON of their price sets, most saved first.

    Sets that have no price for either side are left out: nothing can be said of them.
    """
    tokens: dict[tuple[str, str], int] = {}
    for row in rows:
        if row.price in bodies and not row.unpriced:
            for name in _CACHED:
                if quantity := getattr(row, METERS[name].column):
                    tokens[row.price, name] = tokens.get((row.price, name), 0) + quantity
    found: dict[str, Saved] = {}
    for (digest, name), quantity in tokens.items():
        price = PriceSet.from_plain(msgspec.json.decode(bodies[digest]))
        fresh, paid = price.rates[_CACHED[name]].price, price.rates[name].price
        if fresh is not None and paid is not None:
            old = found.get(digest, Saved(price, 0, 0, 0))
            found[digest] = Saved(
                price, old.tokens + quantity, old.fresh + quantity * fresh, old.paid + quantity * paid
            )
    return sorted(found.values(), key=lambda it: (it.paid - it.fresh, it.price.id))


def table(saved: Sequence[Saved]) -> pd.DataFrame:
    """A line per price set."""
    lines = [[it.price.model, it.price.provider or "any", it.tokens, *_amounts(it), it.price.id] for it in saved]
    return pd.DataFrame(lines, columns=COLUMNS).astype(dict.fromkeys(AMOUNTS, object))


def _amounts(it: Saved) -> list[Any]:
    return [texts.dollars(amount) for amount in (it.fresh, it.paid, it.fresh - it.paid)]


def says(saved: Sequence[Saved]) -> str:
    """The sentence above the table."""
    fresh, paid = sum(it.fresh for it in saved), sum(it.paid for it in saved)
    tokens = texts.count(sum(it.tokens for it in saved), "token")
    return f"{tokens} read from caches cost {texts.usd(paid)}: exactly {texts.usd(fresh - paid)} less than fresh ones"
