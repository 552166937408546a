"""The address and the controls say the same, and a page takes over what the one before it was about.

The address is the truth: when the browser went to another one, the controls are set to it; when a control changed, the
address is. On the way to another page, whose link says nothing of it, what was chosen before goes along.

With every click the browser sends the address that it shows, and while an answer is on its way that is an old one. So
what the address is now is kept here, and one that this page had before counts only when the browser went back or forth.
"""

from collections.abc import Collection, Mapping

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from collector.core.selection import DIMENSIONS

COMPARE = "compare"
SHARED = ("period", "zone", COMPARE, "group", *DIMENSIONS)
MOST_PAST = 50
_PAGE, _KEPT, _STATED, _PAST = "address_page", "address_kept", "address_stated", "address_past"
Values = dict[str, list[str]]  # of each name of SHARED; [] where nothing is stated


def settle(page: str, names: Collection[str]) -> bool:
    """Completes the address for a page that was just come to with what was kept of `names`, which it is about.

    True when the controls have to be set to the address.
    """
    has_moved, sent = st.session_state.get(_PAGE) != page, _sent()
    is_told = has_moved or not _is_old(sent)
    if has_moved:
        st.session_state[_PAST] = []
        sent = carried(sent, st.session_state.get(_KEPT, {}), names)
    write(sent if is_told else {})
    st.session_state[_PAGE] = page  # only now: a click may end the script in any line before, and it begins again
    return is_told


def _is_old(sent: Values) -> bool:
    """Whether this page had an address before, and the browser did not go back or forth to it."""
    context = get_script_run_ctx()
    is_history = context is not None and context.is_history_navigation
    return not is_history and sent in st.session_state[_PAST]


def carried(asked: Values, kept: Mapping[str, list[str]], names: Collection[str]) -> Values:
    """What a page is asked, with what was kept of `names` where it is asked nothing of it."""
    return {name: values or (kept.get(name, []) if name in names else []) for name, values in asked.items()}


def stated() -> Values:
    """What the address says now."""
    found: Values = st.session_state.get(_STATED) or _sent()
    return found


def _sent() -> Values:
    return {name: st.query_params.get_all(name) for name in SHARED}


def pairs() -> list[tuple[str, str]]:
    """All of the address's query, names of a page's own included."""
    return [(name, value) for name in st.query_params for value in st.query_params.get_all(name)]


def write(values: Mapping[str, list[str]]) -> None:
    """Puts values into the address; an empty list takes its name out of it."""
    was, sent, past = stated(), _sent(), st.session_state[_PAST]
    its, is_late = {**was, **values}, was != sent and _is_old(sent)
    st.session_state[_PAST] = [*(it for it in past if it != its), its][-MOST_PAST:]
    st.session_state[_STATED] = its  # before it is told, in any line of which a click may end the script
    for name, wanted in its.items():
        if sent[name] != wanted:
            if wanted:
                st.query_params[name] = wanted
            else:
                st.query_params.pop(name, None)
    if is_late:  # the browser was told of another address since it sent this one
        st.query_params.update()


def keep(names: Collection[str]) -> None:
    """Remembers what the address says of some names for the pages that are gone to next."""
    now = stated()
    st.session_state[_KEPT] = {**st.session_state.get(_KEPT, {}), **{name: now[name] for name in names}}
