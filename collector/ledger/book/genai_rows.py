"""The genai-prices package, flattened into plain rows. Run as a program: the package and what it imports cost
some 30 MB of memory, which a child process gives back.

A row is one model of one provider: the names it is known by, and its price sets as decimal text. Tiers by size,
start dates, hours of the day and variants become conditions of a set, one set for each combination.
"""

import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from collector.core.prices.names import normal_tier

PACKAGE = "genai-prices"


class _Region(NamedTuple):
    """Where inference has another price: its name in tiers, how many times the price of a token, and whose word."""

    name: str
    times: Decimal
    note: str


class ListedSet(msgspec.Struct, frozen=True, array_like=True):
    """Unit prices under stated conditions: meter -> (USD as text, for how many units)."""

    tier: str | None
    above_tokens: int
    hours: list[tuple[int, int]]
    starts: str | None  # a date
    until: str | None
    prices: dict[str, tuple[str, int]]
    note: str  # what was made of the list's own prices, and by whose word; "" where nothing was


class ListedModel(msgspec.Struct, frozen=True, array_like=True):
    """One model of the list: `match` is the list's own rule for names, as nested [kind, text or parts]."""

    id: str
    match: list[Any]
    sets: list[ListedSet]
    unmeasured: str | None  # a unit that it is sold by and that no meter counts
    name: str | None = None
    description: str | None = None
    context_tokens: int | None = None


class ListedProvider(msgspec.Struct, frozen=True, array_like=True):
    id: str
    url: str
    fallback: list[str]  # whose prices hold where this provider lists none, as the list states
    models: list[ListedModel]


_MILLION, _THOUSAND = 1_000_000, 1_000
_KEYS = {
    "input_mtok": ("input", _MILLION),
    "cache_read_mtok": ("cache_read", _MILLION),
    "cache_write_5m_mtok": ("cache_write_5m", _MILLION),
    "cache_write_1h_mtok": ("cache_write_1h", _MILLION),
    "output_mtok": ("output", _MILLION),
    "output_reasoning_mtok": ("reasoning", _MILLION),
    "input_audio_mtok": ("audio_in", _MILLION),
    "output_audio_mtok": ("audio_out", _MILLION),
    "cache_audio_read_mtok": ("cache_read_audio", _MILLION),
    "input_image_mtok": ("image_in_tokens", _MILLION),
    "output_image_mtok": ("image_out_tokens", _MILLION),
    "cache_image_read_mtok": ("cache_read_image", _MILLION),
    "input_video_mtok": ("video_in", _MILLION),
    "cache_video_read_mtok": ("cache_read_video", _MILLION),
    "web_searches_kcount": ("web_searches", _THOUSAND),
    "requests_kcount": ("requests", _THOUSAND),
}
# The package's units form a tree: a unit without a price is counted in a wider one that has one. Where that is a
# statement about this model it is kept here; a modality that a list forgot is left unpriced.
_WIDER = (("cache_write_5m_mtok", "cache_write_mtok"),)
# Google states one input price for text, image, video and audio, and audio apart where it differs.
_WIDER_FOR_GEMINI = (
    ("input_audio_mtok", "input_mtok"),
    ("input_video_mtok", "input_mtok"),
    ("cache_audio_read_mtok", "cache_read_mtok"),
    ("cache_video_read_mtok", "cache_read_mtok"),
)
# A model with a price for pictures that it reads and one price for output writes pictures at that price.
_WIDER_FOR_PICTURES = (("output_image_mtok", "output_mtok"),)
_NOT_NEEDED = frozenset(
    {"cache_write_mtok", "storage_searches_kcount", "social_searches_kcount", "code_executions_kcount"}
)
# "Pricing matches the on-demand tier": https://console.groq.com/docs/flex-processing, read on 2026-11-23.
_SAME_PRICE = {"groq": ("flex",)}
# Inference in the US alone costs 1.1 times as much a token; models that cannot be asked for it never report it.
# https://platform.claude.com/docs/en/manage-claude/data-residency, read on 2026-11-28.
_US = _Region("us", Decimal("1.1"), "1.1 times for inference in the US (platform.claude.com, data residency)")
_REGIONS = {"anthropic": (_US,)}
_TIERS = {"processing", "service_tier", "speed"}
_DAY_MINUTES = 24 * 60


