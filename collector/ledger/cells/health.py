"""What calls, attempts and probes add to the cells of health: how they ended, and how long they took.

What happens is an event, a number. A place has a list of them; it is counted when it goes into a cell.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from collector.core import histograms
from collector.core.histograms import Histogram
from collector.core.outcomes import OUTCOME_CODES, Outcome
from collector.core.periods import SECOND_US
from collector.ledger.cells.columns import QUARTER_US, Columns, Days
from collector.ledger.rows import Row
from collector.ledger.schema import HEALTH_COUNTS

FIVE_MINUTES, HOURS = 0, 1  # grains of health cells; a larger one is the id of a zone
FIVE_US = 300 * SECOND_US
HOUR_FIVES = 12
TIMED = (Outcome.OK, Outcome.UNKNOWN)  # calls whose times are in the histograms: the others measure no answer

Events = list[int]
Place = tuple[int, Days, int, int]  # bucket of five minutes, the days that hold it, model, provider

_NOTHING = 0
_COUNTED: list[tuple[int, ...]] = [()]  # by event: the counts of HEALTH_COUNTS, by their places, that it adds to


def _event(*counts: str) -> int:
    _COUNTED.append(tuple(HEALTH_COUNTS.index(count) for count in counts))
    return len(_COUNTED) - 1


def _events(*counts: str) -> dict[int, int]:
    """By the code of an outcome the event in which an attempt ends so; of the others nothing is told apart."""
    endings = {Outcome.OK: "ok", Outcome.PROVIDER_FAULT: "fault", Outcome.RATE_LIMITED: "limited"}
    return {
        OUTCOME_CODES[outcome]: _event(*(count.format(outcome=outcome, ending=ending) for count in counts))
        for outcome, ending in endings.items()
    }


_OTHER = _event("other")
_ENDED, _FIRST, _LAST = _events("{outcome}"), _events("first_{ending}"), _events("last_{ending}")
_ALONE = _events("{outcome}", "first_{ending}", "last_{ending}")
_PROBED = {
    OUTCOME_CODES[Outcome.OK]: _event("probe_ok"),
    OUTCOME_CODES[Outcome.PROVIDER_FAULT]: _event("probe_fault"),
}
_BUCKETS = len(histograms.BOUNDS)
_LATENCY, _FIRST_TOKEN, _THROUGHPUT = (len(_COUNTED) + kind * _BUCKETS for kind in range(3))
_TIMED_CODES = frozenset(OUTCOME_CODES[outcome] for outcome in TIMED)


class Health:
    """Counts and histograms of one health cell."""

    __slots__ = ("counts", "histograms")

    def __init__(self) -> None:
        self.counts = [0] * len(HEALTH_COUNTS)
        self.histograms: tuple[Histogram, Histogram, Histogram] = ({}, {}, {})  # in the order of the columns

    def add(self, other: "Health") -> None:
        self.counts = [one + more for one, more in zip(self.counts, other.counts, strict=True)]
        for one, more in zip(self.histograms, other.histograms, strict=True):
            for at, count in more.items():
                one[at] = one.get(at, 0) + count

    def count(self, events: Events, sign: int) -> None:
        """Counts what happened; what is taken out may bring a count to 0."""
        for event, times in Counter(events).items():
            if event >= _LATENCY:
                kind, at = divmod(event - _LATENCY, _BUCKETS)
                histogram = self.histograms[kind]
                histogram[at] = histogram.get(at, 0) + sign * times
            else:
                for place in _COUNTED[event]:
                    self.counts[place] += sign * times


def health_of(row: Any) -> Health:
    """The counts and histograms of a row of health cells."""
    cell, end = Health(), 4 + len(HEALTH_COUNTS)
    cell.counts = list(row[4:end])
    latency, first_token, throughput = map(histograms.from_bytes, row[end:])
    cell.histograms = latency, first_token, throughput
    return cell


class Log:
    """What happened, by place. Before `floor`, a bucket of five minutes, only the hour is told apart."""

    def __init__(self, floor: int, days_of: Mapping[int, Days]) -> None:
        self.events: dict[Place, Events] = defaultdict(list)
        self._floor = floor
        self._days_of = days_of

    def add_calls(self, columns: Columns, tried: Mapping[int, Sequence[Row]]) -> None:
        """Calls; of those in `tried`, by their place, with the rows of their attempts."""
        told, ids = columns.told, columns.ids
        endings = _endings(told, tried)
        floor = self._floor
        fives = [us // FIVE_US for us in told["started_at"]]
        buckets = [five if five >= floor else five - five % HOUR_FIVES for five in fives]
        places = zip(buckets, columns.days, ids["model"], ids["provider"], strict=True)
        log = self.events
        for place, events in zip(places, zip(endings, *_times(told), strict=True), strict=True):
            log[place].extend(events)
        for at, attempts in tried.items():
            self._add_tried(told["started_at"][at], attempts)

    def add_probe(self, row: Row) -> None:
        """A probe, a row of the attempts table."""
        if row[6] in _PROBED:
            self._add(row[5], row, _PROBED[row[6]])

    def _add_tried(self, started_at: int, attempts: Sequence[Row]) -> None:
        """Attempts count when they were made, the first and the last of a call when it began."""
        for attempt in attempts:
            self._add(attempt[5], attempt, _ENDED.get(attempt[6], _OTHER))
        first, last = attempts[0], attempts[-1]
        if last[6] in _LAST:
            self._add(started_at, last, _LAST[last[6]])
            if first[6] in _FIRST:
                self._add(started_at, first, _FIRST[first[6]])

    def _add(self, at_us: int, attempt: Row, event: int) -> None:
        five = at_us // FIVE_US
        bucket = five if five >= self._floor else five - five % HOUR_FIVES
        self.events[bucket, self._days_of[at_us // QUARTER_US], attempt[4], attempt[3]].append(event)


def _endings(told: Mapping[str, Sequence[Any]], tried: Mapping[int, Sequence[Row]]) -> list[int]:
    """How each call ended that had one attempt, of which its own row tells."""
    found = [
        _ALONE.get(outcome, _OTHER) if attempts else _NOTHING
        for outcome, attempts in zip(told["outcome"], told["attempts"], strict=True)
    ]
    for at in tried:
        found[at] = _NOTHING
    return found


def _times(told: Mapping[str, Sequence[Any]]) -> tuple[list[int], list[int], list[int]]:
    """The events of latency, first token and throughput of each call."""
    is_timed = [outcome in _TIMED_CODES for outcome in told["outcome"]]
    latencies, firsts = (
        [ms if timed else None for ms, timed in zip(told[name], is_timed, strict=True)]
        for name in ("latency_ms", "first_token_ms")
    )
    speeds = [
        histograms.throughput((output or 0) + (reasoning or 0), ms) if ms else None
        for output, reasoning, ms in zip(told["output_tokens"], told["reasoning_tokens"], latencies, strict=True)
    ]
    return _bucketed(latencies, _LATENCY), _bucketed(firsts, _FIRST_TOKEN), _bucketed(speeds, _THROUGHPUT)


def _bucketed(numbers: Sequence[int | None], kind: int) -> list[int]:
    return [_NOTHING if n is None else kind + at for n, at in zip(numbers, histograms.buckets(numbers), strict=True)]
