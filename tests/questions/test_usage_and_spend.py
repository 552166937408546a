import pytest

from collector.core.errors import UsageError
from collector.core.periods import Period, parse_day, parse_period
from collector.core.selection import Selection
from collector.ledger.questions import filters, spend, usage
from collector.ledger.questions.ask import declared_zones, rows
from collector.settings import Limits
from tests.stored import NOW_US, store
from tests.tables import calls

TABLE = """
    2026-10-01T21:30 openai m     1000/500 ok 840ms images_in=2 app=shop key=k1 user=ann
    2026-10-01T22:30 dear   m     10/1     ok       app=shop key=k1 user=bob cache_read=5 reasoning=7
    2026-10-02T12:00 openai m     100/10   ok       app=blog key=k2 user=ann video_in=0
    2026-10-02T12:01 openai other 100/10   ok       app=blog key=k2
    2026-10-02T12:02 openai m     -        provider_fault app=blog key=k2
    2026-10-04T12:00 openai free  3/4      ok       reported_cost=77
"""
FIRST = parse_day("2026-10-01")


@pytest.fixture
def engine(tmp_path):
    return store(tmp_path, calls(TABLE))


def ask(engine, question, zone="UTC", period="2026-10-01..2026-10-06", **selection):
    chosen = Selection(zone=zone, **selection)
    answer = rows(engine, question(chosen, parse_period(period, zone, NOW_US), declared_zones(engine), Limits()))
    return [row._asdict() for row in answer]


def test_tokens_per_day_count_every_meter_of_a_side_and_leave_days_without_calls_out(engine):
    assert ask(engine, usage.tokens_per_day) == [
        {"day": FIRST, "calls": 2, "tokens_in": 1015, "tokens_out": 508, "tokens_cached": 5, "tokens_reasoning": 7},
        {"day": FIRST + 1, "calls": 3, "tokens_in": 200, "tokens_out": 20, "tokens_cached": 0, "tokens_reasoning": 0},
        {"day": FIRST + 3, "calls": 1, "tokens_in": 3, "tokens_out": 4, "tokens_cached": 0, "tokens_reasoning": 0},
    ]


@pytest.mark.parametrize(
    ("zone", "days"),
    [
        ("UTC", {0: 2, 1: 3, 3: 1}),
        ("Europe/Berlin", {0: 1, 1: 4, 3: 1}),  # 22:30 UTC is the next day there
        ("Asia/Kathmandu", {1: 5, 3: 1}),
        ("America/St_Johns", {0: 2, 1: 3, 3: 1}),
        ("Pacific/Apia", {1: 2, 2: 3, 4: 1}),
    ],
)
def test_a_day_is_a_day_of_the_zone(engine, zone, days):
    found = ask(engine, usage.tokens_per_day, zone)
    assert {row["day"] - FIRST: row["calls"] for row in found} == days


@pytest.mark.parametrize("group", ["", "app"])
def test_years_in_any_zone_are_answered_as_their_days_are(engine, group):
    period = {"period": "2024-01-01..2026-10-06", "zone": "Asia/Kathmandu", "group": group}
    named = {"apps": (*(f"app-{n}" for n in range(60)), "shop", "blog", "")}
    assert ask(engine, usage.tokens_per_day, **period) == ask(
        engine, usage.tokens_per_day, **period | {"period": "2026-10-01..2026-10-06"}
    )
    assert ask(engine, usage.tokens_per_day, **period, **named) == ask(engine, usage.tokens_per_day, **period)


@pytest.mark.parametrize("group", ["", "provider", "user"])
def test_of_many_days_in_another_zone_no_more_is_asked_than_of_few(engine, group):
    zone, limits = "Asia/Kathmandu", Limits(row_query_days=400)
    asked = (
        usage.meters_per_day(Selection(group=group), parse_period(period, zone, NOW_US), declared_zones(engine), limits)
        for period in ("2026-10-01..2026-10-06", "2025-10-01..2026-10-06")
    )
    few, many = (str(each).count("SELECT") for each in asked)
    assert few == many


