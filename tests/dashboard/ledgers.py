"""Ledgers for the dashboard's tests, made by writing the names and cells that ingest would have written."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Table, insert

from collector.core.meters import METERS
from collector.core.outcomes import Outcome
from collector.core.periods import DAY_S, QUARTER_S, SECOND_US, day_number
from collector.ledger.engines import open_ledger, writing
from collector.ledger.questions.uptime import FIVE_MINUTES, HOURS
from collector.ledger.schema import health, meta, names, usage_days, usage_quarters, user_days

ZONES = ("UTC", "Europe/Berlin")
PRICED = 1  # any id above 0 stands for a price set


class Fact(NamedTuple):
    """Some equal calls in one quarter-hour, each with one attempt unless `rescued`."""

    at_s: int
    model: str
    provider: str
    app: str = "shop"
    key: str = "k1"
    user: str = "ann"
    outcome: Outcome = Outcome.OK
    calls: int = 1
    input: int = 1_000
    output: int = 200
    cost: int | None = 16_000_000_000  # picodollars of all of them; None: unpriced
    rescued_from: str | None = None  # the provider whose fault made the first attempt fail


def make_ledger(path: Path, facts: Iterable[Fact], *, demo: bool = False, labels: dict[str, str] | None = None) -> str:
    """A ledger at `path` with the cells of `facts`; gives its address."""
    url = f"sqlite:///{path}"
    engine = open_ledger(url, create=True)
    book = _Names(labels or {})
    zones = {zone: book.id("zone", zone) for zone in ZONES}
    tables: dict[Table, dict[tuple[Any, ...], dict[str, int]]] = defaultdict(lambda: defaultdict(dict))
    for fact in facts:
        _add(tables, fact, book, zones)
    with writing(engine).begin() as connection:
        if book.rows:
            connection.execute(insert(names), book.rows)
        for table, cells in tables.items():
            keys = [column.name for column in table.primary_key]
            empty = {c.name: 0 for c in table.columns if c.name not in keys and c.name not in _HISTOGRAMS}
            connection.execute(
                insert(table), [empty | dict(zip(keys, key, strict=True)) | sums for key, sums in cells.items()]
            )
        if demo:
            connection.execute(insert(meta), [{"key": "demo", "value": "1"}])
    engine.dispose()
    return url


_HISTOGRAMS = ("latency", "first_token", "throughput")


class _Names:
    def __init__(self, labels: dict[str, str]) -> None:
        self.rows: list[dict[str, Any]] = []
        self._ids: dict[tuple[str, str], int] = {}
        self._labels = labels

    def id(self, kind: str, name: str) -> int:
        if (kind, name) not in self._ids:
            self._ids[kind, name] = len(self._ids) + 1
            label = self._labels.get(name)
            self.rows.append({"id": len(self._ids), "kind": kind, "name": name, "label": label})
        return self._ids[kind, name]


def _add(tables: Any, fact: Fact, book: _Names, zones: dict[str, int]) -> None:
    model, provider = book.id("model", fact.model), book.id("provider", fact.provider)
    price, reason = (PRICED, 0) if fact.cost is not None else (0, book.id("reason", "no price"))
    state = (price, reason, fact.outcome.code)
    sums = {
        "calls": fact.calls,
        METERS["input"].column: fact.input,
        METERS["output"].column: fact.output,
        "cost": fact.cost or 0,
    }
    app, key, user = book.id("app", fact.app), book.id("key", fact.key), book.id("user", fact.user)
    _sum(tables[usage_quarters], (fact.at_s // QUARTER_S, model, provider, app, key, *state), sums)
    for zone, zone_id in zones.items():
        day = day_number(fact.at_s * SECOND_US, zone)
        _sum(tables[usage_days], (zone_id, day, model, provider, app, key, *state), sums)
        _sum(tables[user_days], (zone_id, day, user, model, provider, *state), sums)
    for provider_id, counts in _health(fact, book).items():
        _sum(tables[health], (FIVE_MINUTES, fact.at_s // 300, model, provider_id), counts)
        _sum(tables[health], (HOURS, fact.at_s // 3_600, model, provider_id), counts)
        for zone, zone_id in zones.items():
            _sum(tables[health], (zone_id, day_number(fact.at_s * SECOND_US, zone), model, provider_id), counts)


_ATTEMPT = {Outcome.OK: "ok", Outcome.PROVIDER_FAULT: "provider_fault", Outcome.RATE_LIMITED: "rate_limited"}
_ENDING = {Outcome.OK: "ok", Outcome.PROVIDER_FAULT: "fault", Outcome.RATE_LIMITED: "limited"}


def _health(fact: Fact, book: _Names) -> dict[int, dict[str, int]]:
    provider = book.id("provider", fact.provider)
    counts = {_ATTEMPT.get(fact.outcome, "other"): fact.calls}
    if ending := _ENDING.get(fact.outcome):
        counts[f"last_{ending}"] = fact.calls
        if not fact.rescued_from:
            counts[f"first_{ending}"] = fact.calls
    if not fact.rescued_from:
        return {provider: counts}
    failed = {"provider_fault": fact.calls, "first_fault": fact.calls}
    return {provider: counts, book.id("provider", fact.rescued_from): failed}


def _sum(cells: Any, key: tuple[int, ...], amounts: dict[str, int]) -> None:
    cell = cells[key]
    for name, amount in amounts.items():
        cell[name] = cell.get(name, 0) + amount


MODELS = {  # model -> (providers, input p$, output p$); None: no price is known
    "openai/gpt-4-turbo": (("openai", "azure"), 10_000_000, 30_000_000),
    "anthropic/claude-sonnet-4.5": (("anthropic", "bedrock"), 3_000_000, 15_000_000),
    "google/gemini-2.5-flash": (("google-vertex", "google-ai-studio"), 300_000, 2_500_000),
    "meta-llama/llama-4-maverick": (("flaky", "together"), 150_000, 600_000),
    "acme/house-model": (("in-house", "in-house"), None, None),
}
APPS = ("https://shop.example", "https://support.example", "batch-summaries", "https://docs.example", "notebooks")


def demo_facts(now_us: int, days: int = 90) -> list[Fact]:
    """A past that looks like real traffic: weekdays, office hours, growth, a flaky provider and one bad day."""
    now_s = now_us // SECOND_US
    return [
        fact
        for at_s in range((now_s - days * DAY_S) // 7_200 * 7_200, now_s, 7_200)
        for n, model in enumerate(MODELS)
        for fact in _two_hours(at_s, model, n, 1 - (now_s - at_s) / (days * DAY_S) * 0.55)
    ]


def _two_hours(at_s: int, model: str, n: int, growth: float) -> Iterable[Fact]:
    providers, input_price, output_price = MODELS[model]
    noise = hashlib.sha256(f"{at_s} {model}".encode()).digest()
    weekday, hour = (at_s // DAY_S + 3) % 7, at_s % DAY_S // 3_600
    volume = (40, 24, 60, 30, 4)[n] * growth * (0.35 if weekday > 4 else 1.0) * (1.5 if 7 <= hour <= 18 else 0.5)
    calls = max(1, int(volume * (0.7 + noise[0] / 400)))
    app, provider = APPS[noise[1] % len(APPS)], providers[0]
    given, made = calls * (700 + 4 * noise[2]), calls * (150 + 2 * noise[3])
    cost = None if input_price is None or output_price is None else given * input_price + made * output_price
    at_s += 60 * (noise[4] % 15)
    yield Fact(
        at_s, model, provider, app, user=f"user-{noise[5] % 9}", calls=calls, input=given, output=made, cost=cost
    )
    is_bad_day = provider == "flaky" and at_s // DAY_S % 30 == 7
    faults = calls // 2 if is_bad_day else calls // 14 if provider == "flaky" else noise[6] // 170
    if faults:
        rescued = Fact(
            at_s, model, providers[1], app, calls=faults, input=900 * faults, output=200 * faults, cost=cost and 0
        )
        yield rescued._replace(rescued_from=provider)
    if noise[7] > 230:
        failed = Fact(at_s, model, provider, app, outcome=Outcome.PROVIDER_FAULT, input=0, output=0, cost=cost and 0)
        yield failed
    if noise[8] > 235:
        yield Fact(
            at_s, model, provider, app, outcome=Outcome.RATE_LIMITED, calls=2, input=0, output=0, cost=cost and 0
        )
