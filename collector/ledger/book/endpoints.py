"""Prices of callmeter.toml: what an endpoint says of itself comes before every list."""

from collections.abc import Sequence
from decimal import Decimal

from collector.core.money import parse_unit_price
from collector.core.prices import IN_TOKENS, PER_IMAGE, PriceSet
from collector.core.prices.entries import FIELDS, listed_text
from collector.settings import Endpoint

SOURCE = "callmeter.toml"
_KEYS = ("input_usd_per_m", "cache_read_usd_per_m", "output_usd_per_m", "image_usd_per_k")


def endpoint_sets(endpoints: Sequence[Endpoint]) -> list[PriceSet]:
    """The price sets of the endpoints that state a price, under the model's name and its upstream name."""
    return [s for endpoint in endpoints for s in _sets(endpoint)]


def image_rules(endpoints: Sequence[Endpoint]) -> dict[tuple[str, str], str]:
    """(provider, model) -> the image rule of the endpoints that state one, names in lower case."""
    return {(e.provider.lower(), name.lower()): e.images for e in endpoints if e.images for name in _names(e)}


def _sets(endpoint: Endpoint) -> list[PriceSet]:
    stated = {key: f"{Decimal(usd):f}" for key in _KEYS if (usd := getattr(endpoint, key)) is not None}
    if not stated:
        return []
    rule = endpoint.images or (PER_IMAGE if "image_usd_per_k" in stated else IN_TOKENS)
    return [
        PriceSet(
            model=name,
            provider=endpoint.provider,
            prices={FIELDS[key].meter: parse_unit_price(usd, FIELDS[key].per) for key, usd in stated.items()},
            listed={FIELDS[key].meter: listed_text(usd, FIELDS[key].per) for key, usd in stated.items()},
            images=rule,
            source=SOURCE,
        )
        for name in _names(endpoint)
    ]


def _names(endpoint: Endpoint) -> list[str]:
    return list(dict.fromkeys(filter(None, (endpoint.model, endpoint.upstream_model))))
