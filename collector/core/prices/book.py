"""The book: which price set a call is charged by, and the charge.

1. `find` gathers, per model, provider, key and tier, the groups of sets that may apply, best first, and keeps them.
2. Of a group the set is chosen by instant, size and hour. The first group that has one wins.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple, Protocol

import msgspec

from collector.core.calls import Call, Quality
from collector.core.meters import INPUT_TOKENS
from collector.core.outcomes import Outcome
from collector.core.prices.arithmetic import price_usage
from collector.core.prices.names import Names, is_snapshot, normal_tier
from collector.core.prices.sets import PriceSet

_NEVER_CHARGED = (Outcome.REFUSED, Outcome.CALLER_FAULT, Outcome.RATE_LIMITED, Outcome.PROVIDER_FAULT)
_MAX_ROUTES = 20_000  # names come from outside: the memory of them is bounded
_EVER = 2**63
_MINUTE_US, _DAY_US = 60_000_000, 86_400_000_000
_EPOCH_WEEKDAY = 3  # 1970-01-01 was a Thursday
_INPUT_TOKENS = frozenset(INPUT_TOKENS)
_COUNTED = frozenset({"images_in", "images_out", "tool_calls"})
_NOT_IN_FORCE = "no price in force at that time"
NO_USAGE = "no usage was reported"  # why a call is unpriced although no price is missing


class Unpriced(msgspec.Struct, frozen=True):
    """Why there is no price set. The reason names model, provider and tier, never a quantity: reasons are counted."""

    reason: str


class Source(Protocol):
    """One place that prices come from. `name` is what users see; `is_long`: too many entries to show unasked;
    `is_list`: it says what everybody is asked, not what was agreed with this user."""

    name: str
    is_long: bool
    is_list: bool

    def sets(self, model: str, provider: str | None) -> Sequence[PriceSet]:
        """All sets of a model at a provider; None: sold by anybody."""
        ...

    def remark(self, model: str, provider: str | None) -> str | None:
        """Why a model that is known here has no set; None when there is nothing to say."""
        ...

    def prepare(self) -> None:
        """Read now what would otherwise be read when it is first asked for."""
        ...

    def every(self) -> Iterable[PriceSet]:
        """All sets of this source."""
        ...

    def everywhere(self, model: str) -> Iterable[PriceSet]:
        """All sets of a model, at whatever provider."""
        ...


class Files:
    """A source whose sets are all at hand."""

    is_long = False

    def __init__(self, name: str, sets: Iterable[PriceSet], names: Names, *, is_list: bool = True) -> None:
        self.name, self.is_list = name, is_list
        self._sets: dict[tuple[str, str | None], list[PriceSet]] = {}
        for price_set in sets:
            provider = price_set.provider.lower() if price_set.provider else None
            self._sets.setdefault((names.model(price_set.model), provider), []).append(price_set)
        self._names = names

    def sets(self, model: str, provider: str | None) -> Sequence[PriceSet]:
        return self._sets.get((self._names.model(model), provider), ())

    def remark(self, model: str, provider: str | None) -> str | None:
        return None

    def prepare(self) -> None:
        """Nothing: all sets are at hand."""

    def every(self) -> Iterable[PriceSet]:
        return (s for found in self._sets.values() for s in found)

    def everywhere(self, model: str) -> Iterable[PriceSet]:
        model_id = self._names.model(model)
        return (s for s in self.every() if self._names.model(s.model) == model_id)


class _Group(NamedTuple):
    """Sets of one source for one model at one provider."""

    sets: list[PriceSet]
    is_list: bool


class _Choice(NamedTuple):
    """One set, ready to be compared with a call."""

    above_tokens: int
    hours: tuple[tuple[int, int], ...]
    days: tuple[int, ...]
    starts: int
    until: int
    price_set: PriceSet
    is_list: bool


class _Route(NamedTuple):
    """The sets that may apply, best first, and whether the size of the prompt decides between them.

    `lists` are those of public lists that stand beside a contract's sets; `pairs` both of them put together.
    """

    choices: tuple[_Choice, ...]
    by_size: bool
    lists: "_Route | None"
    pairs: dict[tuple[int, int], PriceSet]

    @property
    def always(self) -> PriceSet | None:
        """The one answer that there is, whatever is asked."""
        if len(self.choices) != 1 or not _is_constant(self.choices[0].price_set):
            return None
        return self.at(0, 0) if self.lists is None or self.lists.always else None

    def at(self, at_us: int, prompt_tokens: int) -> PriceSet | None:
        """The first set that is in force at an instant for a prompt of that size."""
        for above_tokens, hours, days, starts, until, price_set, is_list in self.choices:
            fits = starts <= at_us < until and (prompt_tokens > above_tokens or not above_tokens)
            if fits and (not (hours or days) or _is_time(hours, days, at_us)):
                if is_list or self.lists is None:
                    return price_set
                return self._beside(price_set, self.lists.at(at_us, prompt_tokens))
        return None

    def _beside(self, contract: PriceSet, public: PriceSet | None) -> PriceSet:
        if public is None:
            return contract
        pair = id(contract), id(public)
        if pair not in self.pairs:
            self.pairs[pair] = contract.beside(public)
        return self.pairs[pair]


Route = PriceSet | Unpriced | _Route  # all that can price the calls with the same names


class PriceBook:
    """Price sets by source, first source first, and the names by which models and providers meet.

    `sources` are asked for a model at the provider as the ledger names it, at the provider as price lists name
    it, and at any provider, in that order. `own`, the endpoints of callmeter.toml, comes before them: such a price is
    that endpoint's, whatever name the answer bears, but for a provider of `routers`, whose answers may come from
    another model. `image_rules`: (provider, model) -> how that endpoint charges its images.
    """

    def __init__(
        self,
        sources: Sequence[Source] = (),
        names: Names | None = None,
        own: Source | None = None,
        routers: frozenset[str] = frozenset(),
        image_rules: Mapping[tuple[str, str], str] | None = None,
    ) -> None:
        self.sources = (own, *sources) if own else tuple(sources)
        self.names = names or Names()
        self._own = own
        self._routers = routers
        self._image_rules = image_rules or {}
        self._routes: dict[tuple[str | None, ...], Route] = {}

    def prepare(self) -> None:
        """Read every source now, so that no later `find` waits for a file."""
        for source in self.sources:
            source.prepare()

    def find(
        self,
        model: str | None,
        provider: str | None,
        at_us: int,
        tier: str | None = None,
        prompt_tokens: int = 0,
        served_model: str | None = None,
        key: str | None = None,
    ) -> PriceSet | Unpriced:
        """The set in force for a model at a provider, or the reason that there is none.

        `tier` is the service tier that was served, `prompt_tokens` all input tokens, cached ones included.
        The served model counts; where no source knows it, the asked one does.
        """
        route = self._route(model, served_model, provider, tier, key)
        if not isinstance(route, _Route):
            return route
        return route.at(at_us, prompt_tokens) or Unpriced(f"{_NOT_IN_FORCE} for {_named(model, provider)}")

    def for_call(self, call: Call) -> PriceSet | Unpriced:
        """The set that a call is charged by, before any minimum, or the reason that there is none."""
        return _chosen(call, self.route_of(call))

    def route_of(self, call: Call) -> Route:
        """What prices a call: the same for all with its model, served model, provider, service tier and key."""
        return self._route(call.model, call.served_model, call.provider, call.service_tier, call.key)

    def _route(
        self, model: str | None, served: str | None, provider: str | None, tier: str | None, key: str | None
    ) -> Route:
        names = (model, served, provider, tier, key)
        route = self._routes.get(names)
        if route is None:
            if len(self._routes) >= _MAX_ROUTES:
                self._routes.clear()
            route = self._routes[names] = self._new_route(*names)
        return route

    def _new_route(
        self, model: str | None, served: str | None, provider: str | None, tier: str | None, key: str | None
    ) -> Route:
        found = self._groups(model, served, provider, normal_tier(tier), key)
        groups = list(_up_to_a_constant(found))
        if not groups:
            return self._unpriced(model or served, served, provider, tier)
        lists = None
        if not all(group.is_list for group in groups):
            public = (group for group in chain(groups, found) if group.is_list)
            lists = _route_of(list(_up_to_a_constant(public)))
        route = _route_of(groups, lists)
        return route.always or route

    def _groups(
        self, model: str | None, served: str | None, provider: str | None, tier: str | None, key: str | None
    ) -> Iterator[_Group]:
        """Sets that may apply, best group first: name before source before key before provider."""
        conditions = [(k, p) for k in dict.fromkeys((key, None)) for p in self.providers(provider)]
        for name, source in self._lookups(model, served, provider):
            for wanted, at in conditions:
                if group := [s for s in source.sets(name, at) if s.tier == tier and s.key == wanted]:
                    yield _Group(self._by_own_image_rule(group, model, provider), source.is_list)

    def _lookups(self, model: str | None, served: str | None, provider: str | None) -> Iterator[tuple[str, Source]]:
        """Which name to ask of which source, in order."""
        if self._own and model and (provider or "").lower() not in self._routers:
            yield model, self._own
        for names in _name_groups(model, served):
            for source in self.sources:
                yield from ((name, source) for name in names)

    def _by_own_image_rule(self, group: list[PriceSet], model: str | None, provider: str | None) -> list[PriceSet]:
        rule = self._image_rules.get(((provider or "").lower(), (model or "").lower()))
        return [s if rule in (None, s.images) else msgspec.structs.replace(s, images=rule) for s in group]

    def providers(self, provider: str | None) -> list[str | None]:
        """Under which provider names to look a price up, in order; None: sold by anybody."""
        if not provider:
            return [None]
        return [*dict.fromkeys((provider.strip().lower(), self.names.provider(provider))), None]

    def _unpriced(self, model: str | None, served: str | None, provider: str | None, tier: str | None) -> Unpriced:
        if not model:
            return Unpriced("no model is stated")
        if normal_tier(tier) and any(self._groups(model, served, provider, None, None)):
            return Unpriced(f"no price for service tier {tier} of {_named(model, provider)}")
        lookups = [(n, s, p) for n, s in self._lookups(model, served, provider) for p in self.providers(provider)]
        remarks = (source.remark(name, at) for name, source, at in lookups)
        remark = next(filter(None, remarks), None)
        return Unpriced(f"no price for {_named(model, provider)}" + (f": {remark}" if remark else ""))


class Charge(msgspec.Struct, frozen=True, gc=False):
    """What a call is charged: by which set, for which meters (billed requests included), how much or why not."""

    price_set: PriceSet | None
    meters: Mapping[str, int]
    cost: int | None
    unpriced_reason: str | None


def charge(call: Call, book: PriceBook) -> Charge:
    """The charge of a call by the book."""
    return charge_by(call, book.route_of(call))


def charge_by(call: Call, route: Route) -> Charge:
    """The charge of a call by what the book has for it.

    A call that failed and reports no usage costs 0 and has no set. Any other without usage is unpriced: what
    it cost is unknown. A set that prices `requests` adds one request to the meters of a call that used anything.
    """
    if not has_usage(call):
        if call.outcome in _NEVER_CHARGED:
            return Charge(None, call.meters, 0, None)
        return Charge(None, call.meters, None, NO_USAGE)
    found = route if isinstance(route, PriceSet) else _chosen(call, route)
    if isinstance(found, Unpriced):
        return Charge(None, call.meters, None, found.reason)
    meters = call.meters
    if found.minimum is not None or "requests" in found.prices:
        return _charge_with_request(meters, found)
    priced = price_usage(meters, found)
    return Charge(found, meters, priced.cost, priced.unpriced_reason)


def _chosen(call: Call, route: Route) -> PriceSet | Unpriced:
    if not isinstance(route, _Route):
        return route
    prompt_tokens = 0
    if route.by_size:
        prompt_tokens = sum([n for meter, n in call.meters.items() if meter in _INPUT_TOKENS])
    found = route.at(call.started_at, prompt_tokens)
    return found or Unpriced(f"{_NOT_IN_FORCE} for {_named(call.model, call.provider)}")


def has_usage(call: Call) -> bool:
    """What is counted in request and answer says, alone, nothing of what the provider metered."""
    return call.quality != Quality.NONE or not call.meters.keys() <= _COUNTED


def _charge_with_request(meters: Mapping[str, int], price_set: PriceSet) -> Charge:
    if "requests" not in meters and any(meters.values()):
        meters = {**meters, "requests": 1}
    priced = price_usage(meters, price_set)
    if priced.cost is not None and 0 < priced.cost < (price_set.minimum or 0):
        price_set = price_set.at_minimum
        priced = price_usage(meters, price_set)
    return Charge(price_set, meters, priced.cost, priced.unpriced_reason)


def _name_groups(model: str | None, served: str | None) -> list[tuple[str, ...]]:
    """Names to look up, in order. A snapshot of what was asked shares its group: a source that prices either wins."""
    if not served or not model or served == model:
        return [(name,) for name in (served or model,) if name]
    return [(served, model)] if is_snapshot(served, model) else [(served,), (model,)]


def _named(model: str | None, provider: str | None) -> str:
    return f"{model} at {provider}" if provider else f"{model} (no provider is stated)"


def _is_constant(s: PriceSet) -> bool:
    return not (s.above_tokens or s.hours or s.days) and s.starts is None and s.until is None


def _up_to_a_constant(groups: Iterable[_Group]) -> Iterator[_Group]:
    """The groups up to the first that always has an answer: nothing after it can be asked for."""
    for group in groups:
        yield group
        if any(_is_constant(s) for s in group.sets):
            return


def _route_of(groups: Sequence[_Group], lists: _Route | None = None) -> _Route:
    choices = tuple(choice for group in groups for choice in _by_precedence(group))
    by_size = any(choice.above_tokens for choice in choices) or (lists is not None and lists.by_size)
    return _Route(choices, by_size, lists if lists and lists.choices else None, {})


def _by_precedence(group: _Group) -> list[_Choice]:
    """The larger band first, stated hours or days before all others, the later start before the earlier."""
    choices = [_choice(s, group.is_list) for s in group.sets]
    return sorted(choices, key=lambda each: (-each.above_tokens, not (each.hours or each.days), -each.starts))


def _choice(s: PriceSet, is_list: bool) -> _Choice:
    starts, until = -_EVER if s.starts is None else s.starts, _EVER if s.until is None else s.until
    return _Choice(s.above_tokens, s.hours, s.days, starts, until, s, is_list)


def _is_time(hours: tuple[tuple[int, int], ...], days: tuple[int, ...], at_us: int) -> bool:
    day, in_day_us = divmod(at_us, _DAY_US)
    return (not days or (day + _EPOCH_WEEKDAY) % 7 in days) and (not hours or _within(hours, in_day_us // _MINUTE_US))


def _within(hours: tuple[tuple[int, int], ...], minute: int) -> bool:
    return any(s <= minute < e if s <= e else minute >= s or minute < e for s, e in hours)
