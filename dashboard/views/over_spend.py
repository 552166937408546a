"""What is drawn over a chart of spend per day: outages that were measured, and incidents that status pages told of."""

from collections.abc import Callable
from typing import NamedTuple

import plotly.graph_objects as go

from dashboard import cached
from dashboard.cached import Answer
from dashboard.figures import bars
from dashboard.frames import alerts, outages
from dashboard.frames.axis import Axis
from dashboard.views import scope

OUTAGE, INCIDENT = "Provider outage", "Incident told"


class Mark(NamedTuple):
    """One more thing on a figure: its name in the legend, and what draws it."""

    name: str
    draw: Callable[[go.Figure], None]


def troubles(answer: Answer, axis: Axis, its: scope.Scope) -> list[Mark]:
    """The marks of what happened in the days of an axis, from the answer to `outages`."""
    period, zone = its.period(), its.selection.zone
    outs = outages.spans(outages.found(answer.rows, cached.outage_bucket(period)), axis, zone)
    rows = cached.incidents(period, its.settings.ledger_url) if its.settings.status_pages else []
    told = alerts.incident_marks(rows, axis, zone)
    marks = [Mark(OUTAGE, lambda fig: bars.add_outages(fig, outs, outages.shades(outs), OUTAGE))] if outs else []
    return marks + ([Mark(INCIDENT, lambda fig: bars.add_incidents(fig, told, INCIDENT))] if told else [])