class _Context(NamedTuple):
    """A tier that a model is sold in: what the package wants to be told for it, and what is made of its prices."""

    tier: str | None
    told: dict[str, str]
    times: Decimal = Decimal(1)
    note: str = ""


class _Span(NamedTuple):
    starts: date | None
    until: date | None


def rows(providers: Iterable[Any]) -> Iterator[ListedProvider]:
    """The providers of a genai-prices snapshot as plain rows."""
    for p in providers:
        url = p.pricing_urls[0] if p.pricing_urls else ""
        yield ListedProvider(p.id, url, p.fallback_model_providers or [], [_model(p.id, m) for m in p.models])


def _model(provider_id: str, model: Any) -> ListedModel:
    unmeasured: set[str] = set()
    sets = [s for context in _contexts(provider_id, model) for s in _sets(provider_id, model, context, unmeasured)]
    said = (model.name, model.description, model.context_window)
    return ListedModel(model.id, _match(model.match), sets, min(unmeasured, default=None), *said)


def _match(clause: Any) -> list[Any]:
    kind, content = next(iter(vars(clause).items()))
    if isinstance(content, list):
        return [kind.rstrip("_"), [_match(part) for part in content]]
    return [kind, content if kind == "regex" else content.lower()]


def _contexts(provider_id: str, model: Any) -> list[_Context]:
    """The service tiers that a model is sold in, in every region with prices of its own."""
    tiers: dict[str | None, dict[str, str]] = {None: {}}
    for variant in model.price_variants or ():
        if variant.when.keys() <= _TIERS and len(variant.when) == 1:
            tiers.setdefault(normal_tier(next(iter(variant.when.values()))), variant.when)
    for tier in _SAME_PRICE.get(provider_id, ()):
        tiers.setdefault(tier, {})
    anywhere = [_Context(tier, told) for tier, told in tiers.items()]
    return anywhere + [_in_region(context, region) for region in _REGIONS.get(provider_id, ()) for context in anywhere]


def _in_region(context: _Context, region: _Region) -> _Context:
    return _Context(f"{region.name} {context.tier or ''}".strip(), context.told, region.times, region.note)


def _sets(provider_id: str, model: Any, context: _Context, unmeasured: set[str]) -> Iterator[ListedSet]:
    for span in _spans(model, context.told):
        for hours, price in _by_hours(model, span, context.told):
            for above, unit_prices in _by_size(price):
                wanted = _measured(provider_id, model.id, _times(unit_prices, context.times), unmeasured)
                if wanted:
                    dates = _text(span.starts), _text(span.until)
                    yield ListedSet(context.tier, above, hours, *dates, wanted, context.note)


def _times(unit_prices: dict[str, Decimal], times: Decimal) -> dict[str, Decimal]:
    """Prices of tokens, multiplied; others as they are."""
    if times == 1:
        return unit_prices
    return {key: price * times if key.endswith("_mtok") else price for key, price in unit_prices.items()}


def _spans(model: Any, context: dict[str, str]) -> list[_Span]:
    """Ranges of days in which the prices of a tier do not change, those before it was listed left out."""
    constraints = _constraints(model, context)
    days = sorted({c.start_date for c in constraints if hasattr(c, "start_date")})
    spans = [_Span(a, b) for a, b in zip([None, *days], [*days, None], strict=True)]
    if context:
        spans = [span for span in spans if _is_listed(model, context, _noon(span))]
    return _joined(spans, lambda span: repr(list(_by_hours(model, span, context))))


def _joined(spans: list[_Span], content: Any) -> list[_Span]:
    joined: list[_Span] = []
    for span in spans:
        if joined and joined[-1].until == span.starts and content(joined[-1]) == content(span):
            joined[-1] = _Span(joined[-1].starts, span.until)
        else:
            joined.append(span)
    return joined


