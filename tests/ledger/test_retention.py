"""Pruning: rows + pruned = cells, what is gone is known again, and never more than may go."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from collector.core.calls import Attempt, Call
from collector.core.errors import LedgerError, UsageError
from collector.core.outcomes import Outcome
from collector.core.periods import DAY_S, Period, parse_day, parse_period
from collector.core.selection import Selection
from collector.core.told import Probe
from collector.ledger import cells
from collector.ledger.check import check
from collector.ledger.ingest import drain
from collector.ledger.journal import Writer
from collector.ledger.questions.ask import declared_zones, rows
from collector.ledger.questions.spend import spend_per_day
from collector.ledger.retention import Rules, end_day, prune, used_bytes, would_prune
from collector.settings import Limits
from tests import random_calls
from tests.ledger.contents import contents
from tests.stored import BOOK, NOW_US, ZONES, store
from tests.tables import calls, instant

DAY_US = DAY_S * 1_000_000
NOW = instant("2026-12-20T12:00")
TABLE = """
    2026-10-01T12:00    openai m  1000/500 ok 840ms images_in=2 app=shop user=ann origin_id=r1
    2026-10-01T23:59:59 dear   m  3/1      ok attempts=openai:provider_fault,dear:ok tool_calls=2
    2026-10-02T00:20    openai nobody 3/1  ok user=bob
    2026-11-30T12:00    openai m  1/1      ok user=ann
    2026-12-01T00:30    openai m  2/2      rate_limited
    2026-12-19T12:00    openai m  5/5      ok
