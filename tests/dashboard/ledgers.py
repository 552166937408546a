"""Ledgers for the dashboard's tests, each made of calls that went through the journal and ingest."""

from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
from sqlalchemy import insert

from collector.core.calls import Attempt, Call, call_id_at
from collector.core.outcomes import Outcome
from collector.core.periods import DAY_S, SECOND_US
from collector.core.prices import PriceSet
from collector.demo.past import past_calls
from collector.demo.settings import demo_settings
from collector.ledger.book import load_book
from collector.ledger.engines import writing
from collector.ledger.schema import meta
from tests.stored import store
from tests.tables import instant

NOW = instant("2026-10-20T15:30")
MINUTE_US, HOUR_US, DAY_US = 60 * SECOND_US, 3_600 * SECOND_US, DAY_S * SECOND_US
DEMO_CALLS = 9_000
HOSTILE = (
    "<b>bold</b><script>alert(1)</script>",
    "[link](http://evil.example) **bold** :material/home: :red[x] $x^2$ :smile:",
    "#000001 %{y} {series} `code`",
    "=HYPERLINK(1)",
    "<img src=https://evil.example/x onerror=alert(1)>",
)
PRICE = PriceSet(model="m", prices={"input": 1_000_000}, source="test")


def call(n: int, at_us: int, model: str, provider: str, outcome: Outcome = Outcome.OK, **stated: object) -> Call:
    """The n-th call of a ledger: 1,000 tokens in and 200 out when it ended well, with one attempt unless stated."""
    is_ok = outcome == Outcome.OK
    plain = Call(
        id=call_id_at(at_us, n.to_bytes(8, "big")),
        source="gateway",
        started_at=at_us,
        outcome=outcome,
        model=model,
        provider=provider,
        app="https://shop.example",
        key="k1",
        user="ann",
        http_status=200 if is_ok else 503,
        error_type=None if is_ok else "overloaded",
        latency_ms=1_000,
        meters={"input": 1_000, "output": 200} if is_ok else {},
        quality="exact" if is_ok else "none",
        attempts=(Attempt(provider, model, at_us, outcome, None if is_ok else 503, None if is_ok else "overloaded"),),
    )
    return msgspec.structs.replace(plain, **stated)


def demo() -> Iterable[Call]:
    """The demo's past, and a model that nobody prices."""
    yield from past_calls(NOW, DEMO_CALLS)
    for n in range(60):
        yield call(n, NOW - n * 12 * HOUR_US - 1, "acme/house-model", "in-house")


def one() -> Iterable[Call]:
    """The call of the design: 1,000 tokens in, 500 out, 2 images, $0.0539."""
    meters = {"input": 1_000, "output": 500, "images_in": 2}
    yield call(1, NOW - MINUTE_US, "openai/gpt-4-turbo", "openai", meters=meters)


def unpriced() -> Iterable[Call]:
    """Calls of a model that no list prices."""
    return (call(n, NOW - n * HOUR_US, "acme/x", "acme") for n in range(1, 50))


def down() -> Iterable[Call]:
    """A provider at which every call of the day fails."""
    return (call(n, NOW - n * 4 * MINUTE_US, "m", "acme", Outcome.PROVIDER_FAULT) for n in range(1, 200))


def hostile() -> Iterable[Call]:
    """Names that would be markup, formulas or colours if anything interpreted them; every other call unpriced."""
    for n in range(300):
        name, at_us = HOSTILE[n % len(HOSTILE)], NOW - (n + 1) * HOUR_US
        priced = {"cost": 10**10, "price": PRICE.to_plain()} if n % 2 else {"unpriced_reason": name}
        outcome = Outcome.PROVIDER_FAULT if n % 4 == 0 else Outcome.OK
        stated = {"app": name, "app_title": f"{name} title", "key": name, "user": name, "error_type": name, **priced}
        tried = (Attempt(name, name, at_us, outcome, error_type=name), Attempt(name, name, at_us, outcome))
        yield call(n, at_us, name, name, outcome, attempts=tried, **stated)


def hourly(now_us: int) -> Iterable[Call]:
    """One call an hour for twenty days: mostly ok, each seventh rescued, each eleventh of a model without a price."""
    return [_hourly(now_us - n * HOUR_US, n) for n in range(1, 20 * 24)]


def _hourly(at: int, n: int) -> Call:
    failed = [Attempt("dear", "m", at, Outcome.PROVIDER_FAULT, 503)] if n % 7 == 0 else []
    meters = {"input": 100 + n, "output": 7 * n, "images_in": n % 3}
    times = {"latency_ms": 100 + n, "first_token_ms": 50}
    tried = (*failed, Attempt("cheap", "m", at, Outcome.OK, **times))
    model = "m" if n % 11 else "nobody-knows"
    app = HOSTILE[n % len(HOSTILE)]
    return call(n, at, model, "cheap", app=app, meters=meters, streamed=True, attempts=tried, **times)


LEDGERS: dict[str, Callable[[], Iterable[Call]]] = {
    "demo": demo,
    "empty": tuple,
    "one call": one,
    "unpriced only": unpriced,
    "down all day": down,
    "hostile names": hostile,
}


def make_ledger(folder: Path, name: str) -> None:
    """One of LEDGERS in a data directory, with the demo's settings file where it is the demo."""
    settings = demo_settings(folder, 18_001, 18_002)
    if name != "demo":
        (folder / "callmeter.toml").unlink()
        settings = msgspec.structs.replace(settings, config_path=None, providers={}, endpoints=())
    engine = store(folder, LEDGERS[name](), book=load_book(settings), now_us=NOW)
    if name == "demo":
        with writing(engine).begin() as connection:
            connection.execute(insert(meta), [{"key": "demo", "value": "1"}])
    engine.dispose()
