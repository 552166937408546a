"""What a simulated provider answers to a chat request, shaped as OpenAI's API reference says."""

import json
import random
from collections.abc import Iterator
from typing import Any

WORDS = "the call was answered by a provider that is simulated and every token of it is counted".split()  # noqa: SIM905
CHARS_PER_TOKEN = 4
IMAGE_TOKENS = 765
CREATED = 1_764_547_200


def answer(request: dict[str, Any], dice: random.Random) -> dict[str, Any]:
    """A whole chat.completion with usage; calls the first function offered, keeps to JSON when asked to."""
    message, finish = _message(request, dice)
    text = message.get("content") or json.dumps(message.get("tool_calls"))
    return {
        "id": f"chatcmpl-{dice.getrandbits(96):024x}",
        "object": "chat.completion",
        "created": CREATED,
        "model": request["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": finish, "logprobs": None}],
        "usage": usage(request, text),
    }


def events(request: dict[str, Any], dice: random.Random) -> Iterator[bytes]:
    """The same answer as server-sent events: the role, pieces of text, the finish, usage when asked for, [DONE]."""
    whole = answer(request, dice)
    choice = whole["choices"][0]
    head = {**{key: whole[key] for key in ("id", "created", "model")}, "object": "chat.completion.chunk"}
    for delta in _deltas(choice["message"]):
        yield _event({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
    yield _event({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}]})
    if (request.get("stream_options") or {}).get("include_usage"):
        yield _event({**head, "choices": [], "usage": whole["usage"]})
    yield b"data: [DONE]\n\n"


def usage(request: dict[str, Any], text: str) -> dict[str, Any]:
    """Token counts that follow from the request and the answer; a long prompt is half cached."""
    parts = [part for message in request["messages"] for part in _parts(message)]
    images = sum(part.get("type") == "image_url" for part in parts)
    prompt = sum(len(part.get("text", "")) for part in parts) // CHARS_PER_TOKEN + images * IMAGE_TOKENS + 8
    completion = len(text) // CHARS_PER_TOKEN + 1
    cached = prompt // 2 // 128 * 128 if prompt >= 1024 else 0
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }


def _message(request: dict[str, Any], dice: random.Random) -> tuple[dict[str, Any], str]:
    if tools := request.get("tools"):
        call = {"name": tools[0]["function"]["name"], "arguments": json.dumps({"place": "Oslo"})}
        called = {"id": f"call_{dice.getrandbits(48):012x}", "type": "function", "function": call}
        return {"role": "assistant", "content": None, "tool_calls": [called]}, "tool_calls"
    text = " ".join(dice.choices(WORDS, k=dice.randint(20, 160)))
    if (request.get("response_format") or {}).get("type") == "json_object":
        text = json.dumps({"answer": text})
    return {"role": "assistant", "content": text, "refusal": None}, "stop"


def _deltas(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield {"role": "assistant", "content": None if "tool_calls" in message else ""}
    for n, call in enumerate(message.get("tool_calls", ())):
        yield {"tool_calls": [{"index": n, **call}]}
    text = message["content"] or ""
    for start in range(0, len(text), 40):
        yield {"content": text[start : start + 40]}


def _parts(message: dict[str, Any]) -> list[dict[str, Any]]:
    content = message.get("content") or ""
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _event(data: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(data, separators=(",", ":")).encode() + b"\n\n"
