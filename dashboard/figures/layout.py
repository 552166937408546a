"""What all figures have in common: size, axes, legend and hover."""

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from dashboard.frames.axis import Axis
from dashboard.theme import COLOR

# Plotly's own buttons and its external logo are left out; TeX in names is not read.
CONFIG: dict[str, Any] = {"displayModeBar": False, "displaylogo": False, "typesetMath": False, "scrollZoom": False}
PLOT_PX = 215
_TOP_PX, _TICKS_PX, _LEGEND_ROW_PX = 8, 46, 20
_IN_HALF = 18  # characters of a legend's text that fit in half of a phone's width


def figure(axis: Axis, names: Sequence[str], plot_px: int = PLOT_PX, prefix: str = "") -> go.Figure:
    """An empty figure over the time axis, with room for the legend of `names`: in two columns, or one for long ones.

    `prefix` stands before the numbers of the other axis.
    """
    columns = 1 if any(len(name) > _IN_HALF for name in names) else 2
    series = len(names)
    below = _TICKS_PX + _LEGEND_ROW_PX * (-(-series // columns) if series > 1 else 0)
    layout: dict[str, Any] = {
        "height": _TOP_PX + plot_px + below,
        "margin": {"l": 8, "r": 8, "t": _TOP_PX, "b": below},
        "barmode": "stack",
        "bargap": 0.18,
        "hovermode": "x unified",
        "dragmode": False,
        "showlegend": series > 1,
        "legend": {
            "orientation": "h",
            "y": -_TICKS_PX / plot_px,
            "yanchor": "top",
            "x": 0,
            "entrywidthmode": "fraction",
            "entrywidth": 0.98 / columns,
            "traceorder": "normal",
            "itemclick": False,
            "itemdoubleclick": False,
        },
        "xaxis": time_axis(axis),
        "yaxis": {
            "rangemode": "tozero",
            "fixedrange": True,
            "tickprefix": prefix,
            "exponentformat": "B",
            "separatethousands": True,
            "nticks": 5,
            "ticks": "",
        },
    }
    return go.Figure(layout=layout)


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
