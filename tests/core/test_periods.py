from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.core.errors import UsageError
from collector.core.periods import (
    SECOND_US,
    Period,
    check_zone,
    day_bounds,
    day_number,
    days,
    days_period,
    earlier,
    format_day,
    is_whole_days,
    offset_s,
    offsets,
    parse_day,
    parse_period,
    previous,
)

ZONES = ("UTC", "Asia/Kathmandu", "America/St_Johns", "Europe/Berlin", "Pacific/Apia", "America/Santiago")
HOUR_US = 3_600_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def us(text: str) -> int:
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(microseconds=1)


NOW = us("2026-11-23T09:20:25+00:00")


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("24h", "2026-11-22T10:00:00+00:00", "2026-11-23T10:00:00+00:00"),
        ("7d", "2026-11-17T00:00:00+01:00", "2026-11-24T00:00:00+01:00"),
        ("30d", "2026-10-25T00:00:00+02:00", "2026-11-24T00:00:00+01:00"),
        ("today", "2026-11-23T00:00:00+01:00", "2026-11-24T00:00:00+01:00"),
        ("month", "2026-11-01T00:00:00+01:00", "2026-12-01T00:00:00+01:00"),
        ("2026-12", "2026-12-01T00:00:00+01:00", "2027-01-01T00:00:00+01:00"),
        ("2026-03-29", "2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00"),
        ("2026-10-01..2026-11-01", "2026-10-01T00:00:00+02:00", "2026-11-01T00:00:00+01:00"),
    ],
)
def test_a_text_names_a_period(text, start, end):
    assert parse_period(text, "Europe/Berlin", NOW) == Period(us(start), us(end), "Europe/Berlin")


@pytest.mark.parametrize(
    "text",
    ["", "0d", "-1d", "7d\n", "7 d", "٧d", "2026-13", "2026-02-30", "0001-01", "9999-12", "soon", "2026-10-01.."],
)
def test_what_is_no_period_is_an_error_that_names_it(text):
    with pytest.raises(UsageError) as error:
        parse_period(text, "UTC", NOW)
    assert text[:7] in str(error.value) or repr(text) in str(error.value)


@pytest.mark.parametrize("text", ["2026-10-02..2026-10-01", "2026-10-01..2026-10-01"])
def test_a_period_without_days_is_an_error(text):
    with pytest.raises(UsageError, match="empty"):
        parse_period(text, "UTC", NOW)


@pytest.mark.parametrize("name", ["", "Berlin", "../UTC", "America", "Europe/Berlin\0", "x" * 500])
def test_what_is_no_zone_is_an_error(name):
    with pytest.raises(UsageError, match="time zone"):
        check_zone(name)


@pytest.mark.parametrize(
    ("day", "zone", "hours"),
    [
        ("2026-03-29", "Europe/Berlin", 23),
        ("2026-10-25", "Europe/Berlin", 25),
        ("2026-11-01", "America/St_Johns", 25),
        ("2026-09-06", "America/Santiago", 23),  # the clock goes from midnight to one
        ("2026-04-04", "America/Santiago", 25),  # and back from midnight to eleven
        ("2011-12-30", "Pacific/Apia", 0),  # skipped altogether
    ],
)
def test_a_day_is_as_long_as_its_zone_makes_it(day, zone, hours):
    start, end = day_bounds(parse_day(day), zone)
    assert end - start == hours * HOUR_US


def test_a_skipped_date_is_no_day():
    december = parse_period("2011-12", "Pacific/Apia", NOW)
    assert [format_day(day) for day in days(december)][28:] == ["2011-12-29", "2011-12-31"]


instants = st.integers(us("2011-12-01T00:00:00+00:00"), us("2031-01-01T00:00:00+00:00"))


@given(instants, st.sampled_from(ZONES))
def test_every_instant_is_within_the_bounds_of_its_day_which_is_the_local_date(instant, zone):
    day = day_number(instant, zone)
    start, end = day_bounds(day, zone)
    assert start <= instant < end
    local = (EPOCH + timedelta(microseconds=instant)).astimezone(ZoneInfo(zone)).date()
    assert format_day(day) == local.isoformat()


@given(instants, st.integers(1, 400), st.sampled_from(ZONES))
def test_days_are_cut_by_the_offsets_of_a_period_alike(instant, length, zone):
    first = day_number(instant, zone)
    period = Period(day_bounds(first, zone)[0], day_bounds(first + length, zone)[0], zone)
    changes = offsets(period)
    for seconds in range(period.start_us // 10**6, period.end_us // 10**6, 7_200 * 13 + 900):
        assert next(offset for start, offset in reversed(changes) if start <= seconds) == offset_s(seconds, zone)


@given(instants, st.integers(1, 60), st.sampled_from(ZONES))
def test_the_previous_period_ends_where_this_one_starts_and_has_as_many_days(instant, length, zone):
    first = parse_day("2020-01-01") + instant % 1000
    period = days_period(first, first + length, zone)
    before = previous(period)
    assert (before.end_us, len(days(before)), is_whole_days(before)) == (period.start_us, length, True)


def test_the_hours_before_have_the_same_length():
    period = parse_period("24h", "Asia/Kathmandu", NOW)
    assert previous(period) == Period(period.start_us - 24 * HOUR_US, period.start_us, "Asia/Kathmandu")


def test_earlier_keeps_local_days_over_a_change_of_the_clocks_and_hours_otherwise() -> None:
    night = parse_period("2026-10-25..2026-10-27", "Europe/Berlin", 0)
    assert earlier(night, 7) == parse_period("2026-10-18..2026-10-20", "Europe/Berlin", 0)
    hours = Period(SECOND_US, 3 * SECOND_US, "UTC")
    assert earlier(hours, 1) == Period(SECOND_US - 86_400 * SECOND_US, 3 * SECOND_US - 86_400 * SECOND_US, "UTC")
