"""What fired, what providers' status pages said, how the jobs did, and how far the budgets are spent."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import pandas as pd

from collector.core.budgets import Budget
from collector.core.money import PICODOLLARS
from collector.core.periods import day_number
from collector.core.selection import DIMENSIONS, Selection
from dashboard import texts
from dashboard.frames.axis import Axis

LASTS = "it lasts"
PAGE = "Status page"
BUDGET = "Budget a day"


class Spent(NamedTuple):
    """A budget, and what its running window has cost, in picodollars."""

    budget: Budget
    cost: int
    unpriced_calls: int = 0


def alert_table(rows: Iterable[Any], zone: str) -> pd.DataFrame:
    """One line for each alert, from rows of `alerts.since`."""
    lines = [
        [row.level, row.rule, row.text, texts.instant_text(row.began_at, zone), _until(row.ended_at, zone)]
        for row in rows
    ]
    return pd.DataFrame(lines, columns=["Level", "Alert", "What", "Since", "Until"])


def alerts_say(rows: Sequence[Any]) -> str:
    """How many last and how many are over."""
    lasting = sum(row.ended_at is None for row in rows)
    over = texts.count(len(rows) - lasting, "alert")
    return f"{texts.count(lasting, 'alert')} {'last' if lasting != 1 else 'lasts'}, {over} ended in the last 7 days"


def banner(rows: Iterable[Any]) -> list[str]:
    """The sentences that belong on the first page: alerts that last and matter."""
    return [row.text for row in rows if row.ended_at is None and row.level != "info"]


def silence_table(rows: Iterable[Any], zone: str) -> pd.DataFrame:
    """What is not told for a while, from rows of `alerts.silenced`."""
    lines = [[row.rule, row.subject or "all", texts.instant_text(row.until, zone), row.why] for row in rows]
    return pd.DataFrame(lines, columns=["Alert", "Of", "Silenced until", "Why"])


def undelivered_table(rows: Iterable[Any]) -> pd.DataFrame:
    """Who could not be told yet, from rows of `alerts.undelivered`."""
    lines = [[row.channel, row.tries, row.error or "it waits", row.event, row.text] for row in rows]
    return pd.DataFrame(lines, columns=["Channel", "Tries", "Why", "Event", "What"])


def incident_table(rows: Iterable[Any], zone: str) -> pd.DataFrame:
    """Incidents of status pages, from rows of `incidents_in`."""
    lines = [
        [row.provider, row.name, row.impact, row.status, texts.instant_text(row.started_at, zone),
         _until(row.ended_at, zone), row.url or None]
        for row in rows
    ]  # fmt: skip
    return pd.DataFrame(lines, columns=["Provider", "Incident", "Impact", "Status", "Since", "Until", PAGE])


def incident_marks(rows: Iterable[Any], axis: Axis, zone: str) -> dict[str, list[str]]:
    """What to say of the incidents that began in each bucket of an axis of days, by the bucket's label."""
    found: dict[str, list[str]] = {}
    for row in rows:
        if (day := day_number(row.started_at, zone)) in axis.keys:
            found.setdefault(axis.label(day), []).append(f"{row.provider} told of {row.name}")
    return found


def job_table(rows: Iterable[Any], zone: str) -> pd.DataFrame:
    """The last run of each job, from rows of `jobs.last_runs`, failed ones first."""
    lines = [
        [row.name, texts.instant_text(row.started_at, zone), _took(row), row.rows, row.error or ""]
        for row in sorted(rows, key=lambda row: (not row.error, row.name))
    ]
    table = pd.DataFrame(lines, columns=["Job", "Last run", "Took", "Rows", "Error"])
    return table.astype({"Rows": "Int64"})


def jobs_say(rows: Sequence[Any]) -> str:
    """How many of the jobs failed."""
    failed = sum(bool(row.error) for row in rows)
    return f"{texts.count(len(rows), 'job')} ran; {failed or 'none'} failed the last time"


def budget_table(spent: Iterable[Spent]) -> pd.DataFrame:
    """How far each budget is spent in its running day, week or month."""
    lines = [
        [each.budget.scope, each.budget.period, texts.dollars(each.cost), texts.dollars(each.budget.limit),
         texts.percent(each.cost, each.budget.limit), each.unpriced_calls]
        for each in spent
    ]  # fmt: skip
    return pd.DataFrame(lines, columns=["Budget", "A", "Spent, USD", "Limit, USD", "Share", "Calls without a price"])


def fitting(budgets: Iterable[Budget], selection: Selection) -> list[Budget]:
    """The budgets of exactly what is selected: of all calls, or of the one name that is filtered by."""
    named = [(dimension, selection.names(dimension)) for dimension in DIMENSIONS if selection.names(dimension)]
    if not named:
        return [each for each in budgets if not each.dimension]
    if len(named) > 1 or len(named[0][1]) > 1:
        return []
    scope = f"{named[0][0]}:{named[0][1][0]}"
    return [each for each in budgets if each.scope == scope]


def line(budgets: Iterable[Budget]) -> float | None:
    """Where the line of a day's budget stands in a chart of days, in dollars; None without one."""
    daily = [each.limit for each in budgets if each.period == "day"]
    return daily[0] / PICODOLLARS if daily else None


def budgets_say(spent: Iterable[Spent]) -> str:
    """A sentence for each budget of what is selected."""
    return "; ".join(
        f"{texts.percent(each.cost, each.budget.limit)} of this {each.budget.period}'s budget of"
        f" {texts.usd(each.budget.limit)} is spent"
        for each in spent
    )


def _until(ended_at: int | None, zone: str) -> str:
    return LASTS if ended_at is None else texts.instant_text(ended_at, zone)


def _took(row: Any) -> str:
    return "not ended" if row.ended_at is None else texts.duration((row.ended_at - row.started_at) // 1_000)
