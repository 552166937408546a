from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.core.errors import UsageError
from collector.core.periods import parse_day, parse_period
from collector.core.selection import Selection
from collector.ledger.questions import uptime
from collector.ledger.questions.ask import declared_zones, rows
from dashboard.frames.outages import found
from tests.stored import NOW_US, store
from tests.tables import calls, instant

TABLE = """
    12:01 a m 1/1 ok
    12:04 a m 1/1 ok
    12:09 b m 1/1 ok             attempts=a:provider_fault,b:ok
    12:11 b m 1/1 rate_limited   attempts=a:provider_fault,b:rate_limited
    12:12 a m -   caller_fault
    12:13 - m -   refused
    12:14 a m -   cancelled
    12:15 a m -   unknown
    23:59 a m -   provider_fault
"""
FIRST = parse_day("2026-10-01")
NOON = instant("12:00") // 10**6


@pytest.fixture
def engine(tmp_path):
    return store(tmp_path, calls(TABLE), now_us=instant("2026-10-02T00:00"))


def ask(engine, question, bucket, zone="UTC", **selection):
    period = parse_period("2026-10-01..2026-10-03", zone, NOW_US)
    return rows(engine, question(Selection(zone=zone, **selection), period, declared_zones(engine), bucket))


def test_attempts_count_at_their_own_provider(engine):
    found = ask(engine, uptime.provider_uptime, "day")
    assert [(row.day, row.group, row.ok, row.provider_fault, row.rate_limited) for row in found] == [
        (FIRST, "a", 2, 3, 0),
        (FIRST, "b", 1, 0, 1),
    ]
    assert {row.group: row.other for row in found} == {"a": 3, "b": 0}


def test_routing_is_worth_the_gap_between_first_and_last_attempts(engine):
    (row,) = ask(engine, uptime.router_uptime, "day")
    assert (row.first_ok, row.first_failed, row.last_ok, row.last_failed) == (2, 3, 3, 2)


def test_a_call_that_only_routing_saved_failed_without_it_whatever_its_first_attempt_was(tmp_path):
    engine = store(tmp_path, calls("12:00 b m 1/1 ok attempts=a:caller_fault,b:ok"), now_us=instant("2026-10-02T00:00"))
    (row,) = ask(engine, uptime.router_uptime, "day")
    assert (row.first_ok, row.first_failed, row.last_ok, row.last_failed) == (0, 1, 1, 0)


@pytest.mark.parametrize(
    ("bucket", "starts"),
    [("5m", [0, 300, 600, 900, 43_140 // 300 * 300]), ("10m", [0, 600, 42_600]), ("1h", [0, 39_600])],
)
def test_buckets_start_at_their_multiples_and_empty_ones_are_absent(engine, bucket, starts):
    found = ask(engine, uptime.provider_uptime, bucket, providers=("a",))
    assert [row.at - NOON for row in found] == starts


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Asia/Kathmandu", "America/St_Johns"])
def test_days_of_other_zones_hold_the_same_attempts(engine, zone):
    found = ask(engine, uptime.provider_uptime, "day", zone)
    assert (sum(row.ok for row in found), sum(row.provider_fault for row in found)) == (3, 3)
    last_day = {"Europe/Berlin": FIRST + 1, "Asia/Kathmandu": FIRST + 1, "America/St_Johns": FIRST}[zone]
    assert max(row.day for row in found) == last_day


def test_filters_that_health_does_not_know_are_refused(engine):
    with pytest.raises(UsageError, match="not by app"):
        ask(engine, uptime.provider_uptime, "day", apps=("shop",))
    with pytest.raises(UsageError, match="2h"):
        ask(engine, uptime.router_uptime, "2h")


@pytest.mark.parametrize("bucket", ["5m", "10m", "1h"])
def test_what_is_older_than_the_cells_of_five_minutes_comes_by_the_hour(tmp_path, bucket):
    later = store(tmp_path, calls(TABLE), now_us=instant("2026-10-20T00:00"))
    found = ask(later, uptime.provider_uptime, bucket)
    assert {row.at - NOON for row in found} == {0, 39_600}
    assert sum(row.ok + row.provider_fault + row.rate_limited + row.other for row in found) == 10


@pytest.mark.parametrize("now", ["2026-10-02T00:00", "2026-10-09T12:07", "2026-10-09T12:30", "2026-10-20T00:00"])
@pytest.mark.parametrize("bucket", ["5m", "10m", "1h", "day"])
def test_no_attempt_is_lost_or_doubled_where_five_minutes_give_way_to_hours(tmp_path, now, bucket):
    engine = store(tmp_path, calls(TABLE), now_us=instant(now))
    found = ask(engine, uptime.provider_uptime, bucket, "Asia/Kathmandu")
    assert sum(row.ok + row.provider_fault + row.rate_limited + row.other for row in found) == 10


fates = st.text("+-.", min_size=1, max_size=24)  # of each hour: all ok, all failed, nothing tried


@given(st.lists(fates, min_size=1, max_size=4), st.sampled_from(["1h", "5m"]), st.sampled_from([(), ("m",)]))
@settings(max_examples=30, deadline=None)
def test_outages_are_found_in_the_buckets_near_bad_ones_as_in_all_of_them(told, bucket, models):
    lines = [
        f"{at * step // 60:02d}:{at * step % 60 + minute:02d} p{name} {model} 1/1 {ends[fate]}"
        for ends in [{"+": "ok", "-": "provider_fault"}]
        for name, row in enumerate(told)
        for step in [{"1h": 60, "5m": 5}[bucket]]
        for at, fate in enumerate(row)
        if fate != "."
        for minute in range(5)
        for model in ("m", "other")
    ]
    with TemporaryDirectory() as folder:
        engine = store(Path(folder), calls("\n".join(lines)), now_us=instant("2026-10-02T00:00"))
        every, near = (
            ask(engine, question, bucket, models=models) for question in (uptime.provider_uptime, uptime.outage_buckets)
        )
        assert found(near, bucket) == found(every, bucket)
        engine.dispose()


@pytest.mark.parametrize("now", ["2026-10-02T00:00", "2026-10-09T12:07", "2026-10-09T12:30", "2026-10-20T00:00"])
def test_outages_are_found_where_five_minutes_give_way_to_hours(tmp_path, now):
    lines = [
        f"{hour}:{minute:02d} a m 1/1 {'ok' if minute > 40 or hour == 14 else 'provider_fault'}"
        for hour in range(10, 16)
        for minute in range(60)
    ]
    engine = store(tmp_path, calls("\n".join(lines)), now_us=instant(now))
    every, near = (ask(engine, question, "5m") for question in (uptime.provider_uptime, uptime.outage_buckets))
    assert found(near, "5m") == found(every, "5m") != []
