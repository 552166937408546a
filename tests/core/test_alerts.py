"""When a finding fires, lasts and recovers; thresholds, forecasts, spikes and a provider's state, by hand."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.core.alerts import Alert, Finding, Found, Level, Spent, compare, of_budget, of_provider, of_spend
from collector.core.budgets import budget, window
from collector.core.uptime import Status, Uptime
from tests.tables import instant

USD = 10**12
MONTH = budget("app:shop", "month", "100")
NOW = instant("2026-10-16T12:00")  # half of October


def of_month(cost_usd: float, unpriced: int = 0, now_us: int = NOW) -> tuple[str, str, str] | None:
    spent = Spent(round(cost_usd * USD), unpriced)
    found = of_budget(MONTH, window("month", "UTC", now_us), spent, now_us, "2026-10-01")
    return found and (found.step, str(found.level), found.text)


@pytest.mark.parametrize(
    ("cost_usd", "step", "level"),
    [
        (0, None, ""),
        (49.99, None, ""),
        (50, "50", "info"),
        (50.01, "forecast", "warning"),  # 100.02 USD by the month's end
        (79.99, "forecast", "warning"),
        (80, "80", "warning"),
        (99.99, "80", "warning"),
        (100, "100", "critical"),
        (250, "100", "critical"),
    ],
)
def test_a_budget_tells_its_highest_threshold(cost_usd: float, step: str | None, level: str) -> None:
    assert (of_month(cost_usd) or (None, ""))[:2] == (step, level)


def test_a_forecast_says_nothing_at_a_months_beginning() -> None:
    first_day = instant("2026-10-01T06:00")
    assert of_month(10, now_us=first_day) is None
    assert (of_month(50, now_us=first_day) or ("",))[0] == "50"


def test_what_has_no_price_is_said_and_never_taken_for_nothing() -> None:
    assert of_month(80, 3) == (
        "80",
        "warning",
        "app:shop: 100 USD a month: 80% is spent, 80.00 USD; 3 calls without a price are not in it",
    )


@pytest.mark.parametrize(
    ("today", "before", "fires"),
    [
        (31, [10, 5], True),
        (30, [10, 5], False),
        (9, [1], False),  # below the least
        (100, [], False),  # nothing to compare with
        (11, [0, 0], True),
    ],
)
def test_a_spike_is_far_above_the_dearest_day(today: int, before: list[int], fires: bool) -> None:
    found = of_spend(today * USD, [each * USD for each in before], 3.0, 10 * USD, "2026-10-16")
    assert (found is not None) is fires


@pytest.mark.parametrize(
    ("calls", "probes", "step"),
    [
        ((100, 0), (0, 0), None),
        ((94, 6), (0, 0), "degraded"),
        ((79, 21), (0, 0), "down"),
        ((0, 9), (0, 0), Status.NO_DATA),  # too few
        ((0, 9), (6, 0), None),  # then probes say
        ((0, 0), (0, 6), "down"),
        ((0, 0), (1, 1), Status.NO_DATA),
        ((0, 0), (0, 0), Status.NO_DATA),
        ((100, 0), (0, 6), None),  # calls come first
    ],
)
def test_a_providers_state_is_that_of_its_calls_or_else_of_its_probes(
    calls: tuple[int, int], probes: tuple[int, int], step: str | Status | None
) -> None:
    found = of_provider("p", Uptime(*calls), Uptime(*probes), 30)
    assert (found.step if isinstance(found, Finding) else found) == step


def finding(subject: str = "a", step: str = "", window: str = "", text: str = "t") -> Finding:
    return Finding("r", subject, text, Level.WARNING, step, window)


def test_it_fires_lasts_and_recovers() -> None:
    assert compare([], Found([finding()])).fired == [finding()]
    known = [Alert(1, finding(), 5)]
    again = compare(known, Found([finding(text="new")]))
    assert (again.fired, again.recovered, again.lasting) == ([], [], [(known[0], finding(text="new"))])
    assert compare(known, Found()).recovered == known


def test_of_a_window_it_fires_once() -> None:
    over = Alert(1, finding(window="month 2026-10-01"), 5, ended_at=7)
    assert compare([over], Found([over.finding])) == ([], [], [])
    assert compare([over], Found([finding(window="month 2026-11-01")])).fired != []


def test_what_cannot_be_told_now_stays_as_it_is() -> None:
    known = [Alert(1, finding("a"), 5), Alert(2, finding("b"), 5)]
    assert compare(known, Found([], {"a"})).recovered == [known[1]]


@given(st.lists(st.lists(st.sampled_from(["a", "b", "c"]), max_size=3, unique=True), max_size=12))
def test_between_two_firings_of_a_finding_it_recovers(looks: list[list[str]]) -> None:
    lasting: dict[str, Alert] = {}
    told: list[tuple[str, str]] = []
    for n, subjects in enumerate(looks):
        change = compare(lasting.values(), Found([finding(subject) for subject in subjects]))
        for each in change.fired:
            lasting[each.subject] = Alert(n, each, n)
            told.append((each.subject, "fired"))
        for alert in change.recovered:
            del lasting[alert.finding.subject]
            told.append((alert.finding.subject, "recovered"))
        assert set(lasting) == set(subjects)
    for subject in "abc":
        events = [event for name, event in told if name == subject]
        assert events == (["fired", "recovered"] * len(events))[: len(events)]


def test_a_finding_survives_as_json() -> None:
    assert msgspec.json.decode(msgspec.json.encode(finding()), type=Finding) == finding()
