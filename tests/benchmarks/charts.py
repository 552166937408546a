"""The questions behind the three charts over 90 days in a declared zone, against the same sums over raw rows.

    python -m tests.benchmarks.charts [--directory DIR] [--calls 1000000] [--rounds 5]

Both answers are compared: they have to be equal. With --directory the ledger is kept for the next time.
"""

import argparse
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy.engine import Engine

from collector.core.meters import COMMON_METERS, INPUT_TOKENS, METERS, OUTPUT_TOKENS
from collector.core.periods import Period
from collector.core.selection import Selection
from collector.ledger.engines import open_ledger
from collector.ledger.questions.ask import rows
from collector.ledger.questions.spend import spend_per_day
from collector.ledger.questions.uptime import provider_uptime
from collector.ledger.questions.usage import tokens_per_day
from collector.settings import Limits
from tests.benchmarks.journals import END_US, START_US, ZONES
from tests.benchmarks.reference import make
from tests.benchmarks.table import Result, show

TARGET = 0.1
PERIOD = Period(START_US, END_US, "UTC")
BY_MODEL = Selection(group="model")
Answer = list[tuple[Any, ...]]

_DAY = "started_at / 86400000000"
_WITHIN = f"started_at >= {START_US} AND started_at < {END_US}"


def _columns(meters: tuple[str, ...]) -> str:
    return " + ".join(f"coalesce({METERS[name].column}, 0)" for name in meters if name in COMMON_METERS)


RAW = {
    "tokens": f"""SELECT {_DAY}, n.name, sum({_columns(INPUT_TOKENS)}), sum({_columns(OUTPUT_TOKENS)})
        FROM calls LEFT JOIN names AS n ON n.id = calls.model WHERE {_WITHIN} GROUP BY 1, 2 ORDER BY 1, 2""",
    "spend": f"""SELECT {_DAY}, n.name, sum(coalesce(cost, 0)), sum(unpriced_reason IS NOT NULL)
        FROM calls LEFT JOIN names AS n ON n.id = calls.model WHERE {_WITHIN} GROUP BY 1, 2 ORDER BY 1, 2""",
    "uptime": f"""SELECT day, n.name, sum(outcome = 1), sum(outcome = 2), sum(outcome = 3) FROM (
          SELECT {_DAY} AS day, provider, outcome FROM calls
          WHERE {_WITHIN} AND attempts = 1 AND NOT EXISTS (SELECT 1 FROM attempts AS a WHERE a.call_id = calls.id)
          UNION ALL SELECT {_DAY}, provider, outcome FROM attempts WHERE {_WITHIN} AND probe = 0)
        JOIN names AS n ON n.id = provider GROUP BY 1, 2 ORDER BY 1, 2""",
}


def charts(engine: Engine) -> dict[str, Callable[[], Answer]]:
    """What each chart asks, with the columns that it draws."""
    limits = Limits()

    def ask(question: Any, *columns: str) -> Answer:
        return sorted(tuple(getattr(row, name) for name in columns) for row in rows(engine, question))

    return {
        "tokens": lambda: ask(
            tokens_per_day(BY_MODEL, PERIOD, ZONES, limits), "day", "group", "tokens_in", "tokens_out"
        ),
        "spend": lambda: ask(
            spend_per_day(BY_MODEL, PERIOD, ZONES, limits), "day", "group", "cost_picousd", "unpriced_calls"
        ),
        "uptime": lambda: ask(
            provider_uptime(Selection(), PERIOD, ZONES, "day"), "day", "group", "ok", "provider_fault", "rate_limited"
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--directory", type=Path)
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="callmeter-bench-") as name:
        directory = (options.directory or Path(name)).absolute()
        make(directory, options.calls)
        show(_measure(directory / "callmeter.db", options.rounds))


def _measure(ledger: Path, rounds: int) -> list[Result]:
    engine = open_ledger(f"sqlite:///{ledger}", read_only=True)
    results = []
    with sqlite3.connect(f"file:{ledger}?mode=ro", uri=True) as raw:
        raw.execute("PRAGMA cache_size = -65536")
        for name, chart in charts(engine).items():
            asked, summed = [], []
            for _ in range(rounds):
                asked.append(_timed(chart))
                summed.append(_timed(lambda name=name: [tuple(row) for row in raw.execute(RAW[name])]))  # type: ignore[misc]
            if asked[0][1] != sorted(summed[0][1]):
                raise SystemExit(f"{name}: the chart and the rows differ")
            fast, slow = (statistics.median(seconds for seconds, _ in some) for some in (asked, summed))
            detail = f"{fast * 1000:,.1f} ms of raw {slow * 1000:,.0f} ms, {len(asked[0][1]):,} points"
            results.append(Result(f"{name} per day, 90 days", detail, fast / slow, TARGET, at_most=True))
    engine.dispose()
    return results


def _timed(work: Callable[[], Answer]) -> tuple[float, Answer]:
    began = time.perf_counter()
    answer = work()
    return time.perf_counter() - began, answer


if __name__ == "__main__":
    main()
