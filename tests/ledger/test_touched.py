"""What changes a day touches it; a proof of spans of days finds in them what a proof of everything finds."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from collector.core.calls import Attempt
from collector.core.outcomes import Outcome
from collector.core.periods import parse_day
from collector.core.told import Probe
from collector.jobs import collect, job_named
from collector.ledger.check import check
from collector.ledger.retention import Rules, prune
from collector.ledger.touched import WHOLE, Span, begin_proof, end_proof, spans
from collector.settings import Settings, load_settings
from tests import random_calls
from tests.cron.test_collect import run as command
from tests.ledger.test_check import CASES, TABLE
from tests.ledger.test_told import tell
from tests.stored import NOW_US, store
from tests.tables import calls, instant

NOW = instant("2026-12-20T12:00")
OCTOBER, DECEMBER = parse_day("2026-10-01"), parse_day("2026-12-19")


def proved(folder: Path, table: str) -> Engine:
    """A ledger all of which was proved."""
    engine = store(folder, calls(table), now_us=NOW)
    begin_proof(engine)
    end_proof(engine)
    assert begin_proof(engine) == []
    return engine


def test_the_first_proof_is_of_everything(tmp_path: Path) -> None:
    engine = store(tmp_path, calls(TABLE))
    assert begin_proof(engine) == (WHOLE,)


def test_calls_touch_their_days_and_those_of_their_attempts(tmp_path: Path) -> None:
    engine = proved(tmp_path, TABLE)
    store(tmp_path, calls("2026-12-19T12:00 openai m 1/1 ok\n2026-11-01T00:00 openai m 1/1 ok"), now_us=NOW)
    assert begin_proof(engine) == [Span(parse_day("2026-11-01"), parse_day("2026-11-02")), Span(DECEMBER, DECEMBER + 1)]


def test_probes_and_pruning_touch_days(tmp_path: Path) -> None:
    engine = proved(tmp_path, TABLE)
    tell(tmp_path, Probe("0" * 32, Attempt("openai", "m", instant("2026-11-10T12:00"), Outcome.OK, 200)), now_us=NOW)
    assert begin_proof(engine) == [Span(parse_day("2026-11-10"), parse_day("2026-11-11"))]
    end_proof(engine)
    prune(engine, tmp_path / "journal", Rules(30, None, 90, "UTC"), NOW)
    assert begin_proof(engine) == [Span(OCTOBER, OCTOBER + 1)]


def test_what_was_not_proved_is_looked_at_again_with_what_was_touched_meanwhile(tmp_path: Path) -> None:
    engine = proved(tmp_path, TABLE)
    store(tmp_path, calls("2026-12-19T12:00 openai m 1/1 ok"), now_us=NOW)
    assert begin_proof(engine) == [Span(DECEMBER, DECEMBER + 1)]  # and is killed
    store(tmp_path, calls("2026-11-01T12:00 openai m 1/1 ok"), now_us=NOW)
    assert len(begin_proof(engine)) == 2
    store(tmp_path, calls("2026-11-20T12:00 openai m 1/1 ok"), now_us=NOW)
    end_proof(engine)
    assert begin_proof(engine) == [Span(parse_day("2026-11-20"), parse_day("2026-11-21"))]


def test_days_that_lie_near_each_other_are_one_span() -> None:
    assert spans([1, 2, 5, 20, 30, 31]) == [Span(1, 6), Span(20, 21), Span(30, 32)]
    assert spans([]) == []


def test_an_attempt_counts_in_its_own_day_whenever_its_call_began(tmp_path: Path) -> None:
    (late,) = calls("2026-10-01T12:00 dear m 3/1 ok attempts=openai:provider_fault,dear:ok")
    week_us = 7 * 86_400_000_000
    moved = [msgspec.structs.replace(each, started_at=each.started_at + week_us) for each in late.attempts]
    engine = store(tmp_path, [msgspec.structs.replace(late, attempts=tuple(moved))], now_us=NOW)
    assert check(engine, spans=[Span(OCTOBER + 7, OCTOBER + 8)]) == []
    with engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE health SET ok = ok + 1 WHERE grain = 1 AND bucket >= {(OCTOBER + 7) * 24}")
    assert any("grain 1" in sentence for sentence in check(engine, spans=[Span(OCTOBER + 7, OCTOBER + 8)]))


@pytest.mark.parametrize("statement", CASES)
def test_a_touched_day_is_proved_like_everything(statement: str, tmp_path: Path) -> None:
    engine = store(tmp_path, calls(TABLE))
    with engine.begin() as connection:
        assert connection.exec_driver_sql(statement).rowcount > 0
    found = check(engine, spans=[Span(OCTOBER, OCTOBER + 1)])
    for told in CASES[statement]:
        assert any(told in sentence for sentence in found), found


@given(some=st.lists(random_calls.calls(), max_size=12), first=st.integers(-3, 3), days=st.integers(1, 4))
@settings(max_examples=25, deadline=None)
def test_books_that_agree_agree_in_every_span(
    some: list[random_calls.Call], first: int, days: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    engine = store(tmp_path_factory.mktemp("spans"), some)
    at = NOW_US // 86_400_000_000 + first
    assert check(engine, spans=[Span(at, at + days)]) == []
    engine.dispose()


def tampered(folder: Path, where: str) -> tuple[Settings, Engine]:
    """A proved ledger of October and December; December is touched, and a call is changed where `where` says."""
    engine = proved(folder, f"{TABLE}\n2026-12-18T12:00 openai m 1/1 ok")
    store(folder, calls("2026-12-19T12:00 openai m 7/7 ok"), now_us=NOW)
    with engine.begin() as connection:
        changed = connection.exec_driver_sql(f"UPDATE calls SET cost = cost + 1 WHERE cost > 7 AND {where}")
        assert changed.rowcount > 0
    return load_settings(folder, environ={}), engine


def audit(its: Settings) -> list[str]:
    return collect(its, lambda: NOW, [job_named("check")])


def test_the_audit_finds_what_was_tampered_with_in_a_touched_day(tmp_path: Path) -> None:
    its, _ = tampered(tmp_path, f"started_at >= {instant('2026-12-19T00:00')}")
    (line,) = audit(its)
    assert line.startswith("check: ")
    assert "run `callmeter check`" in line
    assert audit(its) == [line]  # until it is mended


def test_the_command_finds_what_was_tampered_with_in_any_day(tmp_path: Path) -> None:
    its, _ = tampered(tmp_path, f"started_at < {instant('2026-12-01T00:00')}")
    assert audit(its) == []
    done = command(tmp_path, "check")
    assert (done.exit_code, "the calls say cost" in done.stdout) == (1, True)


def test_the_audit_reads_only_what_was_touched(tmp_path: Path) -> None:
    many = "\n".join(f"2026-10-{day:02d}T12:{n:02d} openai m 1/1 ok" for day in range(1, 29) for n in range(20))
    engine = proved(tmp_path, many)
    store(tmp_path, calls("2026-12-19T12:00 openai m 7/7 ok"), now_us=NOW)
    read: list[tuple[int, int]] = []
    assert check(engine, None, lambda done, in_all: read.append((done, in_all)), begin_proof(engine)) == []
    assert read == [(1, 1)]
