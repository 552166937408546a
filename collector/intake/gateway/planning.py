"""The plan of a call: which endpoints are tried in what order, and why each stands where it does; pure.

1. DROPPED: the first rule that holds takes an endpoint out of the plan.
2. LAST: the first rule that holds puts it behind all for which none does.
3. Among the others the strategy decides: the order asked for, a sort, the endpoint that served this session before,
   a draw weighted by 1 / price^2, or the order of the settings file where prices are equal or not all known.
"""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from functools import lru_cache
from math import inf
from typing import NamedTuple

import msgspec

from collector.intake.gateway.drawing import draw_among
from collector.intake.gateway.health import STATES, UNKNOWN, Health
from collector.intake.gateway.need import Need
from collector.intake.gateway.routing import Route
from collector.intake.gateway.wishes import Wishes

MAX_RECORDED = 40  # endpoints in the text of a plan
FIRST, KEPT = "first", "kept"
_TIERS = {state: n for n, state in enumerate(STATES)}


class Limited(msgspec.Struct, frozen=True):
    """What budgets apply to."""

    all: bool = False
    models: Container[str] = frozenset()
    providers: Container[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.all or self.models or self.providers)


NOT_LIMITED = Limited()


class Request(msgspec.Struct, frozen=True):
    """What a plan is made for.

    `session_route`: who served the session before. `models_allowed`: by the key, None: any. `limited`: what budgets
    apply to: all of the call, or its endpoints of some models and providers.
    """

    wishes: Wishes
    need: Need
    operation: str = "chat"
    kinds: tuple[str, ...] = ("openai", "openrouter")
    session_route: str | None = None
    models_allowed: Container[str] | None = None  # in lower case
    limited: Limited = NOT_LIMITED

    def is_limited(self, route: Route) -> bool:
        """Whether a budget applies to this call at this endpoint."""
        limited = self.limited
        return limited.all or route.model in limited.models or route.provider in limited.providers


class Step(NamedTuple):
    """An endpoint and why it stands where it does: "" for none of the rules, else a rule's words."""

    route: Route
    why: str = ""


class Plan(msgspec.Struct, frozen=True):
    """`steps` in the order in which they are tried; `by` names the strategy."""

    by: str
    steps: tuple[Step, ...]
    dropped: tuple[Step, ...] = ()

    @property
    def routes(self) -> tuple[Route, ...]:
        return tuple([step.route for step in self.steps])


class Rule(NamedTuple):
    """`holds` of a route, a request and the route's health; asked only of requests that it `matters` to."""

    words: str
    matters: Callable[[Request], object]
    holds: Callable[[Route, Request, Health], object]


Rules = tuple[Rule, ...]


def plan(request: Request, routes: Sequence[Route], health: Mapping[str, Health], now_us: int, seed: int) -> Plan:
    """The plan over `routes`, which are those of the models asked for, model by model in that order.

    `health` is by the route's id. The same arguments give the same plan.
    """
    has_wishes = request.wishes != Wishes(request.wishes.models)
    drops = [rule for rule in (DROPPED if has_wishes else _DROPPED_UNASKED) if rule.matters(request)]
    lasts = [rule for rule in (LAST if has_wishes else _LAST_UNASKED) if rule.matters(request)]
    kept: list[Step] = []
    late: list[Step] = []
    dropped: list[Step] = []
    for route in routes:
        known = health.get(route.id, UNKNOWN)
        if why := _first(drops, route, request, known):
            dropped.append(Step(route, why))
        elif known.wait_until_us > now_us and route.key_holder != "caller":  # a caller's key has a wait of its own
            dropped.append(Step(route, WAITS))
        elif why := known.state or _first(lasts, route, request, known):
            late.append(Step(route, why))
        else:
            kept.append(Step(route))
    by, steps = _ordered(request, kept, late, health, seed)
    if not request.wishes.allow_fallbacks and not request.wishes.order:
        dropped += [Step(step.route, "no fallbacks allowed") for step in steps[1:]]
        steps = steps[:1]
    return Plan(by, tuple(steps), tuple(dropped))


def without(made: Plan, taken: Container[int], why: str) -> Plan:
    """The plan without some of its routes, by their `id()`."""
    kept = tuple([step for step in made.steps if id(step.route) not in taken])
    gone = tuple([Step(step.route, why) for step in made.steps if id(step.route) in taken])
    return Plan(made.by, kept, made.dropped + gone)


def text_of(made: Plan, routes: Sequence[Route]) -> str:
    """The plan as it is recorded: canonical JSON with few different texts, so without numbers.

    {"by": strategy, "endpoints": [[provider, verdict], ...]}; with several models [provider, verdict, model]. A draw is
    recorded as who came first, and the rest in the order of the settings, because the attempts say the rest.
    """
    steps = list(made.steps)
    if made.by == BY_DRAW and len(steps) > 1:
        place = {id(route): n for n, route in enumerate(routes)}
        steps[1:] = sorted(steps[1:], key=lambda step: (bool(step.why), place[id(step.route)]))
    several = len({route.model for route in routes}) > 1
    return _text(made.by, several, _named(steps), _named(made.dropped))


