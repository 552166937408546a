"""The pieces every page is made of: cards, a titled chart with its table, and sentences for what is not there."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from dashboard import texts
from dashboard.figures import uptime as uptime_figures
from dashboard.figures.layout import CONFIG
from dashboard.frames import uptime
from dashboard.frames.axis import Axis

RIGHT = frozenset({"Input tokens", "Output tokens", "Latency", "First token", "Attempts", "Quantity", "Began"})
MOST_ROWS = 5_000  # that a browser is sent
Height = Literal["auto", "content"]
USD = ", USD"  # how the name of a column with amounts ends; the browser would round them to four places


def pairs(sections: Sequence[Callable[[], None]]) -> None:
    """Sections in frames, two in a row and equally high; below each other on a phone."""
    for first in range(0, len(sections), 2):
        for place, section in zip(st.columns(2, gap="medium"), sections[first : first + 2], strict=False):
            with place, st.container(border=True, height="stretch"):
                section()


def chart(title: str, says: str, figure: go.Figure, table: pd.DataFrame, key: str, note: str = "") -> None:
    """A figure under its title and the one sentence that it says, with the table of its exact numbers behind it.

    `note` is a further sentence.
    """
    heading(title, says, note)
    st.plotly_chart(figure, key=f"chart_{key}", config=CONFIG, alt=f"{title}. {says} The table below has all numbers.")
    with st.expander("Table", key=f"table_{key}"):
        rows(table, key, f"{title}: all numbers")


def router(title: str, router_rows: Sequence[Any], axis: Axis, key: str) -> None:
    """The two lines of uptime, with and without routing, from rows of `router_uptime`."""
    by_bucket = uptime.routed(router_rows)
    figure = uptime_figures.router(uptime.router(by_bucket, axis), axis)
    chart(title, uptime.router_says(by_bucket), figure, uptime.router_table(by_bucket, axis), key)


def rows(table: pd.DataFrame, key: str, alt: str, links: Sequence[str] = (), height: Height = "auto") -> None:
    """A table to read; columns named in `links` hold addresses of ours."""
    if len(table) > MOST_ROWS:
        st.caption(f"The first {MOST_ROWS:,} of {len(table):,} lines; the CSV has all.")
    shown, columns = exact(table.head(MOST_ROWS))
    columns |= {name: st.column_config.LinkColumn(display_text="Open", width="small") for name in links}
    st.dataframe(shown, hide_index=True, column_config=columns, key=f"rows_{key}", alt=alt, height=height)


def exact(table: pd.DataFrame) -> tuple[Any, dict[str, Any]]:
    """The table with separators in whole numbers and all digits of amounts, and how its columns look.

    Text from outside is plain text in a table.
    """
    columns: dict[str, Any] = {
        name: st.column_config.NumberColumn(format="localized") for name in table.select_dtypes("integer")
    }
    columns |= {name: st.column_config.Column(alignment="right") for name in table.columns if name in RIGHT}
    return table.style.format(texts.amount, subset=[name for name in table.columns if name.endswith(USD)]), columns


def heading(title: str, *says: str) -> None:
    """A section's title and, below it, what it says. All are our own words, with no text from outside."""
    with st.container(gap=None):
        st.subheader(title, anchor=False)
        for sentence in filter(None, says):
            st.caption(words(sentence))


def absent(title: str, sentence: str) -> None:
    """A section that has nothing to show here, and the sentence that says why."""
    with st.container(gap=None):
        st.subheader(title, anchor=False)
        st.text(sentence)


def words(says: str) -> str:
    """Our own words as Markdown: two amounts in dollars are no formula."""
    return says.replace("$", "\\$")


def nothing(title: str, sentence: str, command: str = "") -> None:
    """A designed empty state: what is missing, and the command that brings it."""
    with st.container(border=True):
        st.markdown(f"**{title}**")
        if sentence:
            st.text(sentence)
        if command:
            st.code(command, language=None)
