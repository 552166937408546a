"""What each operation's requests, answers and streams look like, as its provider documents them."""

import json
from typing import Any

import msgspec

from tests.gateway.live import LAST_CHUNK, STREAM_HEAD, chunk


class Spoken(msgspec.Struct, frozen=True):
    """One operation. `begin`, `finish` and `end` are a stream's events: text, the finish with its usage, the last."""

    name: str
    path: str
    kind: str
    asked: dict[str, Any]
    answer: dict[str, Any]
    meters: dict[str, int]
    finish_reason: str | None = None
    native: str | None = None
    begin: bytes = b""
    finish: bytes = b""
    end: bytes = b""
    error: bytes = b""  # in place of what follows `begin`
    meters_begun: dict[str, int] = {}  # what `begin` has told of usage

    @property
    def streams(self) -> bool:
        return bool(self.end)

    def streamed(self) -> bytes:
        """A whole streamed answer."""
        return self.stream(self.begin + self.finish + self.end)

    def stream(self, events: bytes, end: bytes = LAST_CHUNK) -> bytes:
        return STREAM_HEAD + chunk(events) + end


def typed(*events: dict[str, Any]) -> bytes:
    """Events that name their type twice, as Anthropic's and OpenAI's newer streams do."""
    return b"".join(f"event: {each['type']}\ndata: {json.dumps(each)}\n\n".encode() for each in events)


def bare(*events: object) -> bytes:
    return b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in events)


DONE = b"data: [DONE]\n\n"
CHAT_USAGE = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
RESPONSES_USAGE = {
    "input_tokens": 9,
    "input_tokens_details": {"cached_tokens": 2},
    "output_tokens": 4,
    "output_tokens_details": {"reasoning_tokens": 1},
    "total_tokens": 13,
}


def _text(kind: str, **choice: object) -> dict[str, Any]:
    chosen = [{"index": 0, "finish_reason": None, **choice}]
    return {"id": "gen-1", "object": kind, "created": 1, "model": "m-2026", "choices": chosen}


CHAT = Spoken(
    name="chat",
    path="/chat/completions",
    kind="openai",
    asked={"model": "m", "messages": [{"role": "user", "content": "hi"}]},
    answer={
        **_text("chat.completion", message={"role": "assistant", "content": "hello"}, finish_reason="stop"),
        "usage": CHAT_USAGE,
    },
    meters={"input": 9, "output": 4},
    finish_reason="stop",
    native="stop",
    begin=bare(_text("chat.completion.chunk", delta={"content": "hel"})),
    finish=bare(_text("chat.completion.chunk", delta={}, finish_reason="stop") | {"usage": CHAT_USAGE}),
    end=DONE,
    error=bare({"error": {"message": "overloaded", "type": "overloaded_error", "code": 503}}),
)
COMPLETIONS = Spoken(
    name="completions",
    path="/completions",
    kind="openai",
    asked={"model": "m", "prompt": ["hi", "ho"]},
    answer={**_text("text_completion", text="hello", finish_reason="length"), "usage": CHAT_USAGE},
    meters={"input": 9, "output": 4},
    finish_reason="length",
    native="length",
    begin=bare(_text("text_completion", text="hel"), _text("text_completion", text="lo")),
    finish=bare(_text("text_completion", text="", finish_reason="length") | {"usage": CHAT_USAGE}),
    end=DONE,
    error=bare({"error": {"message": "overloaded", "type": "overloaded_error", "code": 503}}),
)
EMBEDDINGS = Spoken(
    name="embeddings",
    path="/embeddings",
    kind="openai",
    asked={"model": "m", "input": ["a", "b"], "dimensions": 2},
    answer={
        "object": "list",
        "data": [{"object": "embedding", "index": n, "embedding": [0.1, -0.25]} for n in range(2)],
        "model": "m-2026",
        "usage": {"prompt_tokens": 9, "total_tokens": 9},
    },
    meters={"input": 9},
)
_CALL = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "weather", "arguments": "{}"}
RESPONSE = {
    "id": "gen-1",
    "object": "response",
    "created_at": 1,
    "status": "completed",
    "error": None,
    "incomplete_details": None,
    "model": "m-2026",
    "output": [{"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": []}],
    "usage": RESPONSES_USAGE,
}
_BEGUN = {**RESPONSE, "status": "in_progress", "output": [], "usage": None}
RESPONSES = Spoken(
    name="responses",
    path="/responses",
    kind="openai",
    asked={"model": "m", "input": "hi"},
    answer=RESPONSE,
    meters={"input": 7, "cache_read": 2, "output": 3, "reasoning": 1},
    finish_reason="stop",
    native="completed",
    begin=typed(
        {"type": "response.created", "response": _BEGUN, "sequence_number": 0},
        {"type": "response.in_progress", "response": _BEGUN, "sequence_number": 1},
        {"type": "response.output_text.delta", "delta": 'response.completed "error"', "sequence_number": 2},
    ),
    end=typed({"type": "response.completed", "response": RESPONSE, "sequence_number": 3}),
    error=typed(
        {
            "type": "response.failed",
            "response": {**_BEGUN, "status": "failed", "error": {"code": "server_error", "message": "overloaded"}},
            "sequence_number": 3,
        }
    ),
)
_STARTED = {"input_tokens": 9, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 0, "output_tokens": 1}
MESSAGE = {
    "id": "gen-1",
    "type": "message",
    "role": "assistant",
    "model": "m-2026",
    "content": [
        {"type": "text", "text": "hello"},
        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}},
    ],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": {**_STARTED, "output_tokens": 4},
}
MESSAGES = Spoken(
    name="messages",
    path="/messages",
    kind="anthropic",
    asked={"model": "m", "max_tokens": 64, "messages": [{"role": "user", "content": "hi"}]},
    answer=MESSAGE,
    meters={"input": 9, "cache_read": 5, "cache_write_5m": 0, "output": 4},
    finish_reason="tool_calls",
    native="tool_use",
    begin=typed(
        {
            "type": "message_start",
            "message": {**MESSAGE, "content": [], "stop_reason": None, "usage": _STARTED},
        },
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": 'message_stop "error"'}},
    ),
    finish=typed(
        {"type": "content_block_stop", "index": 0},
        {
            "type": "content_block_start",
            "index": 1,
            "content_block": {"type": "tool_use", "id": "t", "name": "w", "input": {}},
        },
        {"type": "content_block_stop", "index": 1},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "tool_use", "stop_sequence": None},
            "usage": {"output_tokens": 4},
        },
    ),
    end=typed({"type": "message_stop"}),
    error=typed({"type": "error", "error": {"type": "overloaded_error", "message": "overloaded"}}),
    meters_begun={"input": 9, "cache_read": 5, "cache_write_5m": 0, "output": 1},
)
ALL = (CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES, MESSAGES)
STREAMED = tuple(each for each in ALL if each.streams)
