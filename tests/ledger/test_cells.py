"""Cells: what one call adds to each of them, kept = rebuilt with merges in between, zones, five minutes that pass."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from collector.core import histograms
from collector.core.calls import Call
from collector.core.errors import UsageError
from collector.core.periods import day_number
from collector.ledger.cells import count_some, declare, rebuild
from collector.ledger.cells.floor import FIVE_MINUTE_DAYS
from collector.ledger.cells.health import TIMED
from collector.ledger.check import check
from collector.ledger.engines import writing
from collector.ledger.names import FIRST_ID, zones
from tests import random_calls
from tests.ledger.contents import contents
from tests.ledger.test_merge import records
from tests.stored import store
from tests.tables import calls, instant

CELLS = ("usage_quarters", "usage_days", "user_days", "price_days", "day_totals", "user_spans", "health")
SUMS = ("calls", "input_tokens", "output_tokens", "cost")
DAY_US = 86_400_000_000


def cells(engine: Engine, table: str) -> list[dict[str, Any]]:
    return contents(engine)[table]


def all_cells(engine: Engine) -> dict[str, list[dict[str, Any]]]:
    found = contents(engine)
    return {table: found[table] for table in CELLS}


def test_calls_of_a_quarter_hour_add_up_in_one_cell(tmp_path: Path) -> None:
    engine = store(tmp_path, calls("""
        12:00    openai m 1000/200 ok app=shop key=k1 user=ann reported_cost=5
        12:14:59 openai m 1/2      ok app=shop key=k1 user=bob video_in=0
        12:15    openai m 7/7      ok app=shop key=k1 user=bob
    """))  # fmt: skip
    first, second = cells(engine, "usage_quarters")
    assert first["quarter"] + 1 == second["quarter"] == instant("12:15") // 900_000_000
    assert [first[name] for name in SUMS] == [2, 1001, 202, 1001 * 10_000_000 + 202 * 30_000_000]
    assert (first["app"], first["key"], first["reported_calls"], first["reported_cost"]) == ("shop", "k1", 1, 5)
    days = [day for day in cells(engine, "usage_days") if day["zone"] == "UTC"]
    assert [[day[name] for name in ("day", *SUMS[:3])] for day in days] == [[20727, 3, 1008, 209]]
    users = {cell["user"]: cell["calls"] for cell in cells(engine, "user_days") if cell["zone"] == "UTC"}
    assert users == {"ann": 1, "bob": 2}


def test_calls_that_differ_in_any_key_have_cells_of_their_own(tmp_path: Path) -> None:
    engine = store(tmp_path, calls("""
        12:00 openai m    1/1 ok
        12:00 azure  m    1/1 ok
        12:00 openai free 1/1 ok
        12:00 openai m    1/1 ok app=shop
        12:00 openai m    1/1 ok key=k1
        12:00 openai m    1/1 cancelled
        12:00 openai none 1/1 ok
        12:00 openai m    1/1 ok user=ann
    """))  # fmt: skip
    assert sorted(cell["calls"] for cell in cells(engine, "usage_quarters")) == [1] * 6 + [2]


def test_a_day_begins_at_midnight_of_its_zone(tmp_path: Path) -> None:
    engine = store(tmp_path, calls("""
        2026-10-01T21:59 openai m 1/0 ok
        2026-10-01T22:00 openai m 2/0 ok
        2026-10-02T00:00 openai m 4/0 ok
    """), zones=("UTC", "Europe/Berlin"))  # fmt: skip
    days = {(cell["zone"], cell["day"]): cell["input_tokens"] for cell in cells(engine, "usage_days")}
    first = day_number(instant("12:00"), "UTC")
    assert days == {
        ("UTC", first): 3, ("UTC", first + 1): 4, ("Europe/Berlin", first): 1, ("Europe/Berlin", first + 1): 6,
    }  # fmt: skip


def test_attempts_count_where_they_were_made_and_calls_by_their_first_and_last(tmp_path: Path) -> None:
    engine = store(tmp_path, calls("""
        12:00 openai m 1/1 ok             attempts=azure:provider_fault,openai:ok
        12:00 openai m 1/1 ok
        12:00 openai m -   rate_limited
        12:00 openai m -   caller_fault
        12:00 openai m -   refused
        12:00 -      m -   refused
        12:00 openai m -   caller_fault   attempts=azure:provider_fault,openai:caller_fault
    """))  # fmt: skip
    hours = {cell["provider"]: cell for cell in cells(engine, "health") if cell["grain"] == 1}
    names = ("ok", "provider_fault", "rate_limited", "other", "first_ok", "first_fault", "first_limited",
             "last_ok", "last_fault", "last_limited")  # fmt: skip
    assert [hours["openai"][name] for name in names] == [2, 0, 1, 2, 1, 0, 1, 2, 0, 1]
    assert [hours["azure"][name] for name in names] == [0, 2, 0, 0, 0, 1, 0, 0, 0, 0]
    assert set(hours) == {"openai", "azure"}


def test_times_of_answers_are_in_the_histograms_and_times_of_failures_are_not(tmp_path: Path) -> None:
    assert {str(outcome) for outcome in TIMED} == {"ok", "unknown"}
    engine = store(tmp_path, calls("""
        12:00 openai m 1000/90 ok             400ms first_token_ms=7 reasoning=10
        12:01 openai m 1000/20 unknown        100ms
        12:02 openai m 1000/20 provider_fault 9000ms
        12:03 openai m 1000/20 ok
    """))  # fmt: skip
    (cell,) = [cell for cell in cells(engine, "health") if cell["grain"] == 1]
    read = {name: histograms.from_bytes(cell[name]) for name in ("latency", "first_token", "throughput")}
    assert read["latency"] == histograms.of([400, 100])
    assert read["first_token"] == histograms.of([7])
    assert read["throughput"] == histograms.of([250 * histograms.THROUGHPUT_SCALE, 200 * histograms.THROUGHPUT_SCALE])


def test_five_minutes_are_kept_for_eight_days_and_hours_for_ever(tmp_path: Path) -> None:
    now_us = instant("2026-10-20T12:00")
    told = calls("2026-10-12T11:59 openai m 1/1 ok\n2026-10-12T12:00 openai m 1/1 ok\n2026-10-20T11:00 openai m 1/1 ok")
    engine = store(tmp_path, told, now_us=now_us)
    grains = [cell["grain"] for cell in cells(engine, "health") if isinstance(cell["grain"], int)]
    assert (grains.count(0), grains.count(1)) == (2, 3)
    before = all_cells(engine)
    rebuild(engine)
    assert all_cells(engine) == before
    store(tmp_path, [], now_us=now_us + FIVE_MINUTE_DAYS * DAY_US)
    later = [cell["grain"] for cell in cells(engine, "health") if isinstance(cell["grain"], int)]
    assert (later.count(0), later.count(1)) == (0, 3)
    assert check(engine) == []


def test_a_zone_declared_later_has_the_same_day_cells(tmp_path: Path) -> None:
    told = calls("12:00 openai m 1/1 ok 5ms user=ann\n23:30 openai m 2/2 ok user=ann\n23:45 azure m 1/1 provider_fault")
    at_once = store(tmp_path / "at_once", told, zones=("UTC", "Asia/Kathmandu"))
    later = store(tmp_path / "later", told, zones=("UTC",))
    with writing(later).begin() as connection:
        declare(connection, ["Asia/Kathmandu"])
        count_some(connection)
    assert all_cells(later) == all_cells(at_once)
    store(tmp_path / "later", [], zones=("UTC",))
    assert all_cells(later) == all_cells(at_once)


def test_a_zone_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'Europe/Nowhere' is not a time zone"):
        store(tmp_path, [], zones=("Europe/Nowhere",))


def test_no_zone_has_an_id_that_is_a_grain(tmp_path: Path) -> None:
    engine = store(tmp_path, [], zones=("UTC",))
    with engine.connect() as connection:
        assert min(zones(connection).values()) >= FIRST_ID


def test_rebuilding_says_how_far_it_is(tmp_path: Path) -> None:
    engine = store(tmp_path, calls("12:00 openai m 1/1 ok\n12:01 openai m 1/1 ok"))
    told: list[tuple[int, int]] = []
    rebuild(engine, progress=lambda done, in_all: told.append((done, in_all)))
    assert told == [(2, 2)]


def test_a_cell_whose_calls_have_all_moved_is_gone(tmp_path: Path) -> None:
    store(tmp_path, calls("12:00 openai m 1/1 ok origin_id=r1 source=otlp app=a"))
    engine = store(tmp_path, calls("12:05 openai m 5/5 ok origin_id=r1 source=gateway app=b"))
    alone = store(tmp_path / "alone", calls("12:05 openai m 5/5 ok origin_id=r1 source=gateway app=b"))
    assert all_cells(engine) == all_cells(alone)


@given(some=st.lists(st.one_of(records(), random_calls.calls()), max_size=8))
@settings(max_examples=40, deadline=None)
def test_cells_rebuilt_are_cells_kept_with_merges_in_between(
    some: list[Call], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("rebuilt")
    engine = store(folder, some[:3], zones=("UTC", "Asia/Kathmandu"))
    for each in some[3:]:
        store(folder, [each]).dispose()
    kept = all_cells(engine)
    rebuild(engine)
    assert all_cells(engine) == kept
    assert check(engine) == []
    engine.dispose()
