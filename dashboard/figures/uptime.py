"""One strip per provider, and the two lines of the router."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from collector.core.uptime import Status
from dashboard.figures.layout import figure, time_axis
from dashboard.figures.lines import with_gaps
from dashboard.frames.axis import Axis
from dashboard.frames.uptime import WITH, WITHOUT
from dashboard.texts import for_plotly
from dashboard.theme import COLOR

ROW_PX = 58
THRESHOLDS = (95, 80)  # percent: normal from the first, degraded from the second
# Height and colour say the same, so that neither is needed alone.
_BARS: dict[Status, tuple[float, str]] = {
    Status.NORMAL: (0.52, COLOR["third"]),
    Status.DEGRADED: (0.34, COLOR["degraded"]),
    Status.DOWN: (0.17, COLOR["down"]),
    Status.FEW: (0.52, COLOR["faint"]),
    Status.NO_DATA: (0.03, COLOR["rest"]),
}
_NAMES = {Status.FEW: "fewer than 10 attempts"}


def strips(frame: pd.DataFrame, axis: Axis, headlines: Mapping[str, str]) -> go.Figure:
    """One strip of buckets per provider, its name and figure above it; `headlines` gives the order, top down."""
    providers = list(headlines)
    notes = [note for n, name in enumerate(providers) for note in _strip_name(n, name, headlines[name])]
    fig = go.Figure(layout={**_strip_layout(axis, len(providers)), "annotations": notes})
    for bar_state, (height, color) in _BARS.items():
        rows = frame[frame["status"] == bar_state]
        fig.add_bar(
            name=_NAMES.get(bar_state, bar_state.value),
            x=list(rows["label"]),
            y=[height] * len(rows),
            base=[float(-providers.index(provider)) for provider in rows["provider"]],
            customdata=[
                [for_plotly(provider), text] for provider, text in zip(rows["provider"], rows["text"], strict=True)
            ],
            hovertemplate="<b>%{customdata[0]}</b><br>%{x}<br>%{customdata[1]}<extra></extra>",
            marker={"color": color, "line": {"width": 0}},
            showlegend=True,
        )
    return fig


def _strip_layout(axis: Axis, rows: int) -> dict[str, Any]:
    return {
        "height": ROW_PX * rows + 90,
        "margin": {"l": 8, "r": 8, "t": 4, "b": 8},
        "barmode": "overlay",
        "bargap": 0.2 if len(axis.labels) <= 100 else 0,
        "hovermode": "closest",
        "dragmode": False,
        "legend": {"orientation": "h", "y": 0, "yref": "container", "yanchor": "bottom", "x": 0, "itemclick": False},
        "xaxis": time_axis(axis),
        "yaxis": {"visible": False, "fixedrange": True, "range": [0.02 - rows + 0.9, 0.96]},
    }


def _strip_name(n: int, provider: str, headline: str) -> list[dict[str, Any]]:
    common = {"y": -n + 0.56, "yanchor": "bottom", "xref": "paper", "showarrow": False}
    name = f"<b>{for_plotly(provider or 'no provider', 28)}</b>"
    return [
        {**common, "x": 0, "xanchor": "left", "text": name},
        {**common, "x": 1, "xanchor": "right", "text": for_plotly(headline)},
    ]


_LINES = ((WITH, COLOR["third"], "solid"), (WITHOUT, COLOR["fourth"], "dot"))


def router(frame: pd.DataFrame, axis: Axis) -> go.Figure:
    """Uptime with and without routing in percent; a bucket without enough calls is a gap."""
    fig = figure(axis, (WITH, WITHOUT), plot_px=180)
    for name, color, dash in _LINES:
        rows = frame[frame["series"] == name]
        fig.add_scatter(
            name=name,
            x=list(rows["label"]),
            y=with_gaps(rows["value"]),
            customdata=list(rows["text"]),
            hovertemplate="%{customdata}",
            mode="lines+markers",
            line={"color": color, "dash": dash, "width": 2.5},
            marker={"size": 5 if len(axis.labels) <= 45 else 3},
            connectgaps=False,
        )
    fig.update_yaxes(ticksuffix="%", rangemode="normal", range=_range(frame["value"]))
    fig.update_layout(shapes=[_threshold(percent) for percent in THRESHOLDS])
    return fig


def _threshold(percent: int) -> dict[str, Any]:
    across = {"type": "line", "xref": "x domain", "x0": 0, "x1": 1, "y0": percent, "y1": percent}
    return {**across, "line": {"color": COLOR["rest"], "width": 1, "dash": "dash"}, "opacity": 0.5}


def _range(values: pd.Series) -> list[float]:
    lowest = values.dropna().min() if values.notna().any() else 100.0
    return [max(0.0, min(94.0, lowest - 2)), 100.6]
