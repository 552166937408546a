"""How the endpoints have fared: counts and times of the last five minutes, in slots of five seconds."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from collector.core import histograms
from collector.core.histograms import Histogram
from collector.core.latency import SHARES
from collector.core.outcomes import Outcome
from collector.core.periods import SECOND_US
from collector.intake.gateway.health import NOTHING_KNOWN, RECENT_S, WINDOW_S, Health, state_of

SLOT_S = 5
MAX_ENDPOINTS = 10_000  # models of a provider that takes any are named from outside
_SLOTS, _RECENT_SLOTS = WINDOW_S // SLOT_S, RECENT_S // SLOT_S
_SCALE = histograms.THROUGHPUT_SCALE
_FAULTS = frozenset({Outcome.PROVIDER_FAULT, Outcome.RATE_LIMITED})


class Ended(msgspec.Struct, frozen=True):
    """One attempt that is over. `latency_ms` to the first token of a stream, or to the end of a plain answer."""

    endpoint: str
    outcome: Outcome
    at_us: int
    latency_ms: int | None = None
    streamed: bool = False
    generation_ms: int | None = None
    tokens_out: int = 0
    wait_until_us: int = 0
    is_callers_key: bool = False


class Slot(msgspec.Struct):
    """The counts of one endpoint in one slot."""

    ok: int = 0
    faults: int = 0
    first_token: Histogram = {}
    whole: Histogram = {}
    throughput: Histogram = {}

    def add(self, ended: Ended) -> None:
        if ended.outcome in _FAULTS:
            self.faults += 1
            return
        self.ok += 1
        if ended.latency_ms is not None:
            _count(self.first_token if ended.streamed else self.whole, ended.latency_ms)
        speed = histograms.throughput(ended.tokens_out, ended.generation_ms or 0)
        if speed is not None:
            _count(self.throughput, speed)

    def merge(self, other: "Slot") -> None:
        self.ok += other.ok
        self.faults += other.faults
        for mine, more in zip(self._histograms(), other._histograms(), strict=True):
            for at, count in more.items():
                mine[at] = mine.get(at, 0) + count

    def _histograms(self) -> tuple[Histogram, Histogram, Histogram]:
        return self.first_token, self.whole, self.throughput


Slots = dict[int, Slot]  # number of the slot since 1970 -> its counts
Saved = dict[tuple[str, int], Slot]  # by endpoint and number


class _Known(NamedTuple):
    """A health as worked out in a slot; it `stays` with further successes: there was no fault, and it has no times."""

    slot: int
    with_times: bool
    health: Health
    stays: bool


class Fared:
    """What this process has seen of the endpoints, and what it was told that others saw.

    `unsaved` holds what was added since it was last taken, for whoever shares it.
    """

    def __init__(self) -> None:
        self._slots: dict[str, Slots] = {}
        self._waits: dict[str, int] = {}
        self._known: dict[str, _Known] = {}
        self.unsaved: Saved = {}

    def add(self, ended: Ended) -> None:
        """Count an attempt that says something of its endpoint: success, a fault, a rate limit of our own key."""
        if ended.outcome is Outcome.RATE_LIMITED and ended.is_callers_key:
            return
        if ended.outcome is not Outcome.OK and ended.outcome not in _FAULTS:
            return
        number = ended.at_us // (SLOT_S * SECOND_US)
        self._slot(ended.endpoint, number).add(ended)
        self.unsaved.setdefault((ended.endpoint, number), Slot()).add(ended)
        if ended.wait_until_us and not ended.is_callers_key:
            self._wait(ended.endpoint, ended.wait_until_us)
        known = self._known.get(ended.endpoint)
        if known is not None and not (known.stays and ended.outcome is Outcome.OK):
            del self._known[ended.endpoint]

    def of(self, endpoints: Iterable[str], now_us: int, with_times: bool = False) -> Mapping[str, Health]:
        """The health of those endpoints that anything is known of; percentiles of times only where asked for."""
        number = now_us // (SLOT_S * SECOND_US)
        found = {}
        for endpoint in endpoints:
            if endpoint in self._slots or endpoint in self._waits:
                found[endpoint] = self._health(endpoint, number, with_times)
        return found

    def waits(self, now_us: int) -> dict[str, int]:
        """Until when endpoints ask not to be asked, in microseconds; what is over is forgotten."""
        self._waits = {endpoint: until_us for endpoint, until_us in self._waits.items() if until_us > now_us}
        return dict(self._waits)

    def take(self) -> Saved:
        """What was added since it was last taken."""
        taken, self.unsaved = self.unsaved, {}
        return taken

    def put_back(self, taken: Saved) -> None:
        """What was taken could not be saved: it is taken again the next time."""
        for place, slot in taken.items():
            self.unsaved.setdefault(place, Slot()).merge(slot)

    def learn(self, told: Saved, waits: Mapping[str, int]) -> None:
        """What all workers together have saved of some slots; what this one has added since comes on top."""
        for (endpoint, number), slot in told.items():
            self._slot(endpoint, number)
            self._slots[endpoint][number] = slot
            if own := self.unsaved.get((endpoint, number)):
                slot.merge(own)
        for endpoint, until_us in waits.items():
            self._wait(endpoint, until_us)
        self._known.clear()

    def _wait(self, endpoint: str, until_us: int) -> None:
        known = self._waits.pop(endpoint, 0)
        if len(self._waits) >= MAX_ENDPOINTS:
            self._waits.pop(next(iter(self._waits)))
        self._waits[endpoint] = max(until_us, known)

    def _slot(self, endpoint: str, number: int) -> Slot:
        slots = self._slots.get(endpoint)
        if slots is None:
            if len(self._slots) >= MAX_ENDPOINTS:
                self._slots.pop(next(iter(self._slots)))
            slots = self._slots[endpoint] = {}
        if number not in slots and len(slots) > _SLOTS:
            for old in [n for n in slots if n <= number - _SLOTS]:
                del slots[old]
        return slots.setdefault(number, Slot())

    def _health(self, endpoint: str, number: int, with_times: bool) -> Health:
        known = self._known.get(endpoint)
        if known is not None and known.slot == number and known.with_times >= with_times:
            return known.health
        slots = self._slots.get(endpoint, {})
        current = [(n, slot) for n, slot in slots.items() if number - _SLOTS < n <= number]
        recent = [slot for n, slot in current if n >= number - _RECENT_SLOTS]
        faults = sum(slot.faults for _, slot in current)
        state = state_of(
            sum(slot.ok for _, slot in current),
            faults,
            sum(slot.ok for slot in recent),
            sum(slot.faults for slot in recent),
        )
        times = _times([slot for _, slot in current]) if with_times else (NOTHING_KNOWN, NOTHING_KNOWN)
        health = Health(state, self._waits.get(endpoint, 0), *times)
        self._known[endpoint] = _Known(number, with_times, health, stays=not faults and not with_times)
        return health


def _times(slots: list[Slot]) -> tuple[Mapping[str, float], Mapping[str, float]]:
    """Percentiles of latency in seconds, and of throughput: of that, p90 is what 90% were at least as fast as."""
    total = Slot()
    for slot in slots:
        total.merge(slot)
    latency, speed = total.first_token or total.whole, total.throughput
    return (
        {name: (histograms.quantile(latency, share) or 0) / 1000 for name, share in SHARES.items() if latency},
        {name: (histograms.quantile(speed, 1 - share) or 0) / _SCALE for name, share in SHARES.items() if speed},
    )


def _count(histogram: Histogram, number: int) -> None:
    at = histograms.bucket(number)
    histogram[at] = histogram.get(at, 0) + 1
