"""From what was asked, tried and seen to the record of a call; pure."""

from collections.abc import Mapping

import msgspec

from collector.core.calls import Attempt, Call, Quality, clip
from collector.core.outcomes import Facts, Outcome, normal_finish_reason
from collector.core.usage import Reading, read_usage, shape_for
from collector.intake.gateway.answer import Seen
from collector.intake.gateway.asked import Asked
from collector.intake.gateway.identity import NO_APP, App
from collector.intake.gateway.operations import Operation
from collector.intake.gateway.routing import Route

SOURCE = "gateway"
_NO_READING = Reading({}, Quality.NONE)


class Caller(msgspec.Struct, frozen=True):
    """Who a call is attributed to, apart from its `user`. `key` is the id of a gateway key."""

    app: App
    key: str | None = None
    session: str | None = None


NOBODY = Caller(NO_APP)


def unread(call_id: str, started_at: int, operation: Operation) -> Call:
    """The record of a call whose body is not read yet."""
    return Call(id=call_id, source=SOURCE, started_at=started_at, outcome=Outcome.REFUSED, operation=operation.name)


def opened(call: Call, asked: Asked, caller: Caller, plan: str | None = None, passed_on: str | None = None) -> Call:
    """The record with which a call begins, once it is read; its outcome, until it is closed, is `interrupted`.

    `passed_on`: the digest of the caller's own key, where that goes to a provider.
    """
    return Call(
        id=call.id,
        source=SOURCE,
        started_at=call.started_at,
        outcome=Outcome.INTERRUPTED,
        operation=call.operation,
        model=clip(asked.model),
        app=caller.app.identity,
        app_title=caller.app.title,
        key=passed_on or caller.key,
        user=clip(asked.user),
        session=caller.session,
        plan=plan,
        streamed=asked.stream,
        meters={"images_in": asked.images} if asked.images else {},
    )


def refused(call: Call, status: int, code: str, latency_ms: int) -> Call:
    """The record of a call that the gateway itself turned away, without an attempt."""
    return msgspec.structs.replace(
        call, outcome=Outcome.REFUSED, http_status=status, error_type=code, latency_ms=latency_ms
    )


def closed(
    call: Call,
    *,
    route: Route | None,
    facts: Facts,
    seen: Seen,
    attempts: tuple[Attempt, ...],
    http_status: int | None,
    latency_ms: int,
    first_token_ms: int | None,
    shape: str,
) -> Call:
    """The record with which a call ends. `http_status` is what the client was answered with.

    Where a call fell back to another of its models, that one is its model: it is what was bought.
    """
    reading = read_usage(shape, seen.usage) if seen.usage else _NO_READING
    return Call(
        id=call.id,
        source=call.source,
        started_at=call.started_at,
        outcome=attempts[-1].outcome,
        operation=call.operation,
        model=clip(route.model if route else None) or call.model,
        served_model=clip(seen.served_model),
        provider=route.provider if route else None,
        origin_id=clip(seen.origin_id),
        app=call.app,
        app_title=call.app_title,
        key=call.key,
        user=call.user,
        session=call.session,
        plan=call.plan,
        streamed=call.streamed,
        http_status=http_status,
        error_type=facts.error_type,
        finish_reason=normal_finish_reason(seen.finish_reason),
        native_finish_reason=clip(seen.native_finish_reason or seen.finish_reason),
        latency_ms=latency_ms,
        first_token_ms=first_token_ms,
        meters=_meters(call, reading, seen),
        quality=_quality(reading, facts),
        usage_problem=reading.problem,
        service_tier=reading.service_tier or clip(seen.service_tier),
        reported_cost=reading.reported_cost,
        own_key_cost=reading.own_key_cost,
        attempts=attempts,
    )


def metered(call: Call, route: Route, seen: Seen, shape: str) -> Call:
    """The call with what its answer has told up to now of what it costs."""
    reading = read_usage(shape, seen.usage) if seen.usage else _NO_READING
    return msgspec.structs.replace(
        call,
        model=clip(route.model) or call.model,
        served_model=clip(seen.served_model),
        provider=route.provider,
        meters=_meters(call, reading, seen),
        quality=reading.quality,
        service_tier=reading.service_tier or clip(seen.service_tier),
    )


def shape_of(route: Route, operation: Operation) -> str:
    """The usage shape of an upstream: that of its kind or its name where it has one of its own."""
    return shape_for(operation.usage_shape, route.kind, route.provider)


def _meters(call: Call, reading: Reading, seen: Seen) -> dict[str, int]:
    counted = {"tool_calls": seen.tool_calls, "images_out": seen.images_out}
    if _is_replay(reading):
        return {**reading.meters, **_above_0(counted)}
    listed = {"web_searches": seen.web_searches, "server_tool_calls": seen.server_tool_calls}
    usage = {**_above_0(listed), **reading.meters} if reading.meters else {}  # searches alone would be half a cost
    return {**call.meters, **usage, **_above_0(counted)}


def _above_0(counts: Mapping[str, int]) -> dict[str, int]:
    return {name: n for name, n in counts.items() if n}


def _is_replay(reading: Reading) -> bool:
    """Whether the provider says that it metered nothing, as OpenRouter does of an answer out of its response cache.

    Such a call costs nothing, so the pictures that were counted in its request are none either
    (openrouter.ai/docs/guides/features/response-caching: all billable counters are 0).
    """
    return bool(reading.meters) and not any(reading.meters.values())


def _quality(reading: Reading, facts: Facts) -> str:
    """Usage of an answer that broke off is partial, however exact it looks."""
    broken = facts.failure is not None or facts.client == "left" or not facts.terminal or facts.error_inside
    return Quality.PARTIAL if broken and reading.quality == Quality.EXACT else reading.quality
