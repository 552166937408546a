"""Prices of callmeter.toml: what an endpoint says of itself comes before every list."""

from collections.abc import Sequence

from collector.core.errors import PriceError
from collector.core.prices import IN_TOKENS, PER_IMAGE, PriceSet
from collector.core.prices.entries import FIELDS, read_price
from collector.settings import Endpoint

SOURCE = "callmeter.toml"
_KEYS = ("input_usd_per_m", "cache_read_usd_per_m", "output_usd_per_m", "image_usd_per_k")


def stated_sets(endpoints: Sequence[Endpoint]) -> list[PriceSet]:
    """The price set of each endpoint that states one, under the name it is asked by; equal ones once.

    Raises PriceError as `endpoint_sets` does.
    """
    return list({s.id: s for endpoint in endpoints for s in _sets(endpoint)[:1]}.values())


def endpoint_sets(endpoints: Sequence[Endpoint]) -> list[PriceSet]:
    """The price sets of the endpoints that state a price, under the model's name and its upstream name.

    Raises PriceError naming the endpoint, the key and the value of a price that cannot be held.
    """
    return [s for endpoint in endpoints for s in _sets(endpoint)]


def image_rules(endpoints: Sequence[Endpoint]) -> dict[tuple[str, str], str]:
    """(provider, model) -> the image rule of the endpoints that state one, names in lower case."""
    return {(e.provider.lower(), name.lower()): e.images for e in endpoints if e.images for name in _names(e)}


def _sets(endpoint: Endpoint) -> list[PriceSet]:
    stated = _stated(endpoint)
    if not stated:
        return []
    rule = endpoint.images or (PER_IMAGE if "images_in" in stated else IN_TOKENS)
    return [
        PriceSet(
            model=name,
            provider=endpoint.provider,
            prices={meter: price for meter, (price, _) in stated.items()},
            listed={meter: text for meter, (_, text) in stated.items()},
            images=rule,
            source=SOURCE,
        )
        for name in _names(endpoint)
    ]


def _stated(endpoint: Endpoint) -> dict[str, tuple[int, str]]:
    """Meter -> picodollars per unit, and how it is listed."""
    usd = {key: value for key in _KEYS if (value := getattr(endpoint, key)) is not None}
    try:
        return {FIELDS[key].meter: read_price(key, value, FIELDS[key].per) for key, value in usd.items()}
    except PriceError as error:
        raise PriceError(f"{SOURCE}: the endpoint of {endpoint.model} at {endpoint.provider}: {error}") from None


def _names(endpoint: Endpoint) -> list[str]:
    return list(dict.fromkeys(filter(None, (endpoint.model, endpoint.upstream_model))))
