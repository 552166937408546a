"""GET metrics, for Prometheus: out of the ledger and the journal, so that every worker tells the same.

Labels are bounded: names from outside beyond the largest of them are told together, as `other`.
"""

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from collector import __version__
from collector.core import histograms
from collector.core.errors import LedgerError, StateError
from collector.core.histograms import Histogram
from collector.core.money import PICODOLLARS
from collector.core.outcomes import OUTCOME_CODES
from collector.intake.gateway.pages.served import Asked, Reply, Sources
from collector.ledger.journal.space import directory_bytes
from collector.ledger.questions.about import ledger_bytes
from collector.ledger.questions.ask import rows
from collector.ledger.questions.books import Account, account
from collector.ledger.questions.totals import attempts_by_provider, calls_by_outcome, times_by_provider

MAX_NAMES = 50
OTHER = "other"
KEPT_S = 5.0  # sums of the whole ledger are not made anew for every reader
BOUNDS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_ACCOUNT = {
    "accepted": "Calls that were taken on: stored + merged + open + waiting + rejected.",
    "stored": "Calls that are in the ledger.",
    "merged": "Records that told of a call which another record had told of.",
    "rejected": "Records that could not be read or stored.",
    "uncounted": "Calls let pass while the journal had no room; in no other count.",
}
_NOW = {"open": "Calls that run.", "waiting": "Calls that are in the journal and not in the ledger yet."}
_ATTEMPTS = ("ok", "provider_fault", "rate_limited", "other")
_PROBES = {"probe_ok": "ok", "probe_fault": "provider_fault"}
_making = threading.Lock()


def page(sources: Sources, asked: Asked) -> Reply:
    """The text of all metrics, made at most once in KEPT_S."""
    with _making:
        made_at, text = sources.metrics
        if not text or time.monotonic() - made_at > KEPT_S:
            registry = CollectorRegistry()
            registry.register(_Ledger(sources))
            text = generate_latest(registry)
            sources.metrics = time.monotonic(), text
    return Reply(text, CONTENT_TYPE_LATEST)


