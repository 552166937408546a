"""Calls: newest first, page by page; a chosen one opens."""

import streamlit as st

from dashboard import cached, texts
from dashboard.frames import calls
from dashboard.frames.outcomes import NAMES
from dashboard.views import parts, scope

LIVE_S = 5


def place() -> tuple[int, str] | None:
    """The call that ended the page before this one, as the address names it: `before=TIME.ID`."""
    time, _, call_id = st.query_params.get("before", "").partition(".")
    return (int(time), call_id) if time.isascii() and time.isdigit() and len(time) < 20 else None


def outcomes() -> tuple[str, ...]:
    """The outcomes to show; none chosen: all."""
    chosen: list[str] = st.multiselect(
        "Outcomes",
        [str(outcome) for outcome in NAMES],
        key="outcome",
        bind="query-params",
        placeholder="All outcomes",
        label_visibility="collapsed",
        width=420,
        on_change=newest,
    )
    return tuple(chosen)


def newest() -> None:
    """Goes to the first page."""
    st.query_params.pop("before", None)


def older(last: str) -> None:
    """Goes to the page after the call that `last` names."""
    st.query_params["before"] = last


def show() -> None:
    """The page as of now; again and again while it is live."""
    its, before = scope.current(), place()
    with st.container(horizontal=True, vertical_alignment="center", key="calls_toolbar"):
        only = outcomes()
        st.space("stretch")
        st.button("Newest", on_click=newest, disabled=before is None, key="newest")
        further = st.empty()
    answer = cached.call_page(its.selection, its.period(), its.settings, before, only)
    rows = answer.rows[: cached.PAGE_CALLS]
    if not rows:
        parts.nothing("No calls here", answer.refusal or "None in this period with these filters.")
        return
    last = f"{rows[-1].started_at}.{rows[-1].id.hex()}"
    is_last = len(answer.rows) <= cached.PAGE_CALLS
    further.button("Older", on_click=older, args=(last,), disabled=is_last, key="older")
    table = calls.call_list(rows, its.selection.zone)
    parts.rows(table, "calls", f"{texts.count(len(rows), 'call')}, newest first", links=[calls.LINK], height="content")


if filtered := scope.spoken(scope.current().selection):
    st.caption(filtered)
is_live = st.toggle("Live", value=True, key="live", bind="query-params")
st.fragment(show, run_every=LIVE_S if is_live else None, key="calls_live")()
