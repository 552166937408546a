"""Entries that contradict each other: overlaps, gaps, prices that are absurd beside their neighbours."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import combinations, pairwise
from typing import NamedTuple

from collector.core.meters import METERS
from collector.core.money import format_usd
from collector.core.prices.entries import WEEKDAYS
from collector.core.prices.names import Names
from collector.core.prices.sets import PriceSet

ABSURD = 1_000  # times dearer or cheaper than a neighbour
_EVER = 2**63
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_MINUTES = 24 * 60
_WEEK_MINUTES = 7 * _DAY_MINUTES


class _Sold(NamedTuple):
    """What sets must share to compete for the same calls, but for size, hours and dates."""

    model: str
    provider: str | None
    key: str | None
    tier: str | None


def problems(sets: Sequence[PriceSet], names: Names, others: Iterable[PriceSet] = ()) -> list[str]:
    """What is wrong with the entries of one source, one sentence each, naming both entries.

    `others` are entries of other sources, beside which a price is absurd or not; they are not themselves checked.
    """
    sold: dict[_Sold, list[PriceSet]] = defaultdict(list)
    for s in sets:
        sold[_Sold(names.model(s.model), s.provider and s.provider.lower(), s.key, s.tier)].append(s)
    found = [problem for group in sold.values() for problem in _contradictions(group)]
    return [*found, *_absurd(sets, names, others)]


def describe(s: PriceSet) -> str:
    """A set by its conditions: `gpt-x at azure, tier batch, above 200,000 tokens, from 2026-10-01 (prices.toml)`."""
    conditions = [
        f"tier {s.tier}" if s.tier else "",
        f"key {s.key}" if s.key else "",
        f"above {s.above_tokens:,} tokens" if s.above_tokens else "",
        time_text(s),
        f"from {day_text(s.starts)}" if s.starts is not None else "",
        f"until {day_text(s.until)}" if s.until is not None else "",
    ]
    named = f"{s.model} at {s.provider}" if s.provider else s.model
    return f"{', '.join([named, *filter(None, conditions)])} ({s.source})"


def conditions(s: PriceSet) -> str:
    """When a set holds: tier, key, size, hours, dates."""
    parts = [
        f"tier {s.tier}" if s.tier else "standard tier",
        f"key {s.key}" if s.key else "",
        f"above {s.above_tokens:,} input tokens" if s.above_tokens else "",
        time_text(s),
        f"from {day_text(s.starts)}" if s.starts is not None else "",
        f"until {day_text(s.until)}" if s.until is not None else "",
    ]
    return ", ".join(filter(None, parts))


def time_text(s: PriceSet) -> str:
    """The days and windows of a set: `00:30-16:30 UTC on mon, tue`; empty: at any time."""
    hours = ", ".join(f"{a // 60:02}:{a % 60:02}-{b // 60:02}:{b % 60:02}" for a, b in s.hours)
    days = f"on {', '.join(WEEKDAYS[day] for day in s.days)}" if s.days else ""
    return " ".join(filter(None, (hours and f"{hours} UTC", days)))


def day_text(us: int | None) -> str:
    """The date of an instant, with the time where it is not midnight UTC."""
    moment = _EPOCH + timedelta(microseconds=us or 0)
    return moment.date().isoformat() if moment.time() == _EPOCH.time() else moment.isoformat().replace("+00:00", "Z")


def _contradictions(group: list[PriceSet]) -> Iterable[str]:
    tracks: dict[tuple[object, ...], list[PriceSet]] = defaultdict(list)
    for s in group:
        tracks[s.above_tokens, s.hours, s.days].append(s)
    for track in tracks.values():
        yield from _dates(sorted(track, key=_start))
    for a, b in combinations(filter(_is_timed, group), 2):
        is_other_time = a.above_tokens == b.above_tokens and (a.hours, a.days) != (b.hours, b.days)
        if is_other_time and _in_dates(a, b) and _meet(a, b):
            yield f"two prices hold in the same hours: {describe(a)} and {describe(b)}"
    yield from _uncovered(group)


def _dates(track: list[PriceSet]) -> Iterable[str]:
    """An entry without an end holds until the next one starts."""
    for a, b in pairwise(track):
        if _start(a) >= _start(b) or (a.until is not None and a.until > _start(b)):
            yield f"two prices hold at the same time: {describe(a)} and {describe(b)}"
        elif a.until is not None and a.until < _start(b):
            gap = f"{day_text(a.until)} to {day_text(b.starts)}"
            yield f"no price holds from {gap}, between {describe(a)} and {describe(b)}"
    for s in track:
        if s.until is not None and s.until <= _start(s):
            yield f"{describe(s)} ends before it starts"


def _uncovered(group: list[PriceSet]) -> Iterable[str]:
    bases = [b for b in group if b.above_tokens == 0]
    for s in group:
        if s.above_tokens and not any(_in_dates(s, b) for b in bases):
            yield f"no price holds up to {s.above_tokens:,} tokens beside {describe(s)}: add one without above_tokens"
    for s in filter(_is_timed, group):
        beside = [b for b in group if b.above_tokens == s.above_tokens and _in_dates(s, b)]
        if all(map(_is_timed, beside)) and len(set().union(*map(_covered, beside))) < _WEEK_MINUTES:
            yield f"no price holds in the other hours beside {describe(s)}: add one without hours and days"


class _Neighbours:
    """The prices of one model so far: all sets, and per meter the lowest and the highest price above 0."""

    def __init__(self) -> None:
        self._sets: list[PriceSet] = []
        self._range: dict[str, tuple[int, int]] = {}

    def add(self, s: PriceSet) -> None:
        self._sets.append(s)
        for meter, price in s.prices.items():
            if price:
                low, high = self._range.get(meter, (price, price))
                self._range[meter] = min(low, price), max(high, price)

    def far_from(self, meter: str, price: int) -> PriceSet | None:
        """The first set whose price of a meter is absurd beside this one."""
        if not any(_far(price, edge) for edge in self._range.get(meter, ())):
            return None
        return next(s for s in self._sets if _far(price, s.prices.get(meter, 0)))


def _absurd(sets: Sequence[PriceSet], names: Names, others: Iterable[PriceSet]) -> Iterable[str]:
    by_model: dict[str, _Neighbours] = defaultdict(_Neighbours)
    for s in others:
        by_model[names.model(s.model)].add(s)
    for s in sets:
        yield from _absurd_inside(s)
        yield from _absurd_beside(s, by_model[names.model(s.model)])
        by_model[names.model(s.model)].add(s)


def _absurd_beside(s: PriceSet, neighbours: _Neighbours) -> Iterable[str]:
    for meter, price in s.prices.items():
        if neighbour := neighbours.far_from(meter, price):
            prices = f"{format_usd(price)} and {format_usd(neighbour.prices[meter])} USD per {METERS[meter].unit}"
            yield f"{meter} differs by {ABSURD:,} times or more: {prices}: {describe(s)} and {describe(neighbour)}"


def _absurd_inside(s: PriceSet) -> Iterable[str]:
    fresh = s.prices.get("input", 0)
    for meter, price in s.prices.items():
        if METERS[meter].unit == "token" and _far(price, fresh):
            prices = f"{format_usd(price)} and {format_usd(fresh)} USD per token"
            yield f"{meter} and input differ by {ABSURD:,} times or more: {prices}: {describe(s)}"


def _far(a: int, b: int) -> bool:
    return a > 0 and b > 0 and (a >= ABSURD * b or b >= ABSURD * a)


def _start(s: PriceSet) -> int:
    return -_EVER if s.starts is None else s.starts


def _end(s: PriceSet) -> int:
    return _EVER if s.until is None else s.until


def _in_dates(a: PriceSet, b: PriceSet) -> bool:
    return _start(a) < _end(b) and _start(b) < _end(a)


def _meet(a: PriceSet, b: PriceSet) -> bool:
    """True when windows of both share a minute; all day beside stated hours is the rest of the day."""
    return _is_timed(a) and _is_timed(b) and not _covered(a).isdisjoint(_covered(b))


def _covered(s: PriceSet) -> set[int]:
    """The minutes of the week that a set holds in; a window over midnight belongs to the day of each instant."""
    windows = s.hours or ((0, _DAY_MINUTES),)
    minutes = {m % _DAY_MINUTES for a, b in windows for m in range(a, b if b > a else b + _DAY_MINUTES)}
    return {day * _DAY_MINUTES + minute for day in s.days or range(7) for minute in minutes}


def _is_timed(s: PriceSet) -> bool:
    return bool(s.hours or s.days)
