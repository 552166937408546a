"""Months close in order, for ever; what comes later is booked as corrections of the month that is open."""

import hashlib
import os
from pathlib import Path

import pytest
from sqlalchemy import Engine

from collector.core.errors import UsageError
from collector.core.periods import parse_period
from collector.core.prices import PriceBook, PriceSet
from collector.core.prices.book import Files
from collector.core.prices.names import Names
from collector.finance.books import booked_differences
from collector.finance.close import close, reopen
from collector.finance.export import Request, booked_request, export
from collector.finance.manifest import from_json
from collector.finance.months import month_named
from collector.ledger.check import check
from collector.ledger.questions.ask import rows
from collector.ledger.questions.booked import books, first_open_us, history
from collector.ledger.reprice import Author, Which, reprice
from tests.stored import NOW_US, SETS, ZONES, store
from tests.tables import calls, instant

OCTOBER = """
    2026-10-01T12:00 openai m    1000/500 ok app=shop key=k1
    2026-10-31T23:30 openai m    100/0    ok app=shop key=k1
    2026-10-05T12:00 openai none 7/8      ok app=shop
"""
LATE = "2026-10-01T13:00 openai m 500/500 ok app=shop key=k1"
NOVEMBER = "2026-11-02T12:00 openai m 10/0 ok app=shop key=k1"
M = SETS[0].id
HEAD = "day,booking_month,corrects,model,provider,app,key,unit,quantity,unit_price_usd,cost_usd,currency,price_id\n"
DECEMBER_US = instant("2026-12-05T00:00")


def file_of(engine: Engine, folder: Path, month: str, zone: str = "UTC", file_format: str = "csv") -> str:
    out = folder / f"{month}.{file_format}"
    export(engine, ZONES, booked_request(month_named(month, zone), file_format), out)
    return out.read_text()


def assert_agree(engine: Engine) -> None:
    assert check(engine) == []
    assert booked_differences(engine, ZONES) == []


def closed(engine: Engine, *months: str, zone: str = "UTC", now_us: int = DECEMBER_US) -> None:
    for month in months:
        close(engine, ZONES, month, zone, "ann", now_us)


@pytest.fixture
def engine(tmp_path):
    engine = store(tmp_path, calls(OCTOBER))
    yield engine
    engine.dispose()


def test_a_close_is_on_the_disk_when_it_is_done(engine, tmp_path, monkeypatch):
    """A power failure does not open a month again whose file was handed out."""
    done, fsync = [], os.fsync

    def syncing(fd):
        done.append(Path(os.readlink(f"/proc/self/fd/{fd}")).name)
        fsync(fd)

    monkeypatch.setattr(os, "fsync", syncing)
    closed(engine, "2026-10")
    assert done == ["callmeter.db-wal", tmp_path.name]
    reopen(engine, "2026-10", "why", "ann", DECEMBER_US)
    assert done == ["callmeter.db-wal", tmp_path.name] * 2


def test_a_month_is_booked_as_it_was_used(engine, tmp_path):
    closed(engine, "2026-10")
    assert file_of(engine, tmp_path, "2026-10") == HEAD + (
        f"2026-10-01,2026-10,,m,openai,shop,k1,input_tokens,1000,0.00001,0.01,USD,{M}\n"
        f"2026-10-01,2026-10,,m,openai,shop,k1,output_tokens,500,0.00003,0.015,USD,{M}\n"
        "2026-10-05,2026-10,,none,openai,shop,,input_tokens,7,,,USD,\n"
        "2026-10-05,2026-10,,none,openai,shop,,output_tokens,8,,,USD,\n"
        f"2026-10-31,2026-10,,m,openai,shop,k1,input_tokens,100,0.00001,0.001,USD,{M}\n"
        "TOTAL,,,,,,,,,,0.026,USD,\n"
    )
    manifest = from_json((tmp_path / "2026-10.csv.manifest.json").read_bytes())
    assert (manifest.booking.month, manifest.booking.state) == ("2026-10", "closed")
    assert (manifest.calls, manifest.cost_usd) == (3, "0.026")
    assert_agree(engine)


