"""What all figures have in common: size, axes, legend and hover."""

from typing import Any

import plotly.graph_objects as go

from dashboard.frames.axis import Axis
from dashboard.theme import COLOR

# Plotly's own buttons and its external logo are left out; TeX in names is not read.
CONFIG: dict[str, Any] = {"displayModeBar": False, "displaylogo": False, "typesetMath": False, "scrollZoom": False}
LEGEND_BELOW_PX = 34


def figure(axis: Axis, height: int = 300, prefix: str = "") -> go.Figure:
    """An empty figure over the time axis; `prefix` stands before the numbers of the other axis."""
    fig = go.Figure()
    fig.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        barmode="stack",
        bargap=0.18,
        hovermode="x unified",
        dragmode=False,
        legend={
            "orientation": "h",
            "y": -LEGEND_BELOW_PX / (height - 60),
            "yanchor": "top",
            "x": 0,
            "traceorder": "normal",
            "itemclick": False,
            "itemdoubleclick": False,
        },
        xaxis=time_axis(axis),
        yaxis={
            "rangemode": "tozero",
            "fixedrange": True,
            "tickprefix": prefix,
            "exponentformat": "B",
            "nticks": 5,
            "ticks": "",
        },
    )
    return fig


def time_axis(axis: Axis) -> dict[str, Any]:
    """The x axis: every bucket has its place, a few have a tick text."""
    return {
        "type": "category",
        "categoryorder": "array",
        "categoryarray": list(axis.labels),
        "range": [-0.5, len(axis.labels) - 0.5],
        "tickmode": "array",
        "tickvals": [label for label, _ in axis.ticks],
        "ticktext": [text for _, text in axis.ticks],
        "tickangle": 0,
        "fixedrange": True,
        "ticks": "outside",
        "ticklen": 4,
        "linecolor": COLOR["faint"],
    }
