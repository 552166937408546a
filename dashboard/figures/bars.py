"""Stacked bars over time."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from collector.core.outcomes import Outcome
from dashboard.figures.layout import figure
from dashboard.frames.axis import Axis
from dashboard.frames.outages import Span
from dashboard.frames.outcomes import NAMES
from dashboard.frames.series import REST
from dashboard.texts import for_plotly
from dashboard.theme import COLOR, SERIES

# A texture beside each colour, so that no series is known by its colour alone.
LONGEST_NAME = 40
TEXTURES = ("", "/", "-", ".", "\\", "x")


def stacked(
    frame: pd.DataFrame,
    axis: Axis,
    names: Sequence[str],
    colors: Mapping[str, str] | None = None,
    extra: Sequence[str] = (),
    **look: Any,
) -> go.Figure:
    """Bars of a long frame (label, series, value, text), stacked in the order of `names`.

    The bucket that is still running is drawn lighter. `colors` by name replace the palette's; `look` goes to `figure`,
    and `extra` are the names of more series that will be added.
    """
    fig = figure(axis, (*names, *extra), **look)
    for n, name in enumerate(names):
        rows = frame[frame["series"] == name]
        fig.add_bar(
            name=for_plotly(name, LONGEST_NAME),
            x=list(rows["label"]),
            y=list(rows["value"]),
            customdata=list(rows["text"]),
            hovertemplate="%{customdata}",
            marker=_marker(n, (colors or {}).get(name) or _color(n, name), list(rows["label"]), axis.partial),
        )
    return fig


OUTCOME_COLORS = {
    NAMES[Outcome.PROVIDER_FAULT]: COLOR["down"],
    NAMES[Outcome.RATE_LIMITED]: COLOR["degraded"],
    NAMES[Outcome.CALLER_FAULT]: COLOR["fourth"],
    NAMES[Outcome.REFUSED]: COLOR["sixth"],
    NAMES[Outcome.CANCELLED]: COLOR["fifth"],
    NAMES[Outcome.INTERRUPTED]: COLOR["rest"],
}


def trouble(frame: pd.DataFrame, axis: Axis, names: Sequence[str]) -> go.Figure:
    """Bars of the calls that did not end ok."""
    fig = stacked(frame, axis, names, OUTCOME_COLORS, plot_px=150)
    fig.update_layout(showlegend=True)
    return fig


def add_expected(fig: go.Figure, frame: pd.DataFrame, name: str) -> None:
    """Bars in outline on top of the others: what is expected and has not happened."""
    fig.add_bar(
        name=for_plotly(name),
        x=list(frame["label"]),
        y=list(frame["value"]),
        customdata=list(frame["text"]),
        hovertemplate="%{customdata}",
        marker={"color": COLOR["faint"], "line": {"width": 1, "color": COLOR["rest"]}},
    )


def add_line(fig: go.Figure, axis: Axis, value: float, name: str, text: str) -> None:
    """A line across all buckets, such as a budget's."""
    fig.add_scatter(
        name=for_plotly(name),
        x=list(axis.labels),
        y=[value] * len(axis.labels),
        customdata=[text] * len(axis.labels),
        hovertemplate="%{customdata}",
        mode="lines",
        line={"width": 1.5, "dash": "dash", "color": COLOR["down"]},
    )


def add_marks(fig: go.Figure, labels: Sequence[str], notes: Sequence[str], name: str) -> None:
    """Diamonds on the base line at buckets that need a word, with the word as their hover text."""
    fig.add_scatter(
        name=for_plotly(name),
        x=list(labels),
        y=[0] * len(labels),
        customdata=list(notes),
        hovertemplate="%{customdata}",
        mode="markers",
        marker={"symbol": "diamond", "size": 6, "color": COLOR["degraded"]},
        cliponaxis=False,
    )


def add_outages(fig: go.Figure, spans: Sequence[Span], shades: Sequence[tuple[float, float]], name: str) -> None:
    """Outages as a mark above the bars that says which it was, each where it began, and shades where any lasted."""
    by_label: dict[str, list[str]] = {}
    for span in spans:
        by_label.setdefault(span.label, []).append(span.text)
    _add_above(fig, by_label, name, 1, {"symbol": "triangle-down", "size": 9, "color": COLOR["down"]})
    fig.update_layout(shapes=[_shade(*shade) for shade in shades])


def add_incidents(fig: go.Figure, by_label: Mapping[str, Sequence[str]], name: str) -> None:
    """A ring above the bars where an incident began, with its words as the hover text."""
    ring = {"symbol": "circle-open", "size": 9, "color": COLOR["fourth"], "line": {"width": 2}}
    _add_above(fig, by_label, name, 0.92, ring)


def _add_above(
    fig: go.Figure, by_label: Mapping[str, Sequence[str]], name: str, height: float, marker: dict[str, Any]
) -> None:
    fig.add_scatter(
        name=for_plotly(name),
        x=list(by_label),
        y=[height] * len(by_label),
        yaxis="y2",
        customdata=["<br>".join(map(for_plotly, words)) for words in by_label.values()],
        hovertemplate="%{customdata}",
        mode="markers",
        marker=marker,
        cliponaxis=False,
    )
    fig.update_layout(yaxis2={"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True})


def _shade(start: float, end: float) -> dict[str, Any]:
    across = {"type": "rect", "xref": "x", "yref": "y domain", "y0": 0, "y1": 1}
    return {**across, "x0": start, "x1": end, "fillcolor": COLOR["down"], "opacity": 0.18, "line_width": 0}


def _color(n: int, name: str) -> str:
    return COLOR["rest"] if name == REST else SERIES[n % len(SERIES)]


def _marker(n: int, color: str, labels: Sequence[str], partial: str | None) -> dict[str, object]:
    return {
        "color": color,
        "opacity": [0.5 if label == partial else 1.0 for label in labels],
        "line": {"width": 0},
        "pattern": {
            "shape": TEXTURES[n % len(TEXTURES)],
            "fillmode": "overlay",
            "fgcolor": COLOR["background"],
            "fgopacity": 0.3,
            "size": 6,
            "solidity": 0.25,
        },
    }
