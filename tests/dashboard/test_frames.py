"""Frames from hand-made rows: no database, no screen."""

from decimal import Decimal
from typing import NamedTuple

import pytest

from collector.core.periods import Period, parse_day, parse_period
from collector.core.uptime import Uptime
from dashboard.frames import axis as axes
from dashboard.frames import forecast, models, outcomes, series, spend, uptime, usage
from dashboard.frames.axis import Axis
from tests.dashboard.answers import Spent
from tests.tables import instant

DAY = parse_day("2026-10-01")
NOW = instant("2026-10-03T12:00")


class Usage(NamedTuple):
    day: int
    tokens_in: int = 0
    tokens_out: int = 0
    calls: int = 1
    group: str | None = ""
    label: str = ""
    tokens_cached: int = 0
    tokens_reasoning: int = 0


class Pictures(NamedTuple):
    day: int
    images_in: int
    images_out: int


class Tried(NamedTuple):
    day: int
    group: str
    ok: int
    provider_fault: int = 0
    rate_limited: int = 0


class RoutedRow(NamedTuple):
    day: int
    first_ok: int
    first_failed: int
    last_ok: int
    last_failed: int


@pytest.fixture
def three_days() -> Axis:
    return axes.day_axis(parse_period("2026-10-01..2026-10-04", "UTC", NOW), NOW)


def test_the_axis_marks_today_and_leaves_out_what_has_not_come(three_days: Axis) -> None:
    assert three_days.labels == ("Thu 1 Oct 2026", "Fri 2 Oct 2026", "Sat 3 Oct 2026 (so far)")
    assert three_days.partial == "Sat 3 Oct 2026 (so far)"
    month = axes.day_axis(parse_period("2026-10", "UTC", NOW), NOW)
    assert month.keys == three_days.keys
    reaching = axes.day_axis(parse_period("2026-10", "UTC", NOW), NOW, last=DAY + 5)
    assert reaching.keys == tuple(range(DAY, DAY + 6))


def test_a_day_that_is_cut_by_the_period_says_so() -> None:
    day_and_a_half = axes.day_axis(Period(instant("2026-10-01T15:30"), instant("2026-10-03T00:00"), "UTC"), NOW)
    assert day_and_a_half.labels[0] == "Thu 1 Oct 2026 (from 15:30)"


def test_hours_of_a_night_with_25_of_them_have_labels_of_their_own() -> None:
    night = parse_period("2026-10-25", "Europe/Berlin", NOW)
    hours = axes.time_axis(night, 3_600, "", instant("2026-11-01T00:00"))
    assert len(hours.labels) == len(set(hours.labels)) == 25


def test_a_phone_has_room_for_the_ticks_and_the_last_bucket_is_among_them() -> None:
    long = axes.day_axis(parse_period("90d", "UTC", NOW), NOW)
    assert len(long.ticks) <= axes.MOST_TICKS
    assert long.ticks[-1] == (long.labels[-1], "3 Oct<br>so far")  # today is marked as not over


def test_tokens_are_split_by_side_and_a_day_without_calls_is_a_gap(three_days: Axis) -> None:
    frame = usage.tokens([Usage(DAY, 1_000, 200), Usage(DAY + 2, 5, 0)], three_days, "", [])
    assert frame.to_dict("split")["data"] == [
        ["Thu 1 Oct 2026", "Input", 1_000, "1,000 tokens"],
        ["Sat 3 Oct 2026 (so far)", "Input", 5, "5 tokens"],
        ["Thu 1 Oct 2026", "Output", 200, "200 tokens"],
        ["Sat 3 Oct 2026 (so far)", "Output", 0, "0 tokens"],
    ]


def test_the_rest_adds_up(three_days: Axis) -> None:
    rows = [Usage(DAY + n % 2, 100 * n, n, group=f"m{n}", label=f"m{n}") for n in range(1, 11)]
    names = usage.series_of(rows, "model")
    assert names == ["m10", "m9", "m8", "m7", "m6", series.REST]
    frame = usage.tokens(rows, three_days, "model", names)
    assert frame["value"].sum() == sum(row.tokens_in + row.tokens_out for row in rows)


def test_those_that_a_question_folded_are_the_rest(three_days: Axis) -> None:
    rows = [Usage(DAY, 10, group="ann", label="ann"), Usage(DAY, 99, group=None, label="")]
    names = usage.series_of(rows, "user")
    assert names == ["ann", series.REST]
    assert list(usage.tokens(rows, three_days, "user", names)["value"]) == [10, 99]


