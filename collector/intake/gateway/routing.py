"""Which endpoints a call is tried at, and in what order; pure."""

import msgspec

from collector.intake.gateway.asked import Asked
from collector.intake.gateway.errors import Refusal
from collector.intake.gateway.operations import OPERATIONS, Operation, Surface
from collector.settings import Endpoint, Provider, Settings

MAX_MODELS_SHOWN = 8
_USUAL = {"anthropic": ("messages",)}  # of an endpoint that does not list its operations


class Route(msgspec.Struct, frozen=True):
    """One endpoint as the relay needs it. `upstream_model` None: the name asked. Holds no key."""

    provider: str
    kind: str
    base_url: str
    key_holder: str  # "ours", "caller" or "unknown", as in core.outcomes.Facts
    upstream_model: str | None = None
    operations: tuple[str, ...] = tuple(operation.name for operation in OPERATIONS)


class Routes(msgspec.Struct, frozen=True):
    """All that can be routed to: by model name, by providers that take any model, and what stands in for neither."""

    by_model: dict[str, tuple[Route, ...]]
    any_model: tuple[Route, ...] = ()
    built_in: dict[str, Route] = {}  # only where no settings file stands


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


def plan(asked: Asked, surface: Surface, operation: Operation, routes: Routes) -> tuple[Route, ...]:
    """The routes to try, in order: the model's own endpoints, else the providers that take any model.

    Raises Refusal where there is none.
    """
    known = routes.by_model.get(asked.model) or routes.any_model
    if not known:
        known = tuple(routes.built_in[name] for name in surface.built_in if name in routes.built_in)
    fitting = tuple(r for r in known if operation.name in r.operations and r.kind in operation.kinds)
    return fitting or _refuse(asked.model, known, operation, routes)


def _refuse(model: str, known: tuple[Route, ...], operation: Operation, routes: Routes) -> tuple[Route, ...]:
    name = model[:100]
    if known:
        where = ", ".join(route.provider for route in known)
        message = (
            f"no endpoint of {name!r} serves {operation.name} (asked: {where}): add it to the endpoint's operations"
        )
        raise Refusal(404, "no_endpoint", message, "model")
    if not routes.by_model:
        message = "no provider is configured: add [providers.NAME] with its base_url to callmeter.toml and restart"
        raise Refusal(503, "no_provider", message)
    shown = ", ".join(list(routes.by_model)[:MAX_MODELS_SHOWN])
    more = " and more" if len(routes.by_model) > MAX_MODELS_SHOWN else ""
    message = (
        f"the model {name!r} is unknown here; known are {shown}{more}. Ask for one of them, or add [[endpoints]] for it"
    )
    raise Refusal(404, "model_not_found", message, "model")


def _route(name: str, provider: Provider, endpoint: Endpoint | None = None) -> Route:
    route = Route(name, provider.kind, provider.base_url.rstrip("/"), _key_holder(provider))
    if endpoint is None:
        return route
    upstream_model = endpoint.upstream_model or endpoint.model
    operations = endpoint.operations or _USUAL.get(provider.kind, ("chat",))
    return msgspec.structs.replace(route, upstream_model=upstream_model, operations=operations)


def _key_holder(provider: Provider) -> str:
    if provider.api_key_env:
        return "ours"
    return "caller" if provider.pass_key else "unknown"
