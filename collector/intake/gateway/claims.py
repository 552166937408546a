"""What a call may cost at most, and which budgets that is to be kept free of; pure."""

from collections.abc import Mapping, Sequence

from collector.core.budgets import Budget
from collector.core.calls import Call
from collector.core.prices import PriceSet, price_usage
from collector.intake.gateway.need import Need
from collector.intake.gateway.planning import NOT_LIMITED, Limited
from collector.intake.gateway.routing import Route

USUAL_OUTPUT_TOKENS = 4_096  # where neither the request nor the endpoint bounds its answer
_OF_A_ROUTE = ("model", "provider")
_WRITTEN = ("input", "cache_write_5m", "cache_write_1h")


def that_apply(budgets: Sequence[Budget], who: Mapping[str, str | None]) -> list[Budget]:
    """The budgets of a caller (`who`: app, key, user), and all those of models and providers."""
    return [b for b in budgets if not b.dimension or b.dimension in _OF_A_ROUTE or who.get(b.dimension) == b.name]


def limited_by(budgets: Sequence[Budget]) -> Limited:
    """What of a call these budgets apply to."""
    if not budgets:
        return NOT_LIMITED
    return Limited(
        all=any(b.dimension not in _OF_A_ROUTE for b in budgets),
        models=frozenset(b.name for b in budgets if b.dimension == "model"),
        providers=frozenset(b.name for b in budgets if b.dimension == "provider"),
    )


def covers(budget: Budget, model: str | None, provider: str | None) -> bool:
    """Whether a budget that applies to a call counts it when this endpoint serves it."""
    if budget.dimension not in _OF_A_ROUTE:
        return True
    return budget.name == (model if budget.dimension == "model" else provider)


def counted_by(budgets: Sequence[Budget], call: Call) -> list[Budget]:
    """The budgets that the cost of an ended call belongs to."""
    return [budget for budget in budgets if covers(budget, call.model, call.provider)]


def dearest(routes: Sequence[Route], need: Need, operation: str) -> int | None:
    """The most that one of these routes would charge, in picodollars; None where one has no price for it.

    The prompt counts as its bytes without inline files / 3, at most the endpoint's context, and as written into a cache
    where it may be; the answer as what was asked for at most, else the endpoint's maximum.
    """
    costs = [_cost(route, need, operation) for route in routes]
    known = [cost for cost in costs if cost is not None]
    return max(known, default=0) if len(known) == len(costs) else None


def _cost(route: Route, need: Need, operation: str) -> int | None:
    if route.price_set is None:
        return None
    longer = [each for each in route.long_price_sets if need.most_tokens > each.above_tokens]
    costs = [_cost_by(each, route, need, operation) for each in (route.price_set, *longer)]
    known = [cost for cost in costs if cost is not None]
    return max(known) if len(known) == len(costs) else None


def _cost_by(price_set: PriceSet, route: Route, need: Need, operation: str) -> int | None:
    most = route.context_tokens
    output = need.max_tokens or route.max_output_tokens or USUAL_OUTPUT_TOKENS
    fresh = max(_WRITTEN, key=lambda meter: price_set.unit_prices.get(meter, 0)) if need.writes_cache else "input"
    meters = {
        fresh: need.most_tokens if most is None else min(need.most_tokens, most),
        "output": 0 if operation == "embeddings" else output * need.choices,
        "images_in": need.images,
        "requests": 1,
    }
    cost = price_usage(meters, price_set).cost
    return None if cost is None else max(cost, price_set.minimum or 0)
