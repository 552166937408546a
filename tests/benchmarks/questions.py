"""How long every question behind a screen takes: what cells answer at two sizes of ledger, other zones, single calls.

    python -m tests.benchmarks.questions DIR_1M [DIR_10M] [--rounds 20]

The directories are those of `tests.benchmarks.reference`. A question is built, asked and read to its end, warm; with
two ledgers the table shows the 95th percentile at the larger one and its ratio to the smaller one's. Milliseconds are
of one connection on an otherwise idle machine.
"""

import argparse
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy.engine import Engine

from collector.core.periods import Period, days_period
from collector.core.selection import DIMENSIONS, Selection
from collector.ledger.engines import open_ledger
from collector.ledger.questions import (
    calls,
    failures,
    filters,
    items,
    latency,
    metered,
    spend,
    totals,
    trouble,
    unpriced,
    uptime,
    usage,
    why,
)
from collector.ledger.questions.ask import Question, rows
from collector.settings import Limits
from tests.benchmarks.journals import DAY_US, END_US, ZONES
from tests.benchmarks.table import Result, show

CELLS_MS, GROWTH = 60.0, 3.0  # at the larger ledger, and of the smaller one's
OTHERS_MS, NAMES_MS = 2_000.0, 5.0
END_DAY = END_US // DAY_US
LIMITS = Limits()
ANY = Selection()
USAGE = {
    "tokens": usage.tokens_per_day,
    "images": usage.images_per_day,
    "meters": usage.meters_per_day,
    "outcomes": usage.outcomes_per_day,
    "spend": spend.spend_per_day,
    "unpriced": spend.unpriced_per_day,
}
FILTERED = {
    "of one model": Selection(models=("openai/gpt-4o",)),
    "of one provider": Selection(providers=("openai",)),
    "of one app": Selection(apps=("https://app-01.example",)),
    "of one key": Selection(keys=("key-01",)),
    "of one user": Selection(users=("user-0043",)),
}


class Asked(NamedTuple):
    """A question by the words of its line, and how many milliseconds it may take."""

    name: str
    make: Callable[[], Question]
    most_ms: float


def per_day(zone: str, most_ms: float) -> Iterable[Asked]:
    """The questions about usage, each by itself, by every group and for every filter, over 90 and 7 days."""
    for days in (90, 7):
        period = days_period(END_DAY - days, END_DAY, zone)
        for name, ask in USAGE.items():
            choices = {"": Selection()} | {f"by {group}": Selection(group=group) for group in DIMENSIONS}
            for how, selection in (choices | (FILTERED if name in ("tokens", "spend") else {})).items():
                if name == "unpriced" and selection.group:
                    continue
                if zone not in ZONES and "user" in how:
                    continue
                yield Asked(f"{name} {how}, {days} d, {zone}", _usage(ask, selection, period), most_ms)


def _usage(ask: Any, selection: Selection, period: Period) -> Callable[[], Question]:
    return lambda: ask(selection, period, ZONES, LIMITS)


def from_health(zone: str, most_ms: float) -> Iterable[Asked]:
    """Uptime and speed, in the buckets that a screen draws."""
    day, three, ninety = (Period(END_US - days * DAY_US, END_US, zone) for days in (1, 3, 90))
    whole = days_period(END_DAY - 90, END_DAY, zone)
    for bucket, period in (("5m", day), ("10m", day), ("1h", three), ("day", whole)):
        days = (period.end_us - period.start_us) // DAY_US
        for name, ask in (("providers", uptime.provider_uptime), ("router", uptime.router_uptime)):
            yield Asked(f"{name} in {bucket}, {days} d, {zone}", _health(ask, period, bucket), most_ms)
    for bucket, period in (("5m", three), ("1h", ninety)):
        days = (period.end_us - period.start_us) // DAY_US
        yield Asked(f"outages in {bucket}, {days} d, {zone}", _health(uptime.outage_buckets, period, bucket), most_ms)
    for group, bucket in (("", "day"), ("model", ""), ("provider", "day")):
        how = f"speed by {group or 'day'}, 90 d, {zone}"
        yield Asked(how, _health(latency.cells_of, whole, bucket, Selection(group=group)), most_ms)


def _health(ask: Any, period: Period, bucket: str, selection: Selection = ANY) -> Callable[[], Question]:
    return lambda: ask(selection, period, ZONES, bucket)