def test_spend_per_day_is_exact_and_unpriced_calls_are_counted_apart(engine):
    assert ask(engine, spend.spend_per_day) == [
        {
            "day": FIRST,
            "calls": 2,
            "cost_picousd": 53_900_000_000 + 15 * 20_000_001 + 8 * 60_000_007,
            "unpriced_calls": 0,
            "reported_calls": 0,
            "reported_cost_picousd": 0,
        },
        {
            "day": FIRST + 1,
            "calls": 3,
            "cost_picousd": 100 * 10_000_000 + 10 * 30_000_000,
            "unpriced_calls": 1,
            "reported_calls": 0,
            "reported_cost_picousd": 0,
        },
        {
            "day": FIRST + 3,
            "calls": 1,
            "cost_picousd": 0,
            "unpriced_calls": 0,
            "reported_calls": 1,
            "reported_cost_picousd": 77,
        },
    ]


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu"])
@pytest.mark.parametrize(
    ("group", "expected"),
    [
        ("model", {"m": 4, "other": 1, "free": 1}),
        ("provider", {"openai": 5, "dear": 1}),
        ("app", {"shop": 2, "blog": 3, "": 1}),
        ("key", {"k1": 2, "k2": 3, "": 1}),
        ("user", {"ann": 2, "bob": 1, "": 3}),
    ],
)
def test_groups_bear_their_names_and_nothing_is_left_out(engine, zone, group, expected):
    found: dict[str, int] = {}
    for row in ask(engine, usage.tokens_per_day, zone, group=group):
        found[row["group"]] = found.get(row["group"], 0) + row["calls"]
    assert found == expected


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu"])
@pytest.mark.parametrize(
    ("chosen", "calls_found"),
    [
        ({"models": ("m",)}, 4),
        ({"models": ("m", "free")}, 5),
        ({"models": ("m",), "providers": ("dear",)}, 1),
        ({"apps": ("",)}, 1),
        ({"apps": ("", "shop")}, 3),
        ({"keys": ("k2",), "apps": ("blog",)}, 3),
        ({"users": ("ann",)}, 2),
        ({"users": ("ann",), "apps": ("shop",)}, 1),
        ({"users": ("",)}, 3),
        ({"models": ("nobody",)}, 0),
        ({"models": ("openai",)}, 0),  # a name of another kind
    ],
)
def test_filters_keep_what_they_name(engine, zone, chosen, calls_found):
    assert sum(row["calls"] for row in ask(engine, usage.tokens_per_day, zone, **chosen)) == calls_found


def test_by_user_in_another_zone_single_calls_are_read_and_only_some_days_of_them(engine):
    week = ask(engine, usage.tokens_per_day, "Asia/Kathmandu", "2026-10-01..2026-10-08", group="user")
    assert sum(row["calls"] for row in week) == 6
    with pytest.raises(UsageError, match=r"7 days at most.* whole days in Europe/Berlin or UTC"):
        ask(engine, usage.tokens_per_day, "Asia/Kathmandu", "2026-10-01..2026-10-09", group="user")
    assert ask(engine, usage.tokens_per_day, "UTC", "2026-10-01..2026-11-01", group="user")


def test_hours_are_cut_at_the_quarter_hour(engine):
    start_us = parse_period("2026-10-01", "UTC", NOW_US).start_us
    hour = Period(start_us + 21 * 3_600_000_000, start_us + 22 * 3_600_000_000, "UTC")
    found = rows(engine, usage.tokens_per_day(Selection(), hour, declared_zones(engine), Limits()))
    assert [(row.day, row.calls) for row in found] == [(FIRST, 1)]


def test_unpriced_calls_have_a_reason_and_their_meters(engine):
    (row,) = ask(engine, spend.unpriced_per_day)
    assert (row["group"], row["calls"], row["tokens_in"], row["output_tokens"]) == (
        "no price for other at openai",
        1,
        100,
        10,
    )


def test_images_outcomes_and_meters_per_day(engine):
    assert [row["images_in"] for row in ask(engine, usage.images_per_day)] == [2, 0, 0]
    assert [(row["ok"], row["provider_fault"]) for row in ask(engine, usage.outcomes_per_day)] == [
        (2, 0),
        (2, 1),
        (1, 0),
    ]
    assert [row["cache_read_tokens"] for row in ask(engine, usage.meters_per_day)] == [5, 0, 0]


def test_filter_lists_are_sorted_names(engine):
    assert [row.name for row in rows(engine, filters.names_of("model"))] == ["free", "m", "other"]
    assert [row.name for row in rows(engine, filters.names_of("user", "b"))] == ["bob"]
