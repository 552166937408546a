"""What a provider says it charged, as whole picodollars."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from collector.core.errors import InputError
from collector.core.money import MAX_COST, PICODOLLARS, parse_usd
from collector.core.usage.paths import Problems, value_at

# Where a usage object states a cost, and picodollars in one unit of it. A tick of xAI is 10^-10 USD (docs.x.ai, cost
# tracking); Perplexity's `cost` is an object; everything else is USD.
COST_PATHS = (("cost", PICODOLLARS), ("cost_in_usd_ticks", 100), ("cost.total_cost", PICODOLLARS))
_STATING = frozenset({"is_byok", *(path.split(".")[0] for path, _ in COST_PATHS)})  # without these nothing is said
UPSTREAM_COST_PATH = "cost_details.upstream_inference_cost"


class Reported(NamedTuple):
    """What was charged, in picodollars; None where nothing is said.

    `own_key_cost` is the part of `cost` that an own key paid upstream, 0 where that is not said; None: no own key.
    """

    cost: int | None = None
    own_key_cost: int | None = None


_NOTHING = Reported()


def reported_cost(usage: Mapping[str, Any], problems: Problems) -> Reported:
    """What the provider says it charged.

    On the caller's own key (`is_byok`) OpenRouter's `cost` is its fee alone and the upstream's cost comes on top;
    on its own key the same field repeats the cost and is not added.
    """
    if _STATING.isdisjoint(usage):
        return _NOTHING
    stated = ((value_at(usage, path), path, unit) for path, unit in COST_PATHS)
    cost = next((_picousd(*found, problems) for found in stated if _is_scalar(found[0])), None)
    if usage.get("is_byok") is not True:
        return Reported(cost)
    upstream = value_at(usage, UPSTREAM_COST_PATH)
    paid = _picousd(upstream, UPSTREAM_COST_PATH, PICODOLLARS, problems) if _is_scalar(upstream) else None
    return Reported(_total(cost, paid), paid or 0)


def _is_scalar(value: object) -> bool:
    return value is not None and not isinstance(value, dict | list)


def _total(one: int | None, other: int | None) -> int | None:
    return min((one or 0) + (other or 0), MAX_COST) if (one, other) != (None, None) else None


def _picousd(value: Any, path: str, unit: int, problems: Problems) -> int | None:
    """Exact, from an int, a Decimal or decimal text. A float has lost its digits already and is no amount."""
    try:
        amount = parse_usd(_text(value)) * unit // PICODOLLARS
    except InputError:
        amount = -1
    if 0 <= amount <= MAX_COST:
        return amount
    problems.append(f"{path} is {_text(value)[:40]!r}, not an amount (decode answers with decode_answer)")
    return None


def _text(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**128:
        return str(value)
    return str(value) if isinstance(value, str | Decimal) else type(value).__name__
