"""Outages of providers, from rows of `provider_uptime`: as a list, and as spans of a chart over days."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pandas as pd

from collector.core.outages import Outage, outages
from collector.core.periods import DAY_S, HOUR_S, SECOND_US, day_bounds, day_number
from collector.core.uptime import Uptime
from dashboard import texts
from dashboard.frames.axis import Axis

STEPS_S = {"5m": 300, "1h": HOUR_S}
MOST_LISTED = 50
RULE = "from the first to the last bucket with under 80% ok, none better between them, 10 attempts or more"


class Out(NamedTuple):
    """A provider's outage."""

    provider: str
    its: Outage


def found(rows: Sequence[Any], bucket: str) -> list[Out]:
    """All outages, the newest first."""
    by_provider: dict[str, list[tuple[int, Uptime]]] = {}
    for row in rows:
        by_provider.setdefault(row.group, []).append((row[0], Uptime(row.ok, row.provider_fault)))
    every = [Out(name, its) for name, tried in by_provider.items() for its in outages(tried, STEPS_S[bucket])]
    return sorted(every, key=lambda out: (-out.its.start_s, out.provider))


Hit = Callable[[Out], tuple[int, int]]  # how many calls an outage hit, and how many of them ended ok


def outage_table(outs: Sequence[Out], hit: Hit, zone: str, now_us: int) -> pd.DataFrame:
    """One line per outage; what is still running has no end."""
    return pd.DataFrame([_line(out, *hit(out), zone, now_us) for out in outs[:MOST_LISTED]], columns=_COLUMNS)


_COLUMNS = ("Provider", "Start", "End", "Length", "Attempts ok", "Calls hit", "Calls rescued")


def _line(out: Out, hit: int, rescued: int, zone: str, now_us: int) -> list[Any]:
    start, end = (texts.instant_text(at * SECOND_US, zone) for at in (out.its.start_s, out.its.end_s))
    is_running = out.its.end_s * SECOND_US >= now_us
    return [
        out.provider or "no provider",
        start,
        "still out" if is_running else end,
        length(out.its.seconds),
        f"{out.its.ok:,} of {out.its.ok + out.its.fault:,}",
        f"{hit:,}" if hit else "not kept",
        f"{rescued:,}" if hit else "not kept",
    ]


def length(seconds: int) -> str:
    """A length of time in the two largest units: "2 h 5 min", "3 d 4 h"."""
    minutes, hours, days = seconds // 60, seconds // HOUR_S, seconds // DAY_S
    pair = [(days, "d"), (hours % 24, "h")] if days else [(hours, "h"), (minutes % 60, "min")]
    return " ".join(f"{number} {unit}" for number, unit in pair if number) or "0 min"


def says(outs: Sequence[Out], bucket: str) -> str:
    """The sentence above the list, with the rule."""
    size = {"5m": "five minutes", "1h": "an hour"}[bucket]
    if not outs:
        return f"None; an outage lasts {RULE}, in buckets of {size}"
    whole = length(sum(out.its.seconds for out in outs))
    return f"{texts.count(len(outs), 'outage')}, {whole} in all; each lasts {RULE}, in buckets of {size}"


class Span(NamedTuple):
    """An outage on an axis of days: where it begins and ends, in days from the first one, and its words."""

    start: float
    end: float
    label: str  # the day in which it begins
    text: str


def shades(those: Sequence[Span]) -> list[tuple[float, float]]:
    """Where on the axis any of some spans lasts, as (start, end) that do not overlap, oldest first."""
    found: list[tuple[float, float]] = []
    for start, end in sorted((span.start, span.end) for span in those):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def spans(outs: Sequence[Out], axis: Axis, zone: str) -> list[Span]:
    """The outages that begin on a day of the axis, oldest first."""
    places = {day: n for n, day in enumerate(axis.keys)}
    found = []
    for out in sorted(outs, key=lambda out: out.its.start_s):
        day = day_number(out.its.start_s * SECOND_US, zone)
        if day in places:
            start_us, end_us = day_bounds(day, zone)
            start = places[day] + (out.its.start_s * SECOND_US - start_us) / (end_us - start_us)
            text = f"{out.provider or 'no provider'} was out for {length(out.its.seconds)}"
            end = start + out.its.seconds * SECOND_US / (end_us - start_us)
            found.append(Span(start - 0.5, min(end, len(places)) - 0.5, axis.labels[places[day]], text))
    return found