def of_prices_and_totals() -> Iterable[Asked]:
    """What the model's page, finance and /metrics ask."""
    period = days_period(END_DAY - 90, END_DAY, "UTC")
    for by in ((), ("provider",), ("model", "provider")):
        name = f"sums by {' and '.join(('price', *by))}"
        yield Asked(f"{name}, 90 d", lambda by=by: items.sums_by_price(ANY, period, ZONES, by), CELLS_MS)  # type: ignore[misc]
    yield Asked(f"{name} in no order, 90 d", lambda: items.sums_in_no_order(ANY, period, ZONES, by), CELLS_MS)
    yield Asked("quantities by price, 90 d", lambda: items.quantities_by_price(ANY, period, ZONES), CELLS_MS)
    yield Asked("reported by price, 90 d", lambda: why.reported_by_price(ANY, period, ZONES), CELLS_MS)
    yield Asked("cost by outcome, 90 d", lambda: trouble.cost_by_outcome(ANY, period, ZONES, LIMITS), CELLS_MS)
    yield Asked("queue of the unpriced, 90 d", lambda: unpriced.queue(ANY, period, ZONES, LIMITS), CELLS_MS)
    yield Asked("reported per day, 90 d", lambda: metered.reported_per_day(period, ZONES), CELLS_MS)
    for group in DIMENSIONS:
        yield Asked(f"used by each {group}, 90 d", _usage(usage.used_by_name, Selection(group=group), period), CELLS_MS)
    yield Asked("all calls by outcome", totals.calls_by_outcome, CELLS_MS)
    yield Asked("all attempts by provider", totals.attempts_by_provider, CELLS_MS)
    yield Asked("all times by provider", totals.times_by_provider, CELLS_MS)


def of_single_calls() -> Iterable[Asked]:
    """What reads rows: seven days of them at most."""
    week = days_period(END_DAY - 7, END_DAY, "UTC")
    kathmandu = days_period(END_DAY - 7, END_DAY, "Asia/Kathmandu")
    for how, selection in (("app", FILTERED["of one app"]), ("user", FILTERED["of one user"])):
        yield Asked(
            f"speed of one {how}, 7 d",
            lambda s=selection: latency.calls_of(s, week, LIMITS),
            OTHERS_MS,  # type: ignore[misc]
        )
    yield Asked("errors, 7 d", lambda: failures.error_types(Selection(), week, LIMITS), OTHERS_MS)
    yield Asked("retried, 7 d", lambda: trouble.retried(ANY, week, ZONES, LIMITS), OTHERS_MS)
    hour = END_US - DAY_US // 24
    yield Asked("hit by an hour's outage", lambda: failures.hit_by("openai", hour, END_US), OTHERS_MS)
    for how, selection in FILTERED.items():
        yield Asked(f"page of calls {how}, 7 d", lambda s=selection: calls.page(s, week, None, 51), OTHERS_MS)  # type: ignore[misc]
    by_user = Selection(group="user")
    yield Asked("tokens by user, 7 d, Kathmandu", _usage(usage.tokens_per_day, by_user, kathmandu), OTHERS_MS)


def every() -> list[Asked]:
    """All of them, in the order of the table."""
    lists = [Asked(f"names of {name}s", lambda n=name: filters.names_of(n), NAMES_MS) for name in DIMENSIONS]  # type: ignore[misc]
    return [
        *per_day("UTC", CELLS_MS),
        *from_health("UTC", CELLS_MS),
        *of_prices_and_totals(),
        *per_day("Asia/Kathmandu", OTHERS_MS),
        *from_health("Asia/Kathmandu", OTHERS_MS),
        *of_single_calls(),
        *lists,
    ]


def p95_ms(engine: Engine, make: Callable[[], Question], rounds: int) -> tuple[float, int]:
    """The 95th percentile over the rounds after a first one, and how many rows came. Slow ones are asked less often."""
    took: list[float] = []
    while len(took) < (rounds + 1 if sum(took) < 5_000 else 3):
        began = time.perf_counter()
        count = len(rows(engine, make()))
        took.append((time.perf_counter() - began) * 1000)
    warm = sorted(took[1:])
    return warm[-(-len(warm) * 95 // 100) - 1], count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directories", type=Path, nargs="+")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--only", default="", help="part of a line's words")
    options = parser.parse_args()
    engines = [open_ledger(f"sqlite:///{each / 'callmeter.db'}", read_only=True) for each in options.directories]
    asked = [each for each in every() if options.only in each.name]
    show(result for each in asked for result in _measured(engines, each, options.rounds))


def _measured(engines: list[Engine], asked: Asked, rounds: int) -> Iterable[Result]:
    found = [p95_ms(engine, asked.make, rounds) for engine in engines]
    (first, _), (last, count) = found[0], found[-1]
    yield Result(asked.name, f"ms, {count:,} rows", last, asked.most_ms, at_most=True)
    if len(found) > 1:
        target = GROWTH if asked.most_ms == CELLS_MS else None
        yield Result("", f"of {first:,.1f} ms", last / first, target, at_most=True)


if __name__ == "__main__":
    main()
