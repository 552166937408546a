"""The attempts of a call, one below the other, along the time since the call began."""

import pandas as pd
import plotly.graph_objects as go

from dashboard.texts import for_plotly
from dashboard.theme import COLOR

ROW_PX, _REST_PX = 34, 70
# A texture beside the colour of what failed, so that no ending is known by its colour alone.
_LOOKS = {True: (COLOR["third"], ""), False: (COLOR["down"], "/")}


def waterfall(frame: pd.DataFrame) -> go.Figure:
    """A bar per line of (name, began_ms, latency_ms, is_ok, text, first_ms), top down; a mark at its first token."""
    names = [for_plotly(name, 28) for name in frame["name"]]
    ends = frame["began_ms"] + frame["first_ms"]
    bars = go.Bar(
        orientation="h",
        y=names,
        base=list(frame["began_ms"]),
        x=list(frame["latency_ms"]),
        marker={
            "color": [_LOOKS[is_ok][0] for is_ok in frame["is_ok"]],
            "pattern": {"shape": [_LOOKS[is_ok][1] for is_ok in frame["is_ok"]], "size": 6, "solidity": 0.3},
            "line": {"width": 0},
        },
        customdata=[for_plotly(text, 200) for text in frame["text"]],
        hovertemplate="%{customdata}<extra></extra>",
    )
    firsts = go.Scatter(
        y=[name for name, end in zip(names, ends, strict=True) if not pd.isna(end)],
        x=[end for end in ends if not pd.isna(end)],
        mode="markers",
        marker={"symbol": "diamond", "size": 9, "color": COLOR["background"]},
        hovertemplate="first token<extra></extra>",
    )
    layout = {
        "height": ROW_PX * len(names) + _REST_PX,
        "margin": {"l": 8, "r": 8, "t": 4, "b": 34},
        "showlegend": False,
        "dragmode": False,
        "bargap": 0.4,
        "xaxis": {"rangemode": "tozero", "fixedrange": True, "ticksuffix": " ms", "tickformat": ",d", "nticks": 4},
        "yaxis": {"autorange": "reversed", "fixedrange": True, "automargin": True, "type": "category"},
    }
    return go.Figure([bars, firsts], layout)