def test_what_arrives_late_corrects_the_closed_month_in_the_open_one(engine, tmp_path):
    closed(engine, "2026-10")
    before = file_of(engine, tmp_path, "2026-10")
    store(tmp_path, calls(f"{LATE}\n{NOVEMBER}"))
    assert file_of(engine, tmp_path, "2026-10") == before
    assert file_of(engine, tmp_path, "2026-11") == HEAD + (
        f"2026-11-02,2026-11,,m,openai,shop,k1,input_tokens,10,0.00001,0.0001,USD,{M}\n"
        f"2026-10-01,2026-11,2026-10,m,openai,shop,k1,input_tokens,-1000,0.00001,-0.01,USD,{M}\n"
        f"2026-10-01,2026-11,2026-10,m,openai,shop,k1,input_tokens,1500,0.00001,0.015,USD,{M}\n"
        f"2026-10-01,2026-11,2026-10,m,openai,shop,k1,output_tokens,-500,0.00003,-0.015,USD,{M}\n"
        f"2026-10-01,2026-11,2026-10,m,openai,shop,k1,output_tokens,1000,0.00003,0.03,USD,{M}\n"
        "TOTAL,,,,,,,,,,0.0201,USD,\n"
    )
    manifest = from_json((tmp_path / "2026-11.csv.manifest.json").read_bytes())
    assert (manifest.booking.state, manifest.calls) == ("open", 2)
    assert_agree(engine)


def test_a_closed_month_that_is_priced_anew_is_corrected_once(engine, tmp_path):
    closed(engine, "2026-10")
    cheaper = PriceSet(model="m", prices={"input": 5_000_000, "output": 30_000_000}, source="contract")
    late = PriceSet(model="none", prices={"input": 1_000_000, "output": 1_000_000}, source="late")
    book = PriceBook([Files("test", [cheaper, late], Names())])
    reprice(engine, book, Which(parse_period("2026-10", "UTC", NOW_US)), DECEMBER_US, Author("ann", "contract"))
    assert file_of(engine, tmp_path, "2026-11").splitlines()[1:] == [
        f"2026-10-01,2026-11,2026-10,m,openai,shop,k1,input_tokens,-1000,0.00001,-0.01,USD,{M}",
        f"2026-10-01,2026-11,2026-10,m,openai,shop,k1,output_tokens,-500,0.00003,-0.015,USD,{M}",
        f"2026-10-01,2026-11,2026-10,m,openai,shop,k1,input_tokens,1000,0.000005,0.005,USD,{cheaper.id}",
        f"2026-10-01,2026-11,2026-10,m,openai,shop,k1,output_tokens,500,0.00003,0.015,USD,{cheaper.id}",
        "2026-10-05,2026-11,2026-10,none,openai,shop,,input_tokens,-7,,,USD,",
        "2026-10-05,2026-11,2026-10,none,openai,shop,,output_tokens,-8,,,USD,",
        f"2026-10-05,2026-11,2026-10,none,openai,shop,,input_tokens,7,0.000001,0.000007,USD,{late.id}",
        f"2026-10-05,2026-11,2026-10,none,openai,shop,,output_tokens,8,0.000001,0.000008,USD,{late.id}",
        f"2026-10-31,2026-11,2026-10,m,openai,shop,k1,input_tokens,-100,0.00001,-0.001,USD,{M}",
        f"2026-10-31,2026-11,2026-10,m,openai,shop,k1,input_tokens,100,0.000005,0.0005,USD,{cheaper.id}",
        "TOTAL,,,,,,,,,,-0.005485,USD,",
    ]
    assert_agree(engine)
    closed(engine, "2026-11")
    assert file_of(engine, tmp_path, "2026-12").splitlines()[1:] == ["TOTAL,,,,,,,,,,0,USD,"]
    assert_agree(engine)


def test_corrections_of_corrections_take_back_what_was_booked_last(engine, tmp_path):
    closed(engine, "2026-10")
    store(tmp_path, calls(LATE))
    closed(engine, "2026-11")
    store(tmp_path, calls("2026-10-01T14:00 openai m 1/0 ok app=shop key=k1"))
    assert file_of(engine, tmp_path, "2026-12").splitlines()[1:] == [
        f"2026-10-01,2026-12,2026-10,m,openai,shop,k1,input_tokens,-1500,0.00001,-0.015,USD,{M}",
        f"2026-10-01,2026-12,2026-10,m,openai,shop,k1,input_tokens,1501,0.00001,0.01501,USD,{M}",
        "TOTAL,,,,,,,,,,0.00001,USD,",
    ]
    assert_agree(engine)


