"""A provider's usage object becomes disjoint meters: the golden cases are tests/cases/usages.txt."""

import re
from decimal import Decimal
from typing import Any, NamedTuple

import pytest

from collector.core.errors import InputError, UsageError
from collector.core.money import format_usd
from collector.core.usage import (
    USAGE_PATHS,
    decode_answer,
    find_service_tier,
    find_usage,
    merge_stream_usage,
    read_usage,
    shape_for,
)
from collector.core.usage.shapes import OWN_SHAPES
from tests.real_usages import CASES

HUGE = 10**5000


class Golden(NamedTuple):
    title: str
    shape: str
    usage: dict[str, Any]
    said: str


def _golden(block: str) -> Golden:
    title, rest = block.split("\n", 1)
    usage, said = re.split(r"\n(?==)", rest, maxsplit=1)
    return Golden(title, title.split(":")[0], decode_answer(usage), said.strip())


GOLDEN = [
    _golden(block)
    for block in (CASES / "usages.txt").read_text().split("\n\n")
    if "\n{" in block and not block.startswith((" ", "-"))
]


def _said(shape: str, usage: dict[str, Any]) -> str:
    reading = read_usage(shape, usage)
    lines = [
        ("=", ", ".join(f"{name} {n}" for name, n in reading.meters.items())),
        ("!", reading.problem),
        ("$", None if reading.reported_cost is None else format_usd(reading.reported_cost)),
        ("tier", reading.service_tier),
    ]
    return "\n".join(f"{mark} {text}".strip() for mark, text in lines if text is not None)


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case.title)
def test_a_usage_object_says_what_the_case_says(case: Golden) -> None:
    assert _said(case.shape, case.usage) == case.said


def test_every_shape_has_a_case() -> None:
    assert set(USAGE_PATHS) - {case.shape for case in GOLDEN} == {"xai.inside"}  # xai's other reading


def test_a_provider_reads_as_its_kind_or_its_name_says() -> None:
    assert shape_for("openai.chat", "openrouter", "my-router") == "openrouter"
    assert shape_for("openai.chat", "openai", "xAI") == "xai"
    assert shape_for("openai.responses", "openai", "deepseek") == "openai.responses"
    assert shape_for("anthropic", "openrouter", None) == "anthropic"
    assert {shape for _, shape in OWN_SHAPES} | set(OWN_SHAPES.values()) <= set(USAGE_PATHS)


def test_no_meter_stated_is_quality_none() -> None:
    assert read_usage("openai.chat", {"cost": 1}).quality == "none"
    assert read_usage("openai.chat", {"prompt_tokens": 0}).quality == "exact"


def test_an_unknown_shape_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match=r"'openai\.fax' is no usage shape: use one of anthropic, azure"):
        read_usage("openai.fax", {})


def test_a_float_is_no_money() -> None:
    reading = read_usage("openrouter", {"cost": 0.1})
    assert reading.reported_cost is None
    assert reading.problem == "cost is 'float', not an amount (decode answers with decode_answer)"


