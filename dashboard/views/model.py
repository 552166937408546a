"""One model: what is known of it, where it is sold and how it does there, who uses it, and how to ask it."""

import streamlit as st

from dashboard import cached
from dashboard.views import model_sections as sections
from dashboard.views import scope

LIVE_S = 30


@st.fragment(run_every=LIVE_S, key="model_live")
def live() -> None:
    """The page as of now."""
    its = scope.current()
    if its.selection.models:
        sections.show(its, its.selection.models[0], cached.now_us())
    else:
        sections.every_model(its)


live()
if scope.current().selection.models:
    sections.how_to_ask(scope.current(), scope.current().selection.models[0])
