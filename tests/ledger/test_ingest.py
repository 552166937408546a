"""Journal to ledger: once whatever happens, everything accounted for, and one bad record costs itself alone."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from zlib import crc32

import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy import Engine

from collector.core.calls import Call
from collector.core.errors import LockHeld
from collector.core.meters import METERS
from collector.core.outcomes import Outcome
from collector.core.prices import PriceBook, PriceSet
from collector.core.prices.book import Files
from collector.core.prices.names import Names
from collector.ledger.check import check
from collector.ledger.engines import open_ledger
from collector.ledger.ingest import Drained, drain
from collector.ledger.journal import Writer, segments
from collector.ledger.names import Names as Interned
from collector.ledger.questions.books import account
from collector.ledger.settle import fresh
from collector.locks import hold
from collector.settings import Limits
from tests.ledger.contents import contents
from tests.stored import BOOK, NOW_US, ZONES, store
from tests.tables import call, calls, instant

TABLE = """
    12:00 openai m 1000/500 ok 840ms images_in=2 app=shop user=ann session=s1 tags=team:a origin_id=r1
    12:01 dear   m 3/1      ok       attempts=openai/other:provider_fault,dear:ok
    12:02 openai m -        provider_fault http_status=503 error_type=overloaded
    12:03 -      m -        refused
