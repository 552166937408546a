"""The choice of what charts are split by; the address names it under `group`, the same on every page."""

from collections.abc import Mapping

import streamlit as st

from dashboard.views import address

KEY = "split"


def stated(options: Mapping[str, str], default: str = "") -> str:
    """The group that the address names, or the default where it names none of the options."""
    name = st.query_params.get("group", "")
    return name if name in options else default


def choice(options: Mapping[str, str], chosen: str) -> None:
    """The control: names of groups, with what a screen calls them."""
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


def _chosen() -> None:
    name = st.session_state[KEY]
    address.write({"group": [name] if name else []})
    address.keep(["group"])
