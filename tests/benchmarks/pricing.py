"""What pricing one call costs: `python -m tests.benchmarks.pricing [ENTRIES]` prints microseconds a call.

The book holds ENTRIES price entries (default 5,000) of 500 models at 5 providers, dated and in two context bands;
calls differ in model, provider, size and date. Milliseconds are printed for people, no test judges them.
"""

import sys
import time
from random import Random

from collector.core.calls import Call, Quality
from collector.core.outcomes import Outcome
from collector.core.prices import PriceBook, PriceSet, charge
from collector.core.prices.book import Files
from collector.core.prices.names import Names

_CALLS = 200_000
_DAY_US = 86_400_000_000
_START_US = 20_000 * _DAY_US


def book_of(entries: int) -> PriceBook:
    """A book of that many entries: per model and provider four, by two dates and two context bands."""
    sets = [_entry(n) for n in range(entries)]
    return PriceBook([Files("bench", sets, Names())])


def _entry(n: int) -> PriceSet:
    pair, kind = divmod(n, 4)
    model, provider = divmod(pair, 5)
    return PriceSet(
        model=f"model-{model}",
        provider=f"provider-{provider}",
        prices={"input": 1_000_000 + n, "cache_read": 100_000, "cache_write_5m": 1_250_000, "output": 4_000_000},
        source="bench",
        above_tokens=200_000 * (kind % 2),
        starts=_START_US + (kind // 2) * 45 * _DAY_US,
    )


def calls_of(entries: int, count: int) -> list[Call]:
    """Calls over 90 days to every tenth model of the book, as the reference load mixes them."""
    random = Random(1)
    models = max(1, entries // 20)
    return [_call(random, random.randrange(0, models, max(1, models // 20))) for _ in range(count)]


def _call(random: Random, model: int) -> Call:
    return Call(
        id="0" * 32,
        source="bench",
        started_at=_START_US + random.randrange(90 * _DAY_US),
        outcome=Outcome.OK,
        model=f"model-{model}",
        served_model=f"model-{model}",
        provider=f"provider-{random.randrange(5)}",
        quality=Quality.EXACT,
        meters={
            "input": random.randrange(250_000),
            "cache_read": random.randrange(9_000),
            "cache_write_5m": 300,
            "output": random.randrange(2_000),
            "reasoning": 50,
        },
    )


def main() -> None:
    """Print entries, calls, and microseconds a call, the best of five runs."""
    entries = int(sys.argv[1]) if len(sys.argv) > 1 else 5_000
    book, calls = book_of(entries), calls_of(entries, _CALLS)
    priced = [charge(call, book).cost for call in calls]
    best = min(_timed(book, calls) for _ in range(5))
    print(f"{entries:,} price entries, {len(calls):,} calls: {best / len(calls) * 1e6:.2f} us a call")
    print(f"{sum(cost is None for cost in priced):,} unpriced, {sum(cost or 0 for cost in priced):,} p$ in all")


def _timed(book: PriceBook, calls: list[Call]) -> float:
    start = time.perf_counter()
    for call in calls:
        charge(call, book)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