"""


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def take(folder: Path, **options: Any) -> Drained:
    """Drains the journal of a folder into its ledger."""
    limits = options.pop("limits", Limits())
    book = options.pop("book", BOOK)
    engine = open_ledger(f"sqlite:///{folder / 'callmeter.db'}", create=True)
    try:
        return drain(engine, folder / "journal", book, limits, NOW_US, ZONES, **options)
    finally:
        engine.dispose()


def ledger(folder: Path) -> Engine:
    return open_ledger(f"sqlite:///{folder / 'callmeter.db'}")


def read(folder: Path, query: str) -> list[Any]:
    engine = ledger(folder)
    with engine.connect() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(query)]


def ids(folder: Path) -> list[str]:
    return [row[0] for row in read(folder, "SELECT id FROM v_calls ORDER BY id")]


def write(journal: Path, some: Iterable[Call], source: str = "test") -> None:
    writer = Writer(journal, source, fsync="interval")
    for each in some:
        writer.whole(each)
    writer.stop()


def agree(folder: Path) -> bool:
    engine = ledger(folder)
    assert check(engine, folder / "journal") == []
    assert all(each.told == each.accepted for each in account(engine, folder / "journal"))
    return True


def test_a_journalled_call_is_stored_with_its_price_and_the_segment_is_gone(tmp_path: Path, journal: Path) -> None:
    write(journal, calls(TABLE))
    assert take(tmp_path) == Drained(stored=4, merged=0, rejected=0, open=0, batches=1)
    assert read(tmp_path, "SELECT model, provider, app, user, cost_usd, attempts FROM v_calls ORDER BY started_at") == [
        ("m", "openai", "shop", "ann", "0.0539", 1),
        ("m", "dear", None, None, "0.00012000001", 2),
        ("m", "openai", None, None, "0", 1),
        ("m", None, None, None, "0", 0),
    ]
    assert segments(journal) == []
    assert agree(tmp_path)


def test_twice_is_once(tmp_path: Path, journal: Path) -> None:
    write(journal, calls(TABLE))
    take(tmp_path)
    before = contents(ledger(tmp_path))
    assert take(tmp_path) == Drained(0, 0, 0, 0, 0)
    write(journal, calls(TABLE))
    assert take(tmp_path) == Drained(stored=0, merged=4, rejected=0, open=0, batches=1)
    assert contents(ledger(tmp_path)) == before
    assert agree(tmp_path)


def test_any_cut_into_batches_is_the_same_ledger(tmp_path: Path) -> None:
    told = calls("\n".join(f"12:{n:02d} openai m {n}/1 ok origin_id=r{n % 3} source=s{n % 2}" for n in range(20)))
    found = []
    for size in (1, 7, 100):
        write(tmp_path / str(size) / "journal", told)
        take(tmp_path / str(size), limits=Limits(batch_calls=size))
        found.append(contents(ledger(tmp_path / str(size))))
    assert found[0] == found[1] == found[2]


def test_an_open_call_is_counted_and_its_close_makes_it_a_row(tmp_path: Path, journal: Path) -> None:
    one = call("12:00 openai m 1/1 ok")
    writer = Writer(journal, "gateway")
    ticket = writer.open(msgspec.structs.replace(one, meters={}, quality="none", outcome=Outcome.UNKNOWN))
    writer.sync()
    assert take(tmp_path) == Drained(stored=0, merged=0, rejected=0, open=1, batches=1)
    assert ids(tmp_path) == []
    assert agree(tmp_path)
    writer.close(ticket, one)
    writer.sync()
    assert take(tmp_path) == Drained(stored=1, merged=0, rejected=0, open=0, batches=1)
    assert ids(tmp_path) == [one.id]
    assert agree(tmp_path)
    writer.stop()


@pytest.mark.parametrize("drained_before", [False, True])
def test_what_a_dead_writer_left_open_is_interrupted(drained_before: bool, tmp_path: Path, journal: Path) -> None:
    one, two = calls("12:00 openai m - unknown\n12:01 openai m 1/1 ok")
    writer = Writer(journal, "gateway")
    writer.open(one)
    writer.whole(two)
    writer.sync()
    if drained_before:
        take(tmp_path)
    writer.stop()
    take(tmp_path)
    assert read(tmp_path, "SELECT outcome FROM v_calls ORDER BY started_at") == [("interrupted",), ("ok",)]
    assert segments(journal) == []
    assert agree(tmp_path)


def test_a_live_writers_calls_are_never_interrupted_and_its_segment_stays(tmp_path: Path, journal: Path) -> None:
    writer = Writer(journal, "gateway")
    writer.open(call("12:00 openai m - unknown"))
    writer.sync()
    for _ in range(2):
        assert take(tmp_path).open == 1
    assert len(segments(journal)) == 1
    writer.stop()


def test_a_segment_is_deleted_only_when_the_disk_has_what_the_ledger_took_of_it(
    tmp_path: Path, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(journal, calls(TABLE))
    done: list[str] = []
    fsync, unlink = os.fsync, Path.unlink

    def syncing(fd: int) -> None:
        done.append(Path(os.readlink(f"/proc/self/fd/{fd}")).name)
        fsync(fd)

    def deleting(path: Path, missing_ok: bool = False) -> None:
        done.append(path.suffix)
        unlink(path, missing_ok)

    monkeypatch.setattr(os, "fsync", syncing)
    monkeypatch.setattr(Path, "unlink", deleting)
    take(tmp_path)
    assert done[done.index("callmeter.db-wal") :] == ["callmeter.db-wal", tmp_path.name, ".jnl"]


def test_a_torn_tail_is_cut_and_listed(tmp_path: Path, journal: Path) -> None:
    write(journal, calls(TABLE))
    (path,) = segments(journal)
    path.write_bytes(path.read_bytes().rstrip(b"\0")[:-10])
    take(tmp_path)
    assert len(ids(tmp_path)) == 3
    ((reason, text),) = read(tmp_path, "SELECT reason, text FROM rejects")
    assert reason.startswith("torn")
    assert b'"whole"' in text
    assert agree(tmp_path)


def test_an_unreadable_line_is_listed_counted_and_costs_only_itself(tmp_path: Path, journal: Path) -> None:
    write(journal, calls(TABLE))
    (path,) = segments(journal)
    path.write_bytes(path.read_bytes().replace(b'"dear"', b'"DEAR"'))
    assert take(tmp_path) == Drained(stored=3, merged=0, rejected=1, open=0, batches=1)
    ((reason, text),) = read(tmp_path, "SELECT reason, text FROM rejects")
    assert reason == "the checksum does not fit the line"
    assert b"DEAR" in text
    assert agree(tmp_path)


@pytest.mark.parametrize("lines_between", [0, 1])
def test_a_close_whose_opening_is_unreadable_is_stored(lines_between: int, tmp_path: Path, journal: Path) -> None:
    one, *others = calls("12:00 openai m 1/1 ok app=mark\n12:01 openai m 2/2 ok\n12:02 openai m 3/3 ok")
    writer = Writer(journal, "gateway")
    ticket = writer.open(one)
    for other in others[:lines_between]:
        writer.whole(other)
    writer.close(ticket, one)
    for other in others[lines_between:]:
        writer.whole(other)
    writer.stop()
    (path,) = segments(journal)
    path.write_bytes(path.read_bytes().replace(b'"mark"', b'"MARK"', 1))
    drained = take(tmp_path)
    assert (drained.stored, drained.rejected) == (3, 0)
    assert agree(tmp_path)


def test_a_reader_s_reject_keeps_its_line_and_reason(tmp_path: Path, journal: Path) -> None:
    writer = Writer(journal, "csv")
    writer.reject(17, "started_at 'yesterday' is not a time", "yesterday,1,2")
    writer.stop()
    assert take(tmp_path).rejected == 1
    assert read(tmp_path, "SELECT line, reason, text FROM rejects") == [
        (17, "started_at 'yesterday' is not a time", b"yesterday,1,2")
    ]
    assert agree(tmp_path)


def test_calls_that_passed_uncounted_are_told_apart(tmp_path: Path, journal: Path) -> None:
    writer = Writer(journal, "gateway")
    writer.uncounted(5, 1, 2)
    writer.stop()
    take(tmp_path)
    ((told,),) = read(tmp_path, "SELECT sum(calls) FROM uncounted")
    (found,) = account(ledger(tmp_path), journal)
    assert (told, found.uncounted, found.accepted) == (5, 5, 0)


BAD = {
    "id": ("not-hex", "id 'not-hex' is not 32 hex digits in lower case"),
    "started_at": (0, "started_at 0 is not microseconds between 1970-02-02 and 2199-12-31"),
    "meters": ({"input": -3}, "input -3 is not a count between 0 and 1000000000000"),
    "quality": ("guessed", "usage quality 'guessed' is not one of exact, partial, estimated, none"),
    "http_status": (10**9, "http_status 1000000000 is not between 0 and 999"),
    "latency_ms": (2**70, f"latency_ms {2**70} is not between 0 and 1000000000000"),
    "reported_cost": (10**18, "cost 1000000000000000000 picodollars is beyond 100000000000000000 for one call"),
    "source": ("", "source '' or operation 'chat' is empty"),
    "price": ({"model": 5}, "the price that the call came with cannot be read"),
}


@pytest.mark.parametrize("field", BAD)
def test_a_call_that_cannot_be_stored_is_listed_with_its_reason_and_the_rest_is_stored(
    field: str, tmp_path: Path, journal: Path
) -> None:
    value, reason = BAD[field]
    one, bad, two = calls("12:00 openai m 1/1 ok\n12:01 openai m 2/2 ok cost=1\n12:02 openai m 3/3 ok")
    write(journal, [one, msgspec.structs.replace(bad, **{field: value}), two])
    drained = take(tmp_path)
    assert (drained.stored, drained.rejected) == (2, 1)
    ((told,),) = read(tmp_path, "SELECT reason FROM rejects")
    assert reason in told
    assert ids(tmp_path) == [one.id, two.id]
    assert agree(tmp_path)


def test_an_unknown_meter_is_refused_by_name(tmp_path: Path, journal: Path) -> None:
    write(journal, [msgspec.structs.replace(call("12:01 openai m - ok"), meters={"smell": 1})])
    assert take(tmp_path).rejected == 1
    ((told,),) = read(tmp_path, "SELECT reason FROM rejects")
    assert told == f"meter 'smell' is not known: use one of {', '.join(METERS)}"


def test_a_record_that_the_database_refuses_is_found_and_listed(
    tmp_path: Path, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the checks overlook: here they overlook everything."""
    monkeypatch.setattr(fresh, "check", lambda call: None)
    told = calls("\n".join(f"12:{n:02d} openai m {n}/1 ok" for n in range(9)))
    write(journal, [*told, msgspec.structs.replace(told[3], id="0" * 32, started_at=2**63 - 1, http_status=2**63)])
    drained = take(tmp_path)
    assert (drained.stored, drained.rejected) == (9, 1)
    assert agree(tmp_path)


