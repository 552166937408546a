"""What was metered, what providers report and what they invoice, side by side by UTC day, provider and model.

None of it enters usage or spend. Providers count in UTC days, and so does this.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import groupby

import msgspec
from sqlalchemy import Engine

from collector.core.money import parse_usd
from collector.core.periods import DAY_S, SECOND_US, Period
from collector.core.prices.names import Names, undated
from collector.finance.gaps import Gap, Metered, Told, across_days, split, together, untold, with_invoice
from collector.finance.sides import Key, add_notional, both, metered_sides, plus, told_sides
from collector.finance.sources import streamed
from collector.ledger.book import load_book
from collector.ledger.engines import sorting_on_disk
from collector.ledger.questions.ask import AnyRow, Kept
from collector.ledger.questions.billed import billed
from collector.ledger.questions.metered import invoiced
from collector.settings import Finance, Settings

NO_TERMS = Finance()


class Compared(msgspec.Struct, frozen=True):
    """One day (or the days of an invoice), provider and model ("": all of them, or not by model).

    Money in picodollars. `told` is what its API says, or what its answers said they cost; `invoice` what was entered.
    `gap` splits what is told, by the invoice if there is one, less what was metered; empty: nothing is told.
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


def reconcile(
    engine: Engine, settings: Settings, zones: Collection[str], first_day: int, end_day: int
) -> Reconciliation:
    """Holds the days [first_day, end_day), counted from 1970 UTC, against each other, by the price book's names."""
    providers = settings.providers or settings.built_in
    routers = {name for name, provider in providers.items() if provider.kind == "openrouter"}
    return compare(engine, load_book(settings).names, zones, first_day, end_day, routers, settings.finance)


def compare(
    engine: Engine,
    names: Names,
    zones: Collection[str],
    first_day: int,
    end_day: int,
    routers: Collection[str] = (),
    finance: Finance = NO_TERMS,
) -> Reconciliation:
    """Holds the days [first_day, end_day), counted from 1970 UTC, against each other.

    `names` say which models are the same; `routers` are the providers that answer from others; what came under a flat
    plan of `finance` is not billed.
    """
    period = Period(first_day * DAY_S * SECOND_US, end_day * DAY_S * SECOND_US, "UTC")
    with engine.connect() as connection, sorting_on_disk(connection):
        shown: dict[tuple[str, str], str] = {}
        same = _same_model(names, shown)
        metered = metered_sides(connection, names, period, zones, same)
        add_notional(connection, metered, finance, period, zones, same)
        told = told_sides(streamed(connection, billed(first_day, end_day)), same)
        lines = list(streamed(connection, invoiced(first_day, end_day)))
    _fold_models(metered, told)
    _fill_in_answers(metered, told, routers, zones.rows_from_us if isinstance(zones, Kept) else 0)
    days = tuple(_days(metered, told, shown, frozenset(routers)))
    return Reconciliation(days, tuple(_invoices(lines, days, same, shown)))


def _same_model(names: Names, shown: dict[tuple[str, str], str]) -> Callable[[str, str], str]:
    """Gives a provider's models the name they are compared by, and keeps in `shown` the first name each had."""

    def same(provider: str, model: str) -> str:
        bare = undated(names.model(undated(names.model(model)))).rpartition("/")[2] if model else ""
        shown.setdefault((provider, bare), model)
        return bare

    return same


def _fold_models(metered: dict[Key, Metered], told: dict[Key, Told]) -> None:
    """Where a provider's costs of a day are not by model, its models are compared together."""
    by_model = {(provider, day) for (provider, model, day), each in told.items() if model and each.cost is not None}
    for provider, model, day in [key for key, each in told.items() if not key[1] and each.cost is not None]:
        if (provider, day) in by_model:
            continue
        for key in [key for key in metered.keys() | told.keys() if key[::2] == (provider, day) and key[1]]:
            whole = provider, model, day
            metered[whole] = plus(metered.get(whole, Metered()), metered.pop(key, Metered()))
            told[whole] = both(told[whole], told.pop(key, Told()))


def _fill_in_answers(
    metered: dict[Key, Metered], told: dict[Key, Told], routers: Collection[str], rows_from_us: int
) -> None:
    """Where no source states a cost, and each answer said what it was charged, that is what the provider says.

    What an own key paid upstream is charged by another one: of a router's calls that are pruned it is not known.
    """
    for key, each in metered.items():
        before = told.get(key, Told())
        is_known = key[0] not in routers or key[2] * DAY_S * SECOND_US >= rows_from_us
        if is_known and before.cost is None and each.reported_calls == each.calls:
            told[key] = msgspec.structs.replace(before, cost=each.reported_cost - each.own_key_paid)


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
        metered = plus(metered, day.metered)
        told = both(told, day.told)
    invoice = sum(cost for _, cost in amounts)
    fees = sum(cost for kind, cost in amounts if kind != "usage")
    explained = together(untold(day.metered) if day.told.cost is None else day.gap for day in within)
    gap = with_invoice(explained, metered.cost + sum(explained.values()), invoice, fees)
    return Compared(first, end, provider, model, metered, told, invoice, gap)
