"""A price set: one unit price per meter, in force for a model under stated conditions."""

import hashlib
import json
from functools import cached_property
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import Meta

from collector.core.meters import MAX_COUNT, METERS, Charge, Meter
from collector.core.money import MAX_COST

PER_IMAGE: Literal["per image"] = "per image"
IN_TOKENS: Literal["in tokens"] = "in tokens"
_NOT_IN_THE_ID = ("listed", "checked", "until", "list_source")
_ID_DIGITS = 24
# Asked before the price of fresh input: a list that names one price for cached input means pictures too, and a write
# that lives for an hour costs no less than one that lives for five minutes.
_NEARER = {"cache_read_image": "cache_read", "cache_write_1h": "cache_write_5m"}
_IMAGE_TOKENS = ("image_in_tokens", "cache_read_image")


# What is read from outside is within these; what is made here is already.
Text = Annotated[str, Meta(max_length=4096, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]
Money = Annotated[int, Meta(ge=0, le=MAX_COST)]
Minute = Annotated[int, Meta(ge=0, le=24 * 60)]
Instant = Annotated[int, Meta(ge=-62_135_596_800_000_000, le=253_402_300_799_999_999)]  # of the years 1 to 9999


class Rate(NamedTuple):
    """What one unit of a meter costs by a set. `price` None: a quantity above 0 makes the call unpriced."""

    price: int | None
    rule: str


class PriceSet(msgspec.Struct, frozen=True, omit_defaults=True, dict=True):
    """All unit prices in force for a model under stated conditions, in picodollars per unit of a meter.

    Everything that changes a price is a condition that chooses the set, never a calculation inside it, so that
    a cost is linear in the quantities: provider (None: any), gateway key (None: any), service tier (None: the standard
    one), context band (more than `above_tokens` input tokens, cached ones included), hours and days of the week, dates.
    A charge that is no unit price, the least sum a call costs, is a set of its own too: see `at_minimum`.
    """

    model: Text
    prices: dict[str, Money]
    source: Text
    provider: Text | None = None
    images: Literal["per image", "in tokens"] = IN_TOKENS
    key: Text | None = None
    tier: Text | None = None
    above_tokens: Annotated[int, Meta(ge=0, le=MAX_COUNT)] = 0
    hours: tuple[tuple[Minute, Minute], ...] = ()  # of the UTC day, half-open; an end before its start wraps midnight
    days: tuple[Annotated[int, Meta(ge=0, le=6)], ...] = ()  # of the week, UTC, 0 is Monday; none: every day
    starts: Instant | None = None  # microseconds, inclusive
    until: Instant | None = None  # microseconds, exclusive
    minimum: Money | None = None  # the least that a call costs
    only_minimum: bool = False  # this set is that least sum, charged once per request
    listed: dict[str, Text] = {}  # meter -> the price as its source states it
    checked: Text | None = None  # the date on which somebody read the source
    list_prices: dict[str, Money] = {}  # of a contract: what the public list asks for the same, where it asks another
    list_source: Text | None = None  # whose list that is

    @cached_property
    def id(self) -> str:
        """24 hex digits of what is charged, to whom, from when and by which source.

        Left out are the day it was last checked, the wording of a listed price, the name of a public list, and the
        end: a price that is later closed or confirmed is the same price.
        """
        content = {name: value for name, value in self.to_plain().items() if name not in _NOT_IN_THE_ID}
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:_ID_DIGITS]

    @cached_property
    def rates(self) -> dict[str, Rate]:
        """Every meter of METERS with its unit price by this set and the rule that it follows from."""
        return {name: _rate(self, meter) for name, meter in METERS.items()}

    @cached_property
    def unit_prices(self) -> dict[str, int]:
        """Meter -> picodollars per unit; a meter that cannot be priced by this set is absent."""
        return {name: rate.price for name, rate in self.rates.items() if rate.price is not None}

    @cached_property
    def list_unit_prices(self) -> dict[str, int]:
        """Meter -> picodollars per unit by the public list, where it prices the meter; without one what this set asks.

        Images are charged by the rule of this set.
        """
        if not self.list_prices:
            return self.unit_prices
        return self.unit_prices | msgspec.structs.replace(self, prices=self.list_prices, list_prices={}).unit_prices

    def beside(self, public: "PriceSet") -> "PriceSet":
        """This set, a contract's, with the prices of the public list that it stands in for, where they are others."""
        told = msgspec.structs.replace(self, list_prices=public.prices, list_source=public.source)
        return self if told.list_unit_prices == self.unit_prices else told

    @cached_property
    def at_minimum(self) -> "PriceSet":
        """The set that charges the least sum of a call, once, and its meters nothing."""
        return msgspec.structs.replace(
            self,
            prices={"requests": self.minimum or 0},
            listed={},
            minimum=None,
            only_minimum=True,
            list_prices={},
            list_source=None,
        )

    def to_plain(self) -> dict[str, Any]:
        """Plain values for JSON; `from_plain` gives an equal set back."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain

    @staticmethod
    def from_plain(plain: dict[str, Any]) -> "PriceSet":
        """The set of `to_plain`. Raises msgspec.ValidationError for anything else, and for what no price set says."""
        return msgspec.convert(plain, PriceSet)


def _rate(price_set: PriceSet, meter: Meter) -> Rate:
    if price_set.only_minimum and meter.name != "requests":
        return Rate(0, "covered by the minimum")
    if meter.charge is Charge.NEVER:
        return Rate(0, "never charged")
    by_image = price_set.images == PER_IMAGE and "images_in" in price_set.prices
    if by_image and meter.name in _IMAGE_TOKENS:
        return Rate(0, "covered by the price per image")
    if not by_image and meter.name == "images_in":
        return Rate(0, "counted in tokens, not charged by image")
    return _listed_rate(price_set, meter)


def _listed_rate(price_set: PriceSet, meter: Meter) -> Rate:
    for name in _price_givers(meter):
        if name in price_set.prices:
            rule = "listed" if name == meter.name else f"at the price of {name}"
            return Rate(price_set.prices[name], rule)
    if meter.charge is Charge.IF_PRICED:
        return Rate(0, "charged only where a price is listed")
    return Rate(None, "no price is listed")


def _price_givers(meter: Meter) -> list[str]:
    """The meters whose price it takes, in order: itself, its parents, and before fresh input a nearer kind."""
    givers = [meter.name]
    while parent := METERS[givers[-1]].parent:
        givers.append(parent)
    if nearer := _NEARER.get(meter.name):
        givers.insert(-1, nearer)
    return givers