def test_an_open_call_with_an_id_that_cannot_be_stored_is_accounted_for(tmp_path: Path, journal: Path) -> None:
    good, bad = calls("12:00 openai m 1/1 ok\n12:01 openai m 1/1 ok id=zzz")
    writer = Writer(journal, "gateway")
    tickets = [writer.open(good), writer.open(bad)]
    writer.sync()
    assert take(tmp_path).open == 1
    assert agree(tmp_path)
    for ticket, each in zip(tickets, (good, bad), strict=True):
        writer.close(ticket, each)
    writer.stop()
    take(tmp_path)
    assert ids(tmp_path) == [good.id]
    assert agree(tmp_path)


@pytest.mark.parametrize("drained_between", [False, True])
def test_an_opening_with_details_that_cannot_be_read_costs_nothing_once_its_call_has_ended(
    drained_between: bool, tmp_path: Path, journal: Path
) -> None:
    one = call("12:00 openai m 1/1 ok app=mark")
    writer = Writer(journal, "gateway")
    ticket = writer.open(one)
    (path,) = segments(journal)
    line = path.read_bytes().split(b"\n")[0]
    body = line[9:].replace(b'"mark"', b"123456")
    with path.open("r+b") as file:
        file.write(b"%08x %b" % (crc32(body), body))
    if drained_between:
        assert take(tmp_path) == Drained(stored=0, merged=0, rejected=1, open=0, batches=1)
        ((reason, text),) = read(tmp_path, "SELECT reason, text FROM rejects")
        assert (reason.split(":")[0], text) == ("not a record of the journal", body)
        assert agree(tmp_path)
    writer.close(ticket, one)
    writer.stop()
    take(tmp_path)
    assert ids(tmp_path) == [one.id]
    assert agree(tmp_path)


