"""Single calls: a list of them, and one with all that is known of it."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import msgspec
import pandas as pd

from collector.core.meters import COMMON_METERS, INPUT_TOKENS, METERS, OUTPUT_TOKENS
from collector.core.outcomes import Outcome
from collector.core.prices import PriceSet, line_items
from dashboard import texts
from dashboard.frames.outcomes import NAMES

NOT_STATED = "–"
LINK = "Call"
LIST_COLUMNS = (
    LINK,
    "Time",
    "Outcome",
    "Model",
    "Provider",
    "App",
    "Input tokens",
    "Output tokens",
    "Cost, USD",
    "Latency",
    "First token",
    "Attempts",
)


def call_list(rows: Sequence[Any], zone: str) -> pd.DataFrame:
    """One line per call, in the order of the rows; what nobody stated is a dash, what has no price is not 0.

    LINK is the address of the call's own page.
    """
    return pd.DataFrame([_line(row, zone) for row in rows], columns=LIST_COLUMNS).astype({"Cost, USD": object})


def _line(row: Any, zone: str) -> list[Any]:
    meters = meters_of(row)
    return [
        f"/call?{urlencode([('zone', zone), ('id', row.id.hex())])}",
        texts.precise_time(row.started_at, zone),
        outcome_name(row.outcome),
        row.model or NOT_STATED,
        row.provider or NOT_STATED,
        row.app_title or row.app or NOT_STATED,
        _side(meters, INPUT_TOKENS),
        _side(meters, OUTPUT_TOKENS),
        texts.dollars(row.cost_picousd),
        texts.duration(row.latency_ms),
        texts.duration(row.first_token_ms),
        f"{row.attempts}",
    ]


def outcome_name(outcome: str) -> str:
    """What a screen calls an outcome."""
    return NAMES[Outcome(outcome)]


def meters_of(row: Any) -> dict[str, int]:
    """The stated meters of a call, common and sparse."""
    common = {name: getattr(row, METERS[name].column) for name in COMMON_METERS}
    sparse: dict[str, int] = msgspec.json.decode(row.sparse) if row.sparse else {}
    return {name: quantity for name, quantity in (common | sparse).items() if quantity is not None}


def _side(meters: Mapping[str, int], names: Sequence[str]) -> str:
    stated = [meters[name] for name in names if name in meters]
    return f"{sum(stated):,}" if stated else NOT_STATED


_FACTS = {
    "Operation": "operation",
    "Model asked": "model",
    "Model served": "served_model",
    "Provider": "provider",
    "App": "app",
    "App's title": "app_title",
    "Key": "key",
    "User": "user",
    "Session": "session",
    "Tags": "tags",
    "HTTP status": "http_status",
    "Error type": "error_type",
    "Finish reason": "finish_reason",
    "As the provider named it": "native_finish_reason",
    "Service tier": "service_tier",
    "Source": "source",
    "Provider's id": "origin_id",
    "Usage quality": "usage_quality",
    "Usage problem": "usage_problem",
    "Without a price because": "unpriced_reason",
}


def facts(row: Any, zone: str) -> pd.DataFrame:
    """What is known of a call, one fact a line; what nobody stated is left out."""
    stated = [(name, getattr(row, column)) for name, column in _FACTS.items()]
    lines = [
        ("Id", row.id.hex()),
        ("Started", texts.precise_time(row.started_at, zone)),
        ("Outcome", outcome_name(row.outcome)),
        *((name, str(value)) for name, value in stated if value is not None),
        ("Streamed", "yes" if row.streamed else "no"),
        ("Latency", texts.duration(row.latency_ms)),
        ("First token", texts.duration(row.first_token_ms)),
        ("Cost", texts.amount(texts.dollars(row.cost_picousd))),
    ]
    if row.cost_picousd != row.original_cost_picousd:
        lines.append(("First cost", texts.amount(texts.dollars(row.original_cost_picousd))))
    if row.reported_cost_picousd is not None:
        lines.append(("The provider said", texts.usd(row.reported_cost_picousd)))
    return pd.DataFrame(lines, columns=["Fact", "Value"])


def why(row: Any, body: str | None) -> pd.DataFrame:
    """How the cost comes about: a line per meter, whose costs add up to the call's by the price set in `body`.

    Without a price set: the meters alone.
    """
    meters = meters_of(row)
    if body is None:
        bare = [[METERS[name].unit, name, f"{quantity:,}", None, None, ""] for name, quantity in meters.items()]
        return _why_frame(bare)
    price_set = PriceSet.from_plain(msgspec.json.decode(body))
    return _why_frame(
        [
            [it.unit, it.meter, f"{it.quantity:,}", texts.dollars(it.unit_price), texts.dollars(it.cost), it.rule]
            for it in line_items(meters, price_set)
        ]
    )


def _why_frame(lines: list[list[Any]]) -> pd.DataFrame:
    columns = ["Unit", "Meter", "Quantity", "Price per unit, USD", "Cost, USD", "Rule"]
    return pd.DataFrame(lines, columns=columns).astype({"Price per unit, USD": object, "Cost, USD": object})


def attempt_list(rows: Sequence[Any], call: Any) -> pd.DataFrame:
    """A line per attempt with its offset from the call's start; a call's only attempt is told by the call itself."""
    lines = [_attempt(row, call.started_at) for row in rows]
    if not lines and call.attempts:
        lines = [["1", call.provider or NOT_STATED, call.model or NOT_STATED, *_ending(call), "+0 ms"]]
    return pd.DataFrame(lines, columns=_ATTEMPT_COLUMNS)


_ATTEMPT_COLUMNS = (
    "Attempt",
    "Provider",
    "Model",
    "Outcome",
    "HTTP status",
    "Error type",
    "Latency",
    "First token",
    "Began",
)


def _attempt(row: Any, call_started_at: int) -> list[str]:
    began = f"+{(row.started_at - call_started_at) // 1_000} ms"
    return [f"{row.n}", row.provider or NOT_STATED, row.model or NOT_STATED, *_ending(row), began]


def _ending(row: Any) -> list[str]:
    status = NOT_STATED if row.http_status is None else str(row.http_status)
    times = [texts.duration(row.latency_ms), texts.duration(row.first_token_ms)]
    return [outcome_name(row.outcome), status, row.error_type or NOT_STATED, *times]


def why_says(row: Any) -> str:
    """The sentence above `why`: the cost and the price set, or why there is none."""
    if row.cost_picousd is None:
        return "No price: the call is not part of spend"
    cost = texts.usd(row.cost_picousd)
    if row.price_id is None:
        return f"{cost}: no price set was needed"
    return f"{cost} by price set {row.price_id}, quantity x price on every line"
