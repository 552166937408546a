"""check finds every kind of difference, and names both numbers; on books that agree it says nothing."""

from pathlib import Path

import pytest
from sqlalchemy import Engine

from collector.ledger.check import SHOWN, check
from collector.ledger.journal import Writer
from collector.ledger.questions.books import Account, Tails, account
from collector.ledger.schema import USER_SUMS
from tests.stored import store
from tests.tables import call, calls

TABLE = """
    12:00 openai m       1000/500 ok 840ms images_in=2 app=shop user=ann
    12:20 dear   m       3/1      ok       attempts=openai:provider_fault,dear:ok
    12:20 openai nobody  3/1      ok
    12:20 openai m       -        provider_fault
    23:00 openai m       1/1      ok       cost=7
"""
CASES = {
    "UPDATE calls SET cost = cost + 1 WHERE cost = 53900000000": [
        "2026-10-01 12:00 UTC, model m provider openai app shop ok:"
        " the calls say cost 53900000001, the quarter-hour says 53900000000",
        "2026-10-01 in UTC, users, model m provider openai user ann ok:"
        " the calls say cost 53900000001, the day says 53900000000",
        "makes it 53900000000",
    ],
    "UPDATE usage_quarters SET calls = 3 WHERE app > 0": [
        "the calls say calls 1, the quarter-hour says 3",
        "2026-10-01 in Europe/Berlin, model m provider openai app shop ok:"
        " the quarter-hours say calls 3, the day says 1",
    ],
    "UPDATE usage_days SET input_tokens = 9 WHERE app > 0": ["the quarter-hours say input_tokens 1000, the day says 9"],
    "DELETE FROM user_days WHERE user > 0": [
        "model m provider openai user ann ok: the calls say calls 1, the day says 0",
    ],
    "UPDATE usage_days SET day = day + 1": [
        "2026-10-02 in UTC, model m provider openai app shop ok: the quarter-hours say calls 0, the day says 1"
    ],
    "UPDATE price_days SET cost = 0 WHERE unpriced = 0 AND price > 0": [
        "price set 1, model m provider openai: the cells say cost 53900000000, the price's day says 0",
    ],
    "DELETE FROM price_days WHERE unpriced = 1": ["the cells say calls 1, the price's day says 0"],
    "UPDATE day_totals SET calls = 2 WHERE dimension = 3 AND value > 0": [
        "2026-10-01 in UTC, totals by app, app shop ok: the cells say calls 1, the total says 2",
    ],
    "DELETE FROM day_totals WHERE dimension = 5 AND value > 0": [
        "totals by user, user ann ok: the cells say calls 1, the total says 0",
    ],
    "UPDATE day_totals SET cost = 0 WHERE dimension = 0": ["totals by day, ok: the cells say cost"],
    "UPDATE user_spans SET tokens_in = 9 WHERE user > 0 AND days = 1": [
        "2026-10-01 in UTC, span of 1, user ann: the cells say tokens_in 1000, the span says 9",
    ],
    **{
        f"UPDATE user_spans SET {name} = {name} + 1 WHERE user > 0 AND days = 1": [
            f"2026-10-01 in Europe/Berlin, span of 1, user ann: the cells say {name} "
        ]
        for name in USER_SUMS
    },
    **{
        f"UPDATE user_spans SET {name} = {name} + 1 WHERE user > 0 AND days = 8": [
            f"2026-09-24 in Europe/Berlin, span of 8, user ann: the days say {name} "
        ]
        for name in USER_SUMS
    },
    "DELETE FROM user_spans WHERE days = 8 AND user = 0": ["the days say calls 4, the span says 0"],
    "UPDATE user_spans SET day = day + 8 WHERE days = 8 AND user > 0": [
        "2026-10-02 in UTC, span of 8, user ann: the days say calls 0, the span says 1",
    ],
    "UPDATE user_spans SET days = 9 WHERE days = 8": ["2026-09-24 in UTC, span of 9, "],
    "UPDATE health SET ok = ok + 1 WHERE grain = 1": [
        "health, grain 1, bucket 497460, model m provider openai: the calls say ok 1, the cell 2",
    ],
    "DELETE FROM health WHERE grain > 1": ["the calls say ok 1, the cell 0"],
    "UPDATE health SET latency = NULL": ["the calls say latency 81"],
    "UPDATE calls SET unpriced_reason = NULL WHERE cost IS NULL": ["it has neither a cost nor a reason to have none"],
    "UPDATE calls SET unpriced_reason = 1 WHERE cost = 7": ["it has the cost 7 and a reason to have none"],
    "UPDATE calls SET cost_stated = NULL WHERE cost = 7": ["its cost is 7, and it has no price set that says so"],
    "DELETE FROM price_sets": ["is not in the ledger"],
    "UPDATE calls SET input_tokens = 2000 WHERE input_tokens = 1000": ["makes it 63900000000"],
    "DELETE FROM attempts WHERE n = 2": ["there are 1 attempts, its row says 2"],
    "DELETE FROM calls WHERE attempts = 2": [
        "there are 2 attempts, there is no such call",
        "there are 4 calls, and the segments say that 5 were stored",
    ],
    "UPDATE segments SET accepted = 6": [
        "accepted 6, but stored 5 + merged 0 + open 0 + rejected 0 is 5",
    ],
    "UPDATE segments SET stored = 4, merged = 1": ["there are 5 calls, and the segments say that 4 were stored"],
}  # fmt: skip


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return store(tmp_path, calls(TABLE))


