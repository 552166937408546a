"""What every page is about: the ledger, and the selection that the URL names and the controls change."""

from enum import StrEnum
from functools import lru_cache
from zoneinfo import available_timezones

import msgspec
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from collector.core.errors import UsageError
from collector.core.periods import Period, earlier, previous
from collector.core.selection import DIMENSIONS, Selection, from_query, period_of
from collector.settings import Settings
from dashboard import cached, texts
from dashboard.access import ROLE_HEADER, USER_HEADER
from dashboard.sessions import Role, Who
from dashboard.signin import OUT
from dashboard.views import address

PERIODS = ("24h", "7d", "30d", "90d", "month")
COMPARISONS = PREVIOUS, YEAR, NOTHING = ("previous period", "52 weeks earlier", "nothing")
YEAR_DAYS = 52 * 7  # weekday against weekday
KEY, ONE_MODEL = "scope", "one_model"


class Scope(msgspec.Struct, frozen=True):
    """The settings and the selection of this browser tab."""

    settings: Settings
    selection: Selection
    compare: str = PREVIOUS  # or YEAR or NOTHING
    who: Who = Who()
    is_new: bool = False  # the controls are set to the address, as on a page that was just come to

    def period(self) -> Period:
        """The period as of now."""
        return period_of(self.selection, cached.now_us(), self.settings.limits.max_query_days)

    def before(self) -> Period | None:
        """The period that this one is compared with."""
        its = self.period()
        return {PREVIOUS: previous(its), YEAR: earlier(its, YEAR_DAYS)}.get(self.compare)


def current() -> Scope:
    """The scope that the entry script has put together."""
    scope: Scope = st.session_state[KEY]
    return scope


class Kind(StrEnum):
    """What can be chosen on a page, besides the zone."""

    ALL = "all"  # period and filters
    MODEL = "model"  # period, and one model in place of the filters
    NONE = "none"  # nothing: it is about one thing


ABOUT = {Kind.ALL: address.SHARED, Kind.MODEL: ("period", "zone", "model"), Kind.NONE: ("zone",)}


def asked(settings: Settings, title: str, kind: Kind, who: Who) -> Scope | None:
    """What the address and the controls ask for; None, with a sentence, where the address asks for what cannot be."""
    is_new = address.settle(title, ABOUT[kind]) or "zone" not in st.session_state
    try:
        stated = from_query(address.pairs(), settings.zone)
        period_of(stated, cached.now_us(), settings.limits.max_query_days)
    except UsageError as error:
        st.title(title, anchor=False)
        st.warning("This address cannot be shown.")
        st.text(str(error))
        st.html('<a href="/" target="_self">Start over</a>')
        return None
    if is_new:
        _set_controls(stated)
    compare = st.session_state[address.COMPARE] if kind is Kind.ALL else PREVIOUS
    scope = Scope(settings, _chosen(stated, kind), compare, who, is_new)
    _tell_address(scope, kind)
    st.session_state[KEY] = scope
    return scope


def _chosen(stated: Selection, kind: Kind) -> Selection:
    """What the address states, as the controls have changed it."""
    now = st.session_state
    if kind is Kind.NONE:
        return msgspec.structs.replace(stated, zone=now["zone"])
    period, zone = now["period"] or stated.period, now["zone"]
    if kind is Kind.MODEL:
        return Selection(period, zone, models=(now[ONE_MODEL],) if now[ONE_MODEL] else ())
    return msgspec.structs.replace(
        stated, period=period, zone=zone, **{f"{name}s": tuple(now[name]) for name in DIMENSIONS}
    )


def _set_controls(stated: Selection) -> None:
    compare = st.query_params.get(address.COMPARE, PREVIOUS)
    st.session_state["period"], st.session_state["zone"] = stated.period, stated.zone
    st.session_state[address.COMPARE] = compare if compare in COMPARISONS else PREVIOUS
    st.session_state[ONE_MODEL] = stated.models[0] if stated.models else None
    for name in DIMENSIONS:
        st.session_state[name] = list(stated.names(name))


