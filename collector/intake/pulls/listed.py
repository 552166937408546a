"""OpenRouter's price lists: /models, and /models/{author}/{slug}/endpoints for single providers.

Prices are decimal text in USD for one unit. A component that is absent or blank is "not sold by this unit", never 0; a
negative one is no price but "it depends". Overrides hold above a prompt's size or in hours of the UTC day.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from collector.core.errors import InputError
from collector.core.money import parse_unit_price
from collector.core.prices import IN_TOKENS, PER_IMAGE, PriceSet
from collector.core.prices.entries import listed_text
from collector.intake.pulls.asking import Asker, plain

# component -> meter that it prices
COMPONENTS = {
    "prompt": "input",
    "completion": "output",
    "request": "requests",
    "image": "images_in",
    "image_token": "image_in_tokens",
    "image_output": "images_out",
    "audio": "audio_in",
    "audio_output": "audio_out",
    "input_audio_cache": "cache_read_audio",
    "web_search": "web_searches",
    "internal_reasoning": "reasoning",
    "input_cache_read": "cache_read",
    "input_cache_write": "cache_write_5m",
    "input_cache_write_1h": "cache_write_1h",
}
# 0 here means that pictures, answers' pictures and reasoning are not sold by this unit: their tokens are.
_NOTHING_IF_ZERO = ("image", "image_token", "image_output", "audio", "audio_output", "internal_reasoning")


class Listing(NamedTuple):
    """The prices of a model at a provider as a list states them; no sets: it states none that can be used."""

    provider: str
    model: str
    sets: tuple[PriceSet, ...]


class _Model(msgspec.Struct):
    id: str
    pricing: dict[str, Any]


class _Models(msgspec.Struct):
    data: list[_Model]


class _Endpoint(msgspec.Struct):
    provider_name: str
    pricing: dict[str, Any]
    tag: str | None = None


class _Endpoints(msgspec.Struct):
    endpoints: list[_Endpoint]


class _EndpointsPage(msgspec.Struct):
    data: _Endpoints


def models(asker: Asker, provider: str) -> list[Listing]:
    """Every model that the list prices, at the provider itself. Raises SourceError."""
    source = f"https://{asker.host}/models"
    return [
        Listing(provider, plain(model.id), price_sets(model.pricing, plain(model.id), provider, source))
        for model in asker.get("/models", _Models).data
        if plain(model.id)
    ]


def endpoints(asker: Asker, provider: str, model: str) -> list[Listing]:
    """A model at each provider behind it, named `provider/tag`. Raises SourceError."""
    path = f"/models/{model}/endpoints"
    found = asker.get(path, _EndpointsPage).data.endpoints
    source = f"https://{asker.host}{path}"
    named = ((f"{provider}/{plain(each.tag) or plain(each.provider_name)}", each.pricing) for each in found)
    return [Listing(name, model, price_sets(pricing, model, name, source)) for name, pricing in named]


def price_sets(pricing: Mapping[str, Any], model: str, provider: str, source: str) -> tuple[PriceSet, ...]:
    """The base set and one for each override; none when a price is negative, unreadable, or the base is not whole."""
    try:
        base = _prices(pricing)
        if not {"input", "output"} <= base.keys():
            return ()
        made = [_set(base, model, provider, source)]
        made += [_override(each, base, made[0]) for each in pricing.get("overrides") or ()]
    except (InputError, KeyError, TypeError, ValueError, ArithmeticError, AttributeError):
        return ()
    return tuple(made)


def _prices(pricing: Mapping[str, Any]) -> dict[str, str]:
    """Meter -> USD for one unit, as decimal text."""
    found = {}
    for component, meter in COMPONENTS.items():
        text = str(pricing.get(component) or "").strip()
        if not text:
            continue
        price = parse_unit_price(text, 1)
        if price < 0:
            raise InputError(f"{component} {text} is no price")
        if price or component not in _NOTHING_IF_ZERO:
            found[meter] = text
    return found


def _set(prices: Mapping[str, str], model: str, provider: str, source: str, **conditions: Any) -> PriceSet:
    return PriceSet(
        model=model,
        provider=provider,
        prices={meter: parse_unit_price(text, 1) for meter, text in prices.items()},
        listed={meter: listed_text(text, 1) for meter, text in prices.items()},
        images=PER_IMAGE if "images_in" in prices else IN_TOKENS,
        source=source,
        **conditions,
    )


def _override(stated: Mapping[str, Any], base: Mapping[str, str], of: PriceSet) -> PriceSet:
    conditions: dict[str, Any] = {}
    if stated.get("min_prompt_tokens") is not None:
        conditions["above_tokens"] = int(stated["min_prompt_tokens"])
    if stated.get("utc_start") is not None or stated.get("utc_end") is not None:
        conditions["hours"] = ((_minute(stated["utc_start"]), _minute(stated["utc_end"]) or 1440),)
    if days := stated.get("utc_days"):
        conditions["days"] = tuple(sorted({int(day) for day in days}))
    if not conditions:
        raise InputError("an override without a condition that is known")
    return _set({**base, **_prices(stated)}, of.model, of.provider or "", of.source, **conditions)


def _minute(clock: Any) -> int:
    """The minute of the day of a clock number such as 1630."""
    hour, minute = divmod(int(clock), 100)
    if not (0 <= hour <= 24 and 0 <= minute < 60):
        raise InputError(f"{clock} is no time of a day")
    return hour * 60 + minute
