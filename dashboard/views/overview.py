"""Overview: what was used, what it cost, and how the providers did."""

import streamlit as st

from dashboard import cached
from dashboard.views import overview_sections as sections
from dashboard.views import scope

LIVE_S = 15


@st.fragment(run_every=LIVE_S, key="overview_live")
def live() -> None:
    """The page as of now; repeats itself, so that traffic shows without a reload."""
    sections.show(scope.current(), cached.now_us())


live()
