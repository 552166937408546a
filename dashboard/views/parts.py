"""The pieces every page is made of: cards, a titled chart with its table, and sentences for what is not there."""

from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import islice
from typing import Any, Literal

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from collector.core.periods import Period
from collector.finance.gaps import PARTS as GAP_PARTS
from dashboard import cached, texts
from dashboard.cached import Answer
from dashboard.figures import lines as line_figures
from dashboard.figures import uptime as uptime_figures
from dashboard.figures.layout import CONFIG
from dashboard.frames import axis as axes
from dashboard.frames import speed as speeds
from dashboard.frames import uptime
from dashboard.frames.series import MOST_SERIES

RIGHT = frozenset(
    {"Input tokens", "Output tokens", "Latency", "First token", "Attempts", "Quantity", "Began"}
    | {"Uptime 5m", "Uptime 30m", "Uptime 1d", "First token p50", "Throughput p50", "Context", "Max output"}
    | {"Input, $/M", "Output, $/M", "Images, $/K", "Input paid, $/M", "Input listed, $/M", "Cached"}
    | {"Attempts 1d", "Rate limited 1d", "Latency p50", "Latency p99", "Length", "Attempts ok", "Calls hit"}
    | {
        "Calls rescued",
        "Share",
        "Change",
        "Rank before",
        "Uptime",
        "Rate-limited share",
        "Out for",
        "Longest",
        "Age, days",
        "Size",
    }
    | {"Metered", "Provider says", "Invoice", "Gap", "Coverage", "Cost", "Booked"}
    | {name.capitalize() for name in GAP_PARTS}
    | {"Output paid, $/M", "Output listed, $/M", "p50", "p75", "p90", "p99"}
)
NAMES = ("Model", "Provider", "App", "Key", "User")
LONG_NAME, NAME_PX = 36, 240  # characters, and how wide longer ones are, so that the numbers beside them are seen
WIDTHS = {"Outcome": 125, "Error type": 150, "Error": 440, "Source": 340}
REST_S = 0.5  # after the first section has come: what it and the cards take to be drawn
_SEEN = "pages_seen"
HOST = "https?://([^/]+)"  # what a link to another site shows of its address
MOST_ROWS = 5_000  # that a browser is sent
Height = Literal["auto", "content"]
USD = ", USD"  # how the name of a column with amounts ends; the browser would round them to four places


def pairs(sections: Iterable[Callable[[], None]], page: str = "") -> None:
    """Sections in frames, two in a row and equally high, an odd last one alone; below each other on a phone.

    Each row is sent before the next is asked for. A browser that has just come to `page` is sent the first section
    alone: drawn together with the others, it would be seen as late as the last of them.
    """
    its = iter(sections)
    while row := list(islice(its, 2)):
        for place, section in zip(st.columns(len(row), gap="medium"), row, strict=True):
            with place, st.container(border=True, height="stretch"):
                section()
            if page and is_new_to(page):
                _ask_for_rest(page)
                return


def is_new_to(page: str) -> bool:
    """Whether the browser has not asked for the rest of a page yet."""
    return page not in st.session_state.get(_SEEN, ())


@st.fragment(run_every=REST_S)
def _ask_for_rest(page: str) -> None:
    """Called by the page it does nothing; called by the browser, which does that when it has drawn what it has, all."""
    if not is_new_to(page):
        st.rerun()
    st.session_state.setdefault(_SEEN, set()).add(page)


def chart(
    title: str, says: str, figure: go.Figure, table: pd.DataFrame, key: str, note: str = "", is_titled: bool = False
) -> None:
    """A figure under its title and the one sentence that it says, with the table of its exact numbers behind it.

    `note` is a further sentence; with `is_titled` the title stands there already.
    """
    heading("" if is_titled else title, says, note)
    st.plotly_chart(figure, key=f"chart_{key}", config=CONFIG, alt=f"{title}. {says} The table below has all numbers.")
    behind(title, table, key)


def behind(title: str, table: pd.DataFrame, key: str) -> None:
    """The table behind a chart, sent to the browser when it is opened."""
    its = st.expander("Table", key=f"table_{key}", on_change="rerun")
    if its.open:
        with its:
            rows(table, key, f"{title}: all numbers")


def router(title: str, answer: Answer, period: Period, now_us: int, key: str, is_titled: bool = False) -> None:
    """The two lines of uptime, with and without routing, from the answer to `router_uptime`."""
    if answer.refusal or not answer.rows:
        absent("" if is_titled else title, answer.refusal or "No calls with an attempt in this period.")
        return
    axis = axes.uptime_axis(period, cached.bucket_for(period), now_us)
    by_bucket = uptime.routed(answer.rows)
    frame, table = uptime.router(by_bucket, axis), uptime.router_table(by_bucket, axis)
    if frame["value"].isna().all():
        absent("" if is_titled else title, f"{uptime.router_says(by_bucket)}. {uptime.TOO_FEW}")
        behind(title, table, key)
        return
    figure = uptime_figures.router(frame, axis)
    chart(title, uptime.router_says(by_bucket), figure, table, key, is_titled=is_titled)


