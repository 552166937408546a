"""Apps, keys and users: who uses it most, how that moves, who is new and who is gone."""

import streamlit as st

from dashboard import cached
from dashboard.views import apps_sections as sections
from dashboard.views import scope

LIVE_S = 15


@st.fragment(run_every=LIVE_S, key="apps_live")
def live() -> None:
    """The page as of now."""
    sections.show(scope.current(), cached.now_us())


live()