def test_texts_from_outside_are_clipped_and_lose_what_cannot_be_shown(tmp_path: Path, journal: Path) -> None:
    changes = {"user": "a\0b\n", "app": "x" * 9999, "key": "", "error_type": "\x07"}
    odd = msgspec.structs.replace(call("12:00 openai m 1/1 ok"), **changes)
    write(journal, [odd])
    take(tmp_path)
    assert read(tmp_path, "SELECT user, app, key, error_type FROM v_calls") == [("ab", "x" * 256, None, None)]


def test_the_title_of_an_app_is_its_label_and_the_latest_counts(tmp_path: Path, journal: Path) -> None:
    for at, title in enumerate(["The Shop", "The New Shop"]):
        titled = msgspec.structs.replace(call(f"12:0{at} openai m 1/1 ok app=shop"), app_title=title)
        write(journal, [titled, call(f"12:1{at} openai m 1/1 ok app=shop")])
        take(tmp_path)
    assert read(tmp_path, "SELECT name, label FROM names WHERE kind = 'app'") == [("shop", "The New Shop")]


def test_a_call_that_was_priced_before_keeps_its_money(tmp_path: Path, journal: Path) -> None:
    price = PriceSet(model="m", prices={"input": 5}, source="elsewhere")
    stated = msgspec.structs.replace(
        call("12:00 openai m 1000/200 ok"), cost=42, original_cost=40, price=price.to_plain()
    )
    unpriced = msgspec.structs.replace(call("12:01 openai m 1000/200 ok"), unpriced_reason="nobody knows")
    write(journal, [stated, unpriced])
    take(tmp_path)
    columns = "cost_picousd, original_cost_picousd, price_id, unpriced_reason"
    assert read(tmp_path, f"SELECT {columns} FROM v_calls ORDER BY started_at") == [
        (42, 40, price.id, None),
        (None, None, None, "nobody knows"),
    ]
    assert agree(tmp_path)


def test_the_price_set_that_was_used_is_copied_and_a_later_price_changes_nothing(tmp_path: Path, journal: Path) -> None:
    def book(price: int) -> PriceBook:
        return PriceBook([Files("test", [PriceSet(model="m", prices={"input": price}, source="test")], Names())])

    write(journal, [call("12:00 openai m 10/0 ok origin_id=r1")])
    take(tmp_path, book=book(1))
    write(journal, [call("12:00 openai m 10/0 ok origin_id=r1 source=otlp user=ann"), call("12:01 openai m 10/0 ok")])
    take(tmp_path, book=book(2))
    assert read(tmp_path, "SELECT user, cost_picousd FROM v_calls ORDER BY started_at") == [("ann", 10), (None, 20)]
    assert len(read(tmp_path, "SELECT digest FROM price_sets")) == 2
    assert agree(tmp_path)


def test_better_usage_is_charged_anew(tmp_path: Path, journal: Path) -> None:
    write(journal, [call("12:00 openai m 10/0 ok origin_id=r1 quality=partial")])
    take(tmp_path)
    write(journal, [call("12:01 openai m 20/0 ok origin_id=r1 source=otlp")])
    assert take(tmp_path) == Drained(stored=0, merged=1, rejected=0, open=0, batches=1)
    assert read(tmp_path, "SELECT input_tokens, cost_picousd FROM v_calls") == [(20, 200_000_000)]
    assert agree(tmp_path)


def test_one_provider_id_for_thousands_of_calls_of_one_source_merges_nothing(tmp_path: Path, journal: Path) -> None:
    told = calls("\n".join(f"12:00 openai m {n}/1 ok origin_id=same" for n in range(500)))
    write(journal, told)
    assert take(tmp_path, limits=Limits(batch_calls=100)).stored == 500