class _Ledger(Collector):
    """What is told, worked out when it is asked for."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def collect(self) -> Iterator[Metric]:
        sources, engine = self._sources, None
        yield _gauge("callmeter_info", "The version that runs.", {(__version__,): 1}, ("version",))
        with contextlib.suppress(LedgerError):
            engine = sources.engine
        yield from accounts(account(engine, sources.settings.journal_dir, sources.tails))
        with contextlib.suppress(StateError):
            yield refusals(sources.counters())
        if engine is not None:
            yield from calls(rows(engine, calls_by_outcome()))
            yield attempts(rows(engine, attempts_by_provider()))
            yield from times(rows(engine, times_by_provider()))
        folder = sources.settings.journal_dir
        yield from sizes(directory_bytes(folder) if folder.is_dir() else 0, ledger_bytes(engine) if engine else None)


def accounts(books: Iterable[Account]) -> Iterator[Metric]:
    """What became of every call, by source."""
    told = list(books)
    for name, what in _ACCOUNT.items():
        yield _counter(
            f"callmeter_calls_{name}", what, bounded((each.source, getattr(each, name)) for each in told), "source"
        )
    for name, what in _NOW.items():
        found = bounded((each.source, getattr(each, name)) for each in told)
        yield _gauge(f"callmeter_calls_{name}", what, {(source,): n for source, n in found.items()}, ("source",))


def refusals(counted: Mapping[str, int]) -> Metric:
    """Requests that were turned away without being a call, by reason."""
    return _counter(
        "callmeter_refusals", "Requests turned away without being a call.", bounded(counted.items()), "reason"
    )


def calls(sums: Iterable[Any]) -> Iterator[Metric]:
    """Calls by outcome, and spend."""
    told = list(sums)
    by_code: Counter[int] = Counter()
    for row in told:
        by_code[row.outcome] += row.calls
    found = {str(outcome): by_code[code] for outcome, code in OUTCOME_CODES.items()}
    yield _counter("callmeter_calls", "Calls in the ledger, by outcome.", found, "outcome")
    spend = CounterMetricFamily("callmeter_spend_usd", "Sum of cost of all priced calls.")
    spend.add_metric((), sum(row.cost for row in told) / PICODOLLARS)
    yield spend


def attempts(sums: Iterable[Any]) -> Metric:
    """Attempts by provider and outcome; probes apart."""
    metric = CounterMetricFamily(
        "callmeter_attempts", "Attempts at providers, by outcome.", labels=("provider", "outcome", "probe")
    )
    told = list(sums)
    for probe, columns in (("0", dict.fromkeys(_ATTEMPTS)), ("1", _PROBES)):
        for column, outcome in columns.items():
            for provider, count in bounded((row.provider, getattr(row, column)) for row in told).items():
                metric.add_metric((provider, outcome or column, probe), count)
    return metric


def times(cells: Iterable[Any]) -> Iterator[Metric]:
    """Latency of whole calls and of first tokens, by provider, as histograms in seconds."""
    told = list(cells)
    most = bounded((row.provider, 1) for row in told)
    for column, what in (("latency", "Whole calls."), ("first_token", "First tokens of streams.")):
        sums: dict[str, Histogram] = {}
        for row in told:
            name = row.provider if row.provider in most else OTHER
            sums[name] = histograms.merged(sums.get(name, {}), histograms.from_bytes(getattr(row, column)))
        metric = HistogramMetricFamily(
            f"callmeter_{column}_seconds", f"{what} Sums are at most 2.5% off.", labels=("provider",)
        )
        for provider, histogram in sorted(sums.items()):
            metric.add_metric((provider,), *cumulative(histogram))
        yield metric


def cumulative(histogram: Mapping[int, int]) -> tuple[list[tuple[str, float]], float]:
    """Prometheus' buckets of a histogram of milliseconds, and the sum in seconds."""
    middles = {at: histograms.middle(at) / 1000 for at in histogram}
    counted = [(str(bound), sum(n for at, n in histogram.items() if middles[at] <= bound)) for bound in BOUNDS_S]
    total = sum(seconds * histogram[at] for at, seconds in middles.items())
    return [*counted, ("+Inf", histograms.count(histogram))], total


def sizes(journal_bytes: int, ledger: int | None) -> Iterator[Metric]:
    """What is on the disk."""
    yield _gauge("callmeter_journal_bytes", "Size of the journal's segments.", {(): journal_bytes}, ())
    if ledger is not None:
        yield _gauge("callmeter_ledger_bytes", "Size of the ledger, its log included.", {(): ledger}, ())


def bounded(counts: Iterable[tuple[str | None, int]]) -> dict[str, int]:
    """Counts by name, the largest MAX_NAMES - 1 of them and the rest together."""
    total: dict[str, int] = {}
    for name, count in counts:
        total[name or ""] = total.get(name or "", 0) + count
    if len(total) <= MAX_NAMES:
        return total
    ranked = sorted(total.items(), key=lambda item: (-item[1], item[0]))
    kept = dict(ranked[: MAX_NAMES - 1])
    kept[OTHER] = kept.get(OTHER, 0) + sum(count for _, count in ranked[MAX_NAMES - 1 :])
    return kept


def _counter(name: str, what: str, counts: Mapping[str, int], label: str) -> Metric:
    metric = CounterMetricFamily(name, what, labels=(label,))
    for text, count in counts.items():
        metric.add_metric((text,), count)
    return metric


def _gauge(name: str, what: str, values: Mapping[tuple[str, ...], float], labels: tuple[str, ...]) -> Metric:
    metric = GaugeMetricFamily(name, what, labels=labels)
    for texts, value in values.items():
        metric.add_metric(texts, value)
    return metric
