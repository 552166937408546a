"""The address and the controls say the same, and a page takes over what the one before it was about.

The address is the truth: when it changed since the last run, the controls are set to it; when a control changed, the
address is. On the way to another page, whose link says nothing of it, what was chosen before goes along.
"""

from collections.abc import Collection, Mapping

import streamlit as st

from collector.core.selection import DIMENSIONS

COMPARE = "compare"
SHARED = ("period", "zone", COMPARE, "group", *DIMENSIONS)
_PAGE, _KEPT, _WRITTEN = "address_page", "address_kept", "address_written"
Values = dict[str, list[str]]  # of each name of SHARED; [] where nothing is stated


def settle(page: str, names: Collection[str]) -> bool:
    """Completes the address for a page that was just come to with what was kept of `names`, which it is about.

    True when the controls have to be set to the address.
    """
    has_moved = st.session_state.get(_PAGE) != page
    if has_moved:
        write(carried(stated(), st.session_state.get(_KEPT, {}), names))
    st.session_state[_PAGE] = page
    return has_moved or stated() != st.session_state.get(_WRITTEN)


def carried(asked: Values, kept: Mapping[str, list[str]], names: Collection[str]) -> Values:
    """What a page is asked, with what was kept of `names` where it is asked nothing of it."""
    return {name: values or (kept.get(name, []) if name in names else []) for name, values in asked.items()}


def stated() -> Values:
    """What the address says now."""
    return {name: st.query_params.get_all(name) for name in SHARED}


def pairs() -> list[tuple[str, str]]:
    """All of the address's query, names of a page's own included."""
    return [(name, value) for name in st.query_params for value in st.query_params.get_all(name)]


def write(values: Mapping[str, list[str]]) -> None:
    """Puts values into the address; an empty list takes its name out of it."""
    for name, wanted in values.items():
        if st.query_params.get_all(name) != wanted:
            if wanted:
                st.query_params[name] = wanted
            else:
                st.query_params.pop(name, None)
    st.session_state[_WRITTEN] = stated()


def keep(names: Collection[str]) -> None:
    """Remembers what the address says of some names for the pages that are gone to next."""
    now = stated()
    st.session_state[_KEPT] = {**st.session_state.get(_KEPT, {}), **{name: now[name] for name in names}}
