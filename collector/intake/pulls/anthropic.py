"""Anthropic: usage_report and cost_report, for an admin key.

Shapes: platform.claude.com, Usage and Cost API. Cached tokens stand beside the uncached ones; amounts are decimal text
in cents. Buckets are days, 31 at most in a request.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Generic, TypeVar

import msgspec

from collector.core.errors import InputError, SourceError
from collector.core.money import parse_unit_price
from collector.core.periods import format_day
from collector.core.told import ProviderSum
from collector.intake.pulls.asking import Asker, plain
from collector.intake.pulls.sums import Days, Reading, buckets, day_of

R = TypeVar("R")
CENTS = 100


class _CacheCreation(msgspec.Struct):
    ephemeral_5m_input_tokens: int | None = None
    ephemeral_1h_input_tokens: int | None = None


class _Usage(msgspec.Struct):
    output_tokens: int
    uncached_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation: _CacheCreation | None = None
    model: str | None = None
    api_key_id: str | None = None
    service_tier: str | None = None
    context_window: str | None = None


class _Cost(msgspec.Struct):
    amount: str
    currency: str = "USD"
    description: str | None = None
    cost_type: str | None = None
    model: str | None = None
    workspace_id: str | None = None


class _Bucket(msgspec.Struct, Generic[R]):
    starting_at: datetime
    results: list[R]


def usage(asker: Asker, reading: Reading, days: Days) -> Iterator[ProviderSum]:
    """Tokens by model, API key, service tier and context window; how many requests is not stated."""
    groups = ("model", "api_key_id", "service_tier", "context_window")
    for bucket in _buckets(asker, "/organizations/usage_report/messages", _Bucket[_Usage], groups, days, reading):
        for each in bucket.results:
            line = ", ".join(filter(None, (plain(each.service_tier), plain(each.context_window))))
            yield ProviderSum(
                reading.source,
                _day(bucket.starting_at),
                reading.provider,
                reading.read_at,
                plain(each.model),
                plain(each.api_key_id),
                line,
                meters=_meters(each),
            )


def costs(asker: Asker, reading: Reading, days: Days) -> Iterator[ProviderSum]:
    """What is billed, by workspace and description; there is no grouping by key."""
    groups = ("workspace_id", "description")
    for bucket in _buckets(asker, "/organizations/cost_report", _Bucket[_Cost], groups, days, reading):
        for each in bucket.results:
            yield ProviderSum(
                reading.source,
                _day(bucket.starting_at),
                reading.provider,
                reading.read_at,
                plain(each.model),
                plain(each.workspace_id),
                plain(each.description) or plain(each.cost_type),
                cost=_picodollars(each),
            )


def _buckets(
    asker: Asker, path: str, kind: type[_Bucket[R]], groups: tuple[str, ...], days: Days, reading: Reading
) -> Iterator[_Bucket[R]]:
    params = [
        ("starting_at", f"{format_day(days.first)}T00:00:00Z"),
        ("ending_at", f"{format_day(days.end)}T00:00:00Z"),
        *(("group_by[]", group) for group in groups),
    ]
    return buckets(asker, path, kind, params, reading.max_pages)


def _meters(each: _Usage) -> dict[str, int]:
    written = each.cache_creation or _CacheCreation()
    stated = {
        "input": each.uncached_input_tokens,
        "cache_read": each.cache_read_input_tokens,
        "cache_write_5m": written.ephemeral_5m_input_tokens,
        "cache_write_1h": written.ephemeral_1h_input_tokens,
        "output": each.output_tokens,
    }
    return {name: count for name, count in stated.items() if count is not None}


def _picodollars(cost: _Cost) -> int:
    if cost.currency.upper() != "USD":
        raise SourceError(f"anthropic costs are in {cost.currency[:8]!r}: only USD is understood")
    try:
        return parse_unit_price(cost.amount, CENTS)
    except InputError as error:
        raise SourceError(f"anthropic costs: {error}") from None


def _day(moment: datetime) -> int:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return day_of(int(aware.timestamp()))
