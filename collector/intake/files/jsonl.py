"""callmeter's own JSONL: what `export --calls --format jsonl` writes, and lines that others write with the same names.

A line is a call, or a price set that later lines name. Only `started_at` is needed. Id, source, price and costs that a
line states are kept; a line without a cost is priced.
"""

from collections.abc import Iterator
from typing import Annotated, Any

import msgspec

from collector.core.calls import QUALITIES, Attempt, Call, Quality, clip
from collector.core.errors import InputError
from collector.core.meters import COMMON_METERS, MAX_COUNT, METERS
from collector.core.money import format_usd
from collector.core.outcomes import Facts, Outcome, decide
from collector.core.prices import PriceSet
from collector.intake.files import fields
from collector.intake.files.ids import RowIds
from collector.intake.files.lines import Line, Lines
from collector.intake.files.reading import Options, Rejected

SOURCE = "jsonl"
MAX_PRICE_SETS = 100_000
Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)]
Picousd = Annotated[int, msgspec.Meta(ge=-(10**17), le=10**17)]
CallId = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]
Status = Annotated[int, msgspec.Meta(ge=0, le=999)]


class AttemptLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One attempt of `attempt_list`."""

    provider: str
    started_at: str
    outcome: Outcome
    model: str = ""
    http_status: Status | None = None
    error_type: str | None = None
    latency_ms: Count | None = None
    first_token_ms: Count | None = None


class CallLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line: the columns of `export --calls`, and what JSONL adds to them."""

    started_at: str | int
    id: CallId | None = None
    source: str | None = None
    origin_id: str | None = None
    operation: str = "chat"
    model: str | None = None
    served_model: str | None = None
    provider: str | None = None
    app: str | None = None
    key: str | None = None
    user: str | None = None
    streamed: bool | int = False
    outcome: Outcome | None = None
    http_status: Status | None = None
    error_type: str | None = None
    finish_reason: str | None = None
    attempts: Count | None = None
    latency_ms: Count | None = None
    first_token_ms: Count | None = None
    input_tokens: Count | None = None
    cache_read_tokens: Count | None = None
    cache_write_5m_tokens: Count | None = None
    cache_write_1h_tokens: Count | None = None
    output_tokens: Count | None = None
    reasoning_tokens: Count | None = None
    audio_in_tokens: Count | None = None
    audio_out_tokens: Count | None = None
    image_in_tokens: Count | None = None
    image_out_tokens: Count | None = None
    images_in: Count | None = None
    images_out: Count | None = None
    usage_quality: str | None = None
    cost_picousd: Picousd | None = None
    cost_usd: str | None = None
    original_cost_picousd: Picousd | None = None
    unpriced_reason: str | None = None
    reported_cost_picousd: Picousd | None = None
    price_id: str | None = None
    meters: dict[str, Count] | None = None
    session: str | None = None
    tags: dict[str, str] | None = None
    service_tier: str | None = None
    native_finish_reason: str | None = None
    usage_problem: str | None = None
    own_key_cost_picousd: Picousd | None = None
    app_title: str | None = None
    attempt_list: tuple[AttemptLine, ...] = ()


class PriceLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A price set, before the calls that were priced by it."""

    price_id: str
    price_set: dict[str, Any]


_NAMES = ("operation", "model", "served_model", "provider", "app", "key", "user", "error_type", "finish_reason")
_TEXTS = (*_NAMES, "session", "service_tier", "native_finish_reason", "app_title", "origin_id")
_SAME = ("http_status", "latency_ms", "first_token_ms", "usage_problem")


class _Reader:
    def __init__(self, options: Options) -> None:
        self._options = options
        self._ids = RowIds(SOURCE, options.model, options.provider)
        self._prices: dict[str, dict[str, Any]] = {}

    def read(self, line: Line) -> Call | Rejected | None:
        """The call of a line; None for a price set and an empty line."""
        if not line.text.strip():
            return None
        try:
            return self._parsed(line.text)
        except (InputError, msgspec.DecodeError, RecursionError, ValueError) as error:
            return Rejected(line.number, str(error), line.text)

    def _parsed(self, text: str) -> Call | None:
        if '"price_set"' in text and (price := self._price(text)):
            self._prices[price[0]] = price[1]
            return None
        return self._call(msgspec.json.decode(text, type=CallLine), text)

    def _price(self, text: str) -> tuple[str, dict[str, Any]] | None:
        stated = msgspec.json.decode(text)
        if not isinstance(stated, dict) or "price_set" not in stated:
            return None
        line = msgspec.convert(stated, PriceLine)
        found = PriceSet.from_plain(line.price_set)
        if found.id != line.price_id:
            raise InputError(f"price_id {line.price_id[:40]!r} is not that of its price set, {found.id}")
        if len(self._prices) >= MAX_PRICE_SETS:
            raise InputError(f"more than {MAX_PRICE_SETS} price sets are in one file: split it")
        return line.price_id, line.price_set

    def _call(self, line: CallLine, text: str) -> Call:
        started_at = fields.instant(str(line.started_at), self._options.zone)
        texts: dict[str, Any] = {name: found for name in _TEXTS if (found := clip(getattr(line, name)))}
        texts["model"] = texts.get("model") or self._options.model
        texts["provider"] = texts.get("provider") or self._options.provider
        meters = _meters(line)
        return Call(
            id=line.id or self._ids.next(started_at, text),
            source=clip(line.source) or SOURCE,
            started_at=started_at,
            outcome=line.outcome or _outcome(line),
            streamed=bool(line.streamed),
            meters=meters,
            tags=line.tags or {},
            quality=_quality(line, meters),
            reported_cost=line.reported_cost_picousd,
            own_key_cost=line.own_key_cost_picousd,
            attempts=tuple(self._attempt(each) for each in line.attempt_list),
            **self._charged(line),
            **texts,
            **{name: getattr(line, name) for name in _SAME},
        )

    def _charged(self, line: CallLine) -> dict[str, Any]:
        """Cost and price as stated; nothing where the line states no cost."""
        cost = line.cost_picousd
        if line.cost_usd is not None:
            stated = fields.money(line.cost_usd, "cost_usd")
            if cost is not None and stated != cost:
                raise InputError(f"cost_usd {line.cost_usd} is not cost_picousd, {format_usd(cost)} USD")
            cost = stated
        if cost is None:
            return {}
        if line.price_id and line.price_id not in self._prices:
            raise InputError(f"price_id {line.price_id[:40]!r} is not among the price sets before this line")
        original = line.original_cost_picousd
        price = self._prices[line.price_id] if line.price_id else None
        return {"cost": cost, "original_cost": None if original == cost else original, "price": price}

    def _attempt(self, line: AttemptLine) -> Attempt:
        started_at = fields.instant(line.started_at, self._options.zone)
        return Attempt(**msgspec.structs.asdict(line) | {"started_at": started_at})


def read_jsonl(lines: Lines, options: Options) -> Iterator[Call | Rejected]:
    """The calls of a JSONL file."""
    reader = _Reader(options)
    for line in lines:
        found = line if isinstance(line, Rejected) else reader.read(line)
        if found is not None:
            yield found


def _meters(line: CallLine) -> dict[str, int]:
    common = {name: quantity for name in COMMON_METERS if (quantity := getattr(line, METERS[name].column)) is not None}
    stated = line.meters or {}
    if unknown := [name for name in stated if name not in METERS or METERS[name].common]:
        raise InputError(f"meters.{unknown[0][:40]} is no meter without a column of its own")
    return common | stated


def _quality(line: CallLine, meters: dict[str, int]) -> str:
    quality = line.usage_quality or (Quality.EXACT if meters else Quality.NONE)
    if quality not in QUALITIES:
        raise InputError(f"usage_quality {quality[:40]!r} is none: write one of {', '.join(QUALITIES)}")
    return quality


def _outcome(line: CallLine) -> Outcome:
    return decide(Facts(line.http_status, error_type=line.error_type, finish_reason=line.finish_reason, source=SOURCE))
