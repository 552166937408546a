"""From a provider's usage object to disjoint meters, by the one table USAGE_PATHS; plain answers and streams alike."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any

import msgspec

from collector.core.calls import Quality, clip
from collector.core.errors import InputError, UsageError
from collector.core.meters import INPUT_TOKENS, METERS, OUTPUT_TOKENS
from collector.core.money import parse_usd
from collector.core.usage.paths import Count, Problems, compile_count, value_at
from collector.core.usage.shapes import USAGE_PATHS, Shape


class Reading(msgspec.Struct, frozen=True):
    """What a usage object says: `meters` disjoint and >= 0, stated ones only; `reported_cost` in picodollars."""

    meters: dict[str, int]
    quality: str
    problem: str | None = None
    service_tier: str | None = None
    reported_cost: int | None = None


class _Part(msgspec.Struct, frozen=True):
    meter: str
    path: str
    count: Count
    within: tuple[str, ...]  # all meters inside this one, those to be cut first when they overflow it first


class _Compiled(msgspec.Struct, frozen=True):
    shape: Shape
    parts: tuple[_Part, ...]  # innermost first
    totals: tuple[tuple[str, Count, frozenset[str]], ...]
    checks: tuple[tuple[str, Count, str, Count], ...]


_SIDES = {
    "in": frozenset(INPUT_TOKENS),
    "out": frozenset(OUTPUT_TOKENS),
    "all": frozenset(INPUT_TOKENS + OUTPUT_TOKENS),
}
_NOT_FINITE = Decimal("nan")
MAX_PROBLEM_CHARS = 400


def read_usage(shape: str, usage: Mapping[str, Any]) -> Reading:
    """The meters of one usage object of a provider, as decoded by `decode_answer`.

    Never raises for what stands in `usage`: a count that is none, parts that exceed what they lie inside, and totals
    that differ are named in `problem`, with both numbers. Where parts exceed their whole, the whole is kept and the
    parts are cut to fit, modality before cache. A sparse meter of 0 is left out.
    Raises UsageError for a shape that USAGE_PATHS does not have.
    """
    table = _compiled(shape)
    meters, problems = _read_parts(table, usage)
    if problems and table.shape.otherwise:
        other = _compiled(table.shape.otherwise)
        other_meters, other_problems = _read_parts(other, usage)
        if not other_problems:
            table, meters, problems = other, other_meters, other_problems
    cost = _reported_cost(table.shape, usage, problems)
    return Reading(
        meters={name: n for name, n in meters.items() if n or METERS[name].common},
        quality=Quality.EXACT if meters else Quality.NONE,
        problem="; ".join(problems)[:MAX_PROBLEM_CHARS] or None,
        service_tier=_service_tier(table.shape, usage),
        reported_cost=cost,
    )


def find_usage(shape: str, body: object) -> Mapping[str, Any] | None:
    """The usage object in a decoded answer or stream event, None where it has none (or an empty one)."""
    places = _compiled(shape).shape.places
    found = (value_at(body, place) for place in places) if isinstance(body, Mapping) else ()
    return next((usage for usage in found if isinstance(usage, Mapping) and usage), None)


def merge_stream_usage(shape: str, earlier: Mapping[str, Any] | None, later: Mapping[str, Any]) -> Mapping[str, Any]:
    """The usage of a stream after one more usage object: the last one wins.

    Shapes that state usage in cumulative pieces (Anthropic's message_start and message_delta) are laid over each
    other, where an absent, null or zero count does not undo an earlier one.
    """
    if not earlier or not later:
        return later or earlier or {}
    return _overlaid(earlier, later, depth=3) if _compiled(shape).shape.cumulative else later


def decode_answer(body: bytes | str) -> Any:
    """A provider's JSON with every fraction as an exact Decimal, so that no float ever holds money.

    `msgspec.json.decode(..., float_hook=...)` hands over the text of a number; ints stay ints of any size.
    Raises InputError for what is no JSON.
    """
    try:
        return _DECODER.decode(body)
    except (ValueError, ArithmeticError, RecursionError, msgspec.MsgspecError) as error:
        raise InputError(f"an answer of {len(body)} bytes is no JSON: {error}") from None


def _exact(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        return _NOT_FINITE


_DECODER: msgspec.json.Decoder[Any] = msgspec.json.Decoder(float_hook=_exact)


@cache
def _compiled(shape: str) -> _Compiled:
    if shape not in USAGE_PATHS:
        raise UsageError(f"{shape!r} is no usage shape: use one of {', '.join(sorted(USAGE_PATHS))}")
    table = USAGE_PATHS[shape]
    parts = [_Part(meter, path, compile_count(path), _within(table, meter)) for meter, _, path in reversed(table.parts)]
    return _Compiled(
        shape=table,
        parts=tuple(parts),
        totals=tuple((path, compile_count(path), _SIDES[side]) for path, side in table.totals),
        checks=tuple((a, compile_count(a), b, compile_count(b)) for a, b in table.checks),
    )


def _within(shape: Shape, whole: str) -> tuple[str, ...]:
    """Every meter inside `whole`, directly or not: modalities first, then cache, as they are cut to fit."""
    inside = {whole}
    for meter, wholes, _ in shape.parts:
        if inside & set(wholes.split()):
            inside.add(meter)
    return tuple(sorted(inside - {whole}, key=lambda name: (METERS[name].cache != "", name)))


def _read_parts(table: _Compiled, usage: Mapping[str, Any]) -> tuple[dict[str, int], Problems]:
    problems: Problems = []
    meters: dict[str, int] = {}
    for part in table.parts:
        stated = part.count(usage, problems)
        if stated is not None:
            meters[part.meter] = _own_share(part, stated, meters, problems)
    _check_totals(table, usage, meters, problems)
    return meters, problems


def _own_share(part: _Part, stated: int, meters: dict[str, int], problems: Problems) -> int:
    inner = sum(meters.get(name, 0) for name in part.within)
    if inner <= stated:
        return stated - inner
    problems.append(f"{part.path} is {stated} but what lies inside it adds up to {inner}")
    excess = inner - stated
    for name in part.within:
        cut = min(excess, meters.get(name, 0))
        if cut:
            meters[name] -= cut
            excess -= cut
    return 0


def _check_totals(table: _Compiled, usage: Mapping[str, Any], meters: dict[str, int], problems: Problems) -> None:
    quiet: Problems = []
    for path, count, side in table.totals:
        stated, known = count(usage, quiet), [n for name, n in meters.items() if name in side]
        if stated is not None and known and sum(known) != stated:
            problems.append(f"{path} is {stated} but the meters add up to {sum(known)}")
    for path, count, other_path, other_count in table.checks:
        one, other = count(usage, quiet), other_count(usage, quiet)
        if one is not None and other is not None and one != other:
            problems.append(f"{path} is {one} but {other_path} is {other}")


def _service_tier(shape: Shape, usage: Mapping[str, Any]) -> str | None:
    found = (value_at(usage, path) for path in shape.tier)
    return next((clip(tier.lower()) for tier in found if isinstance(tier, str) and tier), None)


def _reported_cost(shape: Shape, usage: Mapping[str, Any], problems: Problems) -> int | None:
    """Picodollars the provider says it charged; on an own key the upstream's cost comes on top of the fee."""
    cost = _money(usage, "cost", problems)
    if cost is None or usage.get("is_byok") is not True:
        return cost
    return cost + (_money(usage, "cost_details.upstream_inference_cost", problems) or 0)


def _money(usage: Mapping[str, Any], path: str, problems: Problems) -> int | None:
    value = value_at(usage, path)
    if value is None or isinstance(value, Mapping | list):
        return None
    try:
        amount = parse_usd(str(value)) if isinstance(value, int | str | Decimal) and not isinstance(value, bool) else -1
    except InputError:
        amount = -1
    if amount < 0:
        problems.append(f"{path} is {str(value)[:40]!r}, which is no amount (decode answers with decode_answer)")
    return amount if amount >= 0 else None


def _overlaid(earlier: Mapping[str, Any], later: Mapping[str, Any], depth: int) -> dict[str, Any]:
    merged = dict(earlier)
    for key, value in later.items():
        before = merged.get(key)
        if isinstance(before, Mapping) and isinstance(value, Mapping) and depth:
            merged[key] = _overlaid(before, value, depth - 1)
        elif value or before is None:
            merged[key] = value
    return merged
