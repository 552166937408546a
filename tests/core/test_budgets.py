from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.core.budgets import EVERY, Budget, budget, window
from collector.core.errors import InputError, UsageError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def us(text: str) -> int:
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("texts", "scope", "dimension", "name", "limit"),
    [
        (("all", "month", "100"), "all", "", "", 100_000_000_000_000),
        (("app:https://a.example", "day", "0.5"), "app:https://a.example", "app", "https://a.example", 500_000_000_000),
        (("key:k:1", "week", "1E+2"), "key:k:1", "key", "k:1", 100_000_000_000_000),
        (("user:ann", "day", "0.000000000001"), "user:ann", "user", "ann", 1),
        (("model:a/b", "day", "9000000"), "model:a/b", "model", "a/b", 9 * 10**18),
        (("provider:azure", "month", "1"), "provider:azure", "provider", "azure", 10**12),
    ],
)
def test_a_budget_is_a_scope_a_period_and_picodollars(texts, scope, dimension, name, limit):
    made = budget(*texts)
    assert (made.scope, made.period, made.limit) == (scope, texts[1], limit)
    assert (made.dimension, made.name) == (dimension, name)


@pytest.mark.parametrize(
    ("texts", "named"),
    [
        (("apps:a", "day", "1"), "'apps:a' is not the scope"),
        (("app:", "day", "1"), "'app:' is not the scope"),
        (("app", "day", "1"), "'app' is not the scope"),
        (("all:", "day", "1"), "'all:' is not the scope"),
        (("app:a\nb", "day", "1"), "is not the scope"),
        (("app:" + "a" * 257, "day", "1"), "is not the scope"),
        (("all", "year", "1"), "'year' is not the period"),
        (("all", "day", "0"), "0 USD is not a limit"),
        (("all", "day", "-1"), "-1 USD is not a limit"),
        (("all", "day", "9000000.01"), "9000000.01 USD is not a limit"),
    ],
)
def test_what_is_no_budget_is_an_error_that_names_it(texts, named):
    with pytest.raises(UsageError, match=named):
        budget(*texts)


def test_a_limit_that_is_no_number_is_an_error():
    with pytest.raises(InputError, match="'ten' is not an amount"):
        budget("all", "day", "ten")


def test_a_budget_reads_as_a_sentence():
    assert str(Budget("app:a", "week", 1_500_000_000_000)) == "app:a: 1.5 USD a week"


@pytest.mark.parametrize(
    ("every", "zone", "now", "start", "end"),
    [
        ("day", "UTC", "2026-11-23T09:20+00:00", "2026-11-23T00:00+00:00", "2026-11-24T00:00+00:00"),
        ("day", "Asia/Kathmandu", "2026-11-23T18:15+00:00", "2026-11-24T00:00+05:45", "2026-11-25T00:00+05:45"),
        ("day", "Europe/Berlin", "2026-03-29T12:00+02:00", "2026-03-29T00:00+01:00", "2026-03-30T00:00+02:00"),
        ("week", "UTC", "2026-11-23T00:00+00:00", "2026-11-23T00:00+00:00", "2026-11-30T00:00+00:00"),
        ("week", "UTC", "2026-11-22T23:59+00:00", "2026-11-16T00:00+00:00", "2026-11-23T00:00+00:00"),
        ("week", "Europe/Berlin", "2026-10-25T12:00+01:00", "2026-10-19T00:00+02:00", "2026-10-26T00:00+01:00"),
        ("month", "UTC", "2028-02-29T23:59+00:00", "2028-02-01T00:00+00:00", "2028-03-01T00:00+00:00"),
        ("month", "UTC", "2026-12-31T23:59+00:00", "2026-12-01T00:00+00:00", "2027-01-01T00:00+00:00"),
        ("month", "Europe/Berlin", "2026-10-31T23:30+00:00", "2026-11-01T00:00+01:00", "2026-12-01T00:00+01:00"),
    ],
)
def test_a_window_begins_and_ends_at_local_midnight(every, zone, now, start, end):
    found = window(every, zone, us(now))
    assert (found.start_us, found.end_us, found.zone) == (us(start), us(end), zone)


@given(
    st.sampled_from(EVERY),
    st.sampled_from(["UTC", "Asia/Kathmandu", "Pacific/Apia", "America/Santiago"]),
    st.integers(us("2012-02-01T00:00+00:00"), us("2190-01-01T00:00+00:00")),
)
def test_windows_hold_their_instant_and_follow_each_other_without_a_gap(every, zone, now):
    here = window(every, zone, now)
    assert here.start_us <= now < here.end_us
    assert window(every, zone, here.end_us).start_us == here.end_us
    assert window(every, zone, here.end_us - 1) == here
