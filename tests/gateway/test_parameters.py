"""Whatever a request holds arrives at the provider byte for byte; its pictures are counted on the way."""

import asyncio
import json
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from collector.core.calls import Call
from collector.intake.gateway.asked import read_asked
from collector.intake.gateway.operations import OPERATIONS
from tests.gateway.inside import calls, inside, plain
from tests.gateway.spoken import ALL

BY_NAME = {operation.name: operation for operation in OPERATIONS}
ANSWERS = {spoken.name: spoken.answer for spoken in ALL}
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
)
URL = "https://example.com/a.png"
SCHEMA = {"type": "object", "properties": {"a": {"type": "number"}}, "required": ["a"], "additionalProperties": False}
TOOL = {"type": "function", "function": {"name": "f", "parameters": SCHEMA, "strict": True}}


def user(*parts: object) -> list[dict[str, object]]:
    return [{"role": "user", "content": list(parts)}]


class Case(NamedTuple):
    """A request's members beside its model, and how many pictures are in it."""

    operation: str
    members: dict[str, Any]
    images: int = 0


HI: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}]}
URL_PART = {"type": "image_url", "image_url": {"url": URL, "detail": "high"}}
PIXEL_PART = {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}}
BLOCK = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL[22:]}}
CASES = {
    "vision": Case("chat", {"messages": user({"type": "text", "text": "what?"}, URL_PART, PIXEL_PART)}, 2),
    "vision in several messages": Case("chat", {"messages": user(URL_PART) + user(PIXEL_PART, PIXEL_PART)}, 3),
    "JSON mode": Case("chat", {**HI, "response_format": {"type": "json_object"}}),
    "structured outputs": Case(
        "chat",
        {
            **HI,
            "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": SCHEMA, "strict": True}},
        },
    ),
    "tools, in parallel": Case(
        "chat",
        {
            "messages": [
                *HI["messages"],
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [
                        {"id": f"call_{n}", "type": "function", "function": {"name": "f", "arguments": '{"a": 1.0}'}}
                        for n in range(2)
                    ],
                },
                *({"role": "tool", "tool_call_id": f"call_{n}", "content": "é"} for n in range(2)),
            ],
            "tools": [TOOL],
            "tool_choice": {"type": "function", "function": {"name": "f"}},
            "parallel_tool_calls": True,
        },
    ),
    "logprobs": Case("chat", {**HI, "logprobs": True, "top_logprobs": 5, "logit_bias": {"50256": -100}}),
    "audio": Case(
        "chat",
        {
            "messages": user({"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}),
            "modalities": ["text", "audio"],
            "audio": {"voice": "alloy", "format": "mp3"},
        },
    ),
    "reasoning": Case("chat", {**HI, "reasoning": {"effort": "high", "exclude": False}, "reasoning_effort": "low"}),
    "usage": Case("chat", {**HI, "usage": {"include": True}}),
    "sampling": Case(
        "chat",
        {**HI, "temperature": 0.0, "top_p": 1.0, "seed": 2**70, "stop": ["\u2028", "b"], "n": 2, "max_tokens": 5},
    ),
    "plugins and what nobody knows": Case(
        "chat",
        {
            **HI,
            "plugins": [{"id": "web"}],
            "transforms": [],
            "x_unknown": {"deep": [1e400, -0.0, None]},
            "metadata": {},
        },
    ),
    "stream options": Case("chat", {**HI, "stream_options": {"include_usage": True, "include_obfuscation": False}}),
    "text completion": Case("completions", {"prompt": ["a", "b"], "suffix": "c", "echo": True, "best_of": 2}),
    "embeddings of tokens": Case("embeddings", {"input": [[1, 2], [3]], "encoding_format": "base64"}),
    "embeddings of pictures": Case(
        "embeddings", {"input": [{"content": [URL_PART, {"type": "text", "text": "a"}]}]}, 1
    ),
    "responses": Case(
        "responses",
        {
            "input": [
                {"role": "user", "content": [{"type": "input_image", "image_url": PIXEL, "detail": "auto"}]},
                {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_image", "file_id": "f"}]},
                {"type": "computer_call_output", "call_id": "d", "output": {"type": "computer_screenshot"}},
            ],
            "reasoning": {"effort": "low", "summary": "auto"},
            "text": {"format": {"type": "json_schema", "name": "s", "schema": SCHEMA}},
            "include": ["reasoning.encrypted_content"],
            "store": False,
        },
        3,
    ),
    "responses of text": Case("responses", {"input": "hi", "instructions": "be brief", "background": False}),
    "messages": Case(
        "messages",
        {
            "max_tokens": 64,
            "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
            "messages": user(
                BLOCK,
                {"type": "tool_result", "tool_use_id": "t", "content": [BLOCK, {"type": "text", "text": "x"}]},
            ),
            "thinking": {"type": "enabled", "budget_tokens": 1024},
            "tools": [{"name": "f", "input_schema": SCHEMA}],
            "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
            "metadata": {"user_id": "u-1"},
            "stop_sequences": ["\n\nHuman:"],
        },
        2,
    ),
}


def written(case: Case) -> bytes:
    """The request with the white space and the escapes of another client than ours."""
    return json.dumps({"model": "m", **case.members}, indent=1).replace("Infinity", "1e400").encode()


def carried(folder: Path, operation: str, sent: bytes, surface: str = "/v1") -> tuple[bytes, Call]:
    """The body that the provider got, and the record."""
    found: list[bytes] = []
    served = BY_NAME[operation]

    async def main() -> None:
        async with inside(folder, plain(ANSWERS[operation]), provider={"kind": served.kinds[0]}) as gateway:
            reply = await gateway.ask(sent, surface + served.path)
            assert reply.status == 200, reply.body
            found.extend(request.split(b"\r\n\r\n", 1)[1] for request in gateway.providers["one"].requests)

    asyncio.run(main())
    (body,), (call,) = found, calls(folder)
    return body, call


@pytest.mark.parametrize("name", CASES)
def test_every_parameter_arrives_byte_for_byte(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    body, call = carried(tmp_path, case.operation, written(case))
    assert body == written(case)
    assert call.meters.get("images_in", 0) == case.images


def members(body: bytes) -> dict[str, bytes]:
    return {name: bytes(raw) for name, raw in msgspec.json.decode(body, type=dict[str, msgspec.Raw]).items()}


@pytest.mark.parametrize("name", CASES)
def test_of_a_stream_only_the_wish_for_usage_is_added(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    sent = written(Case(case.operation, {**case.members, "stream": True}))
    expected, (body, _) = members(sent), carried(tmp_path, case.operation, sent, "/api/v1")
    options = json.loads(members(body).get("stream_options", b"null"))
    if BY_NAME[case.operation].dialect.usage_on_demand:
        assert options == {**json.loads(expected.pop("stream_options", b"{}")), "include_usage": True}
    else:
        assert options is None
    assert {name: raw for name, raw in members(body).items() if name != "stream_options"} == expected


@pytest.mark.parametrize(
    ("operation", "more", "user"),
    [
        ("chat", {"user": "u-1"}, "u-1"),
        ("messages", {"metadata": {"user_id": "u-2"}}, "u-2"),
        ("messages", {"metadata": {"user_id": "u-2"}, "user": "u-3"}, "u-3"),
        ("messages", {"metadata": {}}, None),
        ("messages", {}, None),
        ("chat", {"metadata": {"user_id": "u-2"}}, None),
    ],
)
def test_the_user_is_where_the_dialect_names_it(operation: str, more: dict[str, Any], user: str | None) -> None:
    body = json.dumps({"model": "m", "messages": [], **more}).encode()
    assert read_asked(body, BY_NAME[operation]).user == user


def test_pictures_inside_of_nothing_that_holds_parts_are_not_counted() -> None:
    deep: Any = [{"type": "image"}]
    for _ in range(50):
        deep = [{"type": "x", "content": deep}]
    for parts in ("text", [1, 2], [["a"]], {"type": "image"}, deep, None, [{"content": {"type": 7}}]):
        assert read_asked(json.dumps({"model": "m", "input": parts}).encode(), BY_NAME["responses"]).images == 0
