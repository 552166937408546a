"""One call: what is known of it, its attempts, and why it costs what it costs."""

import streamlit as st

from collector.core.errors import UsageError
from dashboard import cached, texts
from dashboard.frames import calls
from dashboard.views import parts, scope


def show(its: scope.Scope, call_id: str) -> None:
    """The page of the call with this id."""
    try:
        found = cached.call(call_id, its.settings.ledger_url)
    except UsageError as error:
        parts.nothing("No call here", str(error))
        return
    if found is None:
        parts.nothing("No call here", f"The ledger has no call {call_id}.")
        return
    row, attempts, body = found
    left, right = st.columns(2, gap="medium")
    with left, st.container(border=True):
        parts.heading("The call", f"{calls.outcome_name(row.outcome)}, {texts.duration(row.latency_ms)}")
        parts.rows(calls.facts(row, its.selection.zone), "facts", "What is known of the call", height="content")
        if row.model:
            query = {"model": row.model, "zone": its.selection.zone}
            st.page_link("views/model.py", label="The model's page", query_params=query)
    with right:
        with st.container(border=True):
            parts.heading("Attempts", f"{texts.count(row.attempts, 'attempt')} at a provider")
            parts.rows(calls.attempt_list(attempts, row), "attempts", "The attempts in order")
        with st.container(border=True):
            parts.heading("Why this cost", calls.why_says(row))
            parts.rows(calls.why(row, body), "why", "Meters, prices and costs")


show(scope.current(), st.query_params.get("id", ""))
