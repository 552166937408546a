"""Calls from a readable table, one a line: `12:00 openai gpt-x 1000/200 ok 840ms key=value ...`.

    time        12:00, 12:00:05, 12:00:05.25 on the given day, or 2026-10-01T12:00 (UTC)
    provider    `-` when not stated
    model       `-` when not stated
    tokens      input/output; `-` when no usage is stated (quality none)
    outcome     ok, provider_fault, ...
    840ms       latency, may be left out
    key=value   any text or whole-number field of Call (app=shop user=ann origin_id=r1 first_token_ms=90),
                any meter (images_in=2), streamed=1, tags=team:a,env:b,
                attempts=openai:provider_fault,azure/gpt-y:ok

Lines that are empty or begin with # are skipped. The source is "gateway"; the id follows from the line and its place.
"""

import hashlib
import re
from datetime import UTC, datetime
from typing import Any

import msgspec

from collector.core.calls import Attempt, Call, Quality, call_id_at
from collector.core.meters import METERS
from collector.core.outcomes import Outcome

DAY = "2026-10-01"


def calls(table: str, day: str = DAY) -> list[Call]:
    """The calls of a table, in its order."""
    lines = [line.strip() for line in table.splitlines()]
    return [_call(line, n, day) for n, line in enumerate(lines) if line and not line.startswith("#")]


def call(line: str, day: str = DAY) -> Call:
    """The call of one line."""
    return _call(line.strip(), 0, day)


def instant(text: str, day: str = DAY) -> int:
    """Microseconds UTC of "12:00" on the day, or of "2026-10-01T12:00"."""
    stated = datetime.fromisoformat(text if "T" in text else f"{day}T{text}").replace(tzinfo=UTC)
    return (stated - datetime(1970, 1, 1, tzinfo=UTC)) // (stated.resolution)


def _call(line: str, n: int, day: str) -> Call:
    time, provider, model, tokens, outcome, *rest = line.split()
    fields: dict[str, Any] = {"source": "gateway", "meters": _tokens(tokens)}
    if rest and (latency := re.fullmatch(r"(\d+)ms", rest[0])):
        fields["latency_ms"] = int(latency[1])
        rest = rest[1:]
    started_at = instant(time, day)
    for name, value in (pair.split("=", 1) for pair in rest):
        if name in METERS:
            fields["meters"][name] = int(value)
        else:
            fields[name] = _field(name, value, started_at, fields, model)
    fields.setdefault("quality", Quality.EXACT if fields["meters"] else Quality.NONE)
    fields.setdefault("id", call_id_at(started_at, hashlib.sha256(f"{n} {line}".encode()).digest()))
    return Call(
        started_at=started_at, provider=_stated(provider), model=_stated(model), outcome=Outcome(outcome), **fields
    )


def _tokens(text: str) -> dict[str, int]:
    if text == "-":
        return {}
    given, made = text.split("/")
    return {"input": int(given), "output": int(made)}


def _stated(text: str) -> str | None:
    return None if text == "-" else text


def _field(name: str, value: str, started_at: int, fields: dict[str, Any], model: str) -> Any:
    if name == "attempts":
        return tuple(_attempt(text, started_at, model) for text in value.split(","))
    if name == "tags":
        return dict(pair.split(":", 1) for pair in value.split(","))
    if name == "streamed":
        return value == "1"
    kind = next(field.type for field in msgspec.structs.fields(Call) if field.name == name)
    return int(value) if kind in (int, int | None) else value


def _attempt(text: str, started_at: int, model: str) -> Attempt:
    """`provider:outcome` or `provider/model:outcome`."""
    target, outcome = text.split(":")
    provider, _, own = target.partition("/")
    return Attempt(provider=provider, model=own or model, started_at=started_at, outcome=Outcome(outcome))