_Named = tuple[tuple[str, str, str], ...]


def _named(steps: Iterable[Step]) -> _Named:
    return tuple([(step.route.provider, step.route.model, step.why) for step in steps])


@lru_cache(maxsize=4096)
def _text(by: str, several: bool, steps: _Named, dropped: _Named) -> str:
    rows = [_row(step, KEPT if n else FIRST, several) for n, step in enumerate(steps)]
    rows += [_row(step, "dropped", several) for step in dropped]
    listed = rows[:MAX_RECORDED] + ([["...", "more"]] if len(rows) > MAX_RECORDED else [])
    return msgspec.json.encode({"by": by, "endpoints": listed}).decode()


def _row(step: tuple[str, str, str], verdict: str, several: bool) -> list[str]:
    provider, model, why = step
    said = f"{verdict}: {why}" if why else verdict
    if why and verdict == KEPT:
        said = f"last: {why}"
    return [provider, said, model] if several else [provider, said]


def _first(rules: Iterable[Rule], route: Route, request: Request, known: Health) -> str:
    for rule in rules:
        if rule.holds(route, request, known):
            return rule.words
    return ""


def _is_named(route: Route, names: tuple[str, ...]) -> bool:
    """A provider's own name, or the base name of `name/region`."""
    own = route.provider.lower()
    return own in names or ("/" in own and any(own.startswith(name + "/") for name in names))


def _is_left_to_upstream(route: Route) -> bool:
    """OpenRouter itself applies these wishes to the providers behind it; they are passed on to it."""
    return route.kind == "openrouter"


def _too_dear(route: Route, request: Request, _: Health) -> list[str]:
    """The meters whose price is above what the request allows."""
    prices = route.price_set.unit_prices if route.price_set else {}
    return [meter for meter, most in request.wishes.max_prices.items() if prices.get(meter, 0) > most]


def _lacks_parameters(route: Route, request: Request, _: Health) -> bool:
    return route.supported_parameters is not None and not request.need.parameters <= route.supported_parameters


def _lacks_tools(route: Route, _: Request, __: Health) -> bool:
    return route.supported_parameters is not None and "tools" not in route.supported_parameters


def _is_slow(route: Route, request: Request, known: Health) -> bool:
    """A percentile that is not known is not held against it."""
    wishes = request.wishes
    return any(known.latency_s.get(name, 0) > most for name, most in wishes.latency_s.items()) or any(
        known.throughput.get(name, inf) < least for name, least in wishes.throughput.items()
    )


WAITS = "asked to wait"
DROPPED: Rules = (
    Rule(
        "is not allowed by the key",
        lambda q: q.models_allowed is not None,
        lambda r, q, h: q.models_allowed is not None and r.model.lower() not in q.models_allowed,
    ),
    Rule("speaks another dialect", lambda q: True, lambda r, q, h: r.kind not in q.kinds),
    Rule("does not serve this operation", lambda q: True, lambda r, q, h: q.operation not in r.operations),
    Rule("is to be ignored", lambda q: q.wishes.ignore, lambda r, q, h: _is_named(r, q.wishes.ignore)),
    Rule(
        "is not among only",
        lambda q: q.wishes.only,
        lambda r, q, h: not (_is_named(r, q.wishes.only) or _is_left_to_upstream(r)),
    ),
    Rule(
        "is not in order",
        lambda q: q.wishes.order and not q.wishes.allow_fallbacks,
        lambda r, q, h: not (_is_named(r, q.wishes.order) or _is_left_to_upstream(r)),
    ),
    Rule(
        "may collect data",
        lambda q: q.wishes.denies_collection,
        lambda r, q, h: r.data_collection != "deny" and not _is_left_to_upstream(r),
    ),
    Rule(
        "does not state a data policy",
        lambda q: q.wishes.zdr or q.wishes.distillable,
        lambda r, q, h: not _is_left_to_upstream(r),
    ),
    Rule(
        "has another quantization",
        lambda q: q.wishes.quantizations,
        lambda r, q, h: r.quantization not in q.wishes.quantizations and not _is_left_to_upstream(r),
    ),
    Rule("is dearer than max_price", lambda q: q.wishes.max_prices, _too_dear),
    Rule(
        "has no known price",
        lambda q: q.wishes.max_prices or q.limited,
        lambda r, q, h: (
            r.price_set is None and (q.is_limited(r) or (bool(q.wishes.max_prices) and not _is_left_to_upstream(r)))
        ),
    ),
    Rule(
        "has too small a context",
        lambda q: True,
        lambda r, q, h: r.context_tokens is not None and q.need.least_tokens > r.context_tokens,
    ),
    Rule(
        "answers too little at once",
        lambda q: q.need.max_tokens,
        lambda r, q, h: r.max_output_tokens is not None and (q.need.max_tokens or 0) > r.max_output_tokens,
    ),
    Rule(
        "does not take such input",
        lambda q: q.need.modalities,
        lambda r, q, h: r.input_modalities is not None and not q.need.modalities <= r.input_modalities,
    ),
    Rule("lacks a parameter", lambda q: q.wishes.require_parameters, _lacks_parameters),
)
LAST: Rules = (
    Rule(
        "context may be too small",
        lambda q: True,
        lambda r, q, h: (
            r.context_tokens is not None and q.need.most_tokens + (q.need.max_tokens or 0) > r.context_tokens
        ),
    ),
    Rule(
        "parameters are not known",
        lambda q: q.wishes.require_parameters,
        lambda r, q, h: r.supported_parameters is None and not _is_left_to_upstream(r),
    ),
    Rule("does not list tools", lambda q: "tools" in q.need.parameters, _lacks_tools),
    Rule("slower than preferred", lambda q: q.wishes.latency_s or q.wishes.throughput, _is_slow),
)

