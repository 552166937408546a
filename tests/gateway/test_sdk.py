"""The official SDK through the gateway to a provider that fails at random: the ledger says what the client saw.

Which request fails is left to chance; what the ledger must say of it follows from what the client saw of it alone.
"""

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from openai import APIConnectionError, APIError, APIStatusError, AsyncOpenAI

from tests.gateway.kept import Kept, balanced, by_user, gateway, ledger, take_in
from tests.gateway.upstreams import llmock
from tests.processes import WITHIN_S

REQUESTS = 240
AT_ONCE = 12
FAULTS = ("--error-rate", "429=0.2", "--error-rate", "503=0.1")
STREAM_FAULTS = ("--stream-fault", "truncate=0.3", "--stream-fault", "disconnect=0.2")
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
IMAGES = ({"url": "https://example.com/a.png"}, {"url": f"data:image/png;base64,{PIXEL}", "detail": "low"})
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
IMAGES_OF = (0, 1, 2, 3, 5)  # how many a request carries, by its number
KINDS = ("text", "images", "tools", "json")


class Saw(msgspec.Struct):
    """What the client saw of one request."""

    streamed: bool
    images: int
    status: int | None = None  # of an error
    broke: bool = False  # an answer that began, and did not end as it should
    finish_reason: str | None = None
    tool_calls: int = 0
    usage: tuple[int, int] | None = None

    @property
    def outcome(self) -> str:
        """The outcome that follows."""
        if self.status is not None:
            return {429: "rate_limited"}.get(self.status, "provider_fault" if self.status >= 500 else "caller_fault")
        return "provider_fault" if self.broke or self.finish_reason is None else "ok"


class Planned(NamedTuple):
    """One request."""

    user: str
    kind: str
    streamed: bool
    images: int
    wants_usage: bool

    @property
    def arguments(self) -> dict[str, Any]:
        """As the SDK takes them."""
        told: dict[str, Any] = {"model": "gpt-4-turbo", "user": self.user, "messages": self.messages}
        if self.kind == "tools":
            told |= {"tools": [WEATHER], "tool_choice": "required"}
        if self.kind == "json":
            told["response_format"] = {"type": "json_object"}
        return told

    @property
    def messages(self) -> list[dict[str, Any]]:
        """Images in the first message and in the last."""
        parts = [{"type": "image_url", "image_url": IMAGES[n % 2]} for n in range(self.images)]
        text = {"type": "text", "text": f"What is the weather like? Answer {self.user} in JSON."}
        if not parts:
            return [{"role": "user", "content": text["text"]}]
        first = {"role": "user", "content": [text, *parts[:1]]}
        last = {"role": "user", "content": [*parts[1:], text]}
        return [first, {"role": "assistant", "content": "Go on."}, last]


def planned(n: int) -> Planned:
    kind = KINDS[n % 4]
    images = IMAGES_OF[n // 4 % 5] if kind == "images" else 0
    return Planned(f"request-{n}", kind, n // 4 % 3 != 0, images, wants_usage=n // 2 % 2 == 0)


async def plain(client: AsyncOpenAI, one: Planned, saw: Saw) -> None:
    answer = await client.chat.completions.create(**one.arguments)
    choice = answer.choices[0]
    saw.finish_reason = choice.finish_reason
    saw.tool_calls = len(choice.message.tool_calls or ())
    if one.kind == "json":
        json.loads(choice.message.content or "")
    assert answer.usage is not None
    saw.usage = (answer.usage.prompt_tokens, answer.usage.completion_tokens)


async def stream(client: AsyncOpenAI, one: Planned, saw: Saw) -> None:
    options: dict[str, Any] = {"stream_options": {"include_usage": True}} if one.wants_usage else {}
    calls = set()
    async for chunk in await client.chat.completions.create(**one.arguments, **options, stream=True):
        saw.broke = True  # until it ends without an error
        for choice in chunk.choices:
            saw.finish_reason = choice.finish_reason or saw.finish_reason
            calls |= {call.index for call in choice.delta.tool_calls or ()}
        if chunk.usage is not None:
            saw.usage = (chunk.usage.prompt_tokens, chunk.usage.completion_tokens)
    saw.broke, saw.tool_calls = False, len(calls)


async def ask(client: AsyncOpenAI, one: Planned) -> Saw:
    saw = Saw(one.streamed, one.images)
    try:
        await (stream if one.streamed else plain)(client, one, saw)
    except APIStatusError as error:
        saw.status = error.status_code
    except APIConnectionError as error:
        raise AssertionError(f"the gateway itself left {one.user} without an answer: {error}") from error
    except APIError:
        saw.broke = True
    return saw


async def ask_all(address: str) -> dict[str, Saw]:
    """Every request once, several at a time, with what its client saw."""
    room = asyncio.Semaphore(AT_ONCE)
    async with AsyncOpenAI(base_url=address, api_key="sk-test", max_retries=0, timeout=WITHIN_S) as client:

        async def in_turn(one: Planned) -> tuple[str, Saw]:
            async with room:
                return one.user, await ask(client, one)

        return dict(await asyncio.gather(*(in_turn(planned(n)) for n in range(REQUESTS))))


def test_every_request_of_the_sdk_is_in_the_ledger_once_with_what_its_client_saw(tmp_path: Path) -> None:
    with (
        llmock(tmp_path, *FAULTS, *STREAM_FAULTS, "--latency-ms", "5") as provider,
        gateway(tmp_path, f"{provider}/v1") as (process, address),
    ):
        seen = asyncio.run(ask_all(address))
        engine = ledger(tmp_path)
        take_in(engine, tmp_path)
        assert balanced(engine, tmp_path).open == 0
        process.process.terminate()
        assert process.process.wait(WITHIN_S) == 0
    take_in(engine, tmp_path)
    kept = by_user(engine)
    assert {user: len(calls) for user, calls in kept.items()} == dict.fromkeys(seen, 1)
    for user, saw in seen.items():
        assert_same(user, saw, kept[user][0])
    outcomes = Counter(saw.outcome for saw in seen.values())
    assert outcomes.keys() == {"ok", "rate_limited", "provider_fault"}  # the provider did fail as it was told to
    assert any(saw.broke for saw in seen.values())
    books = balanced(engine, tmp_path)
    assert (books.accepted, books.stored) == (REQUESTS, REQUESTS)
    assert (books.merged, books.open, books.waiting, books.rejected) == (0, 0, 0, 0)


def assert_same(user: str, saw: Saw, call: Kept) -> None:
    """The ledger says of this call what its client saw."""
    assert call.outcome == saw.outcome, (user, saw, call)
    assert (call.images_in or 0, bool(call.streamed)) == (saw.images, saw.streamed), (user, saw, call)
    assert (call.model, call.provider) == ("gpt-4-turbo", "openai")
    assert call.http_status == (saw.status or 200), (user, saw, call)
    if saw.outcome == "ok":
        assert call.input, (user, call)
        assert call.output, (user, call)
        assert saw.usage in (None, (call.input, call.output)), (user, saw, call)
        assert (call.finish_reason, call.tool_calls or 0) == (saw.finish_reason, saw.tool_calls), (user, saw, call)
