"""What percentiles are made of: histograms of health cells, or single calls where the filter is by app, key or user.

core.latency makes the figures: `of_cells` of the rows of `cells_of`, `of_calls` of those of `calls_of`.
"""

from collections.abc import Collection

from sqlalchemy import and_, func, literal, select

from collector.core.errors import UsageError
from collector.core.outcomes import Outcome
from collector.core.periods import DAY_S, SECOND_US, Period
from collector.core.selection import Selection
from collector.ledger.questions.ask import Question
from collector.ledger.questions.calls import chosen_calls, name_of
from collector.ledger.questions.other_days import cells_of_days, is_made_of_utc_days
from collector.ledger.questions.terms import plain
from collector.ledger.questions.uptime import filters, health_source
from collector.ledger.schema import calls, health
from collector.settings import Limits

GROUPS = ("", "model", "provider")
TIMED = (Outcome.OK, Outcome.UNKNOWN)  # as in the histograms: the others measure no answer


def needs_calls(selection: Selection) -> bool:
    """Whether a selection filters by what health cells do not know, so that `calls_of` has to answer."""
    return bool(selection.apps or selection.keys or selection.users or selection.group not in GROUPS)


def cells_of(selection: Selection, period: Period, zones: Collection[str], bucket: str = "") -> Question:
    """One row per cell: its day or at, as in the questions of uptime, group (the name of the grouped model or provider,
    "" ungrouped), latency, first_token, throughput (compact histograms), and times: 1, or -1 where all that is a part
    of other rows that its day or at does not hold. Without a bucket the rows are those of the whole period.

    Raises UsageError for what health cells do not know.
    """
    name = func.coalesce(name_of(health.c[selection.group]), "") if selection.group in GROUPS[1:] else literal("")
    timed = health.c.latency.is_not(None) | health.c.first_token.is_not(None)
    columns = (name.label("group"), health.c.latency, health.c.first_token, health.c.throughput)
    if (bucket or "day") == "day" and is_made_of_utc_days(period, zones):
        return cells_of_days(period, columns, and_(timed, *filters(selection)), apart=bool(bucket))
    cells = health_source(selection, period, zones, bucket or "day")
    return select(cells.bucket.label(cells.label), *columns, plain(1).label("times")).where(and_(cells.where, timed))


def calls_of(selection: Selection, period: Period, limits: Limits) -> Question:
    """One row per answered call: group, latency_ms, first_token_ms, tokens_out.

    Raises UsageError for more days than may be read.
    """
    if period.end_us - period.start_us > (limits.row_query_days * DAY_S + 7_200) * SECOND_US:
        raise UsageError(
            f"percentiles by app, key or user are read from single calls, for {limits.row_query_days} days at most:"
            " choose a shorter period"
        )
    name = func.coalesce(name_of(calls.c[selection.group]), "") if selection.group else literal("")
    tokens = func.coalesce(calls.c.output_tokens, 0) + func.coalesce(calls.c.reasoning_tokens, 0)
    columns = (calls.c.latency_ms, calls.c.first_token_ms, tokens.label("tokens_out"))
    answered = calls.c.outcome.in_([outcome.code for outcome in TIMED])
    return select(name.label("group"), *columns).where(chosen_calls(selection, period), answered)
