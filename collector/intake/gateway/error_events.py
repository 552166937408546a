"""The one event with which a stream ends that failed after its first event, in each dialect."""

from collections.abc import Callable
from typing import Any

import msgspec

from collector.intake.gateway.errors import Problem, error_of
from collector.intake.gateway.sse import event_of


class Broken(msgspec.Struct, frozen=True):
    """The stream that is ended: what its chunks are called, and how many events it had."""

    id: str
    created: int  # seconds since 1970
    model: str
    provider: str
    events: int
    error_shape: str  # the surface's


ErrorEvent = Callable[[Problem, Broken], bytes]


def chat(problem: Problem, stream: Broken) -> bytes:
    """OpenRouter's shape (openrouter.ai/docs, errors in streams), which OpenAI's clients understand too."""
    choice = {"index": 0, "delta": {"content": ""}, "finish_reason": "error"}
    return _chunk(problem, stream, "chat.completion.chunk", choice)


def completions(problem: Problem, stream: Broken) -> bytes:
    """Likewise, as a chunk of a text completion."""
    choice = {"index": 0, "text": "", "logprobs": None, "finish_reason": "error"}
    return _chunk(problem, stream, "text_completion", choice)


def messages(problem: Problem, stream: Broken) -> bytes:
    """Anthropic's `error` event (docs.anthropic.com, streaming messages)."""
    return b"event: error\n" + event_of(msgspec.json.encode(error_of(problem, "anthropic", stream.provider)))


def responses(problem: Problem, stream: Broken) -> bytes:
    """OpenAI's `error` event: flat, as it is documented, and with the object that its clients raise on."""
    told = error_of(problem, "openai", stream.provider)
    flat = {"code": problem.code, "message": problem.message, "param": problem.param}
    return b"event: error\n" + event_of(
        msgspec.json.encode({"type": "error", **flat, "sequence_number": stream.events, **told})
    )


def _chunk(problem: Problem, stream: Broken, kind: str, choice: dict[str, Any]) -> bytes:
    chunk = {
        "id": stream.id,
        "object": kind,
        "created": stream.created,
        "model": stream.model,
        "provider": stream.provider,
        **error_of(problem, stream.error_shape, stream.provider),
        "choices": [choice],
    }
    return event_of(msgspec.json.encode(chunk))
