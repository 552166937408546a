"""GET models: what can be routed, filtered and sorted as OpenRouter's query parameters say."""

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlencode

from collector.intake.gateway.pages.listing import Model
from collector.intake.gateway.pages.query import Param, read_query
from collector.intake.gateway.pages.served import Asked, Reply, Sources, json_reply, not_found
from collector.intake.gateway.pages.shapes import openai_model, openrouter_model

DEFAULT_LIMIT = 500
_PICOUSD_IN_USD_PER_M = 10**6  # 1 USD per million is 10^6 picodollars a unit
_SHARE = Param("number", 0, 1, nullable=True)
_AMOUNT = Param("number", 0, nullable=True)
_DAYS = Param("whole", 0, nullable=True)


def _price(model: Model, meter: str) -> int | None:
    prices = [offer.price.prices[meter] for offer in model if offer.price and meter in offer.price.prices]
    return min(prices, default=None)


def _at_least(meter: str) -> Callable[[Model, Any], bool]:
    return lambda model, usd: (price := _price(model, meter)) is not None and price >= usd * _PICOUSD_IN_USD_PER_M


def _at_most(meter: str) -> Callable[[Model, Any], bool]:
    return lambda model, usd: (price := _price(model, meter)) is not None and price <= usd * _PICOUSD_IN_USD_PER_M


def _never(model: Model, value: Any) -> bool:
    """What is not known of any model is true of none."""
    return False


def _has_all(wanted: tuple[str, ...], known: set[str]) -> bool:
    return set(wanted) <= known


# OpenRouter's query parameters: how each is read, and which models it keeps.
FILTERS: dict[str, tuple[Param, Callable[[Model, Any], bool]]] = {
    "q": (Param(), lambda m, text: text.lower() in f"{m[0].model} {m[0].author_name}".lower()),
    "supported_parameters": (
        Param("names"),
        lambda m, names: any(_has_all(names, set(offer.supported_parameters)) for offer in m),
    ),
    "input_modalities": (Param("names"), lambda m, names: _has_all(names, set(m[0].input_modalities))),
    "output_modalities": (
        Param("names"),
        lambda m, names: "all" in names or not set(names).isdisjoint(m[0].output_modalities),
    ),
    "context": (Param("whole", 1), lambda m, tokens: (m[0].context_tokens or 0) >= tokens),
    "min_price": (_AMOUNT, _at_least("input")),
    "max_price": (_AMOUNT, _at_most("input")),
    "min_output_price": (_AMOUNT, _at_least("output")),
    "max_output_price": (_AMOUNT, _at_most("output")),
    "model_authors": (Param("names"), lambda m, names: m[0].model.partition("/")[0] in names),
    "providers": (
        Param("names"),
        lambda m, names: not {n.lower() for n in names}.isdisjoint(offer.provider.lower() for offer in m),
    ),
    "arch": (Param(), lambda m, text: text.lower() in m[0].model.lower()),
    "category": (
        Param(
            choices=(
                *("programming", "roleplay", "marketing", "marketing/seo", "technology", "science", "translation"),
                *("legal", "finance", "health", "trivia", "academia"),
            )
        ),
        _never,
    ),
    "distillable": (Param(choices=("true", "false")), _never),
    "zdr": (Param(choices=("true",)), _never),
    "region": (Param(choices=("eu", "us")), _never),
    "min_age_days": (_DAYS, _never),
    "max_age_days": (_DAYS, _never),
    **{
        f"{end}_{index}_index": (_AMOUNT, _never)
        for end in ("min", "max")
        for index in ("intelligence", "coding", "agentic")
    },
    "min_tool_success_rate": (_SHARE, _never),
    "max_tool_success_rate": (_SHARE, _never),
}


