"""Money beyond the price lists, out of [finance]: prepaid credits, flat plans and rates of exchange. Pure."""

from collections.abc import Iterator
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal

import msgspec

from collector.core.errors import UsageError
from collector.core.money import PICODOLLARS, parse_usd
from collector.core.periods import format_day, parse_day
from collector.finance.months import month_of
from collector.settings import Finance, Plan, Rate

_ROUNDED = Decimal("0.000001")


class Purchase(msgspec.Struct, frozen=True):
    """A payment that is no usage: a credit, or a plan's fee of a month. `cost` in picodollars."""

    day: int
    provider: str
    what: str
    cost: int
    recurring: bool = False
    invoice_id: str | None = None


def purchases(finance: Finance, first_day: int, end_day: int) -> Iterator[Purchase]:
    """The payments of the days from the first up to but not including the last, in order of time."""
    found = [
        Purchase(day, credit.provider, "prepaid credit", parse_usd(str(credit.usd)), invoice_id=credit.invoice_id)
        for credit in finance.credits
        if first_day <= (day := _number(credit.date)) < end_day
    ]
    for plan in finance.plans:
        fee = parse_usd(str(plan.usd_per_month))
        found += [
            Purchase(day, plan.provider, plan.name, fee, recurring=True) for day in _fees(plan, first_day, end_day)
        ]
    return iter(sorted(found, key=lambda each: (each.day, each.provider, each.what)))


def is_prepaid(finance: Finance, provider: str, day: int) -> bool:
    """Whether what is used at a provider on a day is paid by a credit."""
    return any(each.provider == provider and _number(each.date) <= day for each in finance.credits)


def plan_of(finance: Finance, provider: str, key: str, day: int) -> Plan | None:
    """The flat plan that usage comes under."""
    for plan in finance.plans:
        is_in_force = _number(plan.starts) <= day and (plan.until is None or day < _number(plan.until))
        if plan.provider == provider and plan.key in (None, key) and is_in_force:
            return plan
    return None


def rate_of(finance: Finance, end_day: int) -> Rate | None:
    """The newest rate of the report currency that is dated before a day; None where none is set.

    Raises UsageError when all are dated later: a file must not change when a rate is added.
    """
    if finance.report_currency is None:
        return None
    known = [rate for rate in finance.rates if rate.currency == finance.report_currency]
    dated = [rate for rate in known if _number(rate.date) < end_day]
    if not dated:
        raise UsageError(
            f"no rate of {finance.report_currency} is dated before {format_day(end_day)}: add [[finance.rates]]"
        )
    return max(dated, key=lambda rate: rate.date)


def converted(cost: int, rate: Rate) -> Decimal:
    """Picodollars in the report currency, rounded half-even to 6 places: such sums do not add up."""
    return (Decimal(cost) / PICODOLLARS * Decimal(rate.per_usd)).quantize(_ROUNDED, ROUND_HALF_EVEN)


def _fees(plan: Plan, first_day: int, end_day: int) -> Iterator[int]:
    """The days on which a plan's fee is due: its first one, then the first of every month."""
    starts, until = _number(plan.starts), end_day if plan.until is None else min(end_day, _number(plan.until))
    day = starts
    while day < until:
        if day >= first_day:
            yield day
        day = parse_day(f"{month_of(parse_day(f'{month_of(day)}-01') + 31)}-01")


def _number(day: date) -> int:
    return parse_day(day.isoformat())