def _tell_address(its: Scope, kind: Kind) -> None:
    """What is as it would be unasked is left out of the address; a model's page does not choose for the others."""
    chosen = its.selection
    values = {
        "zone": [chosen.zone] if chosen.zone != its.settings.zone else [],
        "period": [chosen.period] if chosen.period != Selection().period else [],
        address.COMPARE: [its.compare] if its.compare != PREVIOUS else [],
        **{name: list(chosen.names(name)) for name in DIMENSIONS},
    }
    address.write({name: values[name] for name in ABOUT[kind] if name in values})
    address.keep([name for name in ABOUT[kind] if (name, kind) != ("model", Kind.MODEL)])


def controls(row: DeltaGenerator, its: Scope, title: str, kind: Kind) -> None:
    """The page's title and the controls, in their row."""
    chosen, url = its.selection, its.settings.ledger_url
    with row:
        st.title(title, anchor=False, width="content")
        st.space("stretch")
        if kind is not Kind.NONE:
            _period(chosen.period)
        _zone(chosen.zone, its.settings.zone)
        if kind is Kind.MODEL:
            _model(chosen.models, its.settings)
        if kind is Kind.ALL:
            with st.popover(_filters_label(), key="filters"):
                for name in DIMENSIONS:
                    _filter(name, chosen.names(name), url)
                st.selectbox("Compare with", COMPARISONS, key=address.COMPARE)
        account(its.who)


def _period(stated: str) -> None:
    options = PERIODS if stated in PERIODS else (*PERIODS, stated)
    st.segmented_control("Period", options, required=True, key="period", label_visibility="collapsed")


def _zone(stated: str, default: str) -> None:
    first = list(dict.fromkeys((default, "UTC", stated)))
    options = first + [name for name in _every_zone() if name not in first]
    st.selectbox("Time zone", options, key="zone", label_visibility="collapsed", width=190)


@lru_cache
def _every_zone() -> list[str]:
    return sorted(available_timezones())


def visitor() -> Who:
    """Who looks, as the middleware says; a viewer where it says nothing."""
    headers = st.context.headers
    role: Role = "admin" if headers.get(ROLE_HEADER) == "admin" else "viewer"
    return Who(headers.get(USER_HEADER) or "", role)


def account(who: Who) -> None:
    """Who is signed in, and the way out; nothing where nobody has to sign in."""
    if not who.name:
        return
    with st.popover("Account", key="account"):
        st.text(f"{texts.clipped(who.name, 60)}, {who.role}")
        st.html(f'<a href="{OUT}" target="_self">Sign out</a>')


def _model(stated: tuple[str, ...], settings: Settings) -> None:
    known = cached.names("model", settings.ledger_url)
    options = list(dict.fromkeys([*stated[:1], *known, *cached.catalog(settings).models()]))
    st.selectbox(
        "Model",
        options,
        index=None,
        placeholder="Choose a model",
        key=ONE_MODEL,
        label_visibility="collapsed",
        width=290,
    )


def _filter(dimension: str, stated: tuple[str, ...], url: str) -> None:
    options = list(dict.fromkeys([*stated, *cached.names(dimension, url)]))
    st.multiselect(f"{dimension.title()}s", options, key=dimension, placeholder=f"All {dimension}s")


def _filters_label() -> str:
    active = sum(bool(st.session_state.get(name)) for name in DIMENSIONS)
    return f"Filters ({active})" if active else "Filters"


def tell(selection: Selection) -> None:
    """Says which filters are in force.

    It has its place also while there are none: else all below it would move when one is chosen, and what moves is made
    anew in the browser, where it would only be redrawn.
    """
    with st.container():
        if filtered := spoken(selection):
            st.caption(filtered)


def spoken(selection: Selection) -> str:
    """The filters in force as Markdown, "" when there are none."""
    parts = [
        f"{name} " + " or ".join(texts.for_markdown(value) if value else "none" for value in selection.names(name))
        for name in DIMENSIONS
        if selection.names(name)
    ]
    return "Only " + " · ".join(parts) if parts else ""
