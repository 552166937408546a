"""Single calls: a list of them, and one with all that is known of it."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import pandas as pd

from collector.core.meters import INPUT_TOKENS, METERS, OUTPUT_TOKENS
from collector.core.outcomes import Outcome
from collector.finance.explain import Explanation, Planned, Tried, meters_of
from collector.finance.explain_text import rule_of
from dashboard import texts
from dashboard.frames import spend
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


def says(rows: Sequence[Any]) -> str:
    """The sentence above the list: how many calls there are on all its pages, and what they cost, exactly."""
    calls = sum(row.calls for row in rows)
    return f"{texts.count(calls, 'call')}, newest first. {spend.says(rows)}"


def outcome_name(outcome: str) -> str:
    """What a screen calls an outcome."""
    return NAMES[Outcome(outcome)]


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
    "Its native form": "native_finish_reason",
    "Service tier": "service_tier",
    "Source": "source",
    "Provider's id": "origin_id",
    "Usage quality": "usage_quality",
    "Usage problem": "usage_problem",
    "Unpriced because": "unpriced_reason",
}


def facts(told: Explanation, zone: str) -> pd.DataFrame:
    """What is known of a call, one fact a line; what nobody stated is left out."""
    call = told.call | told.asked | {"usage_problem": told.usage_problem}
    stated = [(name, call.get(column)) for name, column in _FACTS.items()]
    lines = [
        ("Id", call["id"]),
        ("Started", texts.precise_time(told.started_at, zone)),
        ("Outcome", outcome_name(call["outcome"])),
        *((name, str(value)) for name, value in stated if value is not None),
        ("Streamed", "yes" if call["streamed"] else "no"),
        ("Latency", texts.duration(call["latency_ms"])),
        ("First token", texts.duration(call["first_token_ms"])),
        ("Cost", texts.amount(texts.dollars(told.cost))),
    ]
    if told.cost != told.first_cost:
        lines.append(("First cost", texts.amount(texts.dollars(told.first_cost))))
    if told.reported_cost is not None:
        lines.append(("The provider said", texts.usd(told.reported_cost)))
    return pd.DataFrame(lines, columns=["Fact", "Value"])


def why(told: Explanation) -> pd.DataFrame:
    """How a cost comes about: a line per meter and one for what goes beyond them; together they are the cost.

    Without a price set: the meters alone.
    """
    lines: list[list[Any]] = [
        [it.unit, it.meter, f"{it.quantity:,}", *map(texts.dollars, (it.unit_price, it.cost)), rule_of(it, told.price)]
        for it in told.items
    ]
    if told.price is None:
        lines = [[METERS[name].unit, name, f"{quantity:,}", None, None, ""] for name, quantity in told.meters.items()]
    if told.beyond:
        lines.append(["", BEYOND, "1", *[texts.dollars(told.beyond)] * 2, "as the call came with it"])
    return pd.DataFrame(lines, columns=WHY_COLUMNS).astype(dict.fromkeys(WHY_COLUMNS[3:5], object))


def attempt_list(told: Explanation) -> pd.DataFrame:
    """A line per attempt with its offset from the call's start."""
    lines = [_attempt(n, each, told.started_at) for n, each in enumerate(told.attempts, start=1)]
    return pd.DataFrame(lines, columns=_ATTEMPT_COLUMNS)


def waterfall(told: Explanation) -> pd.DataFrame:
    """A line per attempt of which it is known how long it took: in milliseconds since the call began."""
    lines = [
        [
            f"{n}. {it.provider or NOT_STATED}",
            (it.started_at - told.started_at) / 1_000,
            it.latency_ms,
            it.outcome == Outcome.OK,
            f"{outcome_name(it.outcome)}, {texts.duration(it.latency_ms)}",
            it.first_token_ms,
        ]
        for n, it in enumerate(told.attempts, start=1)
        if it.latency_ms is not None
    ]
    columns = ["name", "began_ms", "latency_ms", "is_ok", "text", "first_ms"]
    return pd.DataFrame(lines, columns=columns).astype({"first_ms": float})


def plan_table(plan: Planned) -> pd.DataFrame:
    """The endpoints in the order in which the gateway would have tried them, and why each stands where it does."""
    lines = [[n, it[0], it[2] if len(it) > 2 else "", it[1]] for n, it in enumerate(plan.endpoints, start=1)]
    table = pd.DataFrame(lines, columns=["Order", "Provider", "Model", "Verdict"])
    return table if any(table["Model"]) else table.drop(columns="Model")


BEYOND = "beyond"
WHY_COLUMNS = ("Unit", "Meter", "Quantity", "Price per unit, USD", "Cost, USD", "Rule")
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


def _attempt(n: int, it: Tried, call_started_at: int) -> list[str]:
    status = NOT_STATED if it.http_status is None else str(it.http_status)
    ending = [outcome_name(it.outcome), status, it.error_type or NOT_STATED]
    times = [texts.duration(it.latency_ms), texts.duration(it.first_token_ms)]
    began = f"+{(it.started_at - call_started_at) // 1_000} ms"
    return [f"{n}", it.provider or NOT_STATED, it.model or NOT_STATED, *ending, *times, began]


def why_says(told: Explanation) -> str:
    """The sentence above `why`."""
    if told.cost is None:
        return "No price: the call is not part of spend"
    return f"{texts.usd(told.cost)}: {told.sentence[:1].lower()}{told.sentence[1:]}"
