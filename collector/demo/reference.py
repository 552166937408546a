"""The reference load: an invented past of calls, the same for the same arguments, made one by one in order of time.

20 models, 10 providers, 50 apps, 20 keys, 2,000 users, the use of apps and users by Pareto's rule, 90 days. Every app
has one key and uses three models, every model has two providers (80 / 20), 97% of the calls end well.
It fills the demo's charts and is what every benchmark measures. Models and providers are real; nobody made the calls.
"""

import random
from collections.abc import Iterator
from typing import Any, NamedTuple

from collector.core.calls import Attempt, Call, Quality, call_id_at
from collector.core.outcomes import Outcome
from collector.demo.reference_names import Home, Route
from collector.demo.reference_world import HOUR_US, Load, World, calls_by_hour, world

__all__ = ["Load", "reference_calls"]

_FAULT_MS = 350  # until a provider has said that it cannot


class _Ending(NamedTuple):
    """One way not to end well, and how many calls of 10,000 end so."""

    share: int
    outcome: Outcome
    http_status: int | None
    error_type: str | None
    attempts: int
    cut_short: bool = False  # the answer had begun


_ENDINGS = (
    _Ending(80, Outcome.PROVIDER_FAULT, 503, "overloaded", 2),
    _Ending(40, Outcome.PROVIDER_FAULT, None, "timeout", 1),
    _Ending(70, Outcome.RATE_LIMITED, 429, "rate_limit_exceeded", 2),
    _Ending(50, Outcome.CALLER_FAULT, 400, "invalid_request_error", 1),
    _Ending(40, Outcome.CANCELLED, 200, None, 1, cut_short=True),
    _Ending(10, Outcome.REFUSED, 404, "model_not_found", 0),
    _Ending(10, Outcome.INTERRUPTED, None, None, 1),
)
_BAD = tuple(ending for ending in _ENDINGS for _ in range(ending.share))
_FALLBACKS = 100  # calls of 10,000 that end well at the second provider, after a fault of the first
_FALLBACKS_IN_AN_INCIDENT = 6_000


def reference_calls(load: Load) -> Iterator[Call]:
    """The calls of a load, in order of time, without prices; memory does not grow with their number."""
    rng = random.Random(load.seed)
    drawn_from = world(load, rng)
    for hour, count in enumerate(calls_by_hour(load)):
        start = load.start_us + hour * HOUR_US
        for n in range(count):
            bits = rng.getrandbits(256)
            at = start + ((n << 16 | bits & 0xFFFF) * HOUR_US // (count << 16))
            yield _call(load, drawn_from, bits >> 16, hour, at)


def _call(load: Load, drawn_from: World, bits: int, hour: int, at: int) -> Call:
    """One call of 240 random bits; each draw uses its own."""
    app = drawn_from.apps[(bits & 0xFFFFF) * len(drawn_from.apps) >> 20]
    user = drawn_from.users[(bits >> 20 & 0xFFFFF) * len(drawn_from.users) >> 20]
    route = app.routes[bits >> 40 & 7]
    homes = route.homes if bits >> 43 & 0xFF >= 51 else route.homes[::-1]  # 51 of 256 is a fifth
    stated = {
        "id": call_id_at(at, (bits >> 176).to_bytes(8, "big")),
        "source": load.source,
        "started_at": at,
        "model": route.model,
        "app": app.name,
        "app_title": app.title,
        "key": app.key,
        "user": user,
        "streamed": bits >> 51 & 3 != 0,
    }
    lot = (bits >> 53 & 0xFFFF) * 10_000 >> 16
    if lot < len(_BAD):
        return _ended_badly(stated, _BAD[lot], route, homes, drawn_from, bits)
    in_incident = (homes[0].provider, hour) in drawn_from.incidents
    fell_back = lot >= 10_000 - (_FALLBACKS_IN_AN_INCIDENT if in_incident else _FALLBACKS)
    return _ended_well(stated, route, homes, fell_back, drawn_from, bits)


def _ended_well(
    stated: dict[str, Any], route: Route, homes: tuple[Home, ...], fell_back: bool, drawn_from: World, bits: int
) -> Call:
    first_token_ms = drawn_from.first_token_ms[bits >> 69 & 0xFFF]
    output = drawn_from.output_tokens[bits >> 81 & 0xFFF]
    latency_ms = first_token_ms + output * route.ms_per_token
    home, at, streamed = homes[fell_back], stated["started_at"], stated["streamed"]
    waited_ms = _FAULT_MS if fell_back else 0
    answered = Attempt(
        home.provider,
        route.model,
        at + waited_ms * 1000,
        Outcome.OK,
        200,
        latency_ms=latency_ms,
        first_token_ms=first_token_ms if streamed else None,
    )
    return Call(
        **stated,
        outcome=Outcome.OK,
        served_model=home.served_model,
        provider=home.provider,
        origin_id=f"{home.id_prefix}{bits >> 128:028x}",
        http_status=200,
        finish_reason="tool_calls" if bits & 15 == 0 else "stop",
        latency_ms=waited_ms + latency_ms,
        first_token_ms=waited_ms + first_token_ms if streamed else None,
        meters=_meters(route, drawn_from.input_tokens[bits >> 93 & 0xFFF], output, bits >> 105),
        quality=Quality.EXACT,
        attempts=(_fault(homes[0], route, at, _ENDINGS[0]), answered) if fell_back else (answered,),
    )


def _ended_badly(
    stated: dict[str, Any], ending: _Ending, route: Route, homes: tuple[Home, ...], drawn_from: World, bits: int
) -> Call:
    tried = tuple(
        _fault(home, route, stated["started_at"] + n * _FAULT_MS * 1000, ending)
        for n, home in enumerate(homes[: ending.attempts])
    )
    read = drawn_from.input_tokens[bits >> 93 & 0xFFF] if ending.cut_short else 0
    return Call(
        **stated,
        outcome=ending.outcome,
        provider=tried[-1].provider if tried else None,
        http_status=ending.http_status,
        error_type=ending.error_type,
        latency_ms=_FAULT_MS * len(tried),
        meters={"input": read, "output": 20 + (bits >> 81 & 63)} if read else {},
        quality=Quality.PARTIAL if read else Quality.NONE,
        attempts=tried,
    )


def _fault(home: Home, route: Route, at: int, ending: _Ending) -> Attempt:
    return Attempt(
        home.provider, route.model, at, ending.outcome, ending.http_status, ending.error_type, latency_ms=_FAULT_MS
    )


def _meters(route: Route, read: int, output: int, bits: int) -> dict[str, int]:
    cached = read // 2 if bits & 3 == 0 else 0
    meters = {"input": read - cached, "output": output}
    if cached:
        meters["cache_read"] = cached
    if route.reasons:
        meters["reasoning"] = 3 * output
    if route.sees and bits >> 2 & 15 == 0:
        meters["images_in"] = 1 + (bits >> 6 & 3)
    return meters
