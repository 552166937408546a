"""OpenRouter: activity, credits, the key's own counters, and single generations.

Shapes: OpenRouterTeam/docs, openapi.yaml. Activity needs a management key, knows completed UTC days only, the last 30
of them; reasoning tokens are inside completion tokens, cached ones inside prompt tokens. Amounts are credits, in USD.
"""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

import msgspec

from collector.core.calls import Call, Quality, call_id_at
from collector.core.errors import InputError, SourceError
from collector.core.money import parse_usd
from collector.core.outcomes import Outcome, normal_finish_reason
from collector.core.periods import format_day, parse_day
from collector.core.told import ProviderSum
from collector.intake.pulls.asking import Asker, NotThere, plain
from collector.intake.pulls.sums import Days, Reading, disjoint

HISTORY_DAYS = 30
LOOKUP = "lookup"  # the source of a call that was asked for one by one


class _Activity(msgspec.Struct):
    date: str
    model: str
    provider_name: str
    usage: Decimal
    requests: int
    prompt_tokens: int
    completion_tokens: int
    reasoning_tokens: int = 0
    cached_tokens: int | None = None


class _ActivityPage(msgspec.Struct):
    data: list[_Activity]


class _Credits(msgspec.Struct):
    total_credits: Decimal
    total_usage: Decimal


class _CreditsPage(msgspec.Struct):
    data: _Credits


class _Key(msgspec.Struct):
    usage_daily: Decimal
    usage_weekly: Decimal
    usage_monthly: Decimal
    usage: Decimal
    byok_usage_daily: Decimal | None = None
    limit_remaining: Decimal | None = None


class _KeyPage(msgspec.Struct):
    data: _Key


class _Generation(msgspec.Struct):
    id: str
    created_at: datetime
    model: str
    streamed: bool | None = None
    cancelled: bool | None = None
    finish_reason: str | None = None
    native_finish_reason: str | None = None
    native_tokens_prompt: int | None = None
    native_tokens_completion: int | None = None
    native_tokens_reasoning: int | None = None
    native_tokens_cached: int | None = None
    native_tokens_completion_images: int | None = None
    num_media_prompt: int | None = None
    total_cost: Decimal | None = None
    upstream_inference_cost: Decimal | None = None
    is_byok: bool | None = None


class _GenerationPage(msgspec.Struct):
    data: _Generation


def activity(asker: Asker, reading: Reading, days: Days) -> Iterator[ProviderSum]:
    """Requests, tokens and cost by model; the line is the provider that OpenRouter used."""
    for day in range(days.first, days.end):
        for each in asker.get("/activity", _ActivityPage, [("date", format_day(day))]).data:
            parts = {"cache_read": each.cached_tokens}
            meters = disjoint("openrouter activity", "prompt_tokens", each.prompt_tokens, parts, "input")
            made = {"reasoning": each.reasoning_tokens}
            meters |= disjoint("openrouter activity", "completion_tokens", each.completion_tokens, made, "output")
            yield ProviderSum(
                reading.source,
                parse_day(each.date[:10]),  # some versions add the time of its midnight
                reading.provider,
                reading.read_at,
                plain(each.model),
                line=plain(each.provider_name),
                requests=each.requests,
                meters=meters,
                cost=_picodollars(each.usage),
            )


def credits(asker: Asker, reading: Reading, days: Days) -> Iterator[ProviderSum]:
    """What was ever bought and used by now, as two lines of today: no sums of a day."""
    told = asker.get("/credits", _CreditsPage).data
    yield from _lines(reading, days, {"total_credits": told.total_credits, "total_usage": told.total_usage})


def key_usage(asker: Asker, reading: Reading, days: Days) -> Iterator[ProviderSum]:
    """What the key has used in its running UTC day, week, month and ever, as lines of today."""
    told = asker.get("/key", _KeyPage).data
    yield from _lines(reading, days, msgspec.structs.asdict(told))


def _lines(reading: Reading, days: Days, amounts: dict[str, Decimal | None]) -> Iterator[ProviderSum]:
    for line, amount in amounts.items():
        if amount is not None:
            cost = _picodollars(amount)
            yield ProviderSum(reading.source, days.first, reading.provider, reading.read_at, line=line, cost=cost)


def generation(asker: Asker, provider: str, origin_id: str) -> Call | None:
    """One call as OpenRouter knows it, to be merged with the record of it that is there. Raises SourceError.

    None when it is not known there: for seconds to minutes after its end, or for ever.
    """
    try:
        told = asker.get("/generation", _GenerationPage, [("id", origin_id)]).data
    except NotThere:
        return None
    started_at = int(told.created_at.timestamp() * 1_000_000)
    paid = told.upstream_inference_cost if told.is_byok else told.total_cost
    return Call(
        id=call_id_at(started_at, origin_id.encode().ljust(8, b"\0")[-8:]),
        source=LOOKUP,
        started_at=started_at,
        outcome=Outcome.CANCELLED if told.cancelled else Outcome.UNKNOWN,
        served_model=plain(told.model) or None,
        provider=provider,
        origin_id=origin_id,
        streamed=bool(told.streamed),
        finish_reason=normal_finish_reason(told.finish_reason),
        native_finish_reason=told.native_finish_reason,
        meters=_metered(told),
        quality=Quality.EXACT if told.native_tokens_prompt is not None else Quality.NONE,
        reported_cost=None if paid is None else _picodollars(paid),
        own_key_cost=_picodollars(paid or Decimal(0)) if told.is_byok else None,
    )


def _metered(told: _Generation) -> dict[str, int]:
    parts = {"cache_read": told.native_tokens_cached}
    made = {"reasoning": told.native_tokens_reasoning, "image_out_tokens": told.native_tokens_completion_images}
    meters = disjoint("openrouter generation", "native_tokens_prompt", told.native_tokens_prompt, parts, "input")
    meters |= disjoint(
        "openrouter generation", "native_tokens_completion", told.native_tokens_completion, made, "output"
    )
    return {**meters, "images_in": told.num_media_prompt} if told.num_media_prompt else meters


def _picodollars(amount: Decimal) -> int:
    try:
        return parse_usd(str(amount))
    except InputError as error:
        raise SourceError(f"openrouter: {error}") from None
