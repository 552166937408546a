"""A zone that is set later is counted some hours at a time, and whatever happens in between is counted once."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from collector.core.calls import Attempt, Call
from collector.core.outcomes import Outcome
from collector.core.periods import Period, day_number, parse_period
from collector.core.prices import PriceBook, PriceSet
from collector.core.prices.book import Files
from collector.core.prices.names import Names
from collector.core.selection import Selection
from collector.core.told import Probe
from collector.jobs import books, job_named
from collector.jobs import collect as run_jobs
from collector.ledger.cells import count_some, declare, rebuild, zones
from collector.ledger.check import check
from collector.ledger.engines import writing
from collector.ledger.pending import counted_from
from collector.ledger.questions.ask import declared_zones, rows
from collector.ledger.questions.spend import spend_per_day
from collector.ledger.reprice import Author, Which, reprice
from collector.ledger.retention import Rules, prune
from collector.settings import Limits, load_settings
from tests import random_calls
from tests.ledger.contents import contents
from tests.ledger.test_told import tell
from tests.stored import BOOK, NOW_US, store
from tests.tables import calls

TOKYO, KATHMANDU = "Asia/Tokyo", "Asia/Kathmandu"  # the second with days that begin within an hour
DAY_US = 86_400_000_000
TABLE = """
    2026-09-30T14:30    openai m    1/0    ok 5ms user=ann
    2026-10-01T12:00    openai m    1000/5 ok images_in=2 app=shop user=ann
    2026-10-01T18:10    dear   m    3/1    ok attempts=openai:provider_fault,dear:ok
    2026-10-01T18:20    openai m    4/1    ok user=bob
    2026-10-02T00:20    openai nobody 3/1  ok user=bob
    2026-11-20T12:00    openai m    5/5    ok user=ann
"""
TWO = PriceBook(
    [Files("test", [PriceSet(model=name, prices={"input": 7, "output": 9}, source="test") for name in "mn"], Names())]
)


@pytest.fixture(autouse=True)
def _few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zones, "CALLS_AT_ONCE", 1)


def begin(engine: Engine, zone: str) -> None:
    with writing(engine).begin() as connection:
        declare(connection, [zone])


def go_on(engine: Engine) -> bool:
    """Counts a piece; whether there is more."""
    with writing(engine).begin() as connection:
        count_some(connection)
        return bool(counted_from(connection))


def of_zone(engine: Engine, zone: str, *tables: str) -> dict[str, list[dict[str, Any]]]:
    found = contents(engine)
    return {
        table: [row for row in found[table] if row["grain" if table == "health" else "zone"] == zone]
        for table in tables or ("usage_days", "user_days", "price_days", "day_totals", "user_spans", "health")
    }


@pytest.mark.parametrize("zone", [TOKYO, KATHMANDU])
def test_a_zone_answers_when_all_of_it_is_counted_and_not_before(zone: str, tmp_path: Path) -> None:
    engine = store(tmp_path, calls(TABLE), zones={"UTC"})
    period = parse_period("2026-10-01..2026-12-01", zone, NOW_US)

    def spent() -> list[Any]:
        return rows(engine, spend_per_day(Selection(zone=zone), period, declared_zones(engine), Limits()))

    before, pieces = spent(), 1
    begin(engine, zone)
    while go_on(engine):
        pieces += 1
        assert declared_zones(engine) == {"UTC"}
        assert spent() == before
        assert check(engine) == []
    assert pieces > 3
    assert declared_zones(engine) == {"UTC", zone}
    assert spent() == before
    assert check(engine) == []
    at_once = store(tmp_path / "at_once", calls(TABLE), zones={"UTC", zone})
    assert of_zone(engine, zone) == of_zone(at_once, zone)


def test_check_finds_what_is_wrong_in_the_part_that_is_counted_and_what_should_not_be_there_yet(tmp_path: Path) -> None:
    engine = store(tmp_path, calls(TABLE), zones={"UTC"})
    begin(engine, TOKYO)
    go_on(engine)
    with engine.begin() as connection:
        where = f"(SELECT id FROM names WHERE name = '{TOKYO}')"
        assert connection.exec_driver_sql(f"UPDATE usage_days SET calls = 9 WHERE zone = {where}").rowcount == 1
    assert any("2026-11-20 in Asia/Tokyo" in sentence and "the day says 9" in sentence for sentence in check(engine))
    with engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE usage_days SET calls = 1, day = day - 50 WHERE zone = {where}")
    assert any("2026-10-01 in Asia/Tokyo" in sentence for sentence in check(engine))


def test_counting_goes_on_after_it_was_killed(tmp_path: Path) -> None:
    many = "\n".join(f"2026-10-{day:02}T{hour:02}:00 openai m 1/1 ok" for day in range(1, 29) for hour in range(24))
    engine = store(tmp_path, calls(many), zones={"UTC"})
    begin(engine, KATHMANDU)
    code = """
import sys
import time
from collector.ledger.cells import count_some, zones
from collector.ledger.engines import open_ledger, writing
zones.CALLS_AT_ONCE = 3
engine = writing(open_ledger(f"sqlite:///{sys.argv[1]}"))
while True:
    with engine.begin() as connection:
        count_some(connection)
    print("counted", flush=True)
    time.sleep(0.01)
