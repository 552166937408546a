"""All providers: how they do now, how often they are too busy, how they fail, and a month of each."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import pandas as pd

from collector.core.latency import Latency
from collector.core.uptime import MIN_IN_BUCKET, Status
from dashboard import texts
from dashboard.frames.axis import Axis
from dashboard.frames.calls import NOT_STATED, outcome_name
from dashboard.frames.model import SIGNS, WINDOWS_S, Standing, milliseconds, per_second
from dashboard.frames.outages import Out, length
from dashboard.frames.series import COLUMNS
from dashboard.frames.uptime import Tallies, Tally, headline, whole

BOARD_COLUMNS = (
    "Provider",
    "Status",
    "Uptime 5m",
    "Uptime 30m",
    "Uptime 1d",
    "Attempts 1d",
    "Rate limited 1d",
    "Latency p50",
    "First token p50",
    "Throughput p50",
)


def board(standing: Mapping[str, Standing]) -> pd.DataFrame:
    """One line per provider, the worst first."""
    ranked = sorted(standing.items(), key=lambda item: (_RANK[item[1].status], item[0]))
    return pd.DataFrame([_board_line(name, its) for name, its in ranked], columns=BOARD_COLUMNS)


_RANK = {state: n for n, state in enumerate((Status.DOWN, Status.DEGRADED, Status.NORMAL, Status.FEW, Status.NO_DATA))}


def _board_line(name: str, its: Standing) -> list[str]:
    day = its.tallies["1d"]
    return [
        name or "no provider",
        SIGNS[its.status],
        *(its.tallies[window].uptime.text() for window in WINDOWS_S),
        f"{day.counted + day.limited:,}",
        _limited_text(day),
        milliseconds(its.speed.latency_ms.percentiles.get("p50")),
        milliseconds(its.speed.first_token_ms.percentiles.get("p50")),
        per_second(its.speed.throughput.percentiles.get("p50")),
    ]


def board_says(standing: Mapping[str, Standing]) -> str:
    """How many are in which state, by the shortest window of 5 minutes, 30 minutes and a day that tells."""
    states = [its.status for its in standing.values()]
    counted = {state: states.count(state) for state in _RANK}
    words = ", ".join(f"{number} {SIGNS[state].split(' ', 1)[1]}" for state, number in counted.items() if number)
    return f"{words}, by the shortest of 5 minutes, 30 minutes and a day with 10 attempts or more"


def _limited_text(tally: Tally) -> str:
    return texts.percent(tally.limited, tally.counted + tally.limited)


def limited(by_provider: Tallies, axis: Axis, names: Sequence[str]) -> pd.DataFrame:
    """The rate-limited share per bucket and provider in percent; a bucket with few attempts is a gap."""
    rows = []
    for name in names:
        for key, label in zip(axis.keys, axis.labels, strict=True):
            its = by_provider[name].get(key, Tally())
            tried = its.counted + its.limited
            value = 100 * its.limited / tried if tried >= MIN_IN_BUCKET else None
            rows.append((label, name, value, f"{_limited_text(its)}, {its.limited:,} of {tried:,}"))
    return pd.DataFrame(rows, columns=COLUMNS)


def limited_says(by_provider: Tallies) -> str:
    """The sentence above the lines."""
    sums = [whole(buckets) for buckets in by_provider.values()]
    some, tried = sum(t.limited for t in sums), sum(t.counted + t.limited for t in sums)
    return f"{some:,} of {texts.count(tried, 'attempt')} were answered with 429, {texts.percent(some, tried)}"


def limited_table(by_provider: Tallies, axis: Axis) -> pd.DataFrame:
    """The table behind the lines: newest first, buckets with attempts only."""
    labels = dict(zip(axis.keys, axis.labels, strict=True))
    lines = [
        (key, [labels[key], name or "no provider", its.limited, its.counted + its.limited, _limited_text(its)])
        for name, buckets in by_provider.items()
        for key, its in buckets.items()
        if key in labels and its.counted + its.limited
    ]
    lines.sort(key=lambda line: -line[0])
    return pd.DataFrame([line for _, line in lines], columns=["Time", "Provider", "Rate limited", "Attempts", "Share"])


def probes(rows: Sequence[Any]) -> dict[str, dict[int, Tally]]:
    """The probes by provider and bucket, from rows of `provider_uptime`; those that were probed only."""
    found: dict[str, dict[int, Tally]] = {}
    for row in rows:
        if row.probe_ok or row.probe_fault:
            found.setdefault(row.group, {})[row[0]] = Tally(row.probe_ok, row.probe_fault)
    return dict(sorted(found.items()))


def probe_table(by_provider: Tallies) -> pd.DataFrame:
    """The table behind the strips of probes."""
    lines = [
        [name, its.uptime.text(), its.ok, its.fault]
        for name, buckets in by_provider.items()
        for its in [whole(buckets)]
    ]
    return pd.DataFrame(lines, columns=["Provider", "Probes ok", "Ok", "Failed"])


ERROR_COLUMNS = ("Provider", "Outcome", "HTTP status", "Error type", "Attempts", "Share", "Last")


def error_table(rows: Sequence[Any], zone: str) -> pd.DataFrame:
    """How attempts failed, from rows of `error_types`, in their order; the share is of all failed ones."""
    total = sum(row.attempts for row in rows)
    lines = [
        [
            row.provider or "no provider",
            outcome_name(row.outcome),
            NOT_STATED if row.http_status is None else str(row.http_status),
            row.error_type or NOT_STATED,
            f"{row.attempts:,}",
            texts.percent(row.attempts, total),
            texts.instant_text(row.last_at, zone),
        ]
        for row in rows
    ]
    return pd.DataFrame(lines, columns=ERROR_COLUMNS)


SLA_COLUMNS = (
    "Provider",
    "Uptime",
    "Attempts",
    "Faults",
    "Rate limited",
    "Rate-limited share",
    "Outages",
    "Out for",
    "Longest",
    "Latency p50",
    "Latency p99",
)


def sla_table(by_provider: Tallies, outs: Sequence[Out], speeds: Mapping[str, Latency]) -> pd.DataFrame:
    """A month of each provider, the one with most attempts first."""
    lines = []
    for name, buckets in by_provider.items():
        its, its_outs = whole(buckets), [out.its.seconds for out in outs if out.provider == name]
        latency = speeds[name].latency_ms.percentiles if name in speeds else {}
        lines.append(
            [
                name or "no provider",
                headline(its.uptime),
                its.counted,
                its.fault,
                its.limited,
                _limited_text(its),
                len(its_outs),
                length(sum(its_outs)) if its_outs else "–",
                length(max(its_outs)) if its_outs else "–",
                milliseconds(latency.get("p50")),
                milliseconds(latency.get("p99")),
            ]
        )
    return pd.DataFrame(lines, columns=SLA_COLUMNS)


def months(today: date, count: int = 13) -> list[str]:
    """The running month and those before it, as 2026-10, the newest first."""
    at = today.year * 12 + today.month - 1
    return [f"{month // 12}-{month % 12 + 1:02d}" for month in range(at, at - count, -1)]