def test_two_apps_of_one_title_are_told_apart() -> None:
    rows = [Usage(DAY, group=name, label=label) for name, label in (("a", "Shop"), ("b", "Shop"), ("c", "C"), ("", ""))]
    assert usage.names_of(rows, "app") == {"a": "Shop (a)", "b": "Shop (b)", "c": "C", "": "no app"}


def test_spend_is_exact_in_text_and_table_beyond_a_float(three_days: Axis) -> None:
    rows = [Spent(DAY, 9_007_199_254_740_993), Spent(DAY + 1, 1)]
    frame = spend.spend(rows, three_days, "", [])
    assert list(frame["text"]) == ["$9,007.199254740993", "$0.000000000001"]
    table = spend.spend_table(rows, three_days, "")
    assert list(table[spend.USD]) == [Decimal("0.000000000001"), Decimal("9007.199254740993")]
    assert spend.says(rows) == "Exactly $9,007.199254740994"


def test_sums_beyond_64_bits_stay_exact() -> None:
    rows = [Spent(DAY + n, 9_000_000 * 10**12) for n in range(3)]
    assert usage.totals([], rows, []).spend == 27_000_000 * 10**12


def test_unpriced_is_not_zero(three_days: Axis) -> None:
    rows = [Spent(DAY, 0, calls=4, unpriced_calls=4), Spent(DAY + 1, 0, calls=2)]
    assert list(spend.spend(rows, three_days, "", [])["label"]) == ["Fri 2 Oct 2026"]
    assert list(spend.spend_table(rows, three_days, "")[spend.USD]) == [Decimal(0), None]
    assert spend.unpriced_notes(rows, three_days) == (["Thu 1 Oct 2026"], ["4 calls"])
    assert spend.says(rows) == "Exactly $0.00, plus 4 calls without a price"
    assert spend.says(rows[:1]) == "No spend: 4 calls without a price"


@pytest.mark.parametrize(
    ("row", "status", "text"),
    [
        (Tried(DAY, "p", 95, 5), "normal", "95% of 100 attempts ok"),
        (Tried(DAY, "p", 949, 51), "degraded", "94.9% of 1,000 attempts ok"),
        (Tried(DAY, "p", 80, 20, 7), "degraded", "80% of 100 attempts ok, 7 rate limited"),
        (Tried(DAY, "p", 79, 21), "down", "79% of 100 attempts ok"),
        (Tried(DAY, "p", 7, 2), "few", "7 of 9 attempts ok"),
        (Tried(DAY, "p", 0, 0, 3), "no data", "no data, 3 rate limited"),
    ],
)
def test_a_bucket_says_what_it_knows_and_no_more(row: Tried, status: str, text: str, three_days: Axis) -> None:
    frame = uptime.strip(uptime.tallies([row]), three_days)
    assert list(frame["status"]) == [status, "no data", "no data"]
    assert list(frame["text"]) == [text, "no data", "no data"]


def test_a_headline_needs_a_hundred_attempts() -> None:
    assert uptime.provider_headline({1: uptime.Tally(99, 1)}) == "99% of 100 attempts"
    assert uptime.provider_headline({1: uptime.Tally(99, 0)}) == "no data (99 of 99 ok)"
    assert uptime.provider_headline({}) == "no data"
    assert uptime.provider_headline({1: uptime.Tally(9_999, 1)}) == "99.99% of 10,000 attempts"


def test_routing_is_worth_the_calls_it_rescued(three_days: Axis) -> None:
    by_bucket = uptime.routed([RoutedRow(DAY, 90, 10, 99, 1), RoutedRow(DAY + 1, 3, 1, 4, 0)])
    frame = uptime.router(by_bucket, three_days)
    assert [list(frame[frame["series"] == name]["text"]) for name in (uptime.WITH, uptime.WITHOUT)] == [
        ["99%", "4 of 4", "no data"],
        ["90%", "3 of 4", "no data"],
    ]
    assert frame["value"].isna().tolist() == [False, False, True, True, True, True]
    assert uptime.router_says(by_bucket) == "Falling back to another provider rescued 10 calls of 104"


