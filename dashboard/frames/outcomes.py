"""How calls ended, from rows of `outcomes_per_day`."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from collector.core.outcomes import Outcome
from dashboard import texts
from dashboard.frames.axis import Axis
from dashboard.frames.series import gather, long_frame

NAMES = {
    Outcome.OK: "ok",
    Outcome.PROVIDER_FAULT: "provider fault",
    Outcome.RATE_LIMITED: "rate limited",
    Outcome.CALLER_FAULT: "caller fault",
    Outcome.REFUSED: "refused here",
    Outcome.CANCELLED: "client cancelled",
    Outcome.INTERRUPTED: "interrupted",
    Outcome.UNKNOWN: "not stated",
}


def counts(rows: Sequence[Any]) -> dict[str, int]:
    """Calls by outcome over all rows, in the order of NAMES, those that happened only."""
    sums = {name: sum(getattr(row, outcome) for row in rows) for outcome, name in NAMES.items()}
    return {name: number for name, number in sums.items() if number}


def says(rows: Sequence[Any]) -> str:
    """The sentence above the chart: "41,110 ok, 881 provider fault, 12 rate limited"."""
    return ", ".join(f"{number:,} {name}" for name, number in counts(rows).items())


def troubles(rows: Sequence[Any]) -> list[str]:
    """The names of the outcomes that happened and are neither ok nor unknown."""
    return [name for name in counts(rows) if name not in (NAMES[Outcome.OK], NAMES[Outcome.UNKNOWN])]


def trouble(rows: Sequence[Any], axis: Axis) -> pd.DataFrame:
    """The long frame of calls per bucket and outcome, without those that ended ok or whose end nobody stated."""
    found = [(row.day, name, getattr(row, outcome)) for row in rows for outcome, name in NAMES.items()]
    amounts = {place: number for place, number in gather(found).items() if number}
    return long_frame(amounts, axis, troubles(rows), lambda number: texts.count(number, "call"))


def outcome_table(rows: Sequence[Any], axis: Axis) -> pd.DataFrame:
    """The table behind the chart: newest first, one column per outcome that happened."""
    shown = {outcome: name for outcome, name in NAMES.items() if name in counts(rows)}
    by_day = gather((row.day, name, getattr(row, outcome)) for row in rows for outcome, name in shown.items())
    days = sorted({row.day for row in rows}, reverse=True)
    lines = [[axis.label(day), *(by_day[day, name] for name in shown.values())] for day in days]
    return pd.DataFrame(lines, columns=["Day", *(name.capitalize() for name in shown.values())])