def strips(title: str, by_provider: uptime.Tallies, axis: axes.Axis, key: str) -> None:
    """One strip of uptime per provider."""
    shown = dict(list(by_provider.items())[: uptime.MOST_STRIPS])
    headlines = {provider: uptime.provider_headline(buckets) for provider, buckets in shown.items()}
    figure = uptime_figures.strips(uptime.strip(shown, axis), axis, headlines)
    chart(title, uptime.providers_say(by_provider, axis), figure, uptime.provider_table(by_provider), key)


def choices(title: str, **options: Collection[str]) -> list[str]:
    """A section's title with a choice of a few things for each key, beside it or below; the first by default.

    The address names what is chosen under its key.
    """
    if len(options) > 1:
        st.subheader(title, anchor=False)
    with st.container(horizontal=True, vertical_alignment="center", key=f"choices_{'_'.join(options)}"):
        if len(options) == 1:
            st.subheader(title, anchor=False, width="content")
            st.space("stretch")
        return [_choice(key, list(its)) for key, its in options.items()]


def _choice(key: str, options: list[str]) -> str:
    chosen: str | None = st.segmented_control(
        key.capitalize(),
        options,
        default=options[0],
        required=True,
        key=key,
        bind="query-params",
        label_visibility="collapsed",
    )
    return chosen or options[0]


def speed(answer: Answer, period: Period, now_us: int, what: str) -> None:
    """One percentile over time per model or provider, of a measure that is chosen, with all of them in the table."""
    title = f"Performance by {what.lower()}"
    measure, percentile = choices(title, measure=speeds.MEASURES, percentile=speeds.PERCENTILES)
    if answer.refusal or not answer.rows:
        absent("", answer.refusal or "No answered calls in this period.")
        return
    axis = axes.uptime_axis(period, cached.bucket_for(period), now_us)
    found = speeds.by_group(answer.rows)
    shown = list(found)[:MOST_SERIES]
    frame, table = speeds.lines(answer.rows, axis, shown, measure, percentile), speeds.table(found, what)
    says = speeds.says(found, measure, percentile)
    if frame["value"].isna().all():
        absent("", f"{says}. No bucket has the {speeds.FEWEST} that a percentile needs.")
        behind(title, table, "speed")
        return
    figure = line_figures.lines(frame, axis, shown, speeds.MEASURES[measure].suffix)
    chart(title, says, figure, table, "speed", is_titled=True)


def rows(
    table: pd.DataFrame,
    key: str,
    alt: str,
    links: Sequence[str] = (),
    height: Height = "auto",
    sites: Sequence[str] = (),
    missing: str = "no price",
) -> None:
    """A table to read; columns named in `links` hold addresses of ours, those in `sites` checked ones of others.

    `missing` stands where there is no value.
    """
    if len(table) > MOST_ROWS:
        st.caption(f"The first {MOST_ROWS:,} of {len(table):,} lines; the CSV has all.")
    shown, columns = exact(table.head(MOST_ROWS))
    columns |= {name: st.column_config.LinkColumn(display_text="Open", width="small") for name in links}
    columns |= {name: st.column_config.LinkColumn(display_text=HOST) for name in sites}
    looks: dict[str, Any] = {"column_config": columns, "height": height, "placeholder": missing}
    st.dataframe(shown, hide_index=True, key=f"rows_{key}", alt=alt, **looks)


def exact(table: pd.DataFrame) -> tuple[Any, dict[str, Any]]:
    """The table with separators in whole numbers and all digits of amounts, and how its columns look.

    Text from outside is plain text in a table.
    """
    columns: dict[str, Any] = {
        name: st.column_config.Column(alignment="right")
        for name in table.columns
        if name in RIGHT or name.endswith(USD)
    }
    columns |= {name: st.column_config.NumberColumn(format="localized") for name in table.select_dtypes("integer")}
    columns |= {name: st.column_config.Column(width=NAME_PX) for name in NAMES if _has_long(table, name)}
    columns |= {name: st.column_config.Column(width=px) for name, px in WIDTHS.items() if name in table}
    return table.style.format(texts.amount, subset=[name for name in table.columns if name.endswith(USD)]), columns


def _has_long(table: pd.DataFrame, name: str) -> bool:
    return name in table and bool((table[name].str.len() > LONG_NAME).any())


def heading(title: str, *says: str) -> None:
    """A section's title, where there is one, and below it what it says: our own words, with no text from outside."""
    with st.container(gap=None):
        if title:
            st.subheader(title, anchor=False)
        for sentence in filter(None, says):
            st.caption(words(sentence))


def absent(title: str, sentence: str, command: str = "") -> None:
    """A section that has nothing to show here, the sentence that says why, and what brings something."""
    with st.container(gap=None):
        if title:
            st.subheader(title, anchor=False)
        st.text(sentence)
    if command:
        st.code(command, language=None, wrap_lines=True)


def words(says: str) -> str:
    """Our own words as Markdown: two amounts in dollars are no formula."""
    return says.replace("$", "\\$")


def sentences(lines: Iterable[str]) -> None:
    """Lines of plain text, in which names from outside may stand; nothing where there are none."""
    with st.container(gap="xxsmall"):
        for line in lines:
            st.text(line, width="stretch")


def nothing(title: str, sentence: str, command: str = "") -> None:
    """A designed empty state: what is missing, and the command that brings it."""
    with st.container(border=True):
        st.markdown(f"**{title}**")
        if sentence:
            st.text(sentence)
        if command:
            st.code(command, language=None, wrap_lines=True)
