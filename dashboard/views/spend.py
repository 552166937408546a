"""Spend: who spent it, what of it was trouble, what caches saved, what has no price, and what it would be elsewhere."""

import streamlit as st

from dashboard import cached
from dashboard.views import scope
from dashboard.views import spend_sections as sections

LIVE_S = 15


@st.fragment(run_every=LIVE_S, key="spend_live")
def live() -> None:
    """The page as of now."""
    sections.show(scope.current(), cached.now_us())


live()
