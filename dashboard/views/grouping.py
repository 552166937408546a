"""The choice of what charts are split by; the address names it under `group`, the same on every page."""

from collections.abc import Mapping

import streamlit as st

from collector.core.selection import Selection, to_query
from dashboard import routes
from dashboard.views import address

KEY = "split"


def stated(options: Mapping[str, str], default: str = "") -> str:
    """The group that the address names, or the default where it names none of the options."""
    name = next(iter(address.stated()["group"]), "")
    return name if name in options else default


def choice(options: Mapping[str, str], chosen: str) -> None:
    """The control: names of groups, with what a screen calls them."""
    if st.session_state.get(KEY) != chosen:
        st.session_state[KEY] = chosen
    st.segmented_control(
        "Split by",
        list(options),
        format_func=options.__getitem__,
        key=KEY,
        required=True,
        on_change=_chosen,
        label_visibility="collapsed",
        wrap=True,
    )


def toolbar(options: Mapping[str, str], selection: Selection) -> None:
    """The control beside what leads on from the spend of a selection: why it is so much, and its file."""
    with st.container(horizontal=True, vertical_alignment="center", key="toolbar"):
        choice(options, selection.group)
        st.space("stretch")
        st.page_link("views/why.py", label="Why this spend →", query_params=to_query(selection))
        st.link_button("Download CSV", routes.csv_path(selection), key="csv")


def _chosen() -> None:
    name = st.session_state[KEY]
    address.write({"group": [name] if name else []})
    address.keep(["group"])