# Those that may matter to a call without a wish of its own, as nearly all are.
_UNASKED = Request(
    Wishes(models=()),
    Need(max_tokens=1, modalities=frozenset({"audio"}), parameters=frozenset({"tools"})),
    models_allowed=frozenset(),
    limited=Limited(all=True),
)
_DROPPED_UNASKED = tuple(rule for rule in DROPPED if rule.matters(_UNASKED))
_LAST_UNASKED = tuple(rule for rule in LAST if rule.matters(_UNASKED))

BY_ORDER, BY_SESSION, BY_DRAW, BY_FILE = "order asked for", "session", "draw by price", "order of the settings"


def _ordered(
    request: Request, kept: list[Step], late: list[Step], health: Mapping[str, Health], seed: int
) -> tuple[str, list[Step]]:
    """The strategy, and the steps in its order: by model unless asked otherwise, stable before late ones."""
    by, ranks = _ranks(request, kept, late, health, seed)
    if ranks:
        kept = sorted(kept, key=lambda step: ranks.get(id(step.route), 0.0))
    if len(late) > 1:
        late = sorted(late, key=lambda step: (_TIERS.get(step.why, 0.5), ranks.get(id(step.route), 0.0)))
    steps = kept + late
    if request.wishes.order:
        steps.sort(key=lambda step: _order_place(request.wishes.order, step.route))
    if len(request.wishes.models) > 1 and not request.wishes.across_models:
        models = {name: n for n, (name, _) in enumerate(request.wishes.models)}
        steps.sort(key=lambda step: models.get(step.route.model, 0))
    return by, steps


def _ranks(
    request: Request, kept: list[Step], late: list[Step], health: Mapping[str, Health], seed: int
) -> tuple[str, dict[int, float]]:
    """The strategy, and by it a rank of each route, lower first; equal ranks keep the order of the settings."""
    wishes = request.wishes
    steps = kept + late
    if by := _SORTED_BY.get(wishes.sort):
        return f"sort by {wishes.sort}", {id(s.route): by(s.route, health.get(s.route.id, UNKNOWN)) for s in steps}
    draw = draw_among([step.route.price for step in kept])
    ranks = {id(s.route): rank for s, rank in zip(kept, draw.ranks(seed), strict=True)} if draw else {}
    if wishes.order:
        return BY_ORDER, ranks
    if request.session_route and any(step.route.id == request.session_route for step in kept):
        return BY_SESSION, ranks | {id(s.route): -1.0 for s in kept if s.route.id == request.session_route}
    return (BY_DRAW if draw else BY_FILE), ranks


def _order_place(order: tuple[str, ...], route: Route) -> int:
    own = route.provider.lower()
    return next((n for n, name in enumerate(order) if own == name or own.startswith(name + "/")), len(order))


TIMED_SORTS = ("throughput", "latency")  # they need percentiles
_SORTED_BY: dict[str, Callable[[Route, Health], float]] = {
    "price": lambda route, known: inf if route.price is None else float(route.price),
    "throughput": lambda route, known: -known.throughput.get("p50", 0.0),
    "latency": lambda route, known: known.latency_s.get("p50", inf),
    "exacto": lambda route, known: _by_tools(route),
}


def _by_tools(route: Route) -> float:
    """OpenRouter ranks by the share of wrong tool calls, which nobody measures here: who states tools, then who may."""
    return 1.0 if route.supported_parameters is None else 2.0 * ("tools" not in route.supported_parameters)