def test_only_an_attempt_that_says_more_than_its_call_has_a_row(tmp_path: Path, journal: Path) -> None:
    one = call("12:00 openai m 1/1 ok 840ms attempts=openai:ok http_status=200")
    near = msgspec.structs.replace(one.attempts[0], http_status=200, latency_ms=835, started_at=one.started_at + 900)
    same = msgspec.structs.replace(one, attempts=(near,))
    late = msgspec.structs.replace(
        call("12:01 openai m 1/1 ok 840ms"),
        attempts=(msgspec.structs.replace(one.attempts[0], started_at=instant("12:01:03"), latency_ms=10),),
    )
    write(journal, [same, late])
    take(tmp_path)
    assert read(tmp_path, "SELECT count(*) FROM attempts") == [(1,)]
    assert read(tmp_path, "SELECT n, latency_ms FROM v_attempts ORDER BY started_at") == [(1, 840), (1, 10)]


def test_a_drain_while_another_drains_is_refused_at_once(tmp_path: Path, journal: Path) -> None:
    write(journal, calls(TABLE))
    with hold(tmp_path / "ingest.lock", "a test"), pytest.raises(LockHeld):
        take(tmp_path)
    assert take(tmp_path).stored == 4


def test_stop_is_asked_between_batches_and_nothing_is_lost(tmp_path: Path, journal: Path) -> None:
    write(journal, calls("\n".join(f"12:{n:02d} openai m {n}/1 ok" for n in range(10))))
    answers = iter([False, False, True])
    assert take(tmp_path, limits=Limits(batch_calls=3), stop=lambda: next(answers)).stored == 6
    assert agree(tmp_path)
    assert take(tmp_path).stored == 4


def test_a_journal_that_does_not_exist_holds_nothing(tmp_path: Path) -> None:
    assert take(tmp_path) == Drained(0, 0, 0, 0, 0)


def test_a_disk_that_fails_is_not_the_records_fault(tmp_path: Path, journal: Path) -> None:
    write(journal, calls(TABLE))
    engine = open_ledger(f"sqlite:///{tmp_path / 'callmeter.db'}", create=True)
    with engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()

    @sa.event.listens_for(engine, "connect")
    def full(connection: Any, _: Any) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages}")

    engine.dispose()
    many = calls("\n".join(f"12:00 openai m {n}/1 ok user=u{n} app=a{n}" for n in range(2000)))
    write(journal, many)
    with pytest.raises(sa.exc.OperationalError, match="full"):
        drain(engine, journal, BOOK, Limits(), NOW_US, ZONES)
    assert take(tmp_path).rejected == 0
    assert len(ids(tmp_path)) == 2004
    assert agree(tmp_path)


def test_names_of_a_transaction_that_failed_are_forgotten(tmp_path: Path) -> None:
    engine = open_ledger(f"sqlite:///{tmp_path / 'callmeter.db'}", create=True)
    names = Interned()
    connection = engine.connect()
    transaction = connection.begin()
    first = names.intern(connection, "app", ["shop"])["shop"]
    transaction.rollback()
    names.rolled_back()
    assert "shop" not in names.ids("app")
    with engine.begin() as again:
        assert names.intern(again, "app", ["blog", "shop"]) == {"blog": first, "shop": first + 1}
    connection.close()


KILLED = """
import sys
from pathlib import Path
from collector.ledger.engines import open_ledger
from collector.ledger.ingest import drain
from collector.settings import Limits
from tests.stored import BOOK, NOW_US, ZONES
folder = Path(sys.argv[1])
engine = open_ledger(f"sqlite:///{folder / 'callmeter.db'}")
print("ready", flush=True)
drain(engine, folder / "journal", BOOK, Limits(batch_calls=40), NOW_US, ZONES)
print("done", flush=True)
"""


def test_a_drain_killed_again_and_again_stores_every_call_exactly_once(tmp_path: Path, journal: Path) -> None:
    line = "12:{minute:02d} openai m {n}/1 ok user=u{n} origin_id=r{n} app=a{app}"
    told = calls("\n".join(line.format(n=n, minute=n % 60, app=n % 7) for n in range(4000)))
    open_ledger(f"sqlite:///{tmp_path / 'callmeter.db'}", create=True).dispose()
    for part in range(4):
        write(journal, told[part * 1000 : part * 1000 + 1000])
    kills = 0
    for after_ms in range(5, 1000, 37):
        command = [sys.executable, "-c", KILLED, str(tmp_path)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(after_ms / 1000)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        with process.stdout:
            kills += process.stdout.read() == ""
        if not segments(journal):
            break
    assert kills >= 2
    take(tmp_path)
    assert ids(tmp_path) == sorted(each.id for each in told)
    assert segments(journal) == []
    assert agree(tmp_path)
    alone = store(tmp_path / "alone", told)
    assert contents(ledger(tmp_path)) == contents(alone)
