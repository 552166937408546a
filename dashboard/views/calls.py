"""Calls: newest first, page by page; a chosen one opens."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from collector.ledger.questions.endings import ANY, NOT_STATED, Ending
from dashboard import cached, texts
from dashboard.cached import Answer
from dashboard.frames import calls
from dashboard.frames.outcomes import NAMES
from dashboard.views import empty, parts, scope

LIVE_S = 5
STATUSES = ("2xx", "4xx", "5xx", "400", "401", "403", "404", "429", "500", "502", "503", "504", NOT_STATED)


def place() -> tuple[int, str] | None:
    """The call that ended the page before this one, as the address names it: `before=TIME.ID`."""
    time, _, call_id = st.query_params.get("before", "").partition(".")
    return (int(time), call_id) if time.isascii() and time.isdigit() and len(time) < 20 else None


def ending(url: str) -> Ending:
    """How the calls to show ended; nothing chosen: in any way."""
    return Ending(
        _chosen("outcome", "All outcomes", [str(outcome) for outcome in NAMES]),
        _chosen("status", "All HTTP statuses", STATUSES),
        _chosen("error", "All error types", [*cached.names("error_type", url), NOT_STATED]),
    )


def _chosen(name: str, all_of_them: str, options: Sequence[str]) -> tuple[str, ...]:
    chosen: list[str] = st.multiselect(
        name.capitalize(),
        options,
        key=name,
        bind="query-params",
        placeholder=all_of_them,
        label_visibility="collapsed",
        accept_new_options=True,
        width=250,
        on_change=newest,
    )
    return tuple(chosen)


def newest() -> None:
    """Goes to the first page."""
    st.query_params.pop("before", None)


def older(last: str) -> None:
    """Goes to the page after the call that `last` names."""
    st.query_params["before"] = last


def show(ending: Ending) -> None:
    """The page as of now; again and again while it is live."""
    its, before = scope.current(), place()
    period = its.period()
    answer = cached.call_page(its.selection, period, its.settings, before, ending)
    rows = answer.rows[: cached.PAGE_CALLS]
    if not rows:
        empty.no_calls(its, answer.refusal, is_filtered=ending != ANY or before is not None)
        if before:
            st.button("Newest", on_click=newest, key="newest")
        return
    _above(cached.cost_of(ending, its.selection, period, its.settings), rows, len(answer.rows) > len(rows))
    table = calls.call_list(rows, its.selection.zone)
    parts.rows(table, "calls", f"{texts.count(len(rows), 'call')}, newest first", links=[calls.LINK], height="content")


def _above(whole: Answer, rows: Sequence[Any], is_more: bool) -> None:
    """What all the calls are together, and the way to their other pages."""
    with st.container(horizontal=True, vertical_alignment="center", key="calls_toolbar"):
        st.caption(parts.words(whole.refusal or calls.says(whole.rows)), width="content")
        st.space("stretch")
        st.button("Newest", on_click=newest, disabled=place() is None, key="newest")
        last = f"{rows[-1].started_at}.{rows[-1].id.hex()}"
        st.button("Older", on_click=older, args=(last,), disabled=not is_more, key="older")


its = scope.current()
scope.tell(its.selection)
with st.container(horizontal=True, vertical_alignment="center", key="endings"):
    only = ending(its.settings.ledger_url)
    st.space("stretch")
    is_live = st.toggle("Live", value=True, key="live", bind="query-params")
st.fragment(show, run_every=LIVE_S if is_live else None, key="calls_live")(only)