def test_only_the_first_open_month_books_corrections(engine, tmp_path):
    closed(engine, "2026-10")
    store(tmp_path, calls(f"{LATE}\n2026-12-01T12:00 openai m 1/0 ok"))
    assert "corrects" in file_of(engine, tmp_path, "2026-12").splitlines()[0]
    assert [line.split(",")[2] for line in file_of(engine, tmp_path, "2026-12").splitlines()[1:]] == ["", ""]
    assert_agree(engine)


def test_usage_before_the_first_closed_month_is_booked_in_its_own_and_corrected_like_it(engine, tmp_path):
    store(tmp_path, calls("2026-08-01T12:00 openai m 3/0 ok"))
    closed(engine, "2026-10")
    store(tmp_path, calls("2026-08-01T13:00 openai m 4/0 ok\n2025-01-01T00:00 openai m 1/0 ok"))
    assert (
        file_of(engine, tmp_path, "2026-08")
        .splitlines()[1]
        .startswith("2026-08-01,2026-08,,m,openai,,,input_tokens,3,")
    )
    corrections = [line.split(",") for line in file_of(engine, tmp_path, "2026-11").splitlines()[1:-1]]
    assert [(line[2], line[8]) for line in corrections] == [("2025-01", "1"), ("2026-08", "-3"), ("2026-08", "7")]
    assert_agree(engine)


def test_a_month_in_a_zone_that_is_not_declared_is_cut_by_its_quarter_hours(engine, tmp_path):
    store(tmp_path, calls("2026-09-30T18:15 openai m 1/0 ok\n2026-09-30T18:14 openai m 2/0 ok"))
    closed(engine, "2026-10", zone="Asia/Kathmandu")  # UTC +05:45
    days = [line.split(",")[0] for line in file_of(engine, tmp_path, "2026-10", "Asia/Kathmandu").splitlines()[1:-1]]
    assert days == ["2026-10-01", "2026-10-01", "2026-10-01", "2026-10-05", "2026-10-05"]
    assert "2026-09-30" not in days
    assert_agree(engine)


def test_a_month_with_a_change_of_the_clock_has_all_its_hours(engine, tmp_path):
    store(tmp_path, calls("2026-10-25T00:30 openai m 1/0 ok\n2026-10-25T01:30 openai m 1/0 ok"))
    closed(engine, "2026-10", zone="Europe/Berlin")
    lines = file_of(engine, tmp_path, "2026-10", "Europe/Berlin").splitlines()
    assert [line.split(",")[8] for line in lines if line.startswith("2026-10-25")] == ["2"]
    assert not [line for line in lines if line.startswith("2026-10-31")]  # 23:30 UTC is November in Berlin
    assert_agree(engine)


def test_a_month_without_calls_closes_too(tmp_path):
    engine = store(tmp_path, [])
    closed(engine, "2026-10", "2026-11")
    assert file_of(engine, tmp_path, "2026-10") == HEAD + "TOTAL,,,,,,,,,,0,USD,\n"
    assert_agree(engine)


def test_the_same_bytes_come_out_whatever_happens_later(engine, tmp_path):
    closed(engine, "2026-10")
    first, manifest = file_of(engine, tmp_path, "2026-10"), (tmp_path / "2026-10.csv.manifest.json").read_bytes()
    store(tmp_path, calls(f"{LATE}\n{NOVEMBER}"))
    closed(engine, "2026-11")
    assert file_of(engine, tmp_path, "2026-10") == first
    assert (tmp_path / "2026-10.csv.manifest.json").read_bytes() == manifest
    assert from_json(manifest).sha256 == hashlib.sha256(first.encode()).hexdigest()
    typed = file_of(engine, tmp_path, "2026-10", file_format="jsonl")
    assert len(typed.splitlines()) == len(first.splitlines()) - 1


def test_a_reopened_month_takes_in_what_came_late_and_its_old_file_is_kept(engine, tmp_path):
    closed(engine, "2026-10")
    store(tmp_path, calls(LATE))
    reopen(engine, "2026-10", "an import  was missing", "bob", DECEMBER_US)
    assert_agree(engine)
    assert books(engine).closed == ()
    closed(engine, "2026-10")
    assert file_of(engine, tmp_path, "2026-10").splitlines()[-1] == "TOTAL,,,,,,,,,,0.046,USD,"
    assert file_of(engine, tmp_path, "2026-11").splitlines()[1:] == ["TOTAL,,,,,,,,,,0,USD,"]
    first, second = rows(engine, history())
    assert (first.reopened_by, first.reopened_why, first.reopened_at) == ("bob", "an import was missing", DECEMBER_US)
    assert (first.closed_by, second.reopened_at) == ("ann", None)
    assert (from_json(first.manifest).cost_usd, from_json(second.manifest).cost_usd) == ("0.026", "0.046")
    assert_agree(engine)


