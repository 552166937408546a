"""What was metered, what providers report and what they invoice, side by side by UTC day, provider and model.

None of it enters usage or spend. Providers count in UTC days, and so does this.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import groupby

import msgspec
from sqlalchemy import Connection, Engine

from collector.core.meters import COMMON_METERS, METERS
from collector.core.money import parse_usd
from collector.core.periods import DAY_S, SECOND_US, Period, parse_day
from collector.core.prices.names import Names, undated
from collector.core.prices.notices import COUNT_IMAGES_INSIDE
from collector.core.selection import Selection
from collector.finance.gaps import Gap, Metered, Told, across_days, split, together, with_invoice
from collector.finance.lines import Line, lines_of, sums_of
from collector.finance.sources import price_sets, streamed
from collector.ledger.book import load_book
from collector.ledger.engines import sorting_on_disk
from collector.ledger.questions.ask import AnyRow
from collector.ledger.questions.billed import billed
from collector.ledger.questions.items import sums_by_price
from collector.ledger.questions.metered import invoiced, reported_per_day
from collector.settings import Settings

# Whose sums are taken for what, best first: sources tell of the same usage in different ways and never add up.
COST_SOURCES = ("openai_costs", "anthropic_costs", "openrouter_activity")
USAGE_SOURCES = ("openai_usage", "anthropic_usage", "openrouter_activity")
_METER_OF = {meter.column: name for name, meter in METERS.items()}
_BY = ("day", "provider", "model")


class Compared(msgspec.Struct, frozen=True):
    """One day (or the days of an invoice), provider and model ("": all of them, or not by model).

    Money in picodollars. `provider_cost` is what its API says it charged, or what its answers did; `invoice` what was
    entered. `gap` splits what is told, by the invoice if there is one, less what was metered; empty: nothing is told.
    """

    first_day: int
    end_day: int
    provider: str
    model: str
    metered: Metered
    told: Told
    invoice: int | None
    gap: Gap

    @property
    def provider_cost(self) -> int | None:
        return self.told.cost

    @property
    def difference(self) -> int | None:
        """What is told less what was metered; None where nothing is."""
        told = self.told.cost if self.invoice is None else self.invoice
        return None if told is None else told - self.metered.cost

    @property
    def coverage(self) -> tuple[int, int] | None:
        """Calls that were metered, and requests that the provider counts; None where it does not say."""
        return None if self.told.requests is None else (self.metered.calls, self.told.requests)


class Reconciliation(msgspec.Struct, frozen=True):
    """Every day with anything to compare, then every invoice, in order."""

    days: tuple[Compared, ...]
    invoices: tuple[Compared, ...]


Key = tuple[str, str, int]  # provider, model as compared, day


def reconcile(
    engine: Engine, settings: Settings, zones: Collection[str], first_day: int, end_day: int
) -> Reconciliation:
    """Holds the days [first_day, end_day), counted from 1970 UTC, against each other, by the price book's names."""
    providers = settings.providers or settings.built_in
    routers = {name for name, provider in providers.items() if provider.kind == "openrouter"}
    return compare(engine, load_book(settings).names, zones, first_day, end_day, routers)


def compare(
    engine: Engine, names: Names, zones: Collection[str], first_day: int, end_day: int, routers: Collection[str] = ()
) -> Reconciliation:
    """Holds the days [first_day, end_day), counted from 1970 UTC, against each other.

    `names` say which models are the same; `routers` are the providers that answer from others.
    """
    period = Period(first_day * DAY_S * SECOND_US, end_day * DAY_S * SECOND_US, "UTC")
    with engine.connect() as connection, sorting_on_disk(connection):
        shown: dict[tuple[str, str], str] = {}
        same = _same_model(names, shown)
        metered = _metered(connection, names, period, zones, same)
        told = _told(streamed(connection, billed(first_day, end_day)), same)
        lines = list(streamed(connection, invoiced(first_day, end_day)))
    _fold_models(metered, told)
    _fill_in_answers(metered, told)
    days = tuple(_days(metered, told, shown, frozenset(routers)))
    return Reconciliation(days, tuple(_invoices(lines, days, same, shown)))


def _same_model(names: Names, shown: dict[tuple[str, str], str]) -> Callable[[str, str], str]:
    """Gives a provider's models the name they are compared by, and keeps in `shown` the first name each had."""

    def same(provider: str, model: str) -> str:
        bare = undated(names.model(undated(names.model(model)))).rpartition("/")[2] if model else ""
        shown.setdefault((provider, bare), model)
        return bare

    return same