def test_providers_that_were_down_are_counted(three_days: Axis) -> None:
    rows = [Tried(DAY, "a", 100), Tried(DAY, "b", 5, 15), Tried(DAY + 1, "b", 50)]
    assert uptime.providers_say(uptime.tallies(rows), three_days) == "1 of 2 providers down over a whole day"
    assert uptime.providers_say(uptime.tallies(rows[:1]), three_days) == "No provider was down over a whole day"
    today = uptime.tallies([Tried(DAY, "a", 100), Tried(three_days.keys[-1], "a", 5, 15)])
    assert three_days.running == three_days.keys[-1]
    assert uptime.providers_say(today, three_days) == "1 of 1 provider down in the last bucket, so far"


class Ended(NamedTuple):
    day: int
    ok: int = 0
    provider_fault: int = 0
    rate_limited: int = 0
    caller_fault: int = 0
    refused: int = 0
    cancelled: int = 0
    interrupted: int = 0
    unknown: int = 0


def test_trouble_is_neither_ok_nor_what_nobody_stated(three_days: Axis) -> None:
    rows = [Ended(DAY, ok=5, rate_limited=2, unknown=1), Ended(DAY + 1, provider_fault=1)]
    assert outcomes.says(rows) == "5 ok, 1 provider fault, 2 rate limited, 1 not stated"
    assert outcomes.troubles(rows) == ["provider fault", "rate limited"]
    assert list(outcomes.trouble(rows, three_days)["text"]) == ["1 call", "2 calls"]
    table = outcomes.outcome_table(rows, three_days)
    assert table.to_dict("split")["data"] == [["Fri 2 Oct 2026", 0, 1, 0, 0], ["Thu 1 Oct 2026", 5, 0, 2, 1]]


def test_the_month_s_end_is_so_far_and_each_day_to_come_at_the_mean_of_its_weekday() -> None:
    today = DAY + 14
    weekly = [700, 10, 20, 30, 40, 50, 60]
    past = {today - n: weekly[-n % 7] for n in range(1, 15)}
    found = forecast.month_end(past | {today: 100}, today, DAY, DAY + 17)
    assert found is not None
    assert found.to_come == {today: 600, today + 1: 10, today + 2: 20}
    assert found.so_far == sum(past.values()) + 100
    assert found.total == found.so_far + 630
    assert "each day to come as the mean of its weekday" in forecast.says(found, DAY + 17)


def test_a_day_without_calls_counts_as_nothing_in_a_mean_and_a_dearer_today_adds_nothing() -> None:
    found = forecast.month_end({DAY: 900, DAY + 14: 900}, DAY + 14, DAY + 14, DAY + 16)
    assert found == forecast.Forecast(900, {DAY + 14: 0, DAY + 15: 0})


def test_there_is_no_forecast_before_every_weekday_was_seen() -> None:
    assert forecast.month_end({DAY: 5}, DAY + 6, DAY, DAY + 30) is None
    assert forecast.month_end({}, DAY, DAY, DAY + 30) is None
    assert forecast.month_end({DAY: 7}, DAY + 7, DAY, DAY + 8) == forecast.Forecast(7, {DAY + 7: 7})


def test_images_are_drawn_where_there_were_any(three_days: Axis) -> None:
    rows = [Pictures(DAY, 3, 1), Pictures(DAY + 1, 0, 0)]
    frame = usage.images(rows, three_days, "", [])
    assert list(zip(frame["series"], frame["value"], strict=True)) == [("Input images", 3), ("Output images", 1)]
    assert usage.images_say(rows) == "3 input images and 1 output image"
    assert len(usage.image_table(rows, three_days, "")) == 1


def test_models_are_listed_by_tokens_and_what_has_no_price_is_not_zero() -> None:
    used = [Usage(DAY, 5, 1, group="a"), Usage(DAY, 9, 1, group="b&c"), Usage(DAY + 1, 1, group="a"), Usage(DAY)]
    table = models.model_table(used, [Spent(DAY, 10**12, group="a"), Spent(DAY, 0, 2, 2, group="b&c")], zone="UTC")
    assert list(table["Model"]) == ["b&c", "a", "no model"]
    assert list(table["Page"]) == ["/model?model=b%26c&zone=UTC", "/model?model=a&zone=UTC", ""]
    assert list(table["Spend, USD"]) == [None, Decimal(1), None]


def test_uptime_moves_in_percentage_points_and_only_between_figures() -> None:
    assert uptime.points(Uptime(98, 2), Uptime(975, 25)) == "+0.50 pp"
    assert uptime.points(Uptime(975, 25), Uptime(98, 2)) == "-0.50 pp"
    assert uptime.points(Uptime(98, 2), Uptime(50, 1)) is None
