"""Credits, plans and rates, without a ledger."""

from datetime import date
from decimal import Decimal

import pytest

from collector.core.errors import UsageError
from collector.core.periods import format_day, parse_day
from collector.finance.terms import converted, is_prepaid, plan_of, purchases, rate_of
from collector.settings import Credit, Finance, Plan, Rate

FINANCE = Finance(
    report_currency="EUR",
    credits=(Credit(provider="openrouter", date=date(2026, 10, 10), usd=Decimal("12.5")),),
    plans=(
        Plan(
            name="Team", provider="openai", usd_per_month=20, starts=date(2026, 1, 31), until=date(2026, 4, 1), key="k"
        ),
    ),
    rates=(
        Rate("EUR", date(2026, 9, 30), Decimal("0.9"), "ECB"),
        Rate("EUR", date(2026, 10, 31), Decimal("0.8"), "ECB"),
        Rate("CHF", date(2026, 10, 31), Decimal("0.7"), "SNB"),
    ),
)


def paid(first: str, end: str) -> list[tuple[str, str, int]]:
    return [
        (format_day(each.day), each.what, each.cost) for each in purchases(FINANCE, parse_day(first), parse_day(end))
    ]


def test_a_plan_s_fee_is_due_on_its_first_day_and_on_the_first_of_every_month():
    assert [day for day, what, _ in paid("2025-01-01", "2027-01-01") if what == "Team"] == [
        "2026-01-31", "2026-02-01", "2026-03-01",
    ]  # fmt: skip
    assert paid("2026-02-01", "2026-03-01") == [("2026-02-01", "Team", 20 * 10**12)]


def test_a_credit_is_bought_once_and_pays_from_that_day_on():
    assert paid("2026-10-01", "2026-11-01") == [("2026-10-10", "prepaid credit", 12_500_000_000_000)]
    assert paid("2026-11-01", "2026-12-01") == []
    days = [is_prepaid(FINANCE, "openrouter", parse_day(f"2026-10-{day}")) for day in ("09", "10")]
    assert (days, is_prepaid(FINANCE, "openai", parse_day("2026-10-10"))) == ([False, True], False)


def test_usage_comes_under_a_plan_by_provider_key_and_day():
    def named(provider: str, key: str, day: str) -> str | None:
        plan = plan_of(FINANCE, provider, key, parse_day(day))
        return plan and plan.name

    assert named("openai", "k", "2026-03-31") == "Team"
    assert (named("openai", "k", "2026-04-01"), named("openai", "k", "2026-01-30")) == (None, None)
    assert (named("openai", "other", "2026-02-01"), named("azure", "k", "2026-02-01")) == (None, None)


def test_the_rate_is_the_newest_before_the_end_of_the_file():
    def per_usd(end: str) -> object:
        rate = rate_of(FINANCE, parse_day(end))
        return rate and rate.per_usd

    assert (per_usd("2026-10-31"), per_usd("2026-11-01"), per_usd("2027-01-01")) == tuple(
        map(Decimal, ("0.9", "0.8", "0.8"))
    )
    assert rate_of(Finance(), parse_day("2026-11-01")) is None
    with pytest.raises(UsageError, match="no rate of EUR is dated before 2026-09-30"):
        per_usd("2026-09-30")


@pytest.mark.parametrize(
    ("cost", "text"),
    [(10**12, "0.900000"), (-(10**12), "-0.900000"), (555_555, "0.000000"), (10**30, "900000000000000000.000000")],
)
def test_conversion_rounds_to_six_places(cost: int, text: str):
    assert f"{converted(cost, FINANCE.rates[0]):f}" == text
