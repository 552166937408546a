"""Both sides of a reconciliation out of a ledger: what was metered, and what providers say, by the same keys."""

from collections.abc import Callable, Collection, Iterable, Mapping

import msgspec
from sqlalchemy import Connection

from collector.core.meters import COMMON_METERS, METERS
from collector.core.periods import Period, parse_day
from collector.core.prices.names import Names
from collector.core.prices.notices import COUNT_IMAGES_INSIDE
from collector.core.selection import Selection
from collector.finance.gaps import Metered, Told
from collector.finance.lines import Line, lines_of, sums_of
from collector.finance.sources import price_sets, streamed
from collector.finance.terms import plan_of
from collector.ledger.questions.ask import AnyRow
from collector.ledger.questions.items import sums_by_price
from collector.ledger.questions.metered import own_keys_per_day, reported_per_day
from collector.settings import Finance

# Whose sums are taken for what: a provider has one of each at most, and what only states a balance is none of them.
COST_SOURCES = ("openai_costs", "anthropic_costs", "openrouter_activity")
USAGE_SOURCES = ("openai_usage", "anthropic_usage", "openrouter_activity")
_METER_OF = {meter.column: name for name, meter in METERS.items()}
_BY = ("day", "provider", "model")

Key = tuple[str, str, int]  # provider, model as compared, day


def metered_sides(
    connection: Connection, names: Names, period: Period, zones: Collection[str], same: Callable[[str, str], str]
) -> dict[Key, Metered]:
    """What was metered; `same` gives a provider's model the name that it is compared by."""
    found: dict[Key, Metered] = {}
    price_set_of = price_sets(connection)
    question = sums_by_price(Selection(), period, zones, _BY)
    for sums in sums_of(streamed(connection, question), _BY):
        day, provider, model = sums.group
        charges = _charges(lines_of(sums, price_set_of))
        key = provider, same(provider, model), parse_day(day)
        inside = names.provider(provider) in COUNT_IMAGES_INSIDE and not sums.meters.get("image_in_tokens")
        found[key] = plus(
            found.get(key, Metered()),
            Metered(
                calls=sums.calls,
                unpriced_calls=sums.calls if sums.is_unpriced else 0,
                cost=sums.cost,
                quantities=sums.meters,
                charges=charges,
                images_on_top=charges.get("images_in", 0) if inside else 0,
            ),
        )
    for row in streamed(connection, reported_per_day(period, zones)):
        key = row.provider, same(row.provider, row.model), row.day
        if row.reported_calls:
            found[key] = plus(found[key], Metered(reported_calls=row.reported_calls, reported_cost=row.reported_cost))
    for row in streamed(connection, own_keys_per_day(period)):
        key = row.provider, same(row.provider, row.model), row.day
        paid, fee = row.own_key_cost, row.reported_cost - row.own_key_cost
        found[key] = plus(
            found[key], Metered(own_key_calls=row.calls, own_key_metered=row.cost, own_key_paid=paid, own_key_fees=fee)
        )
    return found


def add_notional(
    connection: Connection,
    metered: dict[Key, Metered],
    finance: Finance,
    period: Period,
    zones: Collection[str],
    same: Callable[[str, str], str],
) -> None:
    """Adds to what was metered how much of its cost came under a flat plan."""
    providers = tuple(sorted({plan.provider for plan in finance.plans}))
    if not providers:
        return
    for row in streamed(connection, sums_by_price(Selection(providers=providers), period, zones, (*_BY, "key"))):
        if plan_of(finance, row.provider, row.key, row.day) is not None:
            key = row.provider, same(row.provider, row.model), row.day
            metered[key] = plus(metered[key], Metered(notional=row.cost))


def _charges(lines: Iterable[Line]) -> dict[str, int]:
    return {_METER_OF[line.unit]: line.cost for line in lines if line.cost and line.unit in _METER_OF}


def plus(one: Metered, other: Metered) -> Metered:
    """The sums of two."""
    numbers = [name for name in Metered.__struct_fields__ if name not in ("quantities", "charges")]
    return Metered(
        quantities=_added(one.quantities, other.quantities),
        charges=_added(one.charges, other.charges),
        **{name: getattr(one, name) + getattr(other, name) for name in numbers},
    )


def _added(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in one.keys() | other.keys()}


def told_sides(rows: Iterable[AnyRow], same: Callable[[str, str], str]) -> dict[Key, Told]:
    """What providers say, each amount from one source."""
    found: dict[Key, Told] = {}
    for row in rows:
        key = row.provider, same(row.provider, row.model), row.day
        before = found.get(key, Told())
        if row.source in COST_SOURCES and row.cost is not None:
            before = msgspec.structs.replace(before, cost=(before.cost or 0) + row.cost)
        if row.source in USAGE_SOURCES:
            before = _with_usage(before, row)
        found[key] = before
    return found


def _with_usage(before: Told, row: AnyRow) -> Told:
    stated = {name: getattr(row, METERS[name].column) for name in COMMON_METERS}
    quantities = _added(before.quantities, {name: count for name, count in stated.items() if count is not None})
    requests = before.requests if row.requests is None else (before.requests or 0) + row.requests
    return msgspec.structs.replace(before, quantities=quantities, requests=requests)


def both(one: Told, other: Told) -> Told:
    """The sums of two; what neither states stays so."""

    def added(a: int | None, b: int | None) -> int | None:
        return a if b is None else (a or 0) + b

    quantities = _added(one.quantities, other.quantities)
    return Told(added(one.requests, other.requests), quantities, added(one.cost, other.cost))
