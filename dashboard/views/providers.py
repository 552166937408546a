"""Providers: how they do now, when they were out, how fast and how busy they are, and a month's report."""

import streamlit as st

from dashboard import cached
from dashboard.views import providers_sections as sections
from dashboard.views import scope

LIVE_S = 15


@st.fragment(run_every=LIVE_S, key="providers_live")
def live() -> None:
    """The page as of now."""
    sections.show(scope.current(), cached.now_us())


live()
with st.container(border=True):
    sections.report(scope.current(), cached.now_us())
