"""Alerts: what fired, how far budgets are spent, what status pages said, and how the jobs did."""

import streamlit as st

from dashboard import cached
from dashboard.frames import alerts
from dashboard.views import parts, scope
from dashboard.views.providers_sections import incidents

LIVE_S = 30


@st.fragment(run_every=LIVE_S, key="alerts_live")
def live() -> None:
    """The page as of now."""
    its = scope.current()
    with st.container(border=True):
        _alerts(its)
    parts.pairs([lambda: _budgets(its), lambda: _untold(its)])
    for section in (incidents, _jobs):
        with st.container(border=True):
            section(its)


def _alerts(its: scope.Scope) -> None:
    rows = cached.alerts(its.settings.ledger_url)
    if not rows:
        parts.absent("Alerts", "None lasts, and none ended in the last 7 days.")
        return
    parts.heading("Alerts", alerts.alerts_say(rows))
    parts.rows(alerts.alert_table(rows, its.selection.zone), "alerts", "Alerts, newest first", height="content")


def _budgets(its: scope.Scope) -> None:
    if not its.settings.budgets:
        example = '[[budgets]]\nscope = "all"\nperiod = "month"\nlimit_usd = 100'
        parts.absent("Budgets", "None is set. One in callmeter.toml:", example)
        return
    parts.heading("Budgets", "Spend of the running day, week or month in the reporting zone")
    table = alerts.budget_table(cached.spent_of(its.settings.budgets, its.settings))
    parts.rows(table, "budgets", "Budgets and what is spent of them", height="content")


def _jobs(its: scope.Scope) -> None:
    rows = cached.job_runs(its.settings.ledger_url)
    if not rows:
        parts.absent("Jobs", "None has run yet. All that are due, once:", "callmeter collect")
        return
    parts.heading("Jobs", alerts.jobs_say(rows))
    parts.rows(
        alerts.job_table(rows, its.selection.zone), "jobs", "The last run of each job", height="content", missing="–"
    )


def _untold(its: scope.Scope) -> None:
    silenced, waiting = cached.untold(its.settings.ledger_url)
    if not silenced and not waiting:
        if its.settings.channels:
            parts.absent("Who is told", "Everybody was told.")
        else:
            example = '[[channels]]\nkind = "slack"\nurl = "https://hooks.slack.com/services/..."'
            parts.absent("Who is told", "Nobody. A channel in callmeter.toml:", example)
        return
    parts.heading("Who is told")
    if silenced:
        parts.rows(alerts.silence_table(silenced, its.selection.zone), "silenced", "What is silenced", height="content")
    if waiting:
        parts.rows(alerts.undelivered_table(waiting), "undelivered", "Who could not be told yet", height="content")


live()
