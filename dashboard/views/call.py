"""One call: what is known of it, its attempts, and why it costs what it costs."""

import streamlit as st

from collector.core.errors import InputError, UsageError
from collector.finance.explain import Explanation
from collector.finance.explain_text import adjustments, price_lines, remarks
from dashboard import cached, texts
from dashboard.frames import calls
from dashboard.views import parts, scope


def show(its: scope.Scope, call_id: str) -> None:
    """The page of the call with this id."""
    try:
        told = cached.explained(call_id, its.settings)
    except (UsageError, InputError) as error:
        parts.nothing("No call here", str(error))
        return
    left, right = st.columns(2, gap="medium")
    with left, st.container(border=True):
        ending = calls.outcome_name(told.call["outcome"])
        parts.heading("The call", f"{ending}, {texts.duration(told.call['latency_ms'])}")
        parts.rows(calls.facts(told, its.selection.zone), "facts", "What is known of the call", height="content")
        if model := told.call["model"]:
            query = {"model": model, "zone": its.selection.zone}
            st.page_link("views/model.py", label="The model's page", query_params=query)
    with right:
        with st.container(border=True):
            parts.heading("Attempts", f"{texts.count(told.call['attempts'], 'attempt')} at a provider")
            parts.rows(calls.attempt_list(told), "attempts", "The attempts in order")
        with st.container(border=True):
            _why(told)


def _why(told: Explanation) -> None:
    parts.heading("Why this cost", calls.why_says(told))
    parts.rows(calls.why(told), "why", "Meters, prices and costs")
    parts.sentences(price_lines(told.call["price_id"], told.price, told.source_sentence))
    parts.sentences(remarks(told))
    parts.sentences(adjustments(told))


show(scope.current(), st.query_params.get("id", ""))
