"""What calls cost by the way they ended, and what those cost that only single calls know of."""

from collections.abc import Collection

from sqlalchemy import ColumnElement, case, func, literal_column, select

from collector.core.errors import UsageError
from collector.core.periods import DAY_S, SECOND_US, Period
from collector.core.selection import Selection
from collector.ledger.questions.ask import Kept, Question
from collector.ledger.questions.calls import chosen_calls, outcome_word
from collector.ledger.questions.cells import ENDINGS, choose, chosen, refuse_pruned
from collector.ledger.questions.endings import Ending, ended
from collector.ledger.questions.terms import plain
from collector.ledger.schema import calls
from collector.settings import Limits


def cost_by_outcome(selection: Selection, period: Period, zones: Collection[str], limits: Limits) -> Question:
    """Columns: day (days since 1970 in the period's zone), outcome (its word), calls, unpriced_calls, cost_picousd.

    Raises UsageError where it would read too many single calls.
    """
    source = choose(selection, period, zones, (), limits.row_query_days, apart=ENDINGS)
    number, outcome = source.amount("calls"), source.key("outcome")
    sums = {
        "calls": number,
        "unpriced_calls": case((source.key("reason") != 0, number), else_=0),
        "cost_picousd": source.amount("cost"),
    }
    inner = (
        select(source.day.label("day"), outcome.label("code"), *(func.sum(it).label(name) for name, it in sums.items()))
        .where(chosen(selection, source))
        .group_by(literal_column("day"), literal_column("code"))
        .subquery("sums")
    )
    return select(inner.c.day, outcome_word(inner.c.code).label("outcome"), *(inner.c[name] for name in sums)).order_by(
        inner.c.day, inner.c.code
    )


def retried(selection: Selection, period: Period, zones: Collection[str], limits: Limits) -> Question:
    """The calls that took more than one attempt, by UTC day and ending: columns as in `cost_by_outcome`.

    Only single calls know it: raises UsageError for more days than may be read, or for those that were pruned.
    """
    _refuse_many_days("Retried calls are read one by one", period, limits)
    return _of_rows(selection, period, zones, calls.c.attempts > 1)


def cost_of(ending: Ending, selection: Selection, period: Period, zones: Collection[str], limits: Limits) -> Question:
    """The calls with some ending, by UTC day and outcome: columns as in `cost_by_outcome`. Raises as `retried`."""
    _refuse_many_days("Calls of a status or error type are counted one by one", period, limits)
    return _of_rows(selection, period, zones, ended(ending))


def _refuse_many_days(what: str, period: Period, limits: Limits) -> None:
    if period.end_us - period.start_us > (limits.row_query_days * DAY_S + 7_200) * SECOND_US:
        raise UsageError(f"{what}, for {limits.row_query_days} days at most: choose a shorter period")


def _of_rows(selection: Selection, period: Period, zones: Collection[str], only: ColumnElement[bool]) -> Question:
    refuse_pruned(period, zones.rows_from_us if isinstance(zones, Kept) else 0)
    c = calls.c
    inner = (
        select(
            (c.started_at // plain(DAY_S * SECOND_US)).label("day"),
            c.outcome.label("code"),
            func.count().label("calls"),
            func.sum(case((c.unpriced_reason.is_not(None), 1), else_=0)).label("unpriced_calls"),
            func.sum(func.coalesce(c.cost, 0)).label("cost_picousd"),
        )
        .where(chosen_calls(selection, period), only)
        .group_by(literal_column("day"), literal_column("code"))
        .subquery("sums")
    )
    sums = (inner.c.calls, inner.c.unpriced_calls, inner.c.cost_picousd)
    return select(inner.c.day, outcome_word(inner.c.code).label("outcome"), *sums).order_by(inner.c.day, inner.c.code)
