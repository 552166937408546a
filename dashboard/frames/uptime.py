"""Uptime of providers and of the router by bucket; figures and words are those of core.uptime."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from collector.core.uptime import MIN_IN_BUCKET, MIN_IN_HEADLINE, Status, Uptime
from dashboard import texts
from dashboard.frames.axis import Axis

MOST_STRIPS = 10


class Tally(NamedTuple):
    """Attempts at a provider: `ok` and `fault` make its uptime, `limited` is shown beside it."""

    ok: int = 0
    fault: int = 0
    limited: int = 0

    @property
    def uptime(self) -> Uptime:
        return Uptime(self.ok, self.fault)

    @property
    def counted(self) -> int:
        return self.ok + self.fault


Tallies = Mapping[str, Mapping[int, Tally]]  # by provider and bucket


def tallies(rows: Sequence[Any]) -> dict[str, dict[int, Tally]]:
    """Attempts by provider and bucket from rows of `provider_uptime`, the provider with most attempts first."""
    found: dict[str, dict[int, Tally]] = {}
    for row in rows:
        found.setdefault(row.group, {})[row[0]] = Tally(row.ok, row.provider_fault, row.rate_limited)
    return dict(sorted(found.items(), key=lambda item: (-whole(item[1]).counted, item[0])))


def whole(buckets: Mapping[int, Tally]) -> Tally:
    """The sum over all buckets."""
    return Tally(*map(sum, zip(*buckets.values(), strict=True))) if buckets else Tally()


def bucket_text(tally: Tally) -> str:
    """A bucket in words: "98.21% of 1,062 attempts ok", "7 of 9 attempts ok" or "no data"."""
    if not tally.counted:
        words = texts.NO_DATA
    elif tally.counted < MIN_IN_BUCKET:
        words = f"{tally.uptime.text()} attempts ok"
    else:
        words = f"{tally.uptime.text()} of {texts.count(tally.counted, 'attempt')} ok"
    return words + (f", {tally.limited:,} rate limited" if tally.limited else "")


def headline(uptime: Uptime) -> str:
    """A figure for a whole window, from 100 attempts on; else "no data"."""
    return uptime.text() if uptime.attempts >= MIN_IN_HEADLINE else texts.NO_DATA


def provider_headline(buckets: Mapping[int, Tally]) -> str:
    """What stands over a provider's strip: its figure with the base, or why there is none."""
    sums = whole(buckets)
    if sums.counted >= MIN_IN_HEADLINE:
        return f"{headline(sums.uptime)} of {texts.count(sums.counted, 'attempt')}"
    return f"{texts.NO_DATA} ({sums.ok} of {sums.counted} ok)" if sums.counted else texts.NO_DATA


def strip(by_provider: Tallies, axis: Axis) -> pd.DataFrame:
    """One row per provider and bucket of the axis, those without data included."""
    rows = [
        (label, provider, tally.uptime.status(), bucket_text(tally))
        for provider, buckets in by_provider.items()
        for key, label in zip(axis.keys, axis.labels, strict=True)
        for tally in [buckets.get(key, Tally())]
    ]
    return pd.DataFrame(rows, columns=["label", "provider", "status", "text"])


def provider_table(by_provider: Tallies) -> pd.DataFrame:
    """The table behind the strips: one line per provider over the whole period."""
    lines = [
        [provider or "no provider", headline(sums.uptime), sums.ok, sums.fault, sums.limited, _limited_share(sums)]
        for provider, buckets in by_provider.items()
        for sums in [whole(buckets)]
    ]
    return pd.DataFrame(lines, columns=_PROVIDER_COLUMNS)


_PROVIDER_COLUMNS = ["Provider", "Uptime", "Attempts ok", "Provider faults", "Rate limited", "Rate-limited share"]


def _limited_share(sums: Tally) -> str:
    return texts.percent(sums.limited, sums.counted + sums.limited)


