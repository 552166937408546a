"""What every page is about: the ledger, and the selection that the URL names and the controls change."""

from enum import StrEnum
from functools import lru_cache
from zoneinfo import available_timezones

import msgspec
import streamlit as st

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


def controls(settings: Settings, title: str, kind: Kind, who: Who) -> Scope | None:
    """The page's title and the controls in one row; None, with a sentence, where the URL asks for what cannot be."""
    is_new = address.settle(title, ABOUT[kind])
    try:
        stated = from_query(address.pairs(), settings.zone)
        period_of(stated, cached.now_us(), settings.limits.max_query_days)
    except UsageError as error:
        st.title(title, anchor=False)
        st.warning("This address cannot be shown.")
        st.text(str(error))
        st.page_link("views/overview.py", label="Start over")
        return None
    if is_new:
        _set_controls(stated)
    scope = _row(stated, settings, title, kind, who)
    _tell_address(scope, kind)
    st.session_state[KEY] = scope
    return scope


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


def _row(stated: Selection, settings: Settings, title: str, kind: Kind, who: Who) -> Scope:
    with st.container(horizontal=True, vertical_alignment="center", key="controls"):
        st.title(title, anchor=False, width="content")
        st.space("stretch")
        if kind is Kind.NONE:
            zone = _zone(stated.zone, settings.zone)
            account(who)
            return Scope(settings, msgspec.structs.replace(stated, zone=zone), who=who)
        period = _period(stated.period)
        zone = _zone(stated.zone, settings.zone)
        if kind is Kind.MODEL:
            model = _model(stated.models, settings)
            account(who)
            return Scope(settings, Selection(period, zone, models=(model,) if model else ()), who=who)
        with st.popover(_filters_label(), key="filters"):
            chosen = {f"{name}s": _filter(name, stated.names(name), settings.ledger_url) for name in DIMENSIONS}
            compare: str = st.selectbox("Compare with", COMPARISONS, key=address.COMPARE)
        account(who)
    return Scope(settings, msgspec.structs.replace(stated, period=period, zone=zone, **chosen), compare, who)


def _period(stated: str) -> str:
    options = PERIODS if stated in PERIODS else (*PERIODS, stated)
    chosen: str | None = st.segmented_control(
        "Period", options, required=True, key="period", label_visibility="collapsed"
    )
    return chosen or stated


def _zone(stated: str, default: str) -> str:
    first = list(dict.fromkeys((default, "UTC", stated)))
    options = first + [name for name in _every_zone() if name not in first]
    chosen: str = st.selectbox("Time zone", options, key="zone", label_visibility="collapsed", width=190)
    return chosen


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


def _model(stated: tuple[str, ...], settings: Settings) -> str | None:
    known = cached.names("model", settings.ledger_url)
    options = list(dict.fromkeys([*stated[:1], *known, *cached.catalog(settings).models()]))
    chosen: str | None = st.selectbox(
        "Model",
        options,
        index=None,
        placeholder="Choose a model",
        key=ONE_MODEL,
        label_visibility="collapsed",
        width=290,
    )
    return chosen


def _filter(dimension: str, stated: tuple[str, ...], url: str) -> tuple[str, ...]:
    options = list(dict.fromkeys([*stated, *cached.names(dimension, url)]))
    chosen: list[str] = st.multiselect(f"{dimension.title()}s", options, key=dimension, placeholder=f"All {dimension}s")
    return tuple(chosen)


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
