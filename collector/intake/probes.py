"""Probes: one request to each configured provider, written as attempts of its endpoints that no call asked for.

Free by default: the list of models. A probe that spends tokens is opt-in, asks for one token, and is counted per day.
Requests go out in parallel, each at a moment of its own, and none lasts longer than its limit. What could not be asked,
or not in time, is absent: nothing is known of it.
"""

import asyncio
import contextlib
import os
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import httpx
import msgspec

from collector.core.calls import Attempt, new_call_id
from collector.core.errors import SettingsError
from collector.core.outcomes import Facts, decide
from collector.core.told import Probe
from collector.intake.gateway.routing import operations_of
from collector.intake.pulls import HEADERS
from collector.provider_keys import provider_key
from collector.settings import Provider, Settings

JITTER_S = 5.0
AT_ONCE = 50
WITHIN_S = 45.0  # all of them
MAX_ANSWER_BYTES = 8 * 1024 * 1024
ALL_MODELS = ""
_SAID = [{"role": "user", "content": "."}]
# operation -> path, and what asks for the least of it besides the model
LEAST: Mapping[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/chat/completions", {"max_tokens": 1, "messages": _SAID}),
    "messages": ("/messages", {"max_tokens": 1, "messages": _SAID}),
    "completions": ("/completions", {"max_tokens": 1, "prompt": "."}),
    "embeddings": ("/embeddings", {"input": "."}),
    "responses": ("/responses", {"max_output_tokens": 16, "input": "."}),
}


class Target(NamedTuple):
    """What is probed: a provider, and the models it stands for. `operation`: of LEAST, for a token of its model."""

    name: str
    provider: Provider
    models: tuple[str, ...]
    operation: str | None = None


class _Answer(msgspec.Struct):
    error: Any = None


def targets(settings: Settings) -> list[Target]:
    """The configured providers that can be asked: one that only passes on its callers' keys cannot."""
    found = []
    for name, provider in settings.providers.items():
        if not provider.pass_key:
            own = [e.upstream_model or e.model for e in settings.endpoints if e.provider == name]
            found.append(Target(name, provider, tuple(dict.fromkeys(own)) or (ALL_MODELS,)))
    return found


def token_targets(settings: Settings) -> list[Target]:
    """The endpoints on which a token may be spent, each by the first operation that it serves."""
    chosen, found = settings.probes.token_models, {}
    for endpoint in settings.endpoints:
        provider, model = settings.providers.get(endpoint.provider), endpoint.upstream_model or endpoint.model
        if provider is not None and not provider.pass_key and (not chosen or model in chosen):
            operation = operations_of(endpoint, provider)[0]
            found[endpoint.provider, model] = Target(endpoint.provider, provider, (model,), operation)
    return list(found.values())


def probe(
    some: Sequence[Target],
    timeout_s: float,
    now_us: Callable[[], int],
    jitter_s: float = JITTER_S,
    environ: Mapping[str, str] = os.environ,
    within_s: float = WITHIN_S,
) -> list[Probe]:
    """Probes all targets; those that could not be asked, for want of their key or of time, are absent: unknown."""
    return asyncio.run(_probe_all(some, timeout_s, now_us, jitter_s, environ, within_s))


async def _probe_all(
    some: Sequence[Target],
    timeout_s: float,
    now_us: Callable[[], int],
    jitter_s: float,
    environ: Mapping[str, str],
    within_s: float,
) -> list[Probe]:
    slots, found = asyncio.Semaphore(AT_ONCE), dict[int, list[Probe]]()
    async with httpx.AsyncClient(timeout=timeout_s, follow_redirects=False) as client:

        async def one(place: int) -> None:
            await asyncio.sleep(random.uniform(0, jitter_s))
            async with slots:
                found[place] = await _probe(client, some[place], timeout_s, now_us, environ)

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await asyncio.gather(*map(one, range(len(some))))
    return [each for place in sorted(found) for each in found[place]]


async def _probe(
    client: httpx.AsyncClient, target: Target, timeout_s: float, now_us: Callable[[], int], environ: Mapping[str, str]
) -> list[Probe]:
    try:
        key = provider_key(target.name, target.provider, environ)
    except SettingsError:
        return []
    request = _request(client, target, key)
    started_at, begun = now_us(), time.monotonic()
    facts = await _facts(client, request, timeout_s, "ours" if key else "unknown")
    latency_ms = round((time.monotonic() - begun) * 1000)
    return list(_attempts(target, facts, started_at, latency_ms))


def _request(client: httpx.AsyncClient, target: Target, key: str | None) -> httpx.Request:
    base, headers = target.provider.base_url.rstrip("/"), HEADERS[target.provider.kind](key)
    if target.operation is None:
        return client.build_request("GET", f"{base}/models", headers=headers)
    path, least = LEAST[target.operation]
    return client.build_request("POST", base + path, headers=headers, json={"model": target.models[0], **least})


async def _facts(client: httpx.AsyncClient, request: httpx.Request, timeout_s: float, holder: str) -> Facts:
    """How it ended. What is no JSON is a malformed answer, and an error inside a 200 is one."""
    try:
        async with asyncio.timeout(timeout_s):
            answer = await client.send(request, stream=True)
            try:
                body = await _body(answer)
            finally:
                await answer.aclose()
    except (TimeoutError, httpx.TimeoutException):
        return Facts(None, "timeout", failure="timeout")
    except (httpx.HTTPError, httpx.InvalidURL):
        return Facts(None, "connect", failure="connect")
    status = answer.status_code
    if not answer.is_success:
        return Facts(status, None, "ours" if holder == "ours" else "unknown")
    try:
        told = msgspec.json.decode(body, type=_Answer | list[Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Facts(status, "malformed", failure="malformed")
    return Facts(status, error_inside=isinstance(told, _Answer) and bool(told.error))


async def _body(answer: httpx.Response) -> bytes:
    """All of the body; one beyond its bound is cut, and then it is malformed."""
    pieces, size = [], 0
    async for piece in answer.aiter_bytes():
        pieces.append(piece)
        size += len(piece)
        if size > MAX_ANSWER_BYTES:
            break
    return b"".join(pieces)


def _attempts(target: Target, facts: Facts, started_at: int, latency_ms: int) -> Iterable[Probe]:
    for model in target.models:
        attempt = Attempt(
            target.name, model, started_at, decide(facts), facts.status, facts.error_type, latency_ms=latency_ms
        )
        yield Probe(new_call_id(started_at), attempt)
