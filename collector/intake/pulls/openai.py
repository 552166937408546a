"""OpenAI: organization usage and costs, for an admin key.

Shapes: openai/openai-openapi, /organization/usage/* and /organization/costs. Cached, cache-write, audio and image
tokens are inside input_tokens; the newest day is still growing and is read again.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Generic, TypeVar

import msgspec

from collector.core.errors import InputError, SourceError
from collector.core.money import parse_usd
from collector.core.periods import DAY_S
from collector.core.told import ProviderSum
from collector.intake.pulls.asking import Asker, plain
from collector.intake.pulls.sums import Days, Reading, buckets, day_of, disjoint

R = TypeVar("R")
# path -> the groups that it knows
USAGE = {
    "completions": ("model", "api_key_id", "batch"),
    "embeddings": ("model", "api_key_id"),
    "moderations": ("model", "api_key_id"),
    "images": ("model", "api_key_id"),
    "audio_speeches": ("model", "api_key_id"),
    "audio_transcriptions": ("model", "api_key_id"),
}


class _Usage(msgspec.Struct):
    model: str | None = None
    api_key_id: str | None = None
    batch: bool | None = None
    num_model_requests: int | None = None
    input_tokens: int | None = None
    input_cached_tokens: int | None = None
    input_cache_write_tokens: int | None = None
    input_audio_tokens: int | None = None
    input_image_tokens: int | None = None
    output_tokens: int | None = None
    output_audio_tokens: int | None = None
    output_image_tokens: int | None = None
    images: int | None = None


class _Amount(msgspec.Struct):
    value: Decimal
    currency: str = "usd"


class _Cost(msgspec.Struct):
    amount: _Amount
    line_item: str | None = None
    api_key_id: str | None = None


class _Bucket(msgspec.Struct, Generic[R]):
    start_time: int
    results: list[R]


def usage(asker: Asker, reading: Reading, days: Days) -> Iterator[ProviderSum]:
    """Requests and tokens by model and API key, of every kind of request."""
    for line, groups in USAGE.items():
        for bucket in _buckets(asker, f"/organization/usage/{line}", _Bucket[_Usage], groups, days, reading):
            for each in bucket.results:
                told = f"{line}, batch" if each.batch else line
                yield ProviderSum(
                    reading.source,
                    day_of(bucket.start_time),
                    reading.provider,
                    reading.read_at,
                    plain(each.model),
                    plain(each.api_key_id),
                    told,
                    each.num_model_requests,
                    _meters(each),
                )


def costs(asker: Asker, reading: Reading, days: Days) -> Iterator[ProviderSum]:
    """What is billed, by line item and API key; a line item such as `gpt-4o-2024-08-06, input` names its model."""
    groups = ("line_item", "api_key_id")
    for bucket in _buckets(asker, "/organization/costs", _Bucket[_Cost], groups, days, reading):
        for each in bucket.results:
            line = plain(each.line_item)
            yield ProviderSum(
                reading.source,
                day_of(bucket.start_time),
                reading.provider,
                reading.read_at,
                line.rpartition(", ")[0],
                plain(each.api_key_id),
                line,
                cost=_picodollars(each.amount),
            )


def _buckets(
    asker: Asker, path: str, kind: type[_Bucket[R]], groups: tuple[str, ...], days: Days, reading: Reading
) -> Iterator[_Bucket[R]]:
    params = [
        ("start_time", str(days.first * DAY_S)),
        ("end_time", str(days.end * DAY_S)),
        *(("group_by", group) for group in groups),
    ]
    return buckets(asker, path, kind, params, reading.max_pages)


def _meters(each: _Usage) -> dict[str, int]:
    parts = {
        "cache_read": each.input_cached_tokens,
        "cache_write_5m": each.input_cache_write_tokens,
        "audio_in": each.input_audio_tokens,
        "image_in_tokens": each.input_image_tokens,
    }
    made = {"audio_out": each.output_audio_tokens, "image_out_tokens": each.output_image_tokens}
    meters = disjoint("openai usage", "input_tokens", each.input_tokens, parts, "input")
    meters |= disjoint("openai usage", "output_tokens", each.output_tokens, made, "output")
    return meters if each.images is None else {**meters, "images_out": each.images}


def _picodollars(amount: _Amount) -> int:
    if amount.currency.lower() != "usd":
        raise SourceError(f"openai costs are in {amount.currency[:8]!r}: only usd is understood")
    try:
        return parse_usd(str(amount.value))
    except InputError as error:
        raise SourceError(f"openai costs: {error}") from None
