"""Latency, first token and throughput: percentiles from histograms that are added up, never from averages."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from collector.core.latency import SHARES, Figures, Latency, of_cells
from dashboard import texts
from dashboard.frames.axis import Axis
from dashboard.frames.series import COLUMNS


class Measure(NamedTuple):
    """What can be looked at: its field of Latency, its unit on the axis, and its words."""

    field: str
    suffix: str
    scale: int
    text: Callable[[float], str]


MEASURES = {
    "First token": Measure("first_token_ms", " s", 1_000, lambda number: texts.duration(round(number))),
    "Whole call": Measure("latency_ms", " s", 1_000, lambda number: texts.duration(round(number))),
    "Throughput": Measure("throughput", " tok/s", 1, lambda number: f"{number:.1f} tok/s"),
}
PERCENTILES = tuple(SHARES)
FEWEST = 10  # that a figure is made of


def by_group(cells: Sequence[Any]) -> dict[str, Latency]:
    """The figures of each group over all buckets, the one with most calls first."""
    found = {name: of_cells(some) for name, some in _gathered(cells, lambda cell: cell.group).items()}
    return dict(sorted(found.items(), key=lambda item: (-item[1].latency_ms.count, item[0])))


def lines(cells: Sequence[Any], axis: Axis, groups: Sequence[str], measure: str, percentile: str) -> pd.DataFrame:
    """One percentile per bucket and group: label, series, value (None where fewer than FEWEST say it: a gap), text."""
    its = MEASURES[measure]
    figures: dict[Any, Figures] = {
        place: getattr(of_cells(some), its.field)
        for place, some in _gathered(cells, lambda cell: (cell[0], cell.group)).items()
    }
    rows = []
    for group in groups:
        for key, label in zip(axis.keys, axis.labels, strict=True):
            number = _shown(figures.get((key, group)), percentile)
            rows.append((label, group, None if number is None else number / its.scale, _words(number, its)))
    return pd.DataFrame(rows, columns=COLUMNS)


def _shown(figures: Figures | None, percentile: str) -> float | None:
    return figures.percentiles.get(percentile) if figures and figures.count >= FEWEST else None


def _words(number: float | None, its: Measure) -> str:
    return texts.NO_DATA if number is None else its.text(number)


def table(found: Mapping[str, Latency], what: str) -> pd.DataFrame:
    """Every percentile of every measure, a line per group; `what` names the groups' column."""
    lines = [
        [
            name or f"no {what.lower()}",
            measure,
            figures.count,
            *(_words(figures.percentiles.get(p), its) for p in SHARES),
        ]
        for measure, its in MEASURES.items()
        for name, latency in found.items()
        for figures in [getattr(latency, its.field)]
        if figures.count
    ]
    return pd.DataFrame(lines, columns=[what, "Measure", "Measured calls", *SHARES])


def says(found: Mapping[str, Latency], measure: str, percentile: str) -> str:
    """The sentence above the lines: how many calls were measured, and what a percentile of the measure means."""
    its = MEASURES[measure]
    calls = sum(getattr(latency, its.field).count for latency in found.values())
    share = f"{SHARES[percentile]:.0%}"
    than = "were as slow or slower" if measure == "Throughput" else "were as fast or faster"
    return f"{percentile} of {texts.count(calls, 'measured call')}: {share} of them {than}"


def _gathered(cells: Sequence[Any], key: Callable[[Any], Any]) -> dict[Any, list[Any]]:
    found: dict[Any, list[Any]] = {}
    for cell in cells:
        found.setdefault(key(cell), []).append(cell)
    return found
