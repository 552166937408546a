"""From a provider's usage object to disjoint meters, by the one table USAGE_PATHS; plain answers and streams alike."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any

import msgspec

from collector.core.calls import Quality, clip
from collector.core.errors import InputError, UsageError
from collector.core.meters import INPUT_TOKENS, MAX_COUNT, METERS, OUTPUT_TOKENS
from collector.core.usage.cost import reported_cost
from collector.core.usage.paths import Count, Problems, compile_count, value_at
from collector.core.usage.shapes import USAGE_PATHS, Shape

MAX_PROBLEM_CHARS = 400
_ANYWHERE = frozenset({"global", "not_available"})  # regions at the standard price


class Reading(msgspec.Struct, frozen=True):
    """What a usage object says: `meters` disjoint and >= 0, stated ones only; `reported_cost` in picodollars."""

    meters: dict[str, int]
    quality: str  # "exact", or "none" where no meter is stated; of a broken stream the caller makes it "partial"
    problem: str | None = None
    service_tier: str | None = None
    reported_cost: int | None = None
    own_key_cost: int | None = None  # of it, what an own key paid upstream


class _Part(msgspec.Struct, frozen=True):
    meter: str
    path: str
    holder: str | None  # where the path is `leaf` ("") or `holder.leaf`: read without a call
    leaf: str
    count: Count
    within: tuple[str, ...]  # all meters inside this one, those that are cut first first


class _Table(msgspec.Struct, frozen=True):
    """A Shape with its paths compiled."""

    shape: Shape
    parts: tuple[_Part, ...]  # what lies inside before its whole
    totals: tuple[tuple[str, Count, tuple[str, ...]], ...]
    checks: tuple[tuple[str, Count, str, Count], ...]
    apart: tuple[tuple[str, Count], ...]


_SIDES = {"in": INPUT_TOKENS, "out": OUTPUT_TOKENS, "all": INPUT_TOKENS + OUTPUT_TOKENS}


def read_usage(shape: str, usage: Mapping[str, Any]) -> Reading:
    """The meters of one usage object of a provider, as decoded by `decode_answer`.

    Never raises for what stands in `usage`: a count that is none, parts that exceed what they lie inside, and totals
    that differ are named in `problem`, with both numbers. Where parts exceed their whole, the whole is kept and the
    parts are cut to fit, modality before cache, so that nothing is counted twice. A sparse meter of 0 is left out.
    Raises UsageError for a shape that USAGE_PATHS does not have.
    """
    table = _compiled(shape)
    meters, problems = _read_parts(table, usage)
    if problems and table.shape.otherwise:
        others, other_problems = _read_parts(_compiled(table.shape.otherwise), usage)
        if not other_problems:
            meters, problems = others, other_problems
    reported = reported_cost(usage, problems)
    return Reading(
        meters={name: n for name, n in reversed(meters.items()) if n or METERS[name].common},
        quality=Quality.EXACT if meters else Quality.NONE,
        problem="; ".join(problems)[:MAX_PROBLEM_CHARS] or None,
        service_tier=find_service_tier(shape, usage),
        reported_cost=reported.cost,
        own_key_cost=reported.own_key_cost,
    )


def find_usage(shape: str, body: object) -> dict[str, Any] | None:
    """The usage object in a decoded answer or stream event, None where it has none or an empty one."""
    if not isinstance(body, dict):
        return None
    for place in _compiled(shape).shape.places:
        usage = value_at(body, place)
        if isinstance(usage, dict) and usage:
            return usage
    return None


def find_service_tier(shape: str, body: object) -> str | None:
    """The tier that was served, in lower case, as a usage object or the answer around it states it.

    Of several statements (Anthropic's speed and service tier) the first that is not the standard one. A region with
    prices of its own stands in front: `us`, `us batch`.
    """
    if not isinstance(body, Mapping):
        return None
    rows = _compiled(shape).shape
    tiers = [tier for path in rows.tier if (tier := _word(body, path))]
    tier = next((tier for tier in tiers if tier != "standard"), tiers[0] if tiers else None)
    region = _word(body, rows.region) if rows.region else None
    if region is None or region in _ANYWHERE:
        return tier
    return f"{region} {tier}" if tier not in (None, "standard") else region


def _word(body: Mapping[str, Any], path: str) -> str | None:
    text = value_at(body, path) if "." in path else body.get(path)
    return clip(text.lower()) if isinstance(text, str) else None


_MOST_MEMBERS = 256  # of a usage object in pieces, many times what any provider states


def merge_stream_usage(shape: str, earlier: Mapping[str, Any] | None, later: Mapping[str, Any]) -> Mapping[str, Any]:
    """The usage of a stream after one more usage object: the last one wins.

    Where a shape states cumulative pieces (Anthropic's message_start and message_delta) they are laid over each
    other, and an absent, null or zero count does not undo an earlier one; past _MOST_MEMBERS none is added.
    """
    if not earlier or not later:
        return later or earlier or {}
    return _overlaid(earlier, later, depth=3) if _compiled(shape).shape.in_pieces else later


def _overlaid(earlier: Mapping[str, Any], later: Mapping[str, Any], depth: int) -> dict[str, Any]:
    merged = dict(earlier)
    for key, value in later.items():
        before = merged.get(key)
        if isinstance(before, dict) and isinstance(value, dict) and depth:
            merged[key] = _overlaid(before, value, depth - 1)
        elif (value or before is None) and (key in merged or len(merged) < _MOST_MEMBERS):
            merged[key] = value
    return merged


def decode_answer(body: bytes | str) -> Any:
    """A provider's JSON with every fraction as an exact Decimal, so that no float ever holds money.

    msgspec hands the text of each number with a fraction or an exponent to `float_hook`; all others are ints of any
    size. Raises InputError for what is no JSON.
    """
    try:
        return _DECODER.decode(body)
    except (ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise InputError(f"an answer of {len(body)} bytes is no JSON: {error}") from None


def _exact(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:  # an exponent beyond all use
        return Decimal("nan")


_DECODER: msgspec.json.Decoder[Any] = msgspec.json.Decoder(float_hook=_exact)


@cache
def _compiled(shape: str) -> _Table:
    if shape not in USAGE_PATHS:
        raise UsageError(f"{shape!r} is no usage shape: use one of {', '.join(sorted(USAGE_PATHS))}")
    rows = USAGE_PATHS[shape]
    return _Table(
        shape=rows,
        parts=tuple(
            _Part(meter, path, *_split(path), compile_count(path), _within(rows, meter))
            for meter, _, path in reversed(rows.parts)
        ),
        totals=tuple((path, compile_count(path), _covered(rows, side)) for path, side in rows.totals),
        checks=tuple((one, compile_count(one), other, compile_count(other)) for one, other in rows.checks),
        apart=tuple((path, compile_count(path)) for path in rows.apart),
    )


def _split(path: str) -> tuple[str | None, str]:
    """The holder and the leaf of a plain path of one or two keys; None where it is any other."""
    holder, _, leaf = path.rpartition(".")
    is_plain = all(key.isidentifier() for key in path.split(".")) and "." not in holder
    return (holder, leaf) if is_plain else (None, leaf)


def _within(shape: Shape, whole: str) -> tuple[str, ...]:
    """Every meter inside `whole`, directly or not: modalities first, then cache, as they are cut to fit."""
    inside = {whole}
    for meter, wholes, _ in shape.parts:
        if inside & set(wholes.split()):
            inside.add(meter)
    return tuple(sorted(inside - {whole}, key=lambda name: (METERS[name].cache != "", name)))


def _covered(shape: Shape, side: str) -> tuple[str, ...]:
    return tuple(meter for meter, _, _ in shape.parts if meter in _SIDES[side])


def _read_parts(table: _Table, usage: Mapping[str, Any]) -> tuple[dict[str, int], Problems]:
    problems: Problems = []
    meters: dict[str, int] = {}
    for part in table.parts:
        if part.holder is None:
            stated = part.count(usage, problems)
        else:
            holder = usage.get(part.holder) if part.holder else usage
            stated = holder.get(part.leaf) if isinstance(holder, dict) else None
            if stated is not None and not (type(stated) is int and 0 <= stated <= MAX_COUNT):
                stated = part.count(usage, problems)
        if stated is None:
            continue
        inner = 0
        for name in part.within:
            inner += meters.get(name, 0)
        if inner > stated:
            problems.append(f"{part.path} is {stated}, but what lies inside it adds up to {inner}")
            _cut(meters, part.within, inner - stated)
        meters[part.meter] = max(0, stated - inner)
    _check(table, usage, meters, problems)
    return meters, problems


def _cut(meters: dict[str, int], names: tuple[str, ...], excess: int) -> None:
    for name in names:
        cut = min(excess, meters.get(name, 0))
        if cut:
            meters[name] -= cut
            excess -= cut


def _check(table: _Table, usage: Mapping[str, Any], meters: dict[str, int], problems: Problems) -> None:
    """The row check: what the meters add up to is what the provider's totals say."""
    seen: Problems = []  # bad counts were named when the parts were read
    for path, count, names in table.totals:
        stated, known = count(usage, seen), [meters[name] for name in names if name in meters]
        if known and stated is not None and stated != sum(known):
            problems.append(f"{path} is {stated}, but the meters add up to {sum(known)}")
    for path, count, other_path, other_count in table.checks:
        one, other = count(usage, seen), other_count(usage, seen)
        if one is not None and other is not None and one != other:
            problems.append(f"{path} is {one}, but {other_path} is {other}")
    for path, count in table.apart:
        if tokens := count(usage, seen):
            problems.append(f"{path} is {tokens}: tokens of another model, in no meter of this call")
