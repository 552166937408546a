"""Why a total is what it is: its line items by price set, and the price sets."""

from typing import Any

import pandas as pd

from collector.core.prices.checks import conditions
from collector.finance.explain_text import rule_of
from collector.finance.why_total import Part, Total
from dashboard import texts
from dashboard.frames.calls import BEYOND, NOT_STATED, WHY_COLUMNS

UNPRICED, NO_SET = "no price", "none needed"
PRICE_COLUMNS = ("Model", "Provider", "When", "Calls", "Cost, USD", "Reported", "Price", "Source")
BY_LIST = "By the list, USD"


def says(told: Total) -> str:
    """The total, how many calls are in it, and how many are not."""
    calls = texts.count(told.calls - told.unpriced_calls, "call")
    missing = f"; {texts.count(told.unpriced_calls, 'call')} without a price besides" if told.unpriced_calls else ""
    return f"Exactly {texts.usd(told.cost)} for {calls}{missing}"


def lines(told: Total) -> pd.DataFrame:
    """A line per price set and meter, the dearest set first: the costs add up to the total."""
    found = [
        [part.price.model if part.price else "", *line, _price(part)] for part in told.parts for line in _lines(part)
    ]
    return pd.DataFrame(found, columns=["Model", *WHY_COLUMNS, "Price"]).astype(dict.fromkeys(WHY_COLUMNS[3:5], object))


def _lines(part: Part) -> list[list[Any]]:
    if part.is_unpriced:
        return [["", meter, f"{quantity:,}", None, None, ""] for meter, quantity in part.meters.items()]
    items: list[list[Any]] = [
        [it.unit, it.meter, f"{it.quantity:,}", *map(texts.dollars, (it.unit_price, it.cost)), rule_of(it, part.price)]
        for it in part.items
    ]
    if part.beyond:
        items.append(["", BEYOND, "1", *[texts.dollars(part.beyond)] * 2, "as the calls came with it"])
    return items


def prices(told: Total) -> pd.DataFrame:
    """A line per price set: what it is, who stated it, what it made of how many calls, what providers say.

    Where own prices stand in for a public list: what the same would cost by that.
    """
    found = [_price_line(part) for part in told.parts]
    table = pd.DataFrame(found, columns=PRICE_COLUMNS).astype({"Cost, USD": object})
    if any(part.price and part.price.list_prices for part in told.parts):
        by_list = [None if part.is_unpriced else texts.dollars(part.list_cost) for part in told.parts]
        table.insert(PRICE_COLUMNS.index("Cost, USD") + 1, BY_LIST, pd.Series(by_list, dtype=object))
    return table


def _price_line(part: Part) -> list[Any]:
    price = part.price
    named = [price.model, price.provider or "any", conditions(price)] if price else ["", "", ""]
    cost = None if part.is_unpriced else texts.dollars(part.cost)
    reported = f"{texts.usd(part.reported_cost)} for {part.reported_calls:,}" if part.reported_calls else NOT_STATED
    return [*named, part.calls, cost, reported, _price(part), part.source_sentence or ""]


def _price(part: Part) -> str:
    return UNPRICED if part.is_unpriced else part.price_id or NO_SET
