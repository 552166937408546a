"""Journal -> priced rows and cells, against raw sqlite3 executemany of the same rows into the same table, in one run.

    python -m tests.benchmarks.ingest [--calls 100000] [--rounds 3]

The calls are the first of the reference load of a million. Both write batches of limits.batch_calls under WAL and
synchronous = NORMAL; the indexes of `calls` are there from the start. Medians of rounds that take turns.
`opened`: every call as two records, as the gateway writes it.
"""

import argparse
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from collector.ledger.ingest import drain
from collector.settings import Limits
from tests.benchmarks.journals import END_US, ZONES, new_home, write_journal
from tests.benchmarks.table import Result, show

TARGET = 0.25
LOAD = 1_000_000  # over its 90 days
LIMITS = Limits()


def ingest_seconds(calls: int, *, opened: bool, keep: Path | None = None) -> float:
    """One drain of a new journal into a new ledger, which is copied to `keep`."""
    with tempfile.TemporaryDirectory(prefix="callmeter-bench-") as name:
        home = Path(name)
        write_journal(home, calls, opened=opened, load=max(calls, LOAD))
        engine, book = new_home(home)
        began = time.perf_counter()
        drained = drain(engine, home / "journal", book, LIMITS, END_US, ZONES)
        seconds = time.perf_counter() - began
        engine.dispose()
        if drained.stored != calls:
            raise SystemExit(f"{drained} of {calls} calls")
        if keep is not None:
            with sqlite3.connect(home / "callmeter.db") as source, sqlite3.connect(keep) as target:
                source.backup(target)
    return seconds


def raw_seconds(ledger: Path) -> float:
    """The ledger's rows of `calls`, in order of time, into a new file."""
    with sqlite3.connect(ledger) as source:
        rows = source.execute("SELECT * FROM calls ORDER BY started_at").fetchall()
        made = [
            sql for (sql,) in source.execute("SELECT sql FROM sqlite_master WHERE tbl_name = 'calls' AND sql != ''")
        ]
    with tempfile.TemporaryDirectory(prefix="callmeter-bench-") as name:
        target = sqlite3.connect(Path(name) / "raw.db", isolation_level=None)
        for statement in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL", *made):
            target.execute(statement)
        began = time.perf_counter()
        _insert(target, rows)
        seconds = time.perf_counter() - began
        target.close()
    return seconds


def _insert(target: sqlite3.Connection, rows: list[tuple[object, ...]]) -> None:
    statement = f"INSERT INTO calls VALUES ({', '.join('?' * len(rows[0]))})"
    for at in range(0, len(rows), LIMITS.batch_calls):
        target.execute("BEGIN")
        target.executemany(statement, rows[at : at + LIMITS.batch_calls])
        target.execute("COMMIT")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="callmeter-bench-") as name:
        ledger = Path(name) / "stored.db"
        measured: dict[str, Callable[[], float]] = {
            "whole": lambda: ingest_seconds(options.calls, opened=False, keep=ledger),
            "opened": lambda: ingest_seconds(options.calls, opened=True),
            "raw": lambda: raw_seconds(ledger),
        }
        seconds: dict[str, list[float]] = {kind: [] for kind in measured}
        for number in range(options.rounds):
            for kind, measure in measured.items():
                print(f"round {number + 1} of {options.rounds}: {kind}", file=sys.stderr)
                seconds[kind].append(measure())
    rate = {kind: options.calls / statistics.median(some) for kind, some in seconds.items()}
    show(
        Result(f"ingest, {what}", f"{rate[kind]:,.0f}/s of raw {rate['raw']:,.0f}/s", rate[kind] / rate["raw"], TARGET)
        for kind, what in (("whole", "whole calls"), ("opened", "calls opened and closed"))
    )


if __name__ == "__main__":
    main()
