"""What pays for usage in place of an invoice: flat plans, under which its cost is notional, and prepaid credits."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, Engine

from collector.core.money import parse_usd
from collector.core.periods import Period, day_bounds, day_number, parse_day
from collector.core.selection import Selection
from collector.finance.lines import Line
from collector.finance.sources import streamed
from collector.finance.terms import plan_of, purchases
from collector.ledger.engines import sorting_on_disk
from collector.ledger.questions.items import sums_by_price
from collector.settings import Credit, Finance, Plan

_BY = ("day", "provider", "key")


class Use(NamedTuple):
    """What a key used at a provider on a day; `cost` in picodollars."""

    day: int
    provider: str
    key: str
    cost: int


class Notional(msgspec.Struct, frozen=True):
    """What a flat plan costs in some days and the metered cost of what was used under it, which nobody bills.

    Money in picodollars.
    """

    plan: str
    provider: str
    fees: int
    cost: int


class Balance(msgspec.Struct, frozen=True):
    """What was bought of a provider's prepaid credits and what was used since the first of them; picodollars.

    `left` below 0: more was used than is entered as bought.
    """

    provider: str
    bought: int
    used: int

    @property
    def left(self) -> int:
        return self.bought - self.used


class Paid(msgspec.Struct, frozen=True):
    """The plans and credits of [finance], for some days and at their end."""

    notional: tuple[Notional, ...] = ()
    balances: tuple[Balance, ...] = ()


def notional_of(finance: Finance, uses: Iterable[Use], first_day: int, end_day: int) -> tuple[Notional, ...]:
    """Each plan with its fees in the days [first_day, end_day) and the cost of the uses under it. Pure."""
    costs: Counter[int] = Counter()
    for use in uses:
        if (plan := plan_of(finance, use.provider, use.key, use.day)) is not None:
            costs[id(plan)] += use.cost
    return tuple(
        Notional(plan.name, plan.provider, _fees(plan, first_day, end_day), costs[id(plan)]) for plan in finance.plans
    )


def balances_of(finance: Finance, uses: Iterable[Use], end_day: int) -> tuple[Balance, ...]:
    """Each provider with a credit bought before `end_day`; what comes under a plan is not paid by a credit. Pure."""
    first = _first_days(finance, end_day)
    bought: Counter[str] = Counter()
    for credit in finance.credits:
        if _day(credit) < end_day:
            bought[credit.provider] += parse_usd(str(credit.usd))
    used: Counter[str] = Counter()
    for use in uses:
        is_paid = first.get(use.provider, end_day) <= use.day < end_day
        if is_paid and plan_of(finance, use.provider, use.key, use.day) is None:
            used[use.provider] += use.cost
    return tuple(Balance(provider, bought[provider], used[provider]) for provider in sorted(first))


def paid_in(engine: Engine, zones: Collection[str], finance: Finance, period: Period) -> Paid:
    """The plans and credits for all that was used in a period."""
    with engine.connect() as connection, sorting_on_disk(connection):
        return paid(connection, zones, finance, Selection(), period)


def paid(
    connection: Connection,
    zones: Collection[str],
    finance: Finance,
    selection: Selection,
    period: Period,
    counted: Iterable[Use] | None = None,
) -> Paid:
    """The plans for what a selection used in a period, and at its end the credits, for all that was used of them.

    `counted` stands in for what the plans' uses are, where a month books something else than it used.
    """
    first_day, end_day = day_number(period.start_us, period.zone), _end_day(period)
    if counted is None:
        counted = _uses(connection, zones, selection, period, {plan.provider for plan in finance.plans})
    return Paid(
        notional_of(finance, counted, first_day, end_day), _balances(connection, zones, finance, period, end_day)
    )


def _balances(
    connection: Connection, zones: Collection[str], finance: Finance, period: Period, end_day: int
) -> tuple[Balance, ...]:
    first = _first_days(finance, end_day)
    if not first:
        return ()
    since = Period(day_bounds(min(first.values()), period.zone)[0], period.end_us, period.zone)
    return balances_of(finance, _uses(connection, zones, Selection(), since, first), end_day)


class Under:
    """Counts what lines that go by come under, for a file whose lines have a day, a provider and a key."""

    def __init__(self) -> None:
        self._uses: Counter[tuple[str, ...]] = Counter()

    def counted(self, lines: Iterable[Line], by: Collection[str]) -> Iterator[Line]:
        """The same lines, each counted when it is taken."""
        places = [list(by).index(name) for name in _BY]
        for line in lines:
            self._uses[tuple(line.group[at] for at in places)] += line.cost or 0
            yield line

    def all(self) -> Iterator[Use]:
        """What was counted."""
        return (Use(parse_day(day), provider, key, cost) for (day, provider, key), cost in self._uses.items())


def _uses(
    connection: Connection, zones: Collection[str], selection: Selection, period: Period, providers: Collection[str]
) -> Iterator[Use]:
    """What a selection used at some providers."""
    asked = [name for name in sorted(providers) if name in (selection.providers or providers)]
    if not asked:
        return
    only = msgspec.structs.replace(selection, providers=tuple(asked))
    for row in streamed(connection, sums_by_price(only, period, zones, _BY)):
        yield Use(row.day, row.provider, row.key, row.cost)


def _first_days(finance: Finance, end_day: int) -> dict[str, int]:
    """The day of each provider's first credit, of those bought before `end_day`."""
    found: dict[str, int] = {}
    for credit in finance.credits:
        if (day := _day(credit)) < end_day:
            found[credit.provider] = min(day, found.get(credit.provider, day))
    return found


def _fees(plan: Plan, first_day: int, end_day: int) -> int:
    return sum(each.cost for each in purchases(Finance(plans=(plan,)), first_day, end_day))


def _end_day(period: Period) -> int:
    """The day after the last one that a period touches."""
    return day_number(period.end_us - 1, period.zone) + 1


def _day(credit: Credit) -> int:
    return parse_day(credit.date.isoformat())
