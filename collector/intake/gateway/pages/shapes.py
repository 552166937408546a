"""Models and endpoints in OpenRouter's shape (openrouter.ai/docs, API reference), and models in OpenAI's."""

from typing import Any

from collector.core.latency import SHARES
from collector.core.money import format_usd
from collector.core.prices import PriceSet
from collector.intake.gateway.pages.listing import Model, Offer

# The sign under which OpenRouter lists a price that is not fixed; nothing is free because its price is not known.
NO_PRICE = "-1"
# OpenRouter's name of a price -> the meters that have it, the first that the set prices.
_PRICES = {
    "prompt": ("input",),
    "completion": ("output",),
    "request": ("requests",),
    "image": ("images_in",),
    "image_token": ("image_in_tokens",),
    "image_output": ("image_out_tokens",),
    "audio": ("audio_in",),
    "audio_output": ("audio_out",),
    "input_audio_cache": ("cache_read_audio",),
    "web_search": ("web_searches",),
    "internal_reasoning": ("reasoning",),
    "input_cache_read": ("cache_read",),
    "input_cache_write": ("cache_write_5m",),
    "input_cache_write_1h": ("cache_write_1h",),
}
_TOOL_CHOICES = ("auto", "function", "none", "required")
_IN_BANDS = ("prompt", "completion", "audio", "input_audio_cache", "input_cache_read", "input_cache_write")
# Providers as OpenRouter spells them; one that it does not know keeps the name that the settings give it.
_SPELLED = {
    "anthropic": "Anthropic",
    "aws": "Amazon Bedrock",
    "azure": "Azure",
    "cerebras": "Cerebras",
    "cohere": "Cohere",
    "deepseek": "DeepSeek",
    "fireworks": "Fireworks",
    "google": "Google",
    "groq": "Groq",
    "mistral": "Mistral",
    "moonshotai": "Moonshot AI",
    "novita": "Novita",
    "openai": "OpenAI",
    "perplexity": "Perplexity",
    "together": "Together",
    "x-ai": "xAI",
    "zai": "Z.AI",
}


def provider_name(provider: str) -> str:
    """A provider's name as OpenRouter spells it."""
    return known_provider(provider) or provider


def known_provider(provider: str) -> str | None:
    """Likewise; None for one that OpenRouter's schema does not have."""
    return _SPELLED.get(provider.lower())


def openai_model(model: Model) -> dict[str, Any]:
    """What `client.models.list()` of OpenAI's SDK reads; also what Anthropic's reads of one."""
    first = model[0]
    return {
        "id": first.model,
        "object": "model",
        "created": first.created,
        "owned_by": first.provider,
        "type": "model",
        "display_name": first.author_name,
        "created_at": _instant(first.created),
    }


def openrouter_model(model: Model, prefix: str) -> dict[str, Any]:
    """OpenRouter's `Model`. What is not known is null where that is allowed, and empty where it is not."""
    best = model[0]
    return {
        "id": best.model,
        "canonical_slug": best.model,
        "hugging_face_id": None,
        "name": best.author_name,
        "created": best.created,
        "description": "",
        "context_length": best.context_tokens,
        "architecture": architecture(best),
        "pricing": pricing(best.price, best.bands),
        "top_provider": {
            "context_length": best.context_tokens,
            "max_completion_tokens": best.max_output_tokens,
            "is_moderated": False,
        },
        "per_request_limits": None,
        "supported_parameters": sorted({name for offer in model for name in offer.supported_parameters}),
        "supported_voices": None,
        "default_parameters": None,
        "knowledge_cutoff": None,
        "expiration_date": None,
        "links": {"details": f"{prefix}/models/{best.model}/endpoints"},
    }


def architecture(offer: Offer) -> dict[str, Any]:
    """OpenRouter's `ModelArchitecture`."""
    inputs, outputs = list(offer.input_modalities), list(offer.output_modalities)
    return {
        "modality": f"{'+'.join(inputs)}->{'+'.join(outputs)}",
        "input_modalities": inputs,
        "output_modalities": outputs,
        "tokenizer": "Other",
        "instruct_type": None,
    }


def pricing(price: PriceSet | None, bands: tuple[PriceSet, ...] = ()) -> dict[str, Any]:
    """OpenRouter's `PublicPricing`: decimal text in USD for one unit, stated prices only."""
    if price is None:
        return {"prompt": NO_PRICE, "completion": NO_PRICE}
    stated = _stated(price)
    told: dict[str, Any] = {"prompt": NO_PRICE, "completion": "0" if "prompt" in stated else NO_PRICE, **stated}
    if bands:
        told["overrides"] = [
            {**{name: usd for name, usd in _stated(band).items() if name in _IN_BANDS}}
            | {"min_prompt_tokens": band.above_tokens}
            for band in bands
        ]
    return told


def _stated(price: PriceSet) -> dict[str, str]:
    charged = {name: next((m for m in meters if m in price.prices), None) for name, meters in _PRICES.items()}
    return {name: format_usd(price.prices[meter]) for name, meter in charged.items() if meter}


def endpoint(offer: Offer, health: dict[str, Any]) -> dict[str, Any]:
    """OpenRouter's `PublicEndpoint`; `health` holds its status, uptimes and percentiles."""
    price = offer.price
    return {
        "name": f"{provider_name(offer.provider)} | {offer.model}",
        "model_id": offer.model,
        "model_name": offer.author_name,
        "context_length": offer.context_tokens or 0,  # which may not be null
        "pricing": pricing(price, offer.bands),
        "provider_name": provider_name(offer.provider),
        "tag": offer.provider,
        "quantization": offer.quantization or "unknown",
        "max_completion_tokens": offer.max_output_tokens,
        "max_prompt_tokens": offer.context_tokens,
        "supported_parameters": list(offer.supported_parameters),
        "supports_implicit_caching": price is not None and "cache_read" in price.prices,
        "supports_tool_choice": dict.fromkeys(_TOOL_CHOICES, "tool_choice" in offer.supported_parameters),
        "supports_diarization": False,
        "native_tools": {},
        "service_tier": None,
        **health,
    }


def percentiles(found: dict[str, float]) -> dict[str, float] | None:
    """OpenRouter's `PercentileStats`; null where nothing was measured."""
    return {name: round(found[name], 3) for name in SHARES} if found else None


def _instant(seconds: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
