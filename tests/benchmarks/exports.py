"""Exports against what they cannot beat: calls as CSV of plain csv.writer over the same SELECT; a month's line items,
read from cells, of the same sums over its rows; and how much memory they take.

    python -m tests.benchmarks.exports [--directory DIR] [--calls 1000000] [--days 7]

CPU time, so that a busy machine changes little. Each export runs in a process of its own, whose memory is told too.
"""

import argparse
import csv
import json
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from collector.core.meters import COMMON_METERS, METERS
from collector.core.periods import Period
from collector.core.selection import Selection
from collector.finance.columns import CALL_COLUMNS
from collector.finance.export import Request, export
from collector.ledger.engines import open_ledger, sorting_on_disk
from collector.ledger.questions.ask import declared_zones
from collector.ledger.questions.calls import in_order
from tests.benchmarks.journals import DAY_US, START_US
from tests.benchmarks.reference import make
from tests.benchmarks.table import Result, show

CALLS_TARGET, MEMORY_TARGET = 0.5, 200
MONTH = Period(START_US + 30 * DAY_US, START_US + 60 * DAY_US, "UTC")


def plain(ledger: Path, out: Path, days: int) -> None:
    """The SELECT of the export, row by row into csv.writer."""
    engine = open_ledger(f"sqlite:///{ledger}", read_only=True)
    with engine.connect() as connection, out.open("w", newline="") as file, sorting_on_disk(connection):
        rows = connection.execution_options(yield_per=1_000).execute(in_order(Selection(), _days(days)))
        writer = csv.writer(file)
        writer.writerow(CALL_COLUMNS)
        writer.writerows(rows)


def raw_month(ledger: Path, out: Path, days: int) -> None:
    """The sums of a month by what a line item is of, over its rows."""
    keys = "started_at / 86400000000, model, provider, app, key, price"
    sums = ", ".join(f"sum({METERS[name].column})" for name in COMMON_METERS)
    sql = f"SELECT {keys}, {sums}, sum(cost) FROM calls WHERE started_at >= ? AND started_at < ? GROUP BY {keys}"
    with sqlite3.connect(f"file:{ledger}?mode=ro", uri=True) as connection, out.open("w", newline="") as file:
        csv.writer(file).writerows(connection.execute(sql, (MONTH.start_us, MONTH.end_us)))


def ours(**request: object) -> Callable[[Path, Path, int], None]:
    """An export, of single calls for some days and else of a month."""

    def run(ledger: Path, out: Path, days: int) -> None:
        engine = open_ledger(f"sqlite:///{ledger}", read_only=True)
        period = _days(days) if request.get("calls") else MONTH
        export(engine, declared_zones(engine), Request(period, **request), out)  # type: ignore[arg-type]

    return run


BY_ALL = ("day", "model", "provider", "app", "key")
WORK: dict[str, Callable[[Path, Path, int], None]] = {
    "plain": plain,
    "calls.csv": ours(calls=True),
    "calls.jsonl": ours(calls=True, format="jsonl"),
    "calls.parquet": ours(calls=True, format="parquet"),
    "month, raw": raw_month,
    "month.csv": ours(by=BY_ALL),
    "month.focus": ours(format="focus"),
    "month.parquet": ours(by=BY_ALL, format="parquet"),
}


def _days(days: int) -> Period:
    return Period(START_US, START_US + days * DAY_US, "UTC")


def measure(name: str, ledger: Path, days: int) -> dict[str, float]:
    """CPU seconds, MiB at most, and rows, of one piece of work in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.exports", "--only", name, "--directory", str(ledger.parent)]
    done = subprocess.run([*command, "--days", str(days)], capture_output=True, text=True, check=True)
    told: dict[str, float] = json.loads(done.stdout)
    return told


def _only(name: str, ledger: Path, days: int) -> None:
    with tempfile.TemporaryDirectory(prefix="callmeter-bench-") as folder:
        out = Path(folder) / "out"
        began = time.process_time()
        WORK[name](ledger, out, days)
        cpu_s = time.process_time() - began
        with out.open("rb") as file:
            rows = sum(1 for _ in file) if not name.endswith("parquet") else 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"cpu_s": cpu_s, "mib": peak, "rows": rows}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--directory", type=Path)
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=7)
    parser.add_argument("--only", choices=list(WORK), help=argparse.SUPPRESS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="callmeter-bench-") as name:
        directory = (options.directory or Path(name)).absolute()
        ledger = directory / "callmeter.db"
        if options.only:
            _only(options.only, ledger, options.days)
            return
        make(directory, options.calls)
        told = {name: measure(name, ledger, options.days) for name in WORK}
    base = told["plain"]["cpu_s"]
    for name, each in told.items():
        print(f"{name:16}{each['cpu_s']:8.2f} s CPU {each['mib']:8.0f} MiB {each['rows']:>12,.0f} rows")
    fast = base / told["calls.csv"]["cpu_s"]
    raw, cells = told["month, raw"]["cpu_s"], told["month.csv"]["cpu_s"]
    most = max(each["mib"] for name, each in told.items() if name not in ("plain", "month, raw"))
    show(
        [
            Result("calls as CSV, of plain csv.writer", f"{base:.2f} s of {base / fast:.2f} s", fast, CALLS_TARGET),
            Result("a month's line items, of the sums over its rows", f"{cells:.2f} s of {raw:.2f} s", cells / raw),
            Result("memory of any export, MiB", "", most, MEMORY_TARGET, at_most=True),
        ]
    )


if __name__ == "__main__":
    main()
