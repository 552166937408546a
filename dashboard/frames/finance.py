"""Finance: months and their closes, what was delivered, and the books held against providers and invoices."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

import pandas as pd

from collector.core.money import parse_usd
from collector.core.periods import format_day
from collector.finance.gaps import PARTS
from collector.finance.manifest import from_json
from collector.finance.overview import MonthBooked, Overview
from collector.finance.paid import Balance, Notional
from dashboard import texts
from dashboard.frames.calls import NOT_STATED


def month_table(its: Overview, path: str) -> pd.DataFrame:
    """One line per month, newest first: its state, what was used, booked and corrected, and its file at `path`."""
    lines = [[*_month(each), f"{path}?{urlencode({'month': each.month})}"] for each in its.months]
    columns = ["Month", "State", "Used by now, USD", "Own, USD", "Corrections, USD", "Booked, USD", "Closed", "File"]
    return pd.DataFrame(lines, columns=columns)


def _month(each: MonthBooked) -> list[Any]:
    amounts = (each.used, each.own, each.corrections, each.own + each.corrections)
    return [each.month, each.state, *map(texts.dollars, amounts), _instant(each.closed_at)]


def months_say(its: Overview) -> str:
    """How many months are closed and whether used and booked agree."""
    closed = sum(each.state == "closed" for each in its.months)
    fixed = f"in {its.zone}" if its.is_zone_fixed else f"in {its.zone}, until a first close fixes the zone"
    used, booked = (sum(parts) for parts in zip(*((m.used, m.own + m.corrections) for m in its.months), strict=True))
    equal = "which is what was used" if used == booked else f"and {texts.usd(used)} were used"
    return f"{texts.count(closed, 'month')} closed, counted {fixed}; all together book {texts.usd(booked)}, {equal}"


def plan_table(plans: Sequence[Notional]) -> pd.DataFrame:
    """One line per flat plan: what it costs in the period, and the metered cost of what came under it."""
    lines = [[each.plan, each.provider, *map(texts.dollars, (each.fees, each.cost))] for each in plans]
    return pd.DataFrame(lines, columns=["Plan", "Provider", "Fees, USD", "Notional, USD"])


def plans_say(plans: Sequence[Notional]) -> str:
    """How much of the period's spend nobody bills."""
    return (
        f"Exactly {texts.usd(sum(each.cost for each in plans))} of the spend of these days is notional: it came"
        f" under a flat plan, whose fees are {texts.usd(sum(each.fees for each in plans))}"
    )


def credit_table(balances: Sequence[Balance]) -> pd.DataFrame:
    """One line per provider with prepaid credits: bought, used since, and what is left."""
    lines = [[each.provider, *map(texts.dollars, (each.bought, each.used, each.left))] for each in balances]
    return pd.DataFrame(lines, columns=["Provider", "Bought, USD", "Used, USD", "Left, USD"])


def credits_say(balances: Sequence[Balance]) -> str:
    """What is left in all, or where more was used than is entered."""
    if over := [each for each in balances if each.left < 0]:
        names = ", ".join(each.provider for each in over)
        return f"More was used at {names} than is entered as bought: add what is missing under [[finance.credits]]"
    return f"At the end of the period exactly {texts.usd(sum(each.left for each in balances))} are left"


def close_table(rows: Sequence[Any]) -> pd.DataFrame:
    """Every close there was, newest first, and who opened it again, when and why."""
    lines = [
        [row.month, _instant(row.closed_at), row.closed_by,
         texts.usd(parse_usd(from_json(row.manifest).cost_usd)) if row.manifest else NOT_STATED,
         _instant(row.reopened_at), row.reopened_by or "", row.reopened_why or ""]
        for row in reversed(rows)
    ]  # fmt: skip
    return pd.DataFrame(lines, columns=["Month", "Closed", "By", "Booked", "Opened again", "Opened by", "Because"])


def delivery_table(rows: Sequence[Any]) -> pd.DataFrame:
    """The newest deliveries."""
    lines = [
        [
            texts.instant_text(row.delivered_at, "UTC"),
            row.file,
            row.state,
            row.rows,
            texts.usd(parse_usd(row.usd)),
            row.sha256[:16],
            row.folder,
        ]
        for row in rows
    ]
    return pd.DataFrame(lines, columns=["Delivered", "File", "State", "Rows", "Cost", "SHA-256", "Folder"])


def compared_table(rows: Sequence[Any]) -> pd.DataFrame:
    """One line for each thing compared: both sides, the gap and the parts that any of them has, exact."""
    parts = [name for name in PARTS if any(name in row.gap for row in rows)]
    lines = [
        [_days(row), row.provider or NOT_STATED, row.model or "(all)", texts.usd(row.metered.cost),
         _usd(row.told.cost), _usd(row.invoice), _usd(row.difference), _coverage(row),
         *(_usd(row.gap.get(name)) for name in parts)]
        for row in rows
    ]  # fmt: skip
    columns = ["Days", "Provider", "Model", "Metered", "Provider says", "Invoice", "Gap", "Coverage"]
    return pd.DataFrame(lines, columns=[*columns, *(name.capitalize() for name in parts)])


def compared_says(rows: Sequence[Any]) -> str:
    """How much was told, and the gap in all."""
    told = [row for row in rows if row.difference is not None]
    if not told:
        return "No provider says what it charged for these days"
    gap = sum(row.difference for row in told)
    return (
        f"Told for {len(told):,} of {texts.count(len(rows), 'line')}: all together it is "
        f"{texts.usd(abs(gap))} {'more' if gap > 0 else 'less'} than what was metered, to the last digit below"
    )


def _days(row: Any) -> str:
    first = format_day(row.first_day)
    return first if row.end_day == row.first_day + 1 else f"{first}..{format_day(row.end_day)}"


def _instant(at_us: int | None) -> str:
    return "" if at_us is None else texts.instant_text(at_us, "UTC")


def _usd(amount: int | None) -> str:
    return "" if amount is None else texts.usd(amount)


def _coverage(row: Any) -> str:
    return f"{row.coverage[0]:,} of {row.coverage[1]:,}" if row.coverage else ""
