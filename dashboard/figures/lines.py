"""Lines over time."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from dashboard.figures.layout import figure
from dashboard.frames.axis import Axis
from dashboard.texts import for_plotly
from dashboard.theme import SERIES

# A dash and a mark beside each colour, so that no line is known by its colour alone.
DASHES = ("solid", "dot", "dash", "dashdot", "longdash", "longdashdot")
MARKS = ("circle", "square", "diamond", "triangle-up", "x", "cross")
LONGEST_NAME = 40


def lines(frame: pd.DataFrame, axis: Axis, names: Sequence[str], suffix: str, **look: Any) -> go.Figure:
    """A line per name of a long frame (label, series, value, text); a bucket without a value is a gap.

    `suffix` stands behind the numbers of the other axis; `look` goes to `figure`.
    """
    fig = figure(axis, names, **look)
    for n, name in enumerate(names):
        rows = frame[frame["series"] == name]
        fig.add_scatter(
            name=for_plotly(name, LONGEST_NAME),
            x=list(rows["label"]),
            y=with_gaps(rows["value"]),
            customdata=list(rows["text"]),
            hovertemplate="%{customdata}",
            mode="lines+markers",
            line={"color": SERIES[n % len(SERIES)], "dash": DASHES[n % len(DASHES)], "width": 2},
            marker={"symbol": MARKS[n % len(MARKS)], "size": 6 if len(axis.labels) <= 45 else 4},
            connectgaps=False,
        )
    fig.update_yaxes(ticksuffix=suffix)
    fig.update_layout(showlegend=True)
    return fig


def with_gaps(values: Sequence[float | None] | pd.Series) -> list[float | None]:
    """The values, with None for what is missing."""
    return [None if pd.isna(value) else value for value in values]
