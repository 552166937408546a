"""One call: what is known of it, its attempts, and why it costs what it costs."""

import streamlit as st

from collector.core.errors import InputError, UsageError
from collector.finance.explain import Explanation
from collector.finance.explain_text import adjustments, price_lines, remarks
from dashboard import cached, texts
from dashboard.figures.layout import CONFIG
from dashboard.figures.waterfall import waterfall
from dashboard.frames import calls
from dashboard.views import parts, scope


def show(its: scope.Scope, call_id: str) -> None:
    """The page of the call with this id."""
    try:
        told = cached.explained(call_id, its.settings)
    except (UsageError, InputError) as error:
        parts.nothing("No call here", str(error))
        return
    with st.container(border=True):
        _attempts(told)
    left, right = st.columns(2, gap="medium")
    with left, st.container(border=True):
        ending = calls.outcome_name(told.call["outcome"])
        parts.heading("The call", f"{ending}, {texts.duration(told.call['latency_ms'])}")
        parts.rows(calls.facts(told, its.selection.zone), "facts", "What is known of the call", height="content")
        if model := told.call["model"]:
            query = {"model": model, "zone": its.selection.zone}
            st.page_link("views/model.py", label="The model's page →", query_params=query)
    with right:
        if told.plan is not None:
            with st.container(border=True):
                parts.heading("Plan")
                st.text(f"The gateway chose by {told.plan.by}")
                parts.rows(calls.plan_table(told.plan), "plan", "Endpoints in the order planned")
        with st.container(border=True):
            _why(told)


def _attempts(told: Explanation) -> None:
    says = f"{texts.count(told.call['attempts'], 'attempt')} at a provider"
    parts.heading("Attempts", says)
    if len(frame := calls.waterfall(told)):
        alt = f"Attempts. {says} The table below has all numbers."
        st.plotly_chart(waterfall(frame), key="chart_attempts", config=CONFIG, alt=alt)
    parts.rows(calls.attempt_list(told), "attempts", "The attempts in order")


def _why(told: Explanation) -> None:
    parts.heading("Why this cost", calls.why_says(told))
    parts.rows(calls.why(told), "why", "Meters, prices and costs")
    parts.sentences(price_lines(told.call["price_id"], told.price, told.source_sentence))
    parts.sentences(remarks(told))
    parts.sentences(adjustments(told))


show(scope.current(), st.query_params.get("id", ""))
