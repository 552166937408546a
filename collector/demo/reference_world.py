"""What the reference load is drawn from: when calls come, by whom, of which size, and when providers fail."""

import math
import random
from collections.abc import Iterator, Sequence
from statistics import NormalDist
from typing import NamedTuple, TypeVar

import msgspec

from collector.demo.reference_names import ROUTES, Route

HOUR_US = 3_600_000_000
T = TypeVar("T")
_PARETO = 1.2  # of 50 ranks, the first ten make four fifths
_QUANTILES = 4096
# Working days (Monday first) and hours (UTC) weigh more.
_DAY_WEIGHTS = (10, 10, 10, 10, 9, 4, 4)
_HOUR_WEIGHTS = (3, 2, 2, 2, 2, 3, 5, 8, 12, 15, 16, 16, 15, 16, 17, 17, 16, 14, 11, 9, 8, 7, 6, 4)
_MONDAY = 4  # the first Monday of 1970, in days


class Load(msgspec.Struct, frozen=True):
    """How many calls, from when (microseconds UTC), and of whom."""

    calls: int
    start_us: int
    days: int = 90
    seed: int = 1
    apps: int = 50
    keys: int = 20
    users: int = 2_000
    routes: tuple[Route, ...] = ROUTES
    source: str = "gateway"
    incidents: int = 3  # of each provider in the whole time, of one to five hours


class App(NamedTuple):
    """An app, its only key and the three models it uses, each as often as it is used."""

    name: str
    title: str
    key: str
    routes: tuple[Route, ...]


class World(NamedTuple):
    """Tables in which a thing stands as often as it is used, and the provider hours in which much fails."""

    apps: Sequence[App]
    users: Sequence[str]
    incidents: frozenset[tuple[str, int]]
    input_tokens: Sequence[int]
    output_tokens: Sequence[int]
    first_token_ms: Sequence[int]


def world(load: Load, rng: random.Random) -> World:
    """The tables of a load; the same seed gives the same ones."""
    apps = [_app(n, load, rng) for n in range(load.apps)]
    return World(
        apps=_by_pareto(apps),
        users=_by_pareto([f"user-{n:04d}" for n in range(load.users)]),
        incidents=frozenset(_incidents(load, rng)),
        input_tokens=_log_normal(median=900, sigma=1.1, most=100_000),
        output_tokens=_log_normal(median=220, sigma=0.9, most=8_192),
        first_token_ms=_log_normal(median=420, sigma=0.55, most=20_000),
    )


def calls_by_hour(load: Load) -> Iterator[int]:
    """How many calls each hour since the start has; their sum is `load.calls`."""
    weights = [_hour_weight(load.start_us // HOUR_US + hour) for hour in range(load.days * 24)]
    total, before, made = sum(weights), 0, 0
    for weight in weights:
        before += weight
        due = load.calls * before // total
        yield due - made
        made = due


def _hour_weight(hour: int) -> int:
    return _DAY_WEIGHTS[(hour // 24 - _MONDAY) % 7] * _HOUR_WEIGHTS[hour % 24]


def _app(n: int, load: Load, rng: random.Random) -> App:
    often, sometimes, seldom = rng.sample(load.routes, 3)
    routes = (often,) * 5 + (sometimes,) * 2 + (seldom,)
    return App(f"https://app-{n:02d}.example", f"App {n:02d}", f"key-{n % load.keys:02d}", routes)


def _incidents(load: Load, rng: random.Random) -> Iterator[tuple[str, int]]:
    for provider in sorted({home.provider for route in load.routes for home in route.homes}):
        for _ in range(load.incidents):
            start = rng.randrange(load.days * 24)
            yield from ((provider, start + hour) for hour in range(rng.randint(1, 5)))


def _by_pareto(things: Sequence[T]) -> Sequence[T]:
    weights = [(rank + 1) ** -_PARETO for rank in range(len(things))]
    slots = 8 * len(things) / sum(weights)
    return [thing for thing, weight in zip(things, weights, strict=True) for _ in range(max(1, round(weight * slots)))]


def _log_normal(median: float, sigma: float, most: int) -> Sequence[int]:
    normal = NormalDist(math.log(median), sigma)
    quantiles = (normal.inv_cdf((n + 0.5) / _QUANTILES) for n in range(_QUANTILES))
    return [min(most, max(1, round(math.exp(quantile)))) for quantile in quantiles]