def _metered(
    connection: Connection, names: Names, period: Period, zones: Collection[str], same: Callable[[str, str], str]
) -> dict[Key, Metered]:
    found: dict[Key, Metered] = {}
    price_set_of = price_sets(connection)
    question = sums_by_price(Selection(), period, zones, _BY)
    for sums in sums_of(streamed(connection, question), _BY):
        day, provider, model = sums.group
        lines = list(lines_of(sums, price_set_of))
        key = provider, same(provider, model), parse_day(day)
        inside = names.provider(provider) in COUNT_IMAGES_INSIDE and not sums.meters.get("image_in_tokens")
        found[key] = _plus(
            found.get(key, Metered()),
            Metered(
                calls=sums.calls,
                unpriced_calls=sums.calls if sums.is_unpriced else 0,
                cost=sums.cost,
                quantities=sums.meters,
                charges=_charges(lines),
                images_on_top=_charges(lines).get("images_in", 0) if inside else 0,
            ),
        )
    for row in streamed(connection, reported_per_day(period, zones)):
        key = row.provider, same(row.provider, row.model), row.day
        if row.reported_calls:
            found[key] = _plus(found[key], Metered(reported_calls=row.reported_calls, reported_cost=row.reported_cost))
    return found


def _charges(lines: Iterable[Line]) -> dict[str, int]:
    return {_METER_OF[line.unit]: line.cost for line in lines if line.cost and line.unit in _METER_OF}


def _plus(one: Metered, other: Metered) -> Metered:
    numbers = [name for name in Metered.__struct_fields__ if name not in ("quantities", "charges")]
    return Metered(
        quantities=_added(one.quantities, other.quantities),
        charges=_added(one.charges, other.charges),
        **{name: getattr(one, name) + getattr(other, name) for name in numbers},
    )


def _added(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in one.keys() | other.keys()}


def _told(rows: Iterable[AnyRow], same: Callable[[str, str], str]) -> dict[Key, Told]:
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


def _fold_models(metered: dict[Key, Metered], told: dict[Key, Told]) -> None:
    """Where a provider's costs of a day are not by model, its models are compared together."""
    by_model = {(provider, day) for (provider, model, day), each in told.items() if model and each.cost is not None}
    for provider, model, day in [key for key, each in told.items() if not key[1] and each.cost is not None]:
        if (provider, day) in by_model:
            continue
        for key in [key for key in metered.keys() | told.keys() if key[::2] == (provider, day) and key[1]]:
            whole = provider, model, day
            metered[whole] = _plus(metered.get(whole, Metered()), metered.pop(key, Metered()))
            told[whole] = _both(told[whole], told.pop(key, Told()))


def _fill_in_answers(metered: dict[Key, Metered], told: dict[Key, Told]) -> None:
    """Where no source states a cost, and each answer said what it was charged, that is what the provider says."""
    for key, each in metered.items():
        before = told.get(key, Told())
        if before.cost is None and each.reported_calls == each.calls:
            told[key] = msgspec.structs.replace(before, cost=each.reported_cost)


def _days(
    metered: Mapping[Key, Metered],
    told: Mapping[Key, Told],
    shown: Mapping[tuple[str, str], str],
    routers: frozenset[str],
) -> Iterator[Compared]:
    rows: list[Compared] = []
    for (provider, model), keys in groupby(sorted(metered.keys() | told.keys()), key=lambda key: key[:2]):
        some = [(key[2], metered.get(key, Metered()), told.get(key, Told())) for key in keys]
        gaps = across_days([(day, split(one, other, routed=provider in routers)) for day, one, other in some])
        for (day, one, other), (_, gap) in zip(some, gaps, strict=True):
            name = shown.get((provider, model), model)
            rows.append(Compared(day, day + 1, provider, name, one, other, None, gap))
    yield from sorted(rows, key=lambda row: (row.first_day, row.provider, row.model))


def _invoices(
    lines: Iterable[AnyRow],
    days: Iterable[Compared],
    same: Callable[[str, str], str],
    shown: Mapping[tuple[str, str], str],
) -> Iterator[Compared]:
    """Each provider's invoice for some days, in all or for a model, against those days together."""
    ordered = sorted(
        lines, key=lambda line: (line.first_day, line.end_day, line.provider, same(line.provider, line.model))
    )
    all_days = list(days)
    for (first, end, provider, model), some in groupby(
        ordered, key=lambda line: (line.first_day, line.end_day, line.provider, same(line.provider, line.model))
    ):
        amounts = [(line.kind, parse_usd(line.usd)) for line in some]
        within = [
            day
            for day in all_days
            if first <= day.first_day < end and day.provider == provider and model in ("", same(provider, day.model))
        ]
        yield _invoice(first, end, provider, shown.get((provider, model), model), amounts, within)


def _invoice(
    first: int, end: int, provider: str, model: str, amounts: list[tuple[str, int]], within: list[Compared]
) -> Compared:
    metered, told = Metered(), Told()
    for day in within:
        metered = _plus(metered, day.metered)
        told = _both(told, day.told)
    invoice = sum(cost for _, cost in amounts)
    fees = sum(cost for kind, cost in amounts if kind != "usage")
    explained = together(day.gap for day in within)
    gap = with_invoice(explained, metered.cost + sum(explained.values()), invoice, fees)
    return Compared(first, end, provider, model, metered, told, invoice, gap)


def _both(one: Told, other: Told) -> Told:
    def plus(a: int | None, b: int | None) -> int | None:
        return a if b is None else (a or 0) + b

    quantities = _added(one.quantities, other.quantities)
    return Told(plus(one.requests, other.requests), quantities, plus(one.cost, other.cost))
