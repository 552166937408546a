"""Quantity x unit price = cost: integer products of picodollars, and nothing else."""

from collections.abc import Mapping

import msgspec

from collector.core.meters import METERS
from collector.core.prices.sets import PriceSet


class Priced(msgspec.Struct, frozen=True, gc=False):
    """What meters cost by a set: picodollars, or None with the reason."""

    cost: int | None
    unpriced_reason: str | None = None


class LineItem(msgspec.Struct, frozen=True):
    """One meter's share of a cost: quantity x unit_price = cost, always. Prices in picodollars."""

    meter: str
    unit: str
    quantity: int
    unit_price: int
    cost: int
    rule: str  # where the unit price comes from, or why it is 0


def price_usage(meters: Mapping[str, int], price_set: PriceSet) -> Priced:
    """The cost of disjoint meters by a set; None, naming the unit, when a meter above 0 has no price in it."""
    unit_prices = price_set.unit_prices
    cost = 0
    for meter, quantity in meters.items():
        unit_price = unit_prices.get(meter)
        if unit_price is not None:
            cost += quantity * unit_price
        elif quantity:
            return Priced(None, _no_unit_price(meter, price_set))
    return Priced(cost)


def line_items(meters: Mapping[str, int], price_set: PriceSet) -> list[LineItem]:
    """One item per meter that can be priced, zero-priced ones too, in the order of METERS.

    Linear in the quantities: the items of summed meters are the sums of the items. Their costs add up to what
    `price_usage` gives whenever that is not None.
    """
    unit_prices, rates = price_set.unit_prices, price_set.rates
    return [
        LineItem(name, meter.unit, meters[name], price, meters[name] * price, rates[name].rule)
        for name, meter in METERS.items()
        if name in meters and (price := unit_prices.get(name)) is not None
    ]


def _no_unit_price(meter: str, price_set: PriceSet) -> str:
    unit = METERS[meter].unit if meter in METERS else "unit"
    at = f" at {price_set.provider}" if price_set.provider else ""
    return f"no price per {unit} of {meter} for {price_set.model}{at}"