def test_months_are_opened_from_the_last_one_back(engine, tmp_path):
    closed(engine, "2026-10")
    store(tmp_path, calls(f"{LATE}\n{NOVEMBER}"))
    closed(engine, "2026-11")
    november = file_of(engine, tmp_path, "2026-11")
    with pytest.raises(UsageError, match="the last closed month is 2026-11"):
        reopen(engine, "2026-10", "why", "bob", DECEMBER_US)
    reopen(engine, "2026-11", "why", "bob", DECEMBER_US)
    assert_agree(engine)
    assert file_of(engine, tmp_path, "2026-11") == november  # open again, it books the same
    reopen(engine, "2026-10", "why", "bob", DECEMBER_US)
    with pytest.raises(UsageError, match="no month is closed"):
        reopen(engine, "2026-10", "why", "bob", DECEMBER_US)
    assert_agree(engine)


@pytest.mark.parametrize(
    ("month", "zone", "said"),
    [
        ("2026-10", "UTC", "2026-10 is closed already"),
        ("2026-12", "UTC", "the next one is 2026-11, not 2026-12"),
        ("2026-09", "UTC", "the next one is 2026-11, not 2026-09"),
        ("2026-11", "Europe/Berlin", "this ledger closes in UTC, fixed at its first close: 'Europe/Berlin'"),
        ("2026-11", "UTC", "2026-11 is not over: 2026-11 is running in UTC"),
        ("2026-13", "UTC", "'2026-13' is not a month between 1970 and 2199: write it as 2026-10"),
        ("2200-01", "UTC", "'2200-01' is not a month"),
        ("October", "UTC", "'October' is not a month"),
    ],
)
def test_what_cannot_be_closed_is_named(engine, month, zone, said):
    closed(engine, "2026-10", now_us=NOW_US)
    with pytest.raises(UsageError, match=said):
        close(engine, ZONES, month, zone, "ann", NOW_US)
    assert len(books(engine).closed) == 1


def test_the_zone_stays_the_one_of_the_first_close_even_after_it_was_opened(engine):
    closed(engine, "2026-10")
    reopen(engine, "2026-10", "why", "bob", DECEMBER_US)
    with pytest.raises(UsageError, match="closes in UTC"):
        closed(engine, "2026-10", zone="Europe/Berlin")
    close(engine, ZONES, "2026-10", None, "ann", DECEMBER_US)


def test_the_first_close_asks_for_a_zone(engine):
    with pytest.raises(UsageError, match="write --zone"):
        close(engine, ZONES, "2026-10", None, "ann", DECEMBER_US)


def test_what_is_not_booked_is_not_pruned(engine):
    with engine.connect() as connection:
        assert first_open_us(connection) is None
    closed(engine, "2026-10", zone="Europe/Berlin")
    with engine.connect() as connection:
        assert first_open_us(connection) == instant("2026-10-31T23:00")


def test_a_close_that_is_broken_off_leaves_nothing(engine, monkeypatch):
    monkeypatch.setattr("collector.finance.close.STORED_FORMATS", ("csv", "no such format"))
    with pytest.raises(KeyError):
        closed(engine, "2026-10")
    with engine.connect() as connection:
        for table in ("closes", "closed_files", "closed_pieces", "booked"):
            assert connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar() == 0


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("UPDATE closed_pieces SET content = x'789c030000000001'", "its stored file is not the one of its manifest"),
        ("DELETE FROM closed_files", "its file is not in the ledger"),
        ("DELETE FROM booked WHERE day = (SELECT max(day) FROM booked)", "2026-10: cost used 26000000000, booked 27"),
    ],
)
def test_check_finds_books_that_were_tampered_with(engine, damage, said):
    closed(engine, "2026-10")
    with engine.begin() as connection:
        connection.exec_driver_sql(damage)
    (first, *_) = booked_differences(engine, ZONES)
    assert said in first


def test_charts_and_export_sum_by_usage_day_whatever_is_closed(engine, tmp_path):
    closed(engine, "2026-10")
    store(tmp_path, calls(LATE))
    period = parse_period("2026-10", "UTC", NOW_US)
    manifest = export(engine, ZONES, Request(period), tmp_path / "used.csv")
    assert (manifest.cost_usd, manifest.booking) == ("0.046", None)
