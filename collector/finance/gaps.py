"""Why what was metered and what a provider says differ: the gap of a day, provider and model, split. Pure.

Each part is an estimate from what both sides state; together they are the gap, to the last picodollar. What nothing
points to stays `unexplained`.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import msgspec

PARTS = {
    "not captured": "the provider counts usage that callmeter did not see, at the price of what it saw",
    "price difference": "both count the same, and the provider charges it differently",
    "image rule": "a charge per image that came on top of the tokens the provider counts it as",
    "day boundary": "usage that the provider counts on the day before or after",
    "own key": "paid to the upstream provider with an own key, so not billed by the router",
    "provider fee": "fees, taxes and credits, those of own keys included",
    "free": "usage that the provider counts and does not charge, or that came under a flat plan",
    "unexplained": "neither side says enough",
}
Gap = dict[str, int]  # part -> picodollars; together told - metered


class Metered(msgspec.Struct, frozen=True):
    """What was metered; money in picodollars. `charges` is what each meter cost."""

    calls: int = 0
    unpriced_calls: int = 0
    cost: int = 0
    quantities: Mapping[str, int] = {}
    charges: Mapping[str, int] = {}
    images_on_top: int = 0  # charged per image, at a provider that counts images as tokens too
    reported_calls: int = 0  # for so many of the calls the provider said what it charged
    reported_cost: int = 0
    own_key_calls: int = 0  # so many of the calls say that an own key paid upstream
    own_key_metered: int = 0  # what those were metered at
    own_key_paid: int = 0  # of the reported cost, what was paid upstream
    own_key_fees: int = 0  # and what the router took for them
    notional: int = 0  # of the cost, what came under a flat plan


class Told(msgspec.Struct, frozen=True):
    """What a provider says; None and absent meters are not stated."""

    requests: int | None = None
    quantities: Mapping[str, int] = {}
    cost: int | None = None

    @property
    def states_usage(self) -> bool:
        return self.requests is not None or bool(self.quantities)


def split(metered: Metered, told: Told, *, routed: bool = False) -> Gap:
    """The parts of told - metered, without the days beside it; empty where the provider states no cost.

    `routed`: the provider is a router, at which an own key of an upstream provider may be used. Where no call says so,
    it is taken for one that answers reported more than the router charges.
    """
    if told.cost is None:
        return {}
    gap = told.cost - metered.cost
    if not metered.calls:
        return _parts({"not captured" if told.states_usage else "provider fee": gap}, gap)
    if told.cost == 0 and told.states_usage and metered.cost > 0 and not metered.own_key_calls:
        return _parts({"free": gap}, gap)
    found = {"own key": -metered.own_key_metered, "provider fee": metered.own_key_fees, "free": -metered.notional}
    left = gap - sum(found.values())
    found["not captured"] = missing(metered, told)
    over = max(0, found["not captured"] - left)  # metered beyond what is told
    found["image rule"] = -min(metered.images_on_top, over)
    over += found["image rule"]
    if routed and not metered.own_key_calls and metered.reported_cost > told.cost:
        found["own key"] = -min(metered.reported_cost - told.cost, over)
    return _parts(found, gap, "price difference" if _is_comparable(metered, told) else "unexplained")


def missing(metered: Metered, told: Told) -> int:
    """What the usage that the provider counts beyond the metered one would cost; below 0 where it counts less."""
    if told.quantities:
        return sum(
            (told.quantities[name] - quantity) * metered.charges.get(name, 0) // quantity
            for name, quantity in metered.quantities.items()
            if quantity and name in told.quantities
        )
    if told.requests is not None and metered.calls:
        return (told.requests - metered.calls) * metered.cost // metered.calls
    return 0


def across_days(days: Sequence[tuple[int, Gap]]) -> list[tuple[int, Gap]]:
    """The same days of one provider and model, in order, with what only moved to the day beside it as `day boundary`.

    What still counts less than was metered is `unexplained`: it cannot be missing here.
    """
    found = [(day, dict(gap)) for day, gap in days]
    for (day, one), (following, other) in pairwise(found):
        a, b = one.get("not captured", 0), other.get("not captured", 0)
        if following == day + 1 and a * b < 0:
            moved = min(abs(a), abs(b))
            for gap, sign in ((one, 1 if a > 0 else -1), (other, 1 if b > 0 else -1)):
                _move(gap, "not captured", "day boundary", sign * moved)
    for _, gap in found:
        _move(gap, "not captured", "unexplained", min(0, gap.get("not captured", 0)))
    return [(day, _parts(gap, sum(gap.values()))) for day, gap in found]


def untold(metered: Metered) -> Gap:
    """What is known of the gap to an invoice of days of which the provider itself says no cost."""
    return _parts({"free": -metered.notional}, -metered.notional)


def with_invoice(gap: Gap, told: int, invoiced: int, fees: int) -> Gap:
    """The parts of invoice - metered, from those of told - metered: `fees` are of the invoice."""
    parts = dict(gap)
    parts["provider fee"] = parts.get("provider fee", 0) + fees
    parts["unexplained"] = parts.get("unexplained", 0) + invoiced - fees - told
    return _parts(parts, sum(parts.values()))


def together(gaps: Iterable[Gap]) -> Gap:
    """The sums of the parts."""
    parts: Gap = {}
    for gap in gaps:
        for name, amount in gap.items():
            parts[name] = parts.get(name, 0) + amount
    return _parts(parts, sum(parts.values()))


def _is_comparable(metered: Metered, told: Told) -> bool:
    return told.states_usage or metered.reported_calls == metered.calls


def _parts(found: Gap, gap: int, rest: str = "unexplained") -> Gap:
    """Those above or below 0, in the order of PARTS; what is left of the gap goes to `rest`."""
    left = gap - sum(found.values())
    found = found | {rest: found.get(rest, 0) + left}
    return {name: found[name] for name in PARTS if found.get(name)}


def _move(gap: Gap, source: str, target: str, amount: int) -> None:
    if amount:
        gap[source] -= amount
        gap[target] = gap.get(target, 0) + amount