def providers_say(by_provider: Tallies, axis: Axis) -> str:
    """The sentence above the strips: how many were down, in a bucket that still runs apart, and what the table has."""
    down = [
        {key for key, tally in each.items() if tally.uptime.status() == Status.DOWN} for each in by_provider.values()
    ]
    whole_ones, running = sum(bool(keys - {axis.running}) for keys in down), sum(axis.running in keys for keys in down)
    total = texts.count(len(by_provider), "provider")
    found = ((whole_ones, f"over {axis.span}"), (running, "in the last bucket, so far"))
    words = "; ".join(f"{count} of {total} down {where}" for count, where in found if count)
    words = words or f"No provider was down over {axis.span}"
    hidden = len(by_provider) - MOST_STRIPS
    return f"{words}; {hidden} more are in the table" if hidden > 0 else words


TOO_FEW = f"No bucket has the {MIN_IN_BUCKET} calls that a percentage needs; a longer time has larger buckets."
WITH, WITHOUT = "With routing", "Without routing"


class Routed(NamedTuple):
    """Calls that count for the router: as they ended, and as they would have with the first attempt only."""

    last: Uptime = Uptime(0, 0)
    first: Uptime = Uptime(0, 0)


def routed(rows: Sequence[Any]) -> dict[int, Routed]:
    """The router's calls by bucket, from rows of `router_uptime`."""
    return {
        row[0]: Routed(Uptime(row.last_ok, row.last_failed), Uptime(row.first_ok, row.first_failed)) for row in rows
    }


def routed_whole(by_bucket: Mapping[int, Routed]) -> Routed:
    """The sum over all buckets."""
    last, first = ([getattr(one, side) for one in by_bucket.values()] for side in ("last", "first"))
    return Routed(*(Uptime(sum(u.ok for u in side), sum(u.fault for u in side)) for side in (last, first)))


def sparkline(by_bucket: Mapping[int, Routed], side: str) -> list[float]:
    """The percent of the buckets that enough calls say it of, oldest first, for the small line of a card."""
    found = (_percent(getattr(one, side)) for _, one in sorted(by_bucket.items()))
    return [percent for percent in found if percent is not None]


def points(now: Uptime, before: Uptime) -> str | None:
    """The change between two headline figures in percentage points, "+0.12 pp"; None where one of them has no data."""
    if min(now.attempts, before.attempts) < MIN_IN_HEADLINE:
        return None
    hundredths = now.ok * 10_000 // now.attempts - before.ok * 10_000 // before.attempts
    sign = "-" if hundredths < 0 else "+"
    return f"{sign}{abs(hundredths) // 100}.{abs(hundredths) % 100:02d} pp" if hundredths else "0 pp"


def router_says(by_bucket: Mapping[int, Routed]) -> str:
    """The sentence above the lines: how many calls fallback saved."""
    sums = routed_whole(by_bucket)
    rescued = sums.last.ok - sums.first.ok
    if rescued <= 0:
        return f"No call of {sums.last.attempts:,} was rescued by falling back to another provider"
    return f"Falling back to another provider rescued {texts.count(rescued, 'call')} of {sums.last.attempts:,}"


def router(by_bucket: Mapping[int, Routed], axis: Axis) -> pd.DataFrame:
    """The two lines: label, series, value in percent (None where fewer than 10 calls say it: a gap), text."""
    rows = [
        (label, name, _percent(uptime), uptime.text())
        for key, label in zip(axis.keys, axis.labels, strict=True)
        for name, uptime in zip((WITH, WITHOUT), by_bucket.get(key, Routed()), strict=True)
    ]
    return pd.DataFrame(rows, columns=["label", "series", "value", "text"])


def router_table(by_bucket: Mapping[int, Routed], axis: Axis) -> pd.DataFrame:
    """The table behind the lines: newest first, buckets with calls only."""
    labels = dict(zip(axis.keys, axis.labels, strict=True))
    lines = [
        [labels[key], one.last.text(), one.first.text(), one.last.attempts]
        for key, one in sorted(by_bucket.items(), reverse=True)
        if key in labels
    ]
    return pd.DataFrame(lines, columns=["Time", WITH, WITHOUT, "Calls"])


def _percent(uptime: Uptime) -> float | None:
    return 100 * uptime.ok / uptime.attempts if uptime.attempts >= MIN_IN_BUCKET else None
