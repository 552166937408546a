"""Why this total: the line items behind the spend of a selection, by price set, which add up to it exactly."""

import streamlit as st

from collector.core.selection import to_query
from collector.finance.why_total import Total
from dashboard import cached
from dashboard.frames import why
from dashboard.views import empty, parts, scope


def show(its: scope.Scope) -> None:
    """The whole page for a selection."""
    scope.tell(its.selection)
    period = its.period()
    if refusal := cached.answers(("spend",), its.selection, period, its.settings)["spend"].refusal:
        empty.no_calls(its, refusal)
        return
    told = cached.why(its.selection, period, its.settings)
    if not told.calls:
        empty.no_calls(its)
        return
    _sections(told)
    st.page_link("views/calls.py", label="The calls behind it →", query_params=to_query(its.selection))


def _sections(told: Total) -> None:
    with st.container(border=True):
        parts.heading("Quantity x price = cost", why.says(told))
        parts.rows(why.lines(told), "lines", "Line items by price set")
    with st.container(border=True):
        parts.heading("The prices", "What each made of how many calls, and what providers say that they charged")
        parts.rows(why.prices(told), "prices", "Price sets with their sources")
        parts.sentences(dict.fromkeys(part.notice for part in told.parts if part.notice))


show(scope.current())