SORTS: dict[str, Callable[[Model], Any]] = {
    "newest": lambda m: -m[0].created,
    "pricing-low-to-high": lambda m: _blended(m, unknown=_DEAREST),
    "pricing-high-to-low": lambda m: -_blended(m, unknown=0),
    "context-high-to-low": lambda m: -(m[0].context_tokens or 0),
}
_DEAREST = 10**30
# Sorts by what is not known of any model keep the order, as OpenRouter places models without a score last.
_UNSCORED = (
    *("most-popular", "top-weekly", "throughput-high-to-low", "latency-low-to-high", "intelligence-high-to-low"),
    *("coding-high-to-low", "agentic-high-to-low", "design-arena-elo-high-to-low"),
)
PAGING = {
    "offset": Param("whole", 0, nullable=True),
    "limit": Param("whole", 1, 1000),
    "sort": Param(choices=(*SORTS, *_UNSCORED)),
}
QUERY: dict[str, dict[str, Param]] = {
    "listed": {**{name: param for name, (param, _) in FILTERS.items()}, **PAGING},
    "count": {"output_modalities": FILTERS["output_modalities"][0]},
}


def listed(sources: Sources, asked: Asked) -> Reply:
    """The models that can be routed, in the shape of the surface."""
    models = list(sources.models.of(asked.surface, asked.now_us).values())
    if not asked.surface.is_openrouter:
        data = [openai_model(model) for model in models]
        ends = {
            "has_more": False,
            "first_id": data[0]["id"] if data else None,
            "last_id": data[-1]["id"] if data else None,
        }
        return json_reply({"object": "list", "data": data, **ends})
    wanted = read_query(asked.query, QUERY["listed"])
    found = chosen(models, wanted)
    shown = page(found, wanted)
    data = [openrouter_model(model, asked.surface.prefix) for model in shown]
    return json_reply(
        {"data": data, "total_count": len(found), "links": {"next": next_page(asked, wanted, found, shown)}}
    )


def count(sources: Sources, asked: Asked) -> Reply:
    """How many there are."""
    wanted = read_query(asked.query, QUERY["count"])
    models = sources.models.of(asked.surface, asked.now_us).values()
    return json_reply({"data": {"count": len(chosen(list(models), wanted))}})


def one(sources: Sources, asked: Asked) -> Reply:
    """One model, in the shape of the surface. Raises Refusal (404)."""
    model = found_model(sources, asked)
    if asked.surface.is_openrouter:
        return json_reply({"data": openrouter_model(model, asked.surface.prefix)})
    return json_reply(openai_model(model))


def found_model(sources: Sources, asked: Asked) -> Model:
    """The model that a path names: `model`, or `author` and `slug`. Raises Refusal (404)."""
    path = asked.path
    name = path.get("model") or "/".join(filter(None, (path.get("author"), path["slug"])))
    model: Model | None = sources.models.of(asked.surface, asked.now_us).get(name)
    if model is None:
        raise not_found(f"the model {name[:100]!r} is not listed here: GET {asked.surface.prefix}/models lists them")
    return model


def chosen(models: list[Model], wanted: dict[str, Any]) -> list[Model]:
    """The models that every filter keeps, sorted; text models unless other outputs are asked for."""
    filters = {"output_modalities": ("text",), **{name: value for name, value in wanted.items() if name in FILTERS}}
    kept = [m for m in models if all(FILTERS[name][1](m, value) for name, value in filters.items())]
    sort = SORTS.get(wanted.get("sort", ""))
    return sorted(kept, key=sort) if sort else kept


def page(found: list[Model], wanted: dict[str, Any]) -> list[Model]:
    """All of them where neither offset nor limit is asked for, as OpenRouter does."""
    if not wanted.keys() & {"offset", "limit"}:
        return found
    offset = int(wanted.get("offset", 0))
    return found[offset : offset + int(wanted.get("limit", DEFAULT_LIMIT))]


def next_page(asked: Asked, wanted: dict[str, Any], found: list[Model], shown: list[Model]) -> str | None:
    """The address of the page after this one."""
    end = int(wanted.get("offset", 0)) + len(shown)
    if end >= len(found) or not shown:
        return None
    kept = [(name, text) for name, text in parse_qsl(asked.query.decode("ascii")) if name not in ("offset", "limit")]
    query = urlencode([*kept, ("offset", end), ("limit", int(wanted.get("limit", DEFAULT_LIMIT)))])
    return f"{asked.surface.prefix}/models?{query}"


def _blended(model: Model, unknown: int) -> int:
    prices = [_price(model, meter) for meter in ("input", "output")]
    return sum(price for price in prices if price is not None) if any(p is not None for p in prices) else unknown