@pytest.mark.parametrize(
    "cost",
    [True, HUGE, -HUGE, Decimal("nan"), Decimal("inf"), Decimal("1e30"), "", "\x00", "1" * 99],
    ids=lambda value: type(value).__name__,
)
def test_an_amount_that_is_none_is_named_and_not_kept(cost: object) -> None:
    reading = read_usage("openrouter", {"cost": cost})
    assert reading.reported_cost is None
    assert reading.problem is not None
    assert reading.problem.startswith("cost is ")


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (HUGE, "2**16609 or more"),
        (-HUGE, "-2**16609 or more"),
        (10**12 + 1, "1000000000001"),
        (float("nan"), "nan"),
        (Decimal("inf"), "Infinity"),
        (Decimal("snan"), "sNaN"),
        (Decimal("1e400"), "1E+400"),
        ([1], "a list"),
        ({"a": 1}, "an object"),
        ("7\x1b[31m", "'7[31m'"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_count_that_is_none_is_named_and_not_kept(count: object, shown: str) -> None:
    reading = read_usage("openai.chat", {"prompt_tokens": count, "completion_tokens": 5})
    assert reading.meters == {"output": 5}
    assert reading.problem == f"prompt_tokens is {shown}, not a count from 0 to 1000000000000"


def test_counts_that_are_added_up_stay_bounded() -> None:
    reading = read_usage("gemini", {"promptTokenCount": 10**12, "toolUsePromptTokenCount": 1})
    assert reading.meters == {}
    assert reading.problem == (
        "promptTokenCount + toolUsePromptTokenCount is 1000000000001, not a count from 0 to 1000000000000"
    )


def test_a_problem_stays_short() -> None:
    hostile = {"prompt_tokens": "x" * 10**6, "completion_tokens": "y" * 10**6, "prompt_tokens_details": {}}
    problem = read_usage("openai.chat", hostile).problem
    assert problem is not None
    assert len(problem) <= 400


@pytest.mark.parametrize(
    ("shape", "body", "prompt"),
    [
        ("openai.chat", '{"id": "c", "choices": [], "usage": {"prompt_tokens": 7}}', 7),
        ("groq", '{"id": "c", "choices": [], "x_groq": {"id": "r", "usage": {"prompt_tokens": 7}}}', 7),
        ("openai.responses", '{"type": "response.completed", "response": {"usage": {"input_tokens": 7}}}', 7),
        ("anthropic", '{"type": "message_start", "message": {"usage": {"input_tokens": 7}}}', 7),
        ("anthropic", '{"type": "message_delta", "delta": {}, "usage": {"input_tokens": 7}}', 7),
        ("gemini", '{"candidates": [], "usageMetadata": {"promptTokenCount": 7}}', 7),
        ("bedrock", '{"metadata": {"usage": {"inputTokens": 7}, "metrics": {"latencyMs": 1}}}', 7),
        ("cohere", '{"type": "message-end", "delta": {"usage": {"billed_units": {"input_tokens": 7}}}}', 7),
        ("cohere", '{"embeddings": {}, "meta": {"billed_units": {"input_tokens": 7}}}', 7),
        ("openai.chat", '{"id": "c", "choices": [], "usage": null}', None),
        ("openai.chat", '{"id": "c", "choices": [], "usage": {}}', None),
        ("openai.chat", '{"usage": [1]}', None),
        ("openai.chat", "[]", None),
    ],
)
def test_usage_is_found_in_answers_and_in_stream_events(shape: str, body: str, prompt: int | None) -> None:
    usage = find_usage(shape, decode_answer(body))
    assert (None if usage is None else read_usage(shape, usage).meters["input"]) == prompt


@pytest.mark.parametrize(
    ("shape", "body", "tier"),
    [
        ("openai.chat", {"service_tier": "Priority"}, "priority"),
        ("openai.chat", {"usage": {}}, None),
        ("openai.responses", {"response": {"service_tier": "flex"}}, "flex"),
        ("bedrock", {"serviceTier": {"type": "priority"}}, "priority"),
        ("gemini", {"trafficType": "ON_DEMAND_PRIORITY"}, "on_demand_priority"),
        ("anthropic", {"speed": "fast", "service_tier": "standard"}, "fast"),
        ("anthropic", {"speed": "standard", "service_tier": "batch"}, "batch"),
        ("anthropic", {"speed": "standard", "service_tier": "standard"}, "standard"),
        ("anthropic", {"inference_geo": "global", "service_tier": "standard"}, "standard"),
        ("anthropic", {"inference_geo": "not_available", "service_tier": "batch"}, "batch"),
        ("anthropic", {"inference_geo": "US", "service_tier": "standard"}, "us"),
        ("anthropic", {"inference_geo": "us"}, "us"),
        ("anthropic", {"inference_geo": "us", "speed": "fast", "service_tier": "standard"}, "us fast"),
        ("openai.chat", {"inference_geo": "us", "service_tier": "default"}, "default"),
        ("openai.chat", {"service_tier": 7}, None),
        ("openai.chat", "service_tier", None),
    ],
)
def test_the_tier_that_was_served_is_found_in_the_answer(shape: str, body: object, tier: str | None) -> None:
    assert find_service_tier(shape, body) == tier


def test_anthropic_states_usage_in_pieces_that_grow() -> None:
    start = {"input_tokens": 100, "cache_creation": {"ephemeral_1h_input_tokens": 7}, "output_tokens": 1}
    delta = {"output_tokens": 50, "input_tokens": 0, "cache_creation": {"ephemeral_5m_input_tokens": 3}}
    final = {"output_tokens": 90, "service_tier": None, "server_tool_use": {"web_search_requests": 1}}
    merged: Any = None
    for piece in (start, delta, final):
        merged = merge_stream_usage("anthropic", merged, piece)
    assert read_usage("anthropic", merged).meters == {
        "input": 100,
        "cache_write_5m": 3,
        "cache_write_1h": 7,
        "output": 90,
        "web_searches": 1,
    }
    assert start["output_tokens"] == 1


def test_elsewhere_the_last_usage_of_a_stream_wins() -> None:
    earlier, later = {"promptTokenCount": 5, "candidatesTokenCount": 1}, {"promptTokenCount": 5}
    assert merge_stream_usage("gemini", earlier, later) == later
    assert merge_stream_usage("gemini", earlier, {}) == earlier
    assert merge_stream_usage("gemini", None, later) == later
    assert merge_stream_usage("gemini", None, {}) == {}


def test_an_answer_is_decoded_without_a_float() -> None:
    assert repr(decode_answer(b'{"cost": 4.1400000000000003e-05, "n": 12, "x": 1e400}')) == (
        "{'cost': Decimal('0.000041400000000000003'), 'n': 12, 'x': Decimal('1E+400')}"
    )


@pytest.mark.parametrize("body", [b"", b"{", b'"\xff"', b"[" * 100_000, b"NaN", b"9" * 5000, b"<html>"])
def test_what_is_no_json_is_one_clear_error(body: bytes) -> None:
    with pytest.raises(InputError, match=rf"an answer of {len(body)} bytes is no JSON: "):
        decode_answer(body)


def test_an_exponent_beyond_all_use_does_not_spoil_the_answer() -> None:
    body = decode_answer(b'{"logprob": -1e99999999999999999999, "usage": {"prompt_tokens": 3}}')
    assert read_usage("openai.chat", body["usage"]).meters == {"input": 3}