def run(engine: Engine, statement: str) -> None:
    with engine.begin() as connection:
        assert connection.exec_driver_sql(statement).rowcount > 0


def test_books_that_agree_have_no_differences(engine: Engine, tmp_path: Path) -> None:
    assert check(engine, tmp_path / "journal") == []


@pytest.mark.parametrize("statement", CASES)
def test_a_difference_is_a_sentence_with_both_numbers(statement: str, engine: Engine) -> None:
    run(engine, statement)
    found = check(engine)
    for part in CASES[statement]:
        assert any(part in sentence for sentence in found), found


def test_many_differences_of_a_kind_are_counted(tmp_path: Path) -> None:
    engine = store(tmp_path, calls("\n".join(f"12:00 openai m 1/1 ok app=a{n}" for n in range(SHOWN + 5))))
    run(engine, "DELETE FROM usage_quarters")
    found = check(engine)
    assert "and 5 more differences of this kind" in found


def test_progress_is_told(engine: Engine) -> None:
    told: list[tuple[int, int]] = []
    check(engine, progress=lambda done, in_all: told.append((done, in_all)))
    assert told == [(5, 5)]


def test_a_file_that_is_gone_before_its_end_is_a_difference(engine: Engine, tmp_path: Path) -> None:
    run(engine, "UPDATE segments SET ended_at = NULL")
    (sentence,) = check(engine, tmp_path / "journal")
    assert "its file is gone, and the ledger has not read it to its end" in sentence


def test_a_count_beyond_the_writers_own_is_a_difference(engine: Engine, tmp_path: Path) -> None:
    writer = Writer(tmp_path / "journal", "gateway")
    ticket = writer.open(call("13:00 openai m - ok"))
    drained = store(tmp_path, [])
    run(drained, "UPDATE segments SET accepted = 2, rejected = 1 WHERE ended_at IS NULL")
    (sentence,) = check(drained, tmp_path / "journal")
    assert "its writer counted 1 calls, the ledger says that it accepted 2" in sentence
    writer.close(ticket, call("13:00 openai m - ok"))
    writer.stop()


def test_the_account_of_every_source(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    store(tmp_path, [call("12:00 openai m 1/1 ok"), call("12:00 openai m 1/1 ok")])
    writer = Writer(journal, "gateway")
    first, second = call("13:00 openai m 1/1 ok"), call("13:01 openai m 1/1 ok")
    done, left = writer.open(first), writer.open(second)
    writer.close(done, first)
    writer.reject(7, "not a call", "what?")
    engine = store(tmp_path, [])
    writer.whole(call("13:02 openai m 1/1 ok"))
    writer.whole(call("13:03 openai m 1/1 ok"))
    files = Writer(journal, "csv")
    files.whole(call("13:04 openai m 1/1 ok"))
    assert account(engine, journal) == [
        Account("csv", accepted=1, stored=0, merged=0, open=0, waiting=1, rejected=0, uncounted=0),
        Account("gateway", accepted=5, stored=1, merged=0, open=1, waiting=2, rejected=1, uncounted=0),
        Account("test", accepted=2, stored=1, merged=1, open=0, waiting=0, rejected=0, uncounted=0),
    ]
    assert all(each.told == each.accepted for each in account(engine, journal))
    assert check(engine, journal) == []
    writer.close(left, second)
    writer.stop()
    files.stop()
    after = store(tmp_path, [])
    assert {each.source: (each.stored, each.open, each.waiting) for each in account(after, journal)} == {
        "csv": (1, 0, 0), "gateway": (4, 0, 0), "test": (1, 0, 0),
    }  # fmt: skip
    assert check(after, journal) == []


def test_the_account_reads_a_long_journal_on_piece_by_piece(tmp_path: Path) -> None:
    engine, journal = store(tmp_path, []), tmp_path / "journal"
    writer = Writer(journal, "gateway", fsync="interval")
    for _ in range(6_000):
        writer.whole(call("13:00 openai m 1/1 ok"))
    writer.stop()
    tails: Tails = {}
    told = []
    while not told or told[-1].is_more:
        told += account(engine, journal, tails, most_bytes=1)
        assert told[-1].told == told[-1].accepted
    assert len(told) > 2
    assert told[0].waiting < told[-1].waiting == 6_000
