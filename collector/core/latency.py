"""Percentiles of latency, first token and throughput, from histograms that are added up, never from averages."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from collector.core import histograms
from collector.core.histograms import Histogram

SHARES = {"p50": 0.5, "p75": 0.75, "p90": 0.9, "p99": 0.99}


class Figures(msgspec.Struct, frozen=True):
    """How many were measured, and percentiles by the names of SHARES; none where nothing was."""

    count: int
    percentiles: Mapping[str, float]


class Latency(msgspec.Struct, frozen=True):
    """Whole calls and first tokens in milliseconds, throughput in tokens per second."""

    latency_ms: Figures
    first_token_ms: Figures
    throughput: Figures


def of_cells(cells: Iterable[Any]) -> Latency:
    """The figures of some cells together: latency, first_token, throughput are compact histograms or None; they count
    `times`, where -1 takes them out of the others."""
    sums: list[Histogram] = [{}, {}, {}]
    for cell in cells:
        for total, data in zip(sums, (cell.latency, cell.first_token, cell.throughput), strict=True):
            _add(total, histograms.from_bytes(data), cell.times)
    return _latency(sums)


def of_calls(calls: Iterable[Any]) -> Latency:
    """The figures of single calls: latency_ms, first_token_ms (streams only) and tokens_out, each may be None."""
    sums: list[Histogram] = [{}, {}, {}]
    for call in calls:
        speed = None if call.latency_ms is None else histograms.throughput(call.tokens_out or 0, call.latency_ms)
        for total, number in zip(sums, (call.latency_ms, call.first_token_ms, speed), strict=True):
            if number is not None:
                histograms.count_one(total, number)
    return _latency(sums)


def _latency(sums: list[Histogram]) -> Latency:
    latency, first_token, throughput = sums
    return Latency(_figures(latency), _figures(first_token), _figures(throughput, histograms.THROUGHPUT_SCALE))


def _figures(histogram: Histogram, scale: int = 1) -> Figures:
    found = {name: histograms.quantile(histogram, share) for name, share in SHARES.items()}
    stated = {name: number / scale for name, number in found.items() if number is not None}
    return Figures(histograms.count(histogram), stated)


def _add(total: Histogram, more: Mapping[int, int], times: int) -> None:
    for at, count in more.items():
        total[at] = total.get(at, 0) + count * times
