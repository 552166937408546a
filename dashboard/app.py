"""The entry script: page set-up, the ledger, the controls, then the page that the address names."""

from functools import partial
from pathlib import Path

import streamlit as st

from dashboard import cached, theme
from dashboard.views import parts, scope

HERE = Path(__file__).resolve().parent
ONE_CALL = st.Page(HERE / "views" / "call.py", title="Call", visibility="hidden")
MODEL = st.Page(HERE / "views" / "model.py", title="Model")
WHY = st.Page(HERE / "views" / "why.py", title="Why", visibility="hidden")
PAGES = [
    st.Page(HERE / "views" / "overview.py", title="Overview", default=True),
    MODEL,
    st.Page(HERE / "views" / "providers.py", title="Providers"),
    st.Page(HERE / "views" / "calls.py", title="Calls"),
    st.Page(HERE / "views" / "spend.py", title="Spend"),
    st.Page(HERE / "views" / "apps.py", title="Apps"),
    st.Page(HERE / "views" / "finance.py", title="Finance"),
    st.Page(HERE / "views" / "alerts.py", title="Alerts"),
    WHY,
    ONE_CALL,
]
COLLECTOR = st.Page(HERE / "views" / "collector.py", title="Collector")
KINDS = {MODEL: scope.Kind.MODEL, ONE_CALL: scope.Kind.NONE}

st.set_page_config(page_title="callmeter", page_icon=HERE / "static" / "icon.png", layout="wide")
st.html(theme.style())
st.logo(HERE / "static" / "logo.svg", size="large")
settings, who = cached.settings(), scope.visitor()
page = st.navigation([*PAGES, COLLECTOR] if who.role == "admin" else PAGES, position="top")
if why := cached.why_closed(settings.ledger_url):
    st.title(page.title, anchor=False)
    scope.account(who)
    if cached.is_absent(settings.ledger_url):
        parts.nothing("There is nothing to show yet", why, "callmeter demo")
    else:
        parts.nothing("The ledger cannot be shown", why)
else:
    if cached.demo_mark(settings.ledger_url):
        st.info("Demo data: simulated providers and traffic, in a ledger of their own.")
    kind = KINDS.get(page, scope.Kind.ALL)
    if its := scope.asked(settings, page.title, kind, who):
        row = st.container(horizontal=True, vertical_alignment="center", key="controls")
        controls = partial(scope.controls, row, its, page.title, kind)
        if its.is_new:
            controls()
            page.run()
        else:  # the controls in the browser show what was chosen already
            try:
                page.run()
            finally:
                controls()