"""
    for lines in (1, 20):
        own = subprocess.Popen([sys.executable, "-c", code, tmp_path / "callmeter.db"], stdout=subprocess.PIPE)
        assert own.stdout is not None
        for _ in range(lines):
            assert own.stdout.readline() == b"counted\n"
        own.kill()
        own.communicate()
        assert declared_zones(engine) == {"UTC"}
        assert check(engine) == []
        store(tmp_path, calls(f"2026-10-{lines:02}T12:30 openai m 5/1 ok"), zones={"UTC"})
    while go_on(engine):
        pass
    assert check(engine, tmp_path / "journal") == []
    more = "\n2026-10-01T12:30 openai m 5/1 ok\n2026-10-20T12:30 openai m 5/1 ok"
    at_once = store(tmp_path / "at_once", calls(many + more), zones={"UTC", KATHMANDU})
    assert of_zone(engine, KATHMANDU) == of_zone(at_once, KATHMANDU)


def test_the_job_counts_a_zone_that_was_begun_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(books, "PAUSE_S", 0)
    (tmp_path / "callmeter.toml").write_text(f'[settings]\nzone = "{TOKYO}"\n')
    its = load_settings(tmp_path, config=tmp_path / "callmeter.toml", environ={})
    engine = store(tmp_path, calls(TABLE), zones={"UTC"})
    begin(engine, TOKYO)
    go_on(engine)
    assert run_jobs(its, lambda: NOW_US, [job_named("zone")]) == []
    assert declared_zones(engine) == {"UTC", TOKYO}
    assert check(engine, tmp_path / "journal") == []


def test_a_drain_goes_on_with_a_zone_that_was_begun(tmp_path: Path) -> None:
    engine = store(tmp_path, calls(TABLE), zones={"UTC"})
    store(tmp_path, [], zones={"UTC", TOKYO})
    for _ in range(10):
        store(tmp_path, [], zones={"UTC"})
    assert declared_zones(engine) == {"UTC", TOKYO}


def test_cells_made_anew_are_those_of_all_zones(tmp_path: Path) -> None:
    engine = store(tmp_path, calls(TABLE), zones={"UTC"})
    begin(engine, TOKYO)
    go_on(engine)
    rebuild(engine)
    assert declared_zones(engine) == {"UTC", TOKYO}
    assert check(engine) == []


def _prune(folder: Path, days: int) -> Callable[[Engine], object]:
    return lambda engine: prune(engine, folder / "journal", Rules(days, None, 90, "UTC"), NOW_US + 40 * DAY_US)


def _reprice(book: PriceBook) -> Callable[[Engine], object]:
    which, by = Which(Period(0, NOW_US)), Author("ann", "a contract")
    return lambda engine: reprice(engine, book, which, NOW_US, by)


@st.composite
def late(draw: st.DrawFn) -> Call:
    """A call, whose last attempt began up to two days after it."""
    call: Call = draw(random_calls.calls())
    if not call.attempts:
        return call
    *others, last = call.attempts
    moved = msgspec.structs.replace(last, started_at=last.started_at + draw(st.integers(0, 2 * DAY_US)))
    return msgspec.structs.replace(call, attempts=(*others, moved))


@given(data=st.data(), zone=st.sampled_from([TOKYO, KATHMANDU, "Europe/Berlin", "America/St_Johns"]))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_comes_and_goes_meanwhile_a_zone_counted_in_pieces_is_one_counted_at_once(
    data: st.DataObject, zone: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("zones")
    one, other = folder / "at_once", folder / "in_pieces"
    told: list[Call] = data.draw(st.lists(late(), min_size=1, max_size=10))
    at_once, engine = store(one, told, zones={"UTC", zone}), store(other, told, zones={"UTC"})
    begin(engine, zone)
    is_pruned = False
    for step in data.draw(st.lists(st.sampled_from(["count", "store", "probe", "reprice", "back", "prune"]))):
        if step == "count":
            go_on(engine)
        elif step == "store":
            some = data.draw(st.lists(late(), max_size=3))
            store(one, some, zones={"UTC", zone})
            store(other, some, zones={"UTC"})
        elif step == "probe":
            at_us = data.draw(st.sampled_from(random_calls.NIGHTS_S)) * 10**6
            probe = Probe(f"{at_us:032x}", Attempt("openai", "m", at_us, Outcome.OK, 200))
            for each in (one, other):
                tell(each, probe, now_us=NOW_US)
        elif step == "prune":
            days, is_pruned = data.draw(st.sampled_from([60, 900, 1500])), True
            _prune(one, days)(at_once)
            _prune(other, days)(engine)
        else:
            for each in (at_once, engine):
                _reprice(TWO if step == "reprice" else BOOK)(each)
        assert check(engine) == []
    while go_on(engine):
        pass
    assert check(engine, other / "journal") == []
    if not is_pruned:
        assert of_zone(engine, zone) == of_zone(at_once, zone)
    assert of_zone(engine, zone, "usage_days") == of_zone(at_once, zone, "usage_days")
    if zone == TOKYO:
        assert of_zone(engine, zone, "health") == of_zone(at_once, zone, "health")
    first = day_number(declared_zones(engine).users_from_us[zone], zone)
    users = [
        [row for row in of_zone(each, zone, "user_days")["user_days"] if row["day"] >= first]
        for each in (engine, at_once)
    ]
    assert users[0] == users[1]
    at_once.dispose()
    engine.dispose()
