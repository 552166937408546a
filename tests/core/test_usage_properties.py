"""What holds for every usage object: readings never raise, are disjoint, and are the same streamed or not."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.core.meters import INPUT_TOKENS, MAX_COUNT, METERS, OUTPUT_TOKENS
from collector.core.money import MAX_COST
from collector.core.usage import USAGE_PATHS, decode_answer, find_usage, merge_stream_usage, read_usage

SHAPES = sorted(USAGE_PATHS)
shapes = st.sampled_from(SHAPES)
counts = st.integers(0, 10**7)

# Keys that readings look at, so that hostile values land where they hurt.
_WORDS = sorted(
    {
        word
        for shape in USAGE_PATHS.values()
        for path in [path for _, _, path in shape.parts] + [path for path, _ in shape.totals] + list(shape.places)
        for word in path.replace("[", ".").replace("]", "").replace("=", ".").replace(",", ".").split(".")
        if word.isidentifier()
    }
    | {"cost", "is_byok", "cost_details", "upstream_inference_cost", "usage"}
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(MAX_COUNT - 2, MAX_COUNT + 2)
    | st.floats()
    | st.decimals()
    | st.text(max_size=5)
    | st.sampled_from(["AUDIO", "IMAGE", "1h", "compaction", "1e5", "-1"])
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_WORDS), inner, max_size=5),
    max_leaves=25,
)
objects = st.dictionaries(st.sampled_from(_WORDS), anything, max_size=12)


def _sum(meters: Mapping[str, int], names: tuple[str, ...]) -> int:
    return sum(meters.get(name, 0) for name in names)


@settings(max_examples=200, deadline=None)
@given(shapes, objects, objects)
def test_reading_never_raises_and_never_goes_below_zero(
    shape: str, usage: dict[str, Any], later: dict[str, Any]
) -> None:
    for stated in (usage, merge_stream_usage(shape, usage, later), find_usage(shape, usage) or {}):
        reading = read_usage(shape, stated)
        assert set(reading.meters) <= set(METERS)
        assert all(type(n) is int and 0 <= n <= MAX_COUNT for n in reading.meters.values())
        assert reading.reported_cost is None or 0 <= reading.reported_cost <= MAX_COST
        assert msgspec.json.decode(msgspec.json.encode(reading), type=type(reading)) == reading


@settings(max_examples=200, deadline=None)
@given(shapes, st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_looking_for_usage_in_any_answer_never_raises(shape: str, body: object) -> None:
    found = find_usage(shape, body)
    assert found is None or read_usage(shape, found).quality in {"exact", "none"}


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["openai.chat", "openrouter", "mistral", "groq", "azure", "xai.inside"]), st.data())
def test_however_parts_exceed_their_whole_the_meters_add_up_to_the_whole(shape: str, data: st.DataObject) -> None:
    prompt, completion = data.draw(counts), data.draw(counts)
    details = {
        name: data.draw(counts) for name in ("cached_tokens", "cache_write_tokens", "audio_tokens", "image_tokens")
    }
    usage = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": details,
        "completion_tokens_details": {"reasoning_tokens": data.draw(st.integers(0, completion))},
    }
    reading = read_usage(shape, usage)
    assert _sum(reading.meters, INPUT_TOKENS) == prompt
    assert _sum(reading.meters, OUTPUT_TOKENS) == completion
    too_many = sum(details.values()) > prompt
    expected = f"prompt_tokens is {prompt}, but what lies inside it adds up to {sum(details.values())}"
    assert reading.problem == (expected if too_many else None)


def _openai(prompt: str, completion: str, *numbers: int) -> dict[str, Any]:
    fresh, read, write, out, thought = numbers
    return {
        f"{prompt}_tokens": fresh + read + write,
        f"{completion}_tokens": out + thought,
        "total_tokens": fresh + read + write + out + thought,
        f"{prompt}_tokens_details": {"cached_tokens": read, "cache_write_tokens": write},
        f"{completion}_tokens_details": {"reasoning_tokens": thought},
    }


def _chat(*numbers: int) -> dict[str, Any]:
    return _openai("prompt", "completion", *numbers)


def _responses(*numbers: int) -> dict[str, Any]:
    return _openai("input", "output", *numbers)


def _anthropic(fresh: int, read: int, write: int, out: int, thought: int) -> dict[str, Any]:
    return {
        "input_tokens": fresh,
        "cache_read_input_tokens": read,
        "cache_creation_input_tokens": write,
        "cache_creation": {"ephemeral_5m_input_tokens": write, "ephemeral_1h_input_tokens": 0},
        "output_tokens": out + thought,
        "output_tokens_details": {"thinking_tokens": thought},
    }


def _gemini(fresh: int, read: int, out: int, thought: int) -> dict[str, Any]:
    return {
        "promptTokenCount": fresh + read,
        "cachedContentTokenCount": read,
        "candidatesTokenCount": out,
        "thoughtsTokenCount": thought,
        "totalTokenCount": fresh + read + out + thought,
    }


def _bedrock(fresh: int, read: int, write: int, out: int) -> dict[str, Any]:
    return {
        "inputTokens": fresh,
        "cacheReadInputTokens": read,
        "cacheWriteInputTokens": write,
        "outputTokens": out,
        "totalTokens": fresh + read + write + out,
    }


@given(counts, counts, counts, counts, counts)
def test_one_consumption_is_one_reading_in_every_providers_words(
    fresh: int, read: int, write: int, out: int, thought: int
) -> None:
    def meters(shape: str, usage: dict[str, Any]) -> tuple[int, ...]:
        reading = read_usage(shape, usage)
        assert reading.problem is None
        names = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning")
        return tuple(reading.meters.get(name, 0) for name in names)

    chat = _chat(fresh, read, write, out, thought)
    responses = _responses(fresh, read, write, out, thought)
    beside = chat | {"completion_tokens": out}
    for shape in ("openai.chat", "openrouter", "mistral", "groq", "azure", "xai"):
        assert meters(shape, chat) == (fresh, read, write, 0, out, thought)
    for shape in ("openai.responses", "openrouter.responses", "xai.responses"):
        assert meters(shape, responses) == (fresh, read, write, 0, out, thought)
    assert meters("xai", beside) == (fresh, read, write, 0, out, thought)
    assert meters("anthropic", _anthropic(fresh, read, write, out, thought)) == (fresh, read, write, 0, out, thought)
    assert meters("gemini", _gemini(fresh, read, out, thought)) == (fresh, read, 0, 0, out, thought)
    assert meters("bedrock", _bedrock(fresh, read, write, out)) == (fresh, read, write, 0, out, 0)


@given(counts, counts, counts, counts, counts)
def test_meters_of_a_consistent_object_add_up_to_its_totals(
    fresh: int, read: int, write: int, out: int, thought: int
) -> None:
    usage = _chat(fresh, read, write, out, thought)
    meters = read_usage("openai.chat", usage).meters
    assert _sum(meters, INPUT_TOKENS) == usage["prompt_tokens"]
    assert _sum(meters, OUTPUT_TOKENS) == usage["completion_tokens"]
    assert _sum(meters, INPUT_TOKENS + OUTPUT_TOKENS) == usage["total_tokens"]


# How each dialect streams the usage of an answer: the events that carry any, as they come over the wire.
def _anthropic_stream(usage: dict[str, Any], steps: list[int]) -> list[dict[str, Any]]:
    start = {key: value for key, value in usage.items() if key != "output_tokens_details"} | {"output_tokens": 1}
    final = {key: usage[key] for key in ("output_tokens", "output_tokens_details")}
    growing = [{"output_tokens": step} for step in sorted(steps) if step <= usage["output_tokens"]]
    deltas = [{"type": "message_delta", "delta": {}, "usage": piece} for piece in [*growing, final]]
    return [{"type": "message_start", "message": {"id": "m", "usage": start}}, *deltas]


def _gemini_stream(usage: dict[str, Any], steps: list[int]) -> list[dict[str, Any]]:
    growing = [usage | {"candidatesTokenCount": step, "totalTokenCount": step} for step in sorted(steps)]
    return [{"candidates": [], "usageMetadata": piece} for piece in [*growing, usage]]


def _chat_stream(usage: dict[str, Any], steps: list[int]) -> list[dict[str, Any]]:
    chunks: list[dict[str, Any]] = [{"choices": [{"delta": {}}], "usage": None} for _ in steps]
    return [*chunks, {"choices": [], "usage": usage}]


def _xai_stream(usage: dict[str, Any], steps: list[int]) -> list[dict[str, Any]]:
    chunks = [{"choices": [{"delta": {}}], "usage": {"prompt_tokens": 1, "completion_tokens": n}} for n in steps]
    return [*chunks, {"choices": [], "usage": usage}]


def _responses_stream(usage: dict[str, Any], steps: list[int]) -> list[dict[str, Any]]:
    created = {"type": "response.created", "response": {"id": "r", "usage": None}}
    return [created, *({"type": "delta"} for _ in steps), {"type": "response.completed", "response": {"usage": usage}}]


def _bedrock_stream(usage: dict[str, Any], steps: list[int]) -> list[dict[str, Any]]:
    return [*({"contentBlockDelta": {}} for _ in steps), {"metadata": {"usage": usage}}]


Events = list[dict[str, Any]]
STREAMS: dict[str, tuple[Callable[..., dict[str, Any]], int, Callable[[dict[str, Any], list[int]], Events]]] = {
    "anthropic": (_anthropic, 5, _anthropic_stream),
    "gemini": (_gemini, 4, _gemini_stream),
    "bedrock": (_bedrock, 4, _bedrock_stream),
    "openai.chat": (_chat, 5, _chat_stream),
    "openrouter": (_chat, 5, _chat_stream),
    "xai": (_chat, 5, _xai_stream),
    "openai.responses": (_responses, 5, _responses_stream),
}


@pytest.mark.parametrize("shape", sorted(STREAMS))
@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_usage_of_a_stream_is_usage_of_the_same_answer_unstreamed(shape: str, data: st.DataObject) -> None:
    make, size, stream = STREAMS[shape]
    usage = make(*(data.draw(st.integers(1, 10**7)) for _ in range(size)))
    events = stream(usage, data.draw(st.lists(st.integers(1, 10**6), max_size=4)))
    merged: Mapping[str, Any] | None = None
    for event in events:
        piece = find_usage(shape, decode_answer(json.dumps(event)))
        merged = merged if piece is None else merge_stream_usage(shape, merged, piece)
    assert merged is not None
    assert read_usage(shape, merged) == read_usage(shape, usage)
