"""The endpoints that the settings describe, as routes; pure."""

import msgspec

from collector.core.prices import PriceSet
from collector.intake.gateway.errors import Refusal
from collector.intake.gateway.operations import OPERATIONS
from collector.settings import Endpoint, Provider, Settings

MAX_MODELS_SHOWN = 8
_USUAL = {"anthropic": ("messages",)}  # of an endpoint that does not list its operations


class Route(msgspec.Struct, frozen=True):
    """One endpoint as the relay needs it. `upstream_model` None: the name asked. Holds no key."""

    provider: str
    kind: str
    base_url: str
    key_holder: str  # "ours", "caller" or "unknown", as in core.outcomes.Facts
    id: str = ""  # what its health is known by
    upstream_model: str | None = None
    operations: tuple[str, ...] = tuple(operation.name for operation in OPERATIONS)
    model: str = ""  # the name asked for; "" as long as it takes any
    suffix: str = ""  # of the name asked, for an upstream that routes by it
    data_collection: str = "allow"
    quantization: str = "unknown"
    context_tokens: int | None = None
    max_output_tokens: int | None = None
    input_modalities: frozenset[str] | None = None
    supported_parameters: frozenset[str] | None = None
    price_set: PriceSet | None = None  # None: no price is known
    long_price_sets: tuple[PriceSet, ...] = ()  # of prompts above a size
    price: int | None = None  # picodollars of one token in and one out, by which endpoints are compared

    @property
    def is_listed(self) -> bool:
        """Whether an endpoint of the settings names it, rather than a provider that takes any model."""
        return self.upstream_model is not None


class Routes(msgspec.Struct, frozen=True):
    """All that can be routed to: by model name, by providers that take any model, and what stands in for neither."""

    by_model: dict[str, tuple[Route, ...]]
    any_model: tuple[Route, ...] = ()
    built_in: dict[str, Route] = {}  # only where no settings file stands

    def of(self, model: str, built_in: tuple[str, ...]) -> tuple[Route, ...]:
        """The model's own endpoints, else the providers that take any model, else the built-in ones, else none."""
        known = self.by_model.get(model) or self.any_model
        return known or tuple(self.built_in[name] for name in built_in if name in self.built_in)


def routes_of(settings: Settings) -> Routes:
    """The routes that the settings describe, endpoints in the file's order."""
    by_model: dict[str, tuple[Route, ...]] = {}
    for endpoint in settings.endpoints:
        route = _route(endpoint.provider, settings.providers[endpoint.provider], endpoint)
        by_model[endpoint.model] = (*by_model.get(endpoint.model, ()), route)
    listed = {endpoint.provider for endpoint in settings.endpoints}
    return Routes(
        by_model=by_model,
        any_model=tuple(_route(name, each) for name, each in settings.providers.items() if name not in listed),
        built_in={} if settings.config_path else {name: _route(name, each) for name, each in settings.built_in.items()},
    )


def refuse_unknown(model: str, routes: Routes) -> Refusal:
    """The refusal of a model that nothing is configured for."""
    name = model[:100]
    if not routes.by_model:
        message = "no provider is configured: add [providers.NAME] with its base_url to callmeter.toml and restart"
        return Refusal(503, "no_provider", message)
    shown = ", ".join(list(routes.by_model)[:MAX_MODELS_SHOWN])
    more = " and more" if len(routes.by_model) > MAX_MODELS_SHOWN else ""
    message = (
        f"the model {name!r} is unknown here; known are {shown}{more}. Ask for one of them, or add [[endpoints]] for it"
    )
    return Refusal(404, "model_not_found", message, "model")


def _route(name: str, provider: Provider, endpoint: Endpoint | None = None) -> Route:
    route = Route(
        name,
        provider.kind,
        provider.base_url.rstrip("/"),
        _key_holder(provider),
        data_collection=provider.data_collection,
    )
    if endpoint is None:
        return route
    return msgspec.structs.replace(
        route,
        upstream_model=endpoint.upstream_model or endpoint.model,
        operations=operations_of(endpoint, provider),
        quantization=(endpoint.quantization or "unknown").lower(),
        context_tokens=endpoint.context_tokens,
        max_output_tokens=endpoint.max_output_tokens,
        input_modalities=_set(endpoint.input_modalities),
        supported_parameters=_set(endpoint.supported_parameters),
    )


def _set(stated: tuple[str, ...] | None) -> frozenset[str] | None:
    return None if stated is None else frozenset(stated)


def _key_holder(provider: Provider) -> str:
    if provider.api_key_env or provider.api_key_file:
        return "ours"
    return "caller" if provider.pass_key else "unknown"


def operations_of(endpoint: Endpoint, provider: Provider) -> tuple[str, ...]:
    """What an endpoint serves: as it lists it, else what a provider of its kind mostly does."""
    return endpoint.operations or _USUAL.get(provider.kind, ("chat",))
