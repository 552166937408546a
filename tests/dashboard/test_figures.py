"""Figures as functions of hand-made frames."""

import pandas as pd

from collector.core.periods import parse_period
from dashboard.figures import bars
from dashboard.figures import uptime as uptime_figures
from dashboard.frames import axis as axes
from dashboard.frames import uptime
from dashboard.frames.series import COLUMNS
from tests.tables import instant

NOW = instant("2026-10-03T12:00")
AXIS = axes.day_axis(parse_period("2026-10-01..2026-10-04", "UTC", NOW), NOW)
HOSTILE = '<a href="https://evil.example">x</a> #000001 %{y}'


def long(*rows: tuple[str, str, float, str]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=COLUMNS)


def test_bars_stand_where_the_frame_says_with_its_exact_text() -> None:
    frame = long((AXIS.labels[0], "Input", 1_000, "1,000 tokens"), (AXIS.labels[2], "Output", 5, "5 tokens"))
    fig = bars.stacked(frame, AXIS, ["Input", "Output"])
    assert [(list(bar.x), list(bar.y), list(bar.customdata)) for bar in fig.data] == [
        ([AXIS.labels[0]], [1_000], ["1,000 tokens"]),
        ([AXIS.labels[2]], [5], ["5 tokens"]),
    ]
    assert list(fig.layout.xaxis.categoryarray) == list(AXIS.labels)


def test_today_is_drawn_lighter() -> None:
    frame = long((AXIS.labels[1], "Spend", 1.0, "$1.00"), (AXIS.labels[2], "Spend", 0.5, "$0.50"))
    assert list(bars.stacked(frame, AXIS, ["Spend"]).data[0].marker.opacity) == [1.0, 0.5]


def test_no_series_is_known_by_colour_alone() -> None:
    names = list("abcdef")
    fig = bars.stacked(long(*((AXIS.labels[0], name, 1.0, "1") for name in names)), AXIS, names)
    assert len({bar.marker.color for bar in fig.data}) == len(names)
    assert len({bar.marker.pattern.shape for bar in fig.data}) == len(names)
    assert fig.layout.showlegend is True


def test_a_hostile_name_is_text_in_legend_and_strip() -> None:
    fig = bars.stacked(long((AXIS.labels[0], HOSTILE, 1.0, "1")), AXIS, [HOSTILE])
    strip = uptime.strip({HOSTILE: {AXIS.keys[0]: uptime.Tally(100)}}, AXIS)
    strips = uptime_figures.strips(strip, AXIS, {HOSTILE: "100% of 100 attempts"})
    for text in (fig.to_json(), strips.to_json()):
        assert "<a" not in text
        assert "\\u003ca" not in text
        assert "#000001 " not in text
    assert all("evil" not in (bar.hovertemplate or "") for bar in (*fig.data, *strips.data))


def test_a_strip_shows_each_status_by_height_and_colour() -> None:
    tallies = [uptime.Tally(100), uptime.Tally(90, 10), uptime.Tally(1, 99)]
    frame = uptime.strip({"p": dict(zip(AXIS.keys, tallies, strict=True))}, AXIS)
    fig = uptime_figures.strips(frame, AXIS, {"p": "63.66% of 300 attempts"})
    drawn = {bar.name: (bar.y[0], bar.marker.color) for bar in fig.data if len(bar.y)}
    assert list(drawn) == ["normal", "degraded", "down"]
    assert len({height for height, _ in drawn.values()}) == len({color for _, color in drawn.values()}) == 3
    assert {note.text for note in fig.layout.annotations} == {"<b>p</b>", "63.66% of 300 attempts"}


def test_a_bucket_without_figures_is_a_gap_in_the_line() -> None:
    frame = uptime.router({}, AXIS)
    fig = uptime_figures.router(frame, AXIS)
    assert [list(line.y) for line in fig.data] == [[None] * 3, [None] * 3]
    assert all(line.connectgaps is False for line in fig.data)
    assert {line.line.dash for line in fig.data} == {"solid", "dot"}


def test_colours_are_placeholders_that_follow_the_theme() -> None:
    fig = bars.stacked(long((AXIS.labels[0], "Input", 1.0, "1")), AXIS, ["Input"])
    assert fig.data[0].marker.color == "#000001"
