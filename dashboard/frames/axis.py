"""The time axis that all charts of a page share: one label per bucket, each of them unique."""

from collections.abc import Sequence
from typing import NamedTuple

from collector.core.periods import DAY_S, HOUR_S, SECOND_US, Period, day_bounds, day_number, days
from dashboard import texts

MOST_TICKS = 6


class Axis(NamedTuple):
    """Buckets in order; `keys` are day numbers or seconds since 1970."""

    keys: tuple[int, ...]
    labels: tuple[str, ...]
    ticks: tuple[tuple[str, str], ...]  # (label, short text), few enough for a phone
    partial: str | None  # the label of the bucket that is still running
    span: str  # a bucket's length, in words

    def label(self, key: int) -> str:
        """The label of a bucket."""
        return self.labels[self.keys.index(key)]

    @property
    def running(self) -> int | None:
        """The bucket that is still running."""
        return self.keys[self.labels.index(self.partial)] if self.partial else None


def day_axis(period: Period, now_us: int, last: int = 0) -> Axis:
    """One bucket per calendar day of a period; days after today and after the `last` with data are left out."""
    today = day_number(now_us, period.zone)
    shown = [day for day in days(period) if day <= max(today, last)]
    labels = [texts.day_text(day) + (" (so far)" if day == today else "") for day in shown]
    if labels and day_bounds(shown[0], period.zone)[0] < period.start_us:
        labels[0] += f" (from {texts.clock(period.start_us, period.zone)})"
    shorts = [texts.short_day(day) for day in shown]
    partial = _partial(labels, shown, today)
    return Axis(tuple(shown), tuple(labels), _ticks(labels, shorts, partial), partial, "a whole day")


def time_axis(period: Period, step_s: int, span: str, now_us: int) -> Axis:
    """One bucket per `step_s` seconds of a period; the one that holds `now_us` is partial, later ones are left out."""
    first, end = period.start_us // SECOND_US // step_s, -(-min(period.end_us, now_us + 1) // SECOND_US // step_s)
    starts = [bucket * step_s for bucket in range(first, end)]
    running = now_us // SECOND_US // step_s * step_s
    labels = [
        texts.instant_text(start * SECOND_US, period.zone) + (" (so far)" if start == running else "")
        for start in starts
    ]
    is_long = len(starts) * step_s > DAY_S + HOUR_S
    shorts = [texts.clock(start * SECOND_US, period.zone, is_long) for start in starts]
    partial = _partial(labels, starts, running)
    return Axis(tuple(starts), tuple(labels), _ticks(labels, shorts, partial), partial, span)


STEPS = {"10m": (600, "ten minutes"), "1h": (HOUR_S, "an hour")}


def uptime_axis(period: Period, bucket: str, now_us: int) -> Axis:
    """The axis for one of the buckets of the uptime questions: 10m, 1h or day."""
    return time_axis(period, *STEPS[bucket], now_us=now_us) if bucket in STEPS else day_axis(period, now_us)


def _partial(labels: Sequence[str], keys: Sequence[int], running: int) -> str | None:
    return labels[keys.index(running)] if running in keys else None


def _ticks(labels: Sequence[str], shorts: Sequence[str], partial: str | None) -> tuple[tuple[str, str], ...]:
    """At most MOST_TICKS, evenly apart, the last bucket among them; the one that is running says so."""
    step = -(-len(labels) // MOST_TICKS) or 1
    chosen = sorted(range(len(labels) - 1, -1, -step))
    return tuple((labels[n], shorts[n] + ("<br>so far" if labels[n] == partial else "")) for n in chosen)
