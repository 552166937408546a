"""Probes: one request to each configured provider, written as attempts of its endpoints that no call asked for.

Free by default: the list of models. A probe that spends tokens is opt-in, asks for one token, and is counted per day.
Requests go out in parallel, each at a moment of its own, and none lasts longer than its limit.
"""

import asyncio
import os
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import httpx

from collector.core.calls import Attempt, new_call_id
from collector.core.errors import SettingsError
from collector.core.outcomes import Facts, decide
from collector.core.told import Probe
from collector.intake.pulls import HEADERS
from collector.provider_keys import provider_key
from collector.settings import Provider, Settings

JITTER_S = 5.0
AT_ONCE = 20
MAX_ANSWER_BYTES = 8 * 1024 * 1024
ALL_MODELS = ""


class Target(NamedTuple):
    """What is probed: a provider, and the models that it stands for. `model`: the one to spend a token on."""

    name: str
    provider: Provider
    models: tuple[str, ...]
    model: str | None = None


def targets(settings: Settings) -> list[Target]:
    """The configured providers that can be asked: one that only passes on its callers' keys cannot."""
    found = []
    for name, provider in settings.providers.items():
        if not provider.pass_key:
            own = [e.upstream_model or e.model for e in settings.endpoints if e.provider == name]
            found.append(Target(name, provider, tuple(dict.fromkeys(own)) or (ALL_MODELS,)))
    return found


def token_targets(settings: Settings) -> list[Target]:
    """The endpoints on which a token may be spent."""
    chosen = settings.probes.token_models
    return [
        Target(target.name, target.provider, (model,), model)
        for target in targets(settings)
        for model in target.models
        if model and target.provider.kind != "anthropic" and (not chosen or model in chosen)
    ]


def probe(
    some: Sequence[Target],
    timeout_s: float,
    now_us: Callable[[], int],
    jitter_s: float = JITTER_S,
    environ: Mapping[str, str] = os.environ,
) -> list[Probe]:
    """Probes all targets; those that could not be sent at all, for want of their key, are absent: unknown."""
    return asyncio.run(_probe_all(some, timeout_s, now_us, jitter_s, environ))


async def _probe_all(
    some: Sequence[Target], timeout_s: float, now_us: Callable[[], int], jitter_s: float, environ: Mapping[str, str]
) -> list[Probe]:
    slots = asyncio.Semaphore(AT_ONCE)
    async with httpx.AsyncClient(timeout=timeout_s, follow_redirects=False) as client:

        async def one(target: Target) -> list[Probe]:
            await asyncio.sleep(random.uniform(0, jitter_s))
            async with slots:
                return await _probe(client, target, timeout_s, now_us, environ)

        return [found for each in await asyncio.gather(*map(one, some)) for found in each]


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
    if target.model is None:
        return client.build_request("GET", f"{base}/models", headers=headers)
    asked = {"model": target.model, "max_tokens": 1, "messages": [{"role": "user", "content": "."}]}
    return client.build_request("POST", f"{base}/chat/completions", headers=headers, json=asked)


async def _facts(client: httpx.AsyncClient, request: httpx.Request, timeout_s: float, holder: str) -> Facts:
    """How it ended. A list of models that is no JSON is a malformed answer."""
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
    if answer.is_success and body.lstrip()[:1] not in (b"{", b"["):
        return Facts(status, "malformed", failure="malformed")
    return Facts(status, None, "ours" if holder == "ours" else "unknown")


async def _body(answer: httpx.Response) -> bytes:
    """The beginning of the body; all of it is read, up to a bound."""
    first, size = b"", 0
    async for piece in answer.aiter_bytes():
        first, size = first or piece, size + len(piece)
        if size > MAX_ANSWER_BYTES:
            break
    return first


def _attempts(target: Target, facts: Facts, started_at: int, latency_ms: int) -> Iterable[Probe]:
    for model in target.models:
        attempt = Attempt(
            target.name, model, started_at, decide(facts), facts.status, facts.error_type, latency_ms=latency_ms
        )
        yield Probe(new_call_id(started_at), attempt)
