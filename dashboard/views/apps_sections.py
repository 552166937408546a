"""The sections of Apps, keys and users, top down."""

from collections.abc import Mapping
from typing import Any

import msgspec
import streamlit as st

from collector.core.selection import Selection
from dashboard import cached, texts
from dashboard.figures import bars
from dashboard.frames import axis as axes
from dashboard.frames import leaders, spend, usage
from dashboard.frames.leaders import Used
from dashboard.frames.model import APP_LINK
from dashboard.views import cards, empty, grouping, parts, scope

GROUPS = {"app": "Apps", "key": "Keys", "user": "Users"}
QUESTIONS = ("tokens", "spend", "names")


def show(its: scope.Scope, now_us: int) -> None:
    """The whole page for a selection at an instant."""
    selection = msgspec.structs.replace(its.selection, group=grouping.stated(GROUPS, "app"))
    scope.tell(selection)
    with st.container(horizontal=True, vertical_alignment="center", key="toolbar"):
        grouping.choice(GROUPS, selection.group)
    answer = cached.answers(QUESTIONS, selection, its.period(), its.settings)
    rows, refusal = answer["tokens"].rows, answer["tokens"].refusal
    if refusal or not rows:
        empty.no_calls(its, refusal)
        return
    now = leaders.used(answer["names"].rows, selection.group)
    before, since = _before(its, selection, now_us)
    with st.container(border=True):
        parts.heading(GROUPS[selection.group], leaders.says(now, selection.group), spend.says(answer["spend"].rows))
        table = leaders.board(now, before, selection)
        sites = [APP_LINK] if selection.group == "app" else []
        parts.rows(table, "board", f"{GROUPS[selection.group]} by tokens", links=[leaders.CALLS_LINK], sites=sites)
    with st.container(border=True):
        _trend(rows, axes.day_axis(its.period(), now_us, rows[-1].day), selection.group)
    if before is not None:
        parts.pairs(
            [
                lambda: _short(
                    "New", leaders.come(now, before), selection.group, f"in this period and not in the {since}"
                ),
                lambda: _short(
                    "Gone", leaders.come(before, now), selection.group, f"in the {since} and not in this one"
                ),
            ]
        )


def _before(its: scope.Scope, selection: Selection, now_us: int) -> tuple[Mapping[str, Used] | None, str]:
    """Who was there in the period that is compared with, and what that is called; None without a comparison."""
    period = its.before()
    since = cards.since(its.period(), period, now_us)
    if period is None or not since:
        return None, ""
    answer = cached.answers(("names",), selection, period, its.settings)["names"]
    if answer.refusal:
        return None, ""
    return leaders.used(answer.rows, selection.group), f"period before ({since})"


def _trend(rows: list[Any], axis: axes.Axis, group: str) -> None:
    series = usage.series_of(rows, group)
    figure = bars.stacked(usage.tokens(rows, axis, group, series), axis, series)
    parts.chart(f"Tokens per day by {group}", usage.says(rows), figure, usage.token_table(rows, axis, group), "trend")


def _short(title: str, some: Mapping[str, Used], group: str, says: str) -> None:
    if not some:
        parts.absent(title, f"No {group} was {says}.")
        return
    parts.heading(title, f"{texts.count(len(some), group)} {says}")
    parts.rows(leaders.short_board(some, group), title.lower(), f"{title} {group}s")