def _constraints(model: Any, context: dict[str, str]) -> list[Any]:
    prices = model.prices if isinstance(model.prices, list) else []
    variants = [v for v in model.price_variants or () if v.when == context]
    return [part.constraint for part in (*prices, *variants) if part.constraint is not None]


def _is_listed(model: Any, context: dict[str, str], at: datetime) -> bool:
    variants = [v for v in model.price_variants if v.when == context]
    return any(v.constraint is None or v.constraint.active(at) for v in variants)


def _by_hours(model: Any, span: _Span, context: dict[str, str]) -> Iterator[tuple[list[tuple[int, int]], Any]]:
    """The prices of a day with the windows they hold in; no window: all day."""
    times = [c for c in _constraints(model, context) if hasattr(c, "start_time")]
    edges = sorted({0, *(_minute(t) for c in times for t in (c.start_time, c.end_time))})
    windows: dict[str, list[tuple[int, int]]] = {}
    prices: dict[str, Any] = {}
    for start, end in zip(edges, [*edges[1:], _DAY_MINUTES], strict=True):
        price = model.get_prices(_noon(span).replace(hour=start // 60, minute=start % 60), context or None)
        prices[repr(price)] = price
        windows.setdefault(repr(price), []).append((start, end))
    for key, price in prices.items():
        yield [] if len(prices) == 1 else _merged(windows[key]), price


def _merged(windows: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Windows that touch, over midnight too, as one."""
    merged: list[tuple[int, int]] = []
    for start, end in windows:
        if merged and merged[-1][1] == start:
            merged[-1] = (merged[-1][0], end)
        else:
            merged.append((start, end))
    if len(merged) > 1 and merged[0][0] == 0 and merged[-1][1] == _DAY_MINUTES:
        merged = [*merged[1:-1], (merged[-1][0], merged[0][1])]
    return merged


def _minute(at: time) -> int:
    moment = datetime.combine(date(2000, 1, 2), at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    return moment.hour * 60 + moment.minute


def _noon(span: _Span) -> datetime:
    day = span.starts or ((span.until or date(2020, 1, 2)) - timedelta(days=1))
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC)


def _by_size(price: Any) -> Iterator[tuple[int, dict[str, Decimal]]]:
    """One set of unit prices per context band, the band that starts at 0 first."""
    listed = {key: value for key, value in vars(price).items() if value is not None}
    edges = {tier.start for value in listed.values() for tier in getattr(value, "tiers", ())}
    for above in sorted({0, *edges}):
        yield above, {key: _in_band(value, above) for key, value in listed.items()}


def _in_band(value: Any, above: int) -> Decimal:
    if isinstance(value, Decimal):
        return value
    reached = [tier.price for tier in value.tiers if tier.start <= above and above > 0]
    price: Decimal = reached[-1] if reached else value.base
    return price


def _measured(
    provider_id: str, model_id: str, unit_prices: dict[str, Decimal], unmeasured: set[str]
) -> dict[str, tuple[str, int]]:
    unmeasured.update(unit_prices.keys() - _KEYS.keys() - _NOT_NEEDED)
    if not unit_prices and model_id.endswith(":free"):
        unit_prices = {"input_mtok": Decimal(0), "output_mtok": Decimal(0)}
    wider = list(_WIDER)
    if provider_id == "google" and model_id.startswith("gemini"):
        wider += _WIDER_FOR_GEMINI
    if "input_image_mtok" in unit_prices:
        wider += _WIDER_FOR_PICTURES
    complete = dict(unit_prices)
    for key, fallback in wider:
        if key not in complete and fallback in complete:
            complete[key] = complete[fallback]
    return {_KEYS[key][0]: (f"{price:f}", _KEYS[key][1]) for key, price in complete.items() if key in _KEYS}


def _text(day: date | None) -> str | None:
    return day.isoformat() if day else None


def main() -> None:
    """Write all rows to standard output: one MessagePack map of provider id to row."""
    from genai_prices.data_snapshot import get_snapshot

    encode = msgspec.msgpack.Encoder().encode
    listed = {row.id: msgspec.Raw(encode(row)) for row in rows(get_snapshot().providers)}
    sys.stdout.buffer.write(encode(listed))


if __name__ == "__main__":
    main()
