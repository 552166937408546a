"""GET generation?id=: one call in OpenRouter's shape, from the ledger, or from the journal until it is in there."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from collector.core.calls import Call
from collector.core.errors import LedgerError
from collector.core.meters import COMMON_METERS, INPUT_TOKENS, METERS, OUTPUT_TOKENS
from collector.core.money import format_usd
from collector.core.outcomes import Outcome
from collector.core.prices.book import charge
from collector.intake.gateway.pages.query import Param, read_query
from collector.intake.gateway.pages.served import Asked, Reply, Sources, json_reply, not_found
from collector.intake.gateway.pages.shapes import known_provider, provider_name
from collector.ledger.questions.ask import AnyRow, rows
from collector.ledger.questions.calls import attempts_of, names_of_kind, of_origin
from collector.ledger.questions.calls import one as one_call
from collector.ledger.questions.waiting import find_waiting

QUERY = {"one": {"id": Param()}}
_OWN_ID = re.compile(r"[0-9a-f]{32}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_API_TYPES = {"embeddings": "embeddings"}  # every other operation makes completions
_CACHE_READ = tuple(name for name in METERS if METERS[name].cache == "read")


class Generation(msgspec.Struct, frozen=True):
    """A call as this page needs it. `meters` are disjoint, stated ones only; money is picodollars."""

    id: str
    call: Mapping[str, Any]  # values by the names of v_calls, and of its EXTRA columns
    meters: Mapping[str, int]
    attempts: tuple[Mapping[str, Any], ...]
    cost: int | None
    unpriced_reason: str | None


def one(sources: Sources, asked: Asked) -> Reply:
    """The call of an id: the provider's, as answers carry it, or the one in X-Callmeter-Call-Id. Raises Refusal."""
    name = read_query(asked.query, QUERY["one"]).get("id", "").strip()
    if not name:
        raise not_found("`id` is missing: ask for ?id= with the id of an answer")
    found = _in_ledger(sources, name) or _in_journal(sources, name)
    if found is None:
        raise not_found(f"no generation with the id {name[:80]!r} is known: use the id of an answer")
    return json_reply({"data": shape(found)})


def _in_ledger(sources: Sources, name: str) -> Generation | None:
    try:
        engine = sources.engine
    except LedgerError:
        return None
    found = rows(engine, one_call(name)) if _OWN_ID.fullmatch(name) else []
    if not found:
        providers = [row.name for row in rows(engine, names_of_kind("provider"))]
        found = rows(engine, of_origin(name, providers))
    return _of_row(found[0], rows(engine, attempts_of(found[0].id.hex()))) if found else None


def _in_journal(sources: Sources, name: str) -> Generation | None:
    try:
        engine = sources.engine
    except LedgerError:
        engine = None
    limits = sources.settings.limits
    call = find_waiting(engine, sources.settings.journal_dir, name, limits.search_bytes)
    if call is not None and call.outcome is Outcome.INTERRUPTED and not call.attempts:
        raise not_found(f"the generation {name[:80]!r} is still running: ask again when it has ended")
    return _of_call(call, sources) if call else None


def _of_row(row: AnyRow, attempts: list[AnyRow]) -> Generation:
    stated = {name: getattr(row, METERS[name].column) for name in COMMON_METERS}
    sparse = msgspec.json.decode(row.sparse) if row.sparse else {}
    return Generation(
        id=row.id.hex(),
        call=row._asdict(),
        meters={name: n for name, n in stated.items() if n is not None} | sparse,
        attempts=tuple(each._asdict() for each in attempts),
        cost=row.cost_picousd,
        unpriced_reason=row.unpriced_reason,
    )


def _of_call(call: Call, sources: Sources) -> Generation:
    charged = charge(call, sources.book) if sources.book else None
    values = msgspec.structs.asdict(call) | {
        "reported_cost_picousd": call.reported_cost,
        "own_key_cost_picousd": call.own_key_cost,
    }
    return Generation(
        id=call.id,
        call=values,
        meters=call.meters,
        attempts=tuple(msgspec.structs.asdict(each) for each in call.attempts) if len(call.attempts) > 1 else (),
        cost=charged.cost if charged else None,
        unpriced_reason=charged.unpriced_reason if charged else "no price list could be read",
    )


