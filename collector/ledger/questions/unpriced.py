"""The queue of what could not be priced: which model where, why, how many calls, what they used, since when."""

from collections.abc import Collection

from sqlalchemy import func, select

from collector.core.meters import INPUT_TOKENS, METERS, OUTPUT_TOKENS
from collector.core.periods import DAY_S, SECOND_US, Period
from collector.core.selection import Selection
from collector.ledger.questions.ask import Question
from collector.ledger.questions.calls import name_of
from collector.ledger.questions.cells import choose, chosen
from collector.settings import Limits

EVER = Period(0, 84_000 * DAY_S * SECOND_US)  # whole days UTC, up to the year 2199


def queue(selection: Selection, period: Period, zones: Collection[str], limits: Limits) -> Question:
    """The calls without a price by model, provider and reason, those with the most calls first.

    Columns: model, provider (None: not stated), reason, calls, first_day, last_day (days since 1970 in the period's
    zone), tokens_in, tokens_out (all meters of that side), then the columns of METERS. `EVER` is a period of all calls.
    Raises UsageError where it would read too many single calls.
    """
    source = choose(selection, period, zones, {"model", "provider"}, limits.row_query_days, apart=("reason",))
    keys = {name: source.key(name) for name in ("model", "provider", "reason")}
    sums = {
        "calls": source.amount("calls"),
        "tokens_in": source.meters(INPUT_TOKENS),
        "tokens_out": source.meters(OUTPUT_TOKENS),
        **{meter.column: source.meter(name) for name, meter in METERS.items()},
    }
    inner = (
        select(
            *(key.label(name) for name, key in keys.items()),
            func.min(source.day).label("first_day"),
            func.max(source.day).label("last_day"),
            *(func.sum(value).label(name) for name, value in sums.items()),
        )
        .where(chosen(selection, source), source.key("reason") != 0)
        .group_by(*keys.values())
        .subquery("queue")
    )
    names = (name_of(inner.c[name]).label(name) for name in keys)
    rest = [inner.c[name] for name in ("calls", "first_day", "last_day", *list(sums)[1:])]
    return select(*names, *rest).order_by(inner.c.calls.desc(), inner.c.first_day, inner.c.model, inner.c.provider)