"""
RULES = Rules(days=30, most_bytes=None, probe_days=90, zone="Europe/Berlin")


def pruned(folder: Path, rules: Rules = RULES, table: str = TABLE, now_us: int = NOW) -> Engine:
    engine = store(folder, calls(table), now_us=now_us)
    prune(engine, folder / "journal", rules, now_us)
    return engine


def started(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return list(connection.exec_driver_sql("SELECT started_at FROM v_calls ORDER BY 1").scalars())


def probe(n: int, at: str, outcome: Outcome = Outcome.OK) -> Probe:
    return Probe(f"{n:032x}", Attempt("openai", "m", instant(at), outcome, 200))


def test_old_calls_go_and_every_sum_stays(tmp_path: Path) -> None:
    engine = store(tmp_path, calls(TABLE), now_us=NOW)
    before = contents(engine)
    report = prune(engine, tmp_path / "journal", RULES, NOW)
    after = contents(engine)
    assert (report.calls, report.before) == (3, parse_day("2026-11-20"))
    assert started(engine)[0] == "2026-11-30T12:00:00.000000Z"
    for table in ("usage_quarters", "usage_days", "user_days", "price_days", "day_totals", "user_spans", "health"):
        assert after[table] == before[table]
    assert check(engine, tmp_path / "journal") == []


def test_a_dry_run_says_what_would_go_and_changes_nothing(tmp_path: Path) -> None:
    engine = store(tmp_path, calls(TABLE), now_us=NOW)
    before = contents(engine)
    planned = would_prune(engine, RULES, NOW)
    assert planned.sentence("would prune") == "would prune 3 calls before 2026-11-20, 0 probes and 0 rejects"
    assert contents(engine) == before
    assert prune(engine, tmp_path / "journal", RULES, NOW).calls == planned.calls


def test_twice_is_once(tmp_path: Path) -> None:
    engine = pruned(tmp_path)
    assert prune(engine, tmp_path / "journal", RULES, NOW).calls == 0


def test_the_running_month_stays_in_whatever_zone(tmp_path: Path) -> None:
    engine = pruned(tmp_path, msgspec.structs.replace(RULES, days=1))
    assert started(engine)[0] == "2026-11-30T12:00:00.000000Z"  # the day on which December began in Berlin
    assert end_day(RULES, instant("2026-11-30T22:30"), None) == parse_day("2026-10-31")
    assert end_day(RULES, instant("2026-11-30T23:30"), None) == parse_day("2026-11-01")  # in UTC it is November
    assert end_day(RULES, instant("2026-12-01T00:30"), None) == parse_day("2026-11-30")


def close(engine: Engine, month: str, first: str, end: str, reopened_at: int | None = None) -> None:
    with engine.begin() as connection:
        row = (month, "Europe/Berlin", parse_day(first), parse_day(end), NOW, 1, reopened_at)
        columns = "month, zone, first_day, end_day, closed_at, closed_by, reopened_at"
        connection.exec_driver_sql(f"INSERT INTO closes ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)", row)


def test_once_a_month_was_closed_an_open_one_stays(tmp_path: Path) -> None:
    engine = store(tmp_path, calls(TABLE), now_us=NOW)
    close(engine, "2026-09", "2026-09-01", "2026-10-01")
    prune(engine, tmp_path / "journal", msgspec.structs.replace(RULES, days=1), NOW)
    assert len(started(engine)) == 6
    close(engine, "2026-10", "2026-10-01", "2026-11-01")
    prune(engine, tmp_path / "journal", msgspec.structs.replace(RULES, days=1), NOW)
    assert started(engine)[0] == "2026-11-30T12:00:00.000000Z"


def test_a_month_that_is_open_again_stays(tmp_path: Path) -> None:
    engine = store(tmp_path, calls(TABLE), now_us=NOW)
    close(engine, "2026-10", "2026-10-01", "2026-11-01", reopened_at=NOW)
    assert prune(engine, tmp_path / "journal", RULES, NOW).calls == 0


def test_without_an_age_nothing_goes_but_old_probes(tmp_path: Path) -> None:
    store(tmp_path, calls(TABLE), now_us=NOW)
    writer = Writer(tmp_path / "journal", "collect", fsync="interval")
    for each in (probe(1, "2026-09-01T12:00"), probe(2, "2026-12-01T12:00", Outcome.PROVIDER_FAULT)):
        writer.tell(each)
    writer.stop()
    engine = store(tmp_path, [], now_us=NOW)
    before = contents(engine)["health"]
    report = prune(engine, tmp_path / "journal", msgspec.structs.replace(RULES, days=None), NOW)
    assert report.sentence("pruned").startswith("pruned 0 calls, 1 probes and 0 rejects")
    assert contents(engine)["health"] == before
    assert check(engine, tmp_path / "journal") == []


def test_by_size_the_oldest_days_go_until_it_fits(tmp_path: Path) -> None:
    table = "\n".join(f"2026-10-{day:02d}T12:{n % 60:02d} openai m 10/5 ok" for day in range(1, 31) for n in range(200))
    engine = store(tmp_path, calls(table), now_us=NOW)
    with engine.connect() as connection:
        full = used_bytes(connection)
    limit = Rules(days=None, most_bytes=full * 3 // 4, probe_days=90, zone="UTC")
    report = prune(engine, tmp_path / "journal", limit, NOW)
    left = started(engine)
    assert 0 < report.calls < 6_000
    assert report.calls % 200 == 0  # whole days
    assert len(left) == 6_000 - report.calls
    with engine.connect() as connection:
        assert used_bytes(connection) <= full * 3 // 4
    assert report.given_back > 0
    assert check(engine, tmp_path / "journal") == []


def test_what_was_pruned_is_known_again(tmp_path: Path) -> None:
    engine = pruned(tmp_path)
    before = contents(engine)
    store(tmp_path, calls(TABLE), now_us=NOW)
    other = calls("2026-10-01T12:05 openai m 1000/500 ok origin_id=r1 source=jsonl")
    store(tmp_path, other, now_us=NOW)  # another witness of the first call
    assert contents(engine) == before
    assert check(engine, tmp_path / "journal") == []


def test_a_new_call_of_a_pruned_day_is_counted_and_goes_in_its_turn(tmp_path: Path) -> None:
    engine = pruned(tmp_path)
    store(tmp_path, calls("2026-10-01T12:01 openai m 7/7 ok user=ann app=shop origin_id=r2"), now_us=NOW)
    assert check(engine, tmp_path / "journal") == []
    assert prune(engine, tmp_path / "journal", RULES, NOW).calls == 1
    assert check(engine, tmp_path / "journal") == []


def test_when_digests_have_been_dropped_older_calls_are_refused_with_a_sentence(tmp_path: Path) -> None:
    engine = pruned(tmp_path)
    later = NOW + 402 * DAY_US
    prune(engine, tmp_path / "journal", RULES, later)
    store(tmp_path, calls("2026-10-01T12:01 openai m 7/7 ok"), now_us=later)
    with engine.connect() as connection:
        (reason,) = connection.exec_driver_sql("SELECT reason FROM rejects").scalars()
    assert reason.startswith("started_at is before 2026-10-03: calls until then are pruned and no longer known")
    assert check(engine, tmp_path / "journal") == []


def test_digests_outlive_their_rows_by_400_days(tmp_path: Path) -> None:
    engine = pruned(tmp_path)
    prune(engine, tmp_path / "journal", msgspec.structs.replace(RULES, days=None), NOW + 400 * DAY_US)
    store(tmp_path, calls(TABLE), now_us=NOW + 400 * DAY_US)
    assert len(started(engine)) == 3


def test_rejects_go_with_the_age(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "journal", "csv", fsync="interval")
    writer.reject(1, "no model", "x")
    writer.stop()
    engine = store(tmp_path, [], now_us=instant("2026-10-01T12:00"))
    assert prune(engine, tmp_path / "journal", RULES, NOW).rejects == 1
    assert check(engine, tmp_path / "journal") == []


def test_rejects_stay_without_an_age_or_a_size(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "journal", "csv", fsync="interval")
    writer.reject(1, "no model", "x")
    writer.stop()
    engine = store(tmp_path, [], now_us=instant("2026-10-01T12:00"))
    assert prune(engine, tmp_path / "journal", msgspec.structs.replace(RULES, days=None), NOW).rejects == 0


def test_by_size_rejects_go_before_any_call_does(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "journal", "csv", fsync="interval")
    for n in range(500):
        writer.reject(n, "no model", "x" * 4_000)
    writer.stop()
    engine = store(tmp_path, calls(TABLE), now_us=instant("2026-12-19T12:00"))
    with engine.connect() as connection:
        limit = Rules(days=None, most_bytes=used_bytes(connection) // 2, probe_days=90, zone="UTC")
    planned = would_prune(engine, limit, NOW)
    report = prune(engine, tmp_path / "journal", limit, NOW)
    assert (report.rejects, report.calls, planned.rejects) == (500, 0, 500)
    assert check(engine, tmp_path / "journal") == []


def names_of(engine: Engine, kind: str) -> set[str]:
    with engine.connect() as connection:
        return set(connection.exec_driver_sql("SELECT name FROM names WHERE kind = ?", (kind,)).scalars())


def test_names_that_only_pruned_calls_had_go_and_those_of_sums_stay(tmp_path: Path) -> None:
    table = """
        2026-10-01T12:00 openai m 1/1 ok session=old user=ann tags=n:1
        2026-10-01T12:01 openai m 1/1 ok session=both user=bob tags=n:2
        2026-12-19T12:00 openai m 1/1 ok session=both tags=n:3
        2026-12-19T12:01 openai m 1/1 ok session=new user=cid tags=n:4
    """
    engine = store(tmp_path, calls(table), now_us=NOW)
    kept_kinds = ("model", "provider", "zone", "source", "operation")
    kept = {kind: names_of(engine, kind) for kind in kept_kinds}
    assert len(names_of(engine, "tags")) == 4
    prune(engine, tmp_path / "journal", RULES, NOW)
    assert names_of(engine, "session") == {"both", "new"}
    assert len(names_of(engine, "tags")) == 2
    assert names_of(engine, "user") == {"ann", "bob", "cid"}
    assert {kind: names_of(engine, kind) for kind in kept_kinds} == kept
    with engine.connect() as connection:
        query = "SELECT name FROM calls JOIN names ON names.id = session ORDER BY started_at"
        assert connection.exec_driver_sql(query).scalars().all() == ["both", "new"]
    store(tmp_path, calls("2026-12-19T13:00 openai m 1/1 ok session=next user=dan"), now_us=NOW)
    assert names_of(engine, "session") == {"both", "new", "next"}
    assert check(engine, tmp_path / "journal") == []


def test_a_zone_declared_after_pruning_gets_its_days_from_the_finer_cells(tmp_path: Path) -> None:
    zone = "Asia/Tokyo"
    whole = store(tmp_path / "whole", calls(TABLE), {"UTC", zone}, now_us=NOW)
    engine = pruned(tmp_path / "pruned")
    store(tmp_path / "pruned", [], {zone}, now_us=NOW)
    for table, key in (("usage_days", "zone"), ("health", "grain")):
        assert [row for row in contents(engine)[table] if row[key] == zone] == [
            row for row in contents(whole)[table] if row[key] == zone
        ]
    assert check(engine, tmp_path / "pruned" / "journal") == []
    kept = declared_zones(engine)
    assert kept == {"UTC", "Europe/Berlin", zone}
    by_user = Selection(zone=zone, group="user")
    with pytest.raises(UsageError, match="those before 2026-10-04 are pruned: choose a later start"):
        spend_per_day(by_user, parse_period("2026-10-01..2026-12-01", zone, NOW), kept, Limits())
    asked = spend_per_day(by_user, parse_period("2026-11-01..2026-12-01", zone, NOW), kept, Limits())
    assert [row.group for row in rows(engine, asked)] == ["ann"]


def test_a_question_that_needs_pruned_rows_is_refused_with_a_sentence(tmp_path: Path) -> None:
    engine = pruned(tmp_path)
    by_user = Selection(zone="Asia/Tokyo", group="user")
    with pytest.raises(UsageError, match="those before 2026-10-03 are pruned"):
        spend_per_day(
            by_user, Period(instant("12:00"), instant("13:00"), "Asia/Tokyo"), declared_zones(engine), Limits()
        )


def test_cells_are_not_made_anew_from_rows_that_are_gone(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="rows before 2026-10-03 were pruned"):
        cells.rebuild(pruned(tmp_path))


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("UPDATE pruned_days SET cost = cost + 1 WHERE cost > 0", "calls and pruned ones say cost"),
        ("UPDATE usage_quarters SET calls = calls + 1 WHERE quarter < 1990000", "calls and pruned ones say calls 1,"),
        ("DELETE FROM user_days WHERE day < 20730", "the users say calls 0"),
        ("UPDATE pruned_health SET ok = ok + 1", "the calls say ok"),
        ("UPDATE health SET ok = ok + 1 WHERE grain = 1 AND bucket < 497520", "the hours say"),
        ("DELETE FROM pruned_days", "there are 3 calls, and the segments say that 6 were stored"),
    ],
)
def test_check_still_finds_differences_of_pruned_days(statement: str, told: str, tmp_path: Path) -> None:
    engine = pruned(tmp_path)
    with engine.begin() as connection:
        assert connection.exec_driver_sql(statement).rowcount > 0
    assert any(told in sentence for sentence in check(engine)), check(engine)


def test_a_ledger_of_before_is_written_anew_once_and_then_gives_room_back(tmp_path: Path) -> None:
    table = "\n".join(f"2026-10-01T12:{n % 60:02d} openai m 10/5 ok" for n in range(3_000))
    engine = store(tmp_path, calls(table))
    with engine.connect() as connection:
        connection.exec_driver_sql("COMMIT")
        connection.exec_driver_sql("PRAGMA auto_vacuum = NONE")
        connection.exec_driver_sql("VACUUM")
    engine.dispose()
    report = prune(engine, tmp_path / "journal", msgspec.structs.replace(RULES, days=1), NOW_US + 60 * DAY_US)
    assert report.calls == 3_000
    assert report.given_back > 100_000
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA auto_vacuum").scalar() == 2
    assert check(engine, tmp_path / "journal") == []


@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_in_whatever_order_calls_come_and_go_the_books_agree(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("prune")
    told: list[Call] = data.draw(st.lists(random_calls.calls(), min_size=1, max_size=12))
    pieces = data.draw(st.lists(st.lists(st.sampled_from(told), max_size=8), min_size=1, max_size=4))
    engine = store(folder, [])
    counted: set[str] = set()
    for piece in pieces:
        store(folder, piece)
        counted |= {each.id for each in piece}
        prune(engine, folder / "journal", Rules(data.draw(st.integers(1, 60)), None, 90, "UTC"), NOW_US + 40 * DAY_US)
        assert check(engine, folder / "journal") == []
    with engine.connect() as connection:
        cells = connection.exec_driver_sql("SELECT coalesce(sum(calls), 0) FROM usage_quarters").scalar_one()
    store(folder, told)
    drain(engine, folder / "journal", BOOK, Limits(), NOW_US, ZONES)
    assert check(engine, folder / "journal") == []
    assert cells <= len(counted)
    engine.dispose()
