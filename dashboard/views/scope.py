"""What every page is about: the ledger, and the selection that the URL names and the controls change."""

from enum import StrEnum
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

PERIODS = ("24h", "7d", "30d", "90d", "month")
PREVIOUS, YEAR, NOTHING = "previous period", "52 weeks earlier", "nothing"
YEAR_DAYS = 52 * 7  # weekday against weekday
KEY = "scope"


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


def controls(settings: Settings, title: str, kind: Kind, who: Who) -> Scope | None:
    """The page's title and the controls in one row; None, with a sentence, where the URL asks for what cannot be."""
    try:
        stated = from_query(query(), settings.zone)
        period_of(stated, cached.now_us(), settings.limits.max_query_days)
    except UsageError as error:
        st.title(title, anchor=False)
        st.warning("This address cannot be shown.")
        st.text(str(error))
        st.page_link("views/overview.py", label="Start over")
        return None
    scope = _row(stated, settings, title, kind, who)
    st.session_state[KEY] = scope
    return scope


def query() -> list[tuple[str, str]]:
    return [(name, value) for name in st.query_params for value in st.query_params.get_all(name)]


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
        with st.popover(_filters_label(stated), key="filters"):
            chosen = {f"{name}s": _filter(name, stated.names(name), settings.ledger_url) for name in DIMENSIONS}
            compare = _compare()
        account(who)
    return Scope(settings, msgspec.structs.replace(stated, period=period, zone=zone, **chosen), compare, who)


def _period(stated: str) -> str:
    options = PERIODS if stated in PERIODS else (*PERIODS, stated)
    chosen: str | None = st.segmented_control(
        "Period", options, default="30d", required=True, key="period", bind="query-params", label_visibility="collapsed"
    )
    return chosen or "30d"


def _zone(stated: str, default: str) -> str:
    first = list(dict.fromkeys((default, "UTC", stated)))
    options = first + sorted(available_timezones() - set(first))
    chosen: str = st.selectbox(
        "Time zone", options, key="zone", bind="query-params", label_visibility="collapsed", width=190
    )
    return chosen


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
        index=0 if stated else None,
        placeholder="Choose a model",
        key="one_model",
        on_change=_to_model,
        label_visibility="collapsed",
        width=290,
    )
    return chosen


def _to_model() -> None:
    st.query_params["model"] = st.session_state["one_model"]


def _compare() -> str:
    chosen: str = st.selectbox("Compare with", [PREVIOUS, YEAR, NOTHING], key="compare", bind="query-params")
    return chosen


def _filter(dimension: str, stated: tuple[str, ...], url: str) -> tuple[str, ...]:
    options = list(dict.fromkeys([*stated, *cached.names(dimension, url)]))
    chosen: list[str] = st.multiselect(
        f"{dimension.title()}s", options, key=dimension, bind="query-params", placeholder=f"All {dimension}s"
    )
    return tuple(chosen)


def _filters_label(stated: Selection) -> str:
    active = sum(bool(stated.names(name)) for name in DIMENSIONS)
    return f"Filters ({active})" if active else "Filters"


def spoken(selection: Selection) -> str:
    """The filters in force as Markdown, "" when there are none."""
    parts = [
        f"{name} " + " or ".join(texts.for_markdown(value) if value else "none" for value in selection.names(name))
        for name in DIMENSIONS
        if selection.names(name)
    ]
    return "Only " + " · ".join(parts) if parts else ""
