"""Histograms that can be added and subtracted: counts of whole numbers in buckets that grow by 5%.

Small numbers have a bucket of their own, so that they are exact; any other quantile is at most 2.5% off. The bounds
are made by whole-number arithmetic: the same number is in the same bucket on every machine.

A histogram is a plain dict, bucket -> count > 0. As bytes it is a msgpack map in ascending order of buckets; equal
histograms are equal bytes, and an empty one is None.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping

import msgspec

Histogram = dict[int, int]

THROUGHPUT_SCALE = 1000  # histograms of throughput count thousandths of a token per second
_LARGEST = 10**12  # what is larger is counted as this


def _bounds() -> list[int]:
    bounds = [0, 1]
    while bounds[-1] <= _LARGEST:
        bounds.append(max(bounds[-1] + 1, bounds[-1] * 105 // 100))
    return bounds


BOUNDS = _bounds()  # bucket n holds BOUNDS[n] <= number < BOUNDS[n + 1]
_LAST = len(BOUNDS) - 1
_decoder = msgspec.msgpack.Decoder(Histogram)
_encode = msgspec.msgpack.Encoder().encode


def bucket(number: int) -> int:
    """The bucket of a whole number >= 0."""
    return bisect_right(BOUNDS, number, 0, _LAST) - 1


def buckets(numbers: Iterable[int | None]) -> list[int]:
    """The bucket of each of many whole numbers >= 0; -1 where there is none."""
    return [-1 if number is None else bisect_right(BOUNDS, number, 0, _LAST) - 1 for number in numbers]


def count_one(histogram: Histogram, number: int, times: int = 1) -> None:
    """Counts a whole number >= 0 into a histogram; below 0 `times` take it out, and a bucket may come to 0."""
    at = bucket(number)
    histogram[at] = histogram.get(at, 0) + times


def throughput(tokens: int, latency_ms: int) -> int | None:
    """Thousandths of a token per second; None for a generation that took no time or made nothing."""
    return tokens * 1000 * THROUGHPUT_SCALE // latency_ms if tokens > 0 and latency_ms > 0 else None


def of(numbers: Iterable[int]) -> Histogram:
    """The histogram of whole numbers >= 0."""
    histogram: Histogram = {}
    for number in numbers:
        count_one(histogram, number)
    return histogram


def merged(one: Mapping[int, int], other: Mapping[int, int]) -> Histogram:
    """Both together. Counts may be negative on the way: a bucket that comes to 0 is gone."""
    total = dict(one)
    for at, count in other.items():
        total[at] = total.get(at, 0) + count
    return {at: count for at, count in total.items() if count}


def subtracted(one: Mapping[int, int], other: Mapping[int, int]) -> Histogram:
    """What is left of one when the other is taken out."""
    return merged(one, {at: -count for at, count in other.items()})


def to_bytes(histogram: Mapping[int, int]) -> bytes | None:
    """The compact form, without buckets that came to 0; None when nothing was counted."""
    counted = {at: count for at, count in sorted(histogram.items()) if count}
    return _encode(counted) if counted else None


def from_bytes(data: bytes | None) -> Histogram:
    """The histogram of its compact form."""
    return _decoder.decode(data) if data else {}


def count(histogram: Mapping[int, int]) -> int:
    """How many numbers were counted."""
    return sum(histogram.values())


def quantile(histogram: Mapping[int, int], share: float) -> float | None:
    """The number below or at which `share` (0 to 1) of the counted ones are, at most 2.5% off; None without any."""
    rank = share * (count(histogram) - 1)
    seen = 0
    for at in sorted(histogram):
        seen += histogram[at]
        if seen > rank:
            return middle(at)
    return None


def middle(at: int) -> float:
    """What a number in a bucket is taken for: the one whose relative distance to both its ends is the same."""
    low, high = BOUNDS[at], BOUNDS[at + 1] - 1
    return 2 * low * high / (low + high) if low < high else float(low)