def shape(found: Generation) -> dict[str, Any]:
    """OpenRouter's GenerationResponse (openrouter.ai/docs, API reference); `callmeter` holds what it has no name for.

    Tokens are counted by the model's own tokenizer, so both of its counts are the same. `total_cost` may not be null:
    it is 0 for a call without a price, and `callmeter.unpriced_reason` says so.
    """
    call, meters = found.call, found.meters
    prompt, completion = _sum(meters, INPUT_TOKENS), _sum(meters, OUTPUT_TOKENS)
    cost, reported = _usd(found.cost), call["reported_cost_picousd"]
    operation = str(call["operation"])
    attempts = found.attempts or _only_attempt(call)
    return {
        "id": call["origin_id"] or found.id,
        "upstream_id": call["origin_id"],
        "request_id": found.id,
        "session_id": call["session"],
        "created_at": (_EPOCH + timedelta(microseconds=call["started_at"])).isoformat(timespec="microseconds"),
        "api_type": _API_TYPES.get(operation, "completions"),
        "model": call["served_model"] or call["model"] or "",
        "router": None,
        "provider_name": provider_name(call["provider"]) if call["provider"] else None,
        "provider_responses": [_response(each) for each in attempts],
        "preset_id": None,
        "service_tier": call["service_tier"],
        "data_region": "global",
        "workspace_id": None,
        "app_id": None,
        "origin": call["app"] or "",
        "http_referer": call["app"],
        "user_agent": None,
        "external_user": call["user"],
        "is_byok": call["own_key_cost_picousd"] is not None,
        "streamed": bool(call["streamed"]),
        "cancelled": call["outcome"] == Outcome.CANCELLED,
        "finish_reason": call["finish_reason"],
        "native_finish_reason": call["native_finish_reason"],
        "latency": call["latency_ms"],
        "generation_time": call["latency_ms"],
        "moderation_latency": None,
        "tokens_prompt": prompt,
        "tokens_completion": completion,
        "native_tokens_prompt": prompt,
        "native_tokens_completion": completion,
        "native_tokens_reasoning": meters.get("reasoning"),
        "native_tokens_cached": _sum(meters, _CACHE_READ),
        "native_tokens_completion_images": meters.get("image_out_tokens"),
        "num_media_prompt": meters.get("images_in"),
        "num_media_completion": meters.get("images_out"),
        "num_input_audio_prompt": None,
        "num_search_results": meters.get("web_searches"),
        "num_fetches": None,
        "web_search_engine": None,
        "usage": cost,
        "total_cost": cost,
        "upstream_inference_cost": None if reported is None else _usd(reported),
        "cache_discount": None,
        "response_cache_source_id": None,
        "callmeter": {
            "call_id": found.id,
            "operation": operation,
            "outcome": call["outcome"],
            "http_status": call["http_status"],
            "error_type": call["error_type"],
            "cost_usd": None if found.cost is None else format_usd(found.cost),
            "unpriced_reason": found.unpriced_reason,
            "attempts": [_attempt(each) for each in attempts],
        },
    }


def _only_attempt(call: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """What the row itself tells of a call's only attempt."""
    return (call,) if call["provider"] is not None else ()


def _response(attempt: Mapping[str, Any]) -> dict[str, Any]:
    """OpenRouter's ProviderResponse, whose names are those of the providers that it knows."""
    told = {
        "provider_name": known_provider(attempt["provider"]),
        "model_permaslug": attempt["model"],
        "latency": attempt["latency_ms"],
    }
    stated = {name: value for name, value in told.items() if value is not None}
    return {"status": attempt["http_status"], "is_byok": False, **stated}


def _attempt(attempt: Mapping[str, Any]) -> dict[str, Any]:
    return {name: attempt[name] for name in ("provider", "model", "outcome", "http_status", "error_type", "latency_ms")}


def _sum(meters: Mapping[str, int], names: tuple[str, ...]) -> int | None:
    stated = [meters[name] for name in names if name in meters]
    return sum(stated) if stated else None


def _usd(picousd: int | None) -> msgspec.Raw:
    """An exact JSON number."""
    return msgspec.Raw(format_usd(picousd or 0).encode())
