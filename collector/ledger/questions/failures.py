"""How attempts failed, and which calls a provider's outage hit: read from single calls and their attempts."""

from sqlalchemy import ColumnElement, Exists, and_, case, exists, func, literal, or_, select, union_all

from collector.core.errors import UsageError
from collector.core.outcomes import Outcome
from collector.core.periods import DAY_S, SECOND_US, Period
from collector.core.selection import Selection
from collector.ledger.questions.ask import Question
from collector.ledger.questions.calls import chosen_calls, name_of, outcome_word
from collector.ledger.questions.terms import ids_of
from collector.ledger.schema import attempts, calls
from collector.settings import Limits

FAILED = (Outcome.PROVIDER_FAULT, Outcome.RATE_LIMITED, Outcome.CALLER_FAULT)
_CODES = [outcome.code for outcome in FAILED]


def error_types(selection: Selection, period: Period, limits: Limits) -> Question:
    """The failed attempts of the calls of a period, those that happened most first.

    Columns: provider, http_status, error_type (each None: not stated), outcome, attempts, last_at (microseconds).
    Raises UsageError for more days than may be read.
    """
    if period.end_us - period.start_us > (limits.row_query_days * DAY_S + 7_200) * SECOND_US:
        raise UsageError(
            f"errors are read from single calls, for {limits.row_query_days} days at most: choose a shorter period"
        )
    c, a = calls.c, attempts.c
    within = chosen_calls(selection, period)
    names = ("provider", "http_status", "error_type", "outcome", "started_at")
    stored = select(*(a[name].label(name) for name in names)).join(calls, c.id == a.call_id)
    stored = stored.where(within, a.probe == 0, a.outcome.in_(_CODES))
    lone = select(*(c[name].label(name) for name in names)).where(within, c.outcome.in_(_CODES), _is_lone())
    every = union_all(stored, lone).subquery("failed")
    keys = [every.c[name] for name in names[:4]]
    sums = select(*keys, func.count().label("attempts"), func.max(every.c.started_at).label("last_at")).group_by(*keys)
    it = sums.subquery("sums").c
    return select(
        name_of(it.provider).label("provider"),
        it.http_status,
        name_of(it.error_type).label("error_type"),
        outcome_word(it.outcome).label("outcome"),
        it.attempts,
        it.last_at,
    ).order_by(it.attempts.desc(), it.last_at.desc())


def hit_by(provider: str, start_us: int, end_us: int) -> Question:
    """One row: hit, the calls that began then and failed at least once at a provider through its fault, and rescued,
    those of them that ended ok all the same. Calls whose rows were pruned are in neither."""
    c, a = calls.c, attempts.c
    fault, its_id = Outcome.PROVIDER_FAULT.code, ids_of("provider", [provider]).scalar_subquery()
    at_it = exists(literal(1)).where(a.call_id == c.id, a.provider == its_id, a.outcome == fault, a.probe == 0)
    alone = and_(c.provider == its_id, c.outcome == fault, _is_lone())
    is_ok = case((c.outcome == Outcome.OK.code, 1), else_=0)
    question = select(func.count().label("hit"), func.coalesce(func.sum(is_ok), 0).label("rescued"))
    return question.where(c.started_at >= start_us, c.started_at < end_us, or_(alone, and_(c.attempts > 0, at_it)))


def _is_lone() -> ColumnElement[bool]:
    """Whether a call's only attempt is told by its own row."""
    stored: Exists = exists(literal(1)).where(attempts.c.call_id == calls.c.id)
    return and_(calls.c.attempts == 1, ~stored)
