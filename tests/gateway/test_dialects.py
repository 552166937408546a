"""Odd answers of each dialect: what cannot be read is a fault of the provider, what is merely odd is not."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.intake.gateway.dialects import MESSAGES, RESPONSES, Dialect
from collector.intake.gateway.operations import OPERATIONS
from tests.gateway import spoken
from tests.gateway.heard import data_in, heard
from tests.gateway.spoken import MESSAGE, RESPONSE, typed

BOTH = [(MESSAGES, "anthropic", spoken.MESSAGES), (RESPONSES, "openai.responses", spoken.RESPONSES)]
IDS = ["messages", "responses"]


@pytest.mark.parametrize(("dialect", "shape", "example"), BOTH, ids=IDS)
@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"7", b'"text"', b'{"id":', b"\xff", b"[" * 100_000])
def test_what_is_no_object_is_malformed(dialect: Dialect, shape: str, example: object, body: bytes) -> None:
    assert dialect.read_plain(body, shape).malformed
    assert heard(dialect, b"data: " + body + b"\n\n", shape).malformed or not body
    assert not dialect.is_end(body)
    assert not dialect.tells_error(body)


ODD: tuple[dict[str, Any], ...] = (
    {"id": 5},
    {"model": ["m"]},
    {"content": "text"},
    {"content": [None]},
    {"output": [None]},
    {"output": {"type": "message"}},
    {"stop_reason": 1},
    {"status": 1},
    {"service_tier": {}},
    {"incomplete_details": "none"},
)


@pytest.mark.parametrize(("dialect", "shape", "whole"), [(*BOTH[0][:2], MESSAGE), (*BOTH[1][:2], RESPONSE)], ids=IDS)
@pytest.mark.parametrize("odd", ODD, ids=str)
def test_an_odd_member_costs_no_usage(dialect: Dialect, shape: str, whole: dict[str, Any], odd: dict[str, Any]) -> None:
    seen = dialect.read_plain(json.dumps({**whole, **odd}).encode(), shape)
    assert (seen.malformed, seen.fault, seen.usage) == (False, None, whole["usage"])


@pytest.mark.parametrize("odd", [{"id": 5}, {"model": []}, {"content": "text"}])
def test_nor_does_one_inside_of_a_member(odd: dict[str, Any]) -> None:
    start = {"type": "message_start", "message": {**MESSAGE, **odd}}
    assert heard(MESSAGES, typed(start), "anthropic").usage == MESSAGE["usage"]


@pytest.mark.parametrize("told", [each for each in spoken.ALL if each.streams], ids=lambda each: each.name)
def test_half_a_pair_of_surrogates_is_text_as_any_other(told: spoken.Spoken) -> None:
    operation = next(each for each in OPERATIONS if each.name == told.name)
    dialect, shape = operation.dialect, operation.usage_shape
    answer, half = json.dumps(told.answer).encode(), rb"\ud83d"
    said = answer.replace(b"hello", half) if b"hello" in answer else answer.replace(b'"msg_1"', b'"%b"' % half)
    assert dialect.read_plain(said, shape) == dialect.read_plain(answer, shape)
    stream = told.begin + told.finish + told.end
    cut = stream.replace(b'"hel"', b'"%b"' % half).replace(b'"response.completed \\', b'"%b \\' % half)
    cut = cut.replace(b'"message_stop \\', b'"%b \\' % half)
    assert cut != stream
    assert heard(dialect, cut, shape) == heard(dialect, stream, shape)


def test_odd_events_on_the_way_change_nothing() -> None:
    for (dialect, shape, example), odd in zip(
        BOTH, ({"type": "ping", "usage": "x"}, {"type": "x", "response": 7}), strict=True
    ):
        plain = example.begin + example.finish + example.end
        before = heard(dialect, plain, shape)
        after = heard(dialect, typed(odd) + b'data: {"type": 5}\n\n' + plain, shape)
        assert (after.usage, after.finish_reason, after.terminal) == (before.usage, before.finish_reason, True)
        assert (after.malformed, after.fault) == (False, None)


def test_the_last_event_is_told_by_its_type_alone() -> None:
    assert RESPONSES.is_end(b'{"type":"response.completed","response":{"output":[null]}}')
    assert RESPONSES.is_end(b'{"type":"response.incomplete","response":7}')
    assert not RESPONSES.is_end(b'{"type":"response.output_text.delta","delta":"response.completed"}')
    assert MESSAGES.is_end(b'{"type":"message_stop","message":7}')
    assert not MESSAGES.is_end(b'{"type":"content_block_delta","delta":{"text":"message_stop"}}')
    assert not MESSAGES.is_end(b'{"type":["message_stop"]}')


INCOMPLETE = {**RESPONSE, "status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
CALLED = {**RESPONSE, "output": [{"type": "function_call"}, {"type": "image_generation_call"}]}
ENDS = {
    "completed": (RESPONSE, "completed", "completed", 0, 0),
    "cut short": (INCOMPLETE, "max_output_tokens", "max_output_tokens", 0, 0),
    "called": (CALLED, "tool_calls", "completed", 1, 1),
    "queued": ({**RESPONSE, "status": "queued"}, None, None, 0, 0),
}


@pytest.mark.parametrize("name", ENDS)
def test_how_a_response_ended(name: str) -> None:
    body, finish, native, calls, images = ENDS[name]
    seen = RESPONSES.read_plain(json.dumps(body).encode(), "openai.responses")
    assert (seen.finish_reason, seen.native_finish_reason) == (finish, native)
    assert (seen.tool_calls, seen.images_out) == (calls, images)


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({"type": "error", "code": "server_error", "message": "broken", "param": None}, "broken"),
        ({"type": "error", "error": {"code": "server_error", "message": "broken"}}, "broken"),
        ({"type": "response.failed", "response": {"error": {"code": "server_error", "message": "broken"}}}, "broken"),
        ({"type": "response.failed", "response": {"error": None}}, ""),
        ({"type": "response.failed"}, ""),
    ],
)
def test_every_way_in_which_a_response_tells_an_error(event: dict[str, Any], message: str) -> None:
    data = json.dumps(event).encode()
    assert RESPONSES.tells_error(data)
    fault = heard(RESPONSES, b"data: " + data + b"\n\n", "openai.responses").fault
    assert fault is not None
    assert (fault.message, fault.code in ("server_error", "response_failed")) == (message, True)


NAMES = st.sampled_from(
    ("type", "id", "model", "usage", "error", "message", "delta", "response", "output", "content", "status")
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(("dialect", "shape", "example"), BOTH, ids=IDS)
@settings(max_examples=150, deadline=None)
@given(events=st.lists(JSON, max_size=5))
def test_nothing_that_a_provider_says_raises(dialect: Dialect, shape: str, example: object, events: list[Any]) -> None:
    sent = b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in events)
    seen = heard(dialect, sent, shape)
    assert seen.parts == len(events)
    for data in data_in(sent):
        dialect.read_plain(data, shape)
        dialect.is_end(data)
        dialect.tells_error(data)
