"""The sections of the providers' page, top down."""

from typing import Any

import msgspec
import streamlit as st

from collector.core.periods import DAY_S, SECOND_US, Period, parse_period
from collector.core.selection import Selection
from dashboard import cached, texts
from dashboard.cached import Answer
from dashboard.figures import lines as line_figures
from dashboard.figures import uptime as uptime_figures
from dashboard.frames import alerts, model, outages, providers, speed, uptime
from dashboard.frames import axis as axes
from dashboard.frames.series import MOST_SERIES
from dashboard.views import empty, parts, scope

QUESTIONS = ("providers", "outages", "speed")


def show(its: scope.Scope, now_us: int) -> None:
    """The parts of the page that change while calls come in."""
    scope.tell(its.selection)
    selection, period = msgspec.structs.replace(its.selection, group="provider"), its.period()
    answer = cached.answers(QUESTIONS, selection, period, its.settings)
    if answer["providers"].refusal or not answer["providers"].rows:
        empty.no_calls(its, answer["providers"].refusal)
        return
    with st.container(border=True):
        _board(selection, its, now_us)
    with st.container(border=True):
        _outages(answer["outages"], period, its, now_us)
    if its.settings.status_pages:
        with st.container(border=True):
            incidents(its)
    axis = axes.uptime_axis(period, cached.bucket_for(period), now_us)
    by_provider = uptime.tallies(answer["providers"].rows)
    probed = providers.probes(answer["providers"].rows)
    sections = [
        lambda: parts.strips("Provider uptime", by_provider, axis, "providers"),
        lambda: parts.speed(answer["speed"], period, now_us, "Provider"),
        lambda: _limited(by_provider, axis),
    ]
    if probed:
        sections.append(lambda: _probes(probed, axis))
    parts.pairs(sections)
    with st.container(border=True):
        _errors(its, now_us)


def incidents(its: scope.Scope) -> None:
    """What providers' status pages told, beside what was measured."""
    rows = cached.incidents(its.period(), its.settings.ledger_url)
    if not rows:
        told = "No status page told of one in this period." if its.settings.status_pages else "No status page is read."
        parts.absent("Incidents", told)
        return
    parts.heading("Incidents", "As providers' status pages tell them; uptime is measured apart from them")
    table = alerts.incident_table(rows, its.selection.zone)
    parts.rows(table, "incidents", "Incidents, newest first", sites=[alerts.PAGE])


def _board(selection: Selection, its: scope.Scope, now_us: int) -> None:
    day = parse_period("24h", selection.zone, now_us)
    answer = cached.answers(("status", "speed"), selection, day, its.settings)
    standing = model.standings(answer["status"].rows, answer["speed"].rows, now_us // SECOND_US)
    if not standing:
        parts.absent("Status", "No attempts in the last 24 hours.")
        return
    parts.heading("Status", providers.board_says(standing))
    parts.rows(providers.board(standing), "board", "Status of every provider", height="content")


def _outages(answer: Answer, period: Period, its: scope.Scope, now_us: int) -> None:
    bucket = cached.outage_bucket(period)
    found = outages.found(answer.rows, bucket)
    parts.heading("Outages", outages.says(found, bucket))

    def hit(out: outages.Out) -> tuple[int, int]:
        start_us, end_us = out.its.start_s * SECOND_US, out.its.end_s * SECOND_US
        return cached.hit_by(out.provider, start_us, end_us, its.settings.ledger_url)

    if found:
        parts.rows(outages.outage_table(found, hit, its.selection.zone, now_us), "outages", "Outages, newest first")


def _limited(by_provider: uptime.Tallies, axis: axes.Axis) -> None:
    title, shown = "Rate limited (429)", list(by_provider)[:MOST_SERIES]
    frame, table = providers.limited(by_provider, axis, shown), providers.limited_table(by_provider, axis)
    says = providers.limited_says(by_provider)
    if frame["value"].isna().all():
        parts.absent(title, f"{says}. {uptime.TOO_FEW}")
        parts.behind(title, table, "limited")
        return
    parts.chart(title, says, line_figures.lines(frame, axis, shown, "%"), table, "limited")


def _errors(its: scope.Scope, now_us: int) -> None:
    days, period, span = its.settings.limits.row_query_days, its.period(), "in this period"
    if period.end_us - period.start_us > days * DAY_S * SECOND_US:
        end_us = min(period.end_us, now_us)
        period = Period(end_us - days * DAY_S * SECOND_US, end_us, period.zone)
        span = f"in the last {days} days of this period"
    answer = cached.answers(("errors",), its.selection, period, its.settings)["errors"]
    table = providers.error_table(answer.rows, its.selection.zone)
    failed = texts.count(sum(row.attempts for row in answer.rows), "failed attempt")
    parts.heading("Errors", f"{failed} {span}, read from single calls")
    if len(table):
        parts.rows(table, "errors", "Failed attempts by error type")


def _probes(by_provider: dict[str, dict[int, Any]], axis: axes.Axis) -> None:
    figure = uptime_figures.strips(
        uptime.strip(by_provider, axis),
        axis,
        {name: uptime.provider_headline(buckets) for name, buckets in by_provider.items()},
    )
    says = "Asked by callmeter itself, apart from traffic: in no uptime above"
    parts.chart("Probes", says, figure, providers.probe_table(by_provider), "probes")


def report(its: scope.Scope, now_us: int) -> None:
    """A month of every provider, whatever period the page is about."""
    zone = its.selection.zone
    listed = providers.months(texts.local(now_us, zone).date())
    with st.container(horizontal=True, vertical_alignment="center", key="report"):
        st.subheader("Report of a month", anchor=False, width="content")
        st.space("stretch")
        month: str = st.selectbox(
            "Month of the report", listed, key="month", bind="query-params", label_visibility="collapsed", width=150
        )
    period = parse_period(month, zone, now_us)
    selection = Selection(month, zone, models=its.selection.models, providers=its.selection.providers, group="provider")
    answer = cached.answers(QUESTIONS, selection, period, its.settings)
    by_provider = uptime.tallies(answer["providers"].rows)
    running = ", which is not over" if period.end_us > now_us else ""
    parts.heading("", f"{month}{running}: whole days in {zone}; uptime is ok of ok and faults, with 429 apart")
    if not by_provider:
        st.text("No attempts at a provider in this month.")
        return
    found = outages.found(answer["outages"].rows, cached.outage_bucket(period))
    table = providers.sla_table(by_provider, found, speed.by_group(answer["speed"].rows))
    parts.rows(table, "sla", f"Report of {month}", height="content")
