"""What planning one call costs: `python -m tests.benchmarks.planning` prints microseconds a call.

300 endpoints are configured, 20 of them for the asked model, each with a price, a context and a health of its own.
"""

import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from collector.core.outcomes import Outcome
from collector.core.prices import PriceBook
from collector.intake.gateway.asked import read_asked
from collector.intake.gateway.need import need_of
from collector.intake.gateway.operations import OPERATIONS, SURFACES
from collector.intake.gateway.planning import Request, plan
from collector.intake.gateway.router import router_of
from collector.intake.gateway.shared.fared import Ended
from collector.intake.gateway.wishes import read_wishes
from collector.ledger.book import load_book
from collector.settings import Endpoint, Provider, Settings
from tests.benchmarks.table import Result, show
from tests.benchmarks.upstream import REQUEST

CALLS = 20_000
NOW_US = 1_790_000_000_000_000
WISHES = {"sort": "price", "ignore": ["p3"], "max_price": {"prompt": 50}, "quantizations": ["fp8", "unknown"]}


def settings() -> Settings:
    """15 models at 20 providers."""
    endpoints = tuple(
        Endpoint(f"m{n % 15}", f"p{n // 15}", context_tokens=128_000, input_usd_per_m=1 + n // 15, output_usd_per_m=3)
        for n in range(300)
    )
    providers = {f"p{n}": Provider(base_url="http://127.0.0.1:9/v1") for n in range(20)}
    return Settings(
        data_dir=Path("/nowhere"),
        ledger_url="sqlite://",
        config_path=Path("/nowhere"),
        providers=providers,
        endpoints=endpoints,
    )


def main() -> None:
    """Print what the pure plan takes, with wishes and without, and all of planning from the read request on."""
    found = settings()
    book: PriceBook = load_book(found)
    router = router_of(found, book)
    for n in range(20):
        for _ in range(20):
            router.ended(Ended(f"p{n} m0", Outcome.OK if n % 5 else Outcome.PROVIDER_FAULT, NOW_US, 100))
    results = []
    for name, members in (("a plain request", {}), ("four wishes", {"provider": WISHES})):
        asked = read_asked(msgspec.json.encode({**REQUEST, "model": "m0", **members}), OPERATIONS[0])
        routes = router.catalog.endpoints("m0", "", ("openai",), NOW_US)
        health = router.fared.of([route.id for route in routes], NOW_US)
        request = Request(read_wishes(asked, 64), need_of(asked))
        pure = _us(lambda n: plan(request, routes, health, NOW_US, n))  # noqa: B023
        whole = _us(lambda n: router.plan(asked, SURFACES[0], OPERATIONS[0], None, NOW_US + n, 64))  # noqa: B023
        detail = f"{len(routes)} of {len(found.endpoints)} endpoints"
        results.append(Result(f"plan, {name}, us", detail, pure, 50, at_most=True))
        results.append(Result(f"request to plan and its text, {name}, us", detail, whole))
    show(results)


def _us(work: Callable[[int], object]) -> float:
    best = 1e9
    for _ in range(5):
        start = time.process_time()
        for n in range(CALLS // 5):
            work(n)
        best = min(best, time.process_time() - start)
    return best / (CALLS // 5) * 1e6


if __name__ == "__main__":
    main()
