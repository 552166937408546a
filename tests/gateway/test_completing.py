"""Under /api/v1 an answer of any provider has what OpenRouter's schema requires; what it has itself stays as it is."""

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.intake.gateway.completing import REQUIRED, Completing, Given
from collector.intake.gateway.operations import OPERATIONS
from collector.intake.gateway.sse import all_data
from collector.intake.gateway.stream import Passage
from collector.settings import Limits
from tests.gateway.published import component_faults, faults
from tests.gateway.spoken import ALL, MESSAGES, RESPONSES, STREAMED, Spoken

BY_NAME = {operation.name: operation for operation in OPERATIONS}
GIVEN = Given(id="0199", created=7, model="m", provider="openai")
PUBLISHED = {each.name: each.path for each in ALL if each.name != "completions"}  # which OpenRouter documents no more
EVENTS = {"chat": "ChatStreamChunk", "responses": "StreamEvents", "messages": "MessagesStreamEvents"}


def completing(spoken: Spoken) -> Completing:
    return Completing(spoken.name, GIVEN)


def passed_on(spoken: Spoken, sent: bytes, step: int = 1 << 20) -> bytes:
    """What a client gets of a stream that arrives in steps."""
    passage = Passage(BY_NAME[spoken.name], Limits(), False, completing(spoken))
    out = b"".join(passage.feed(sent[at : at + step]) for at in range(0, len(sent), step) if not passage.ended)
    return out + passage.terminal


def test_every_operation_has_its_line() -> None:
    assert REQUIRED.keys() == BY_NAME.keys()


@pytest.mark.parametrize("spoken", [each for each in ALL if each.name in PUBLISHED], ids=lambda each: each.name)
def test_a_whole_answer_is_as_published(spoken: Spoken) -> None:
    body = json.loads(completing(spoken).whole(msgspec.json.encode(spoken.answer)))
    assert faults(PUBLISHED[spoken.name], "post", 200, body) == []


@pytest.mark.parametrize("spoken", [each for each in STREAMED if each.name in EVENTS], ids=lambda each: each.name)
def test_the_events_of_a_stream_are_as_published(spoken: Spoken) -> None:
    events = all_data(passed_on(spoken, spoken.begin + spoken.finish + spoken.end))
    found = [json.loads(data) for data in events if data != b"[DONE]"]
    assert len(found) >= 2
    for event in found:
        if event.get("type") == "response.output_text.delta":
            continue  # cut short in the example itself
        if event.get("response", {}).get("usage", 0) is None:
            del event["response"]["usage"]  # which OpenAI sends, and OpenRouter's document does not have
        assert component_faults(EVENTS[spoken.name], event) == [], event


def test_what_a_provider_says_itself_stays_byte_for_byte() -> None:
    body = b'{ "id":"x" , "provider":"Else","created":1.0,"model":null,"object":"o","system_fingerprint":"f","z":1e400}'
    assert Completing("chat", GIVEN).whole(body) is body
    assert Completing("chat", GIVEN).whole(b' {"z":1e400} ') == (
        b'{"provider":"openai","id":"0199","created":7,"model":"m","object":"chat.completion","system_fingerprint":null,'
        b'"z":1e400} '
    )
    empty = json.loads(Completing("chat", GIVEN).whole(b"{ }"))
    assert (empty["id"], empty["system_fingerprint"]) == ("0199", None)


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'{"a":', b'"text"', b"{" * 5000])
def test_what_is_no_object_goes_on_as_it_is(body: bytes) -> None:
    for name in BY_NAME:
        each = Completing(name, GIVEN)
        assert (each.whole(body), each.tag(body)) in ((body, b""), (body, each.tag(b"{}")))
        assert each.event(b"data: " + body + b"\n\n") == b"data: " + body + b"\n\n"


def test_members_inside_are_added_where_there_is_an_object_for_them() -> None:
    assert json.loads(Completing("messages", GIVEN).whole(b'{"usage":null}'))["usage"] is None
    inside = json.loads(Completing("messages", GIVEN).whole(b'{"usage":{"input_tokens":1.50}}'))["usage"]
    assert (inside["input_tokens"], inside["cache_creation"]) == (1.5, None)
    assert b"1.50" in Completing("messages", GIVEN).whole(b'{"usage":{"input_tokens":1.50}}')


def test_members_that_may_not_be_null_are_left_out() -> None:
    said = b'{"role":"assistant","content":null,"tool_calls":null,"x":null}'
    body = b'{"choices":[{"index":0,"message":%b,"finish_reason":"stop"},7]}' % said
    choice, other = json.loads(Completing("chat", GIVEN).whole(body))["choices"]
    assert choice["message"] == {"role": "assistant", "content": None, "x": None}
    assert other == 7


def test_a_provider_with_a_strange_name_stays_text() -> None:
    odd = Given(id="i", created=1, model="m", provider='a"b\\1\\g<0>')
    sent = b'data: {"choices":[{"delta":{}}]}\n\ndata: {"choices":[{"delta":{}}]}\n\n'
    passage = Passage(BY_NAME["chat"], Limits(), False, Completing("chat", odd))
    found = [json.loads(data) for data in all_data(passage.feed(sent))]
    assert [each["provider"] for each in found] == ['a"b\\1\\g<0>'] * 2


@pytest.mark.parametrize("spoken", STREAMED, ids=lambda each: each.name)
@settings(max_examples=30, deadline=None)
@given(step=st.integers(1, 400))
def test_however_a_stream_is_cut_the_same_is_added(spoken: Spoken, step: int) -> None:
    sent = spoken.begin + spoken.finish + spoken.end
    assert passed_on(spoken, sent, step) == passed_on(spoken, sent)


def test_a_type_that_stands_before_the_data_stays_there() -> None:
    for spoken in (RESPONSES, MESSAGES):
        for event in passed_on(spoken, spoken.begin + spoken.finish + spoken.end).decode().split("\n\n")[:-1]:
            kind, data = event.split("\n")
            assert kind == f"event: {json.loads(data.removeprefix('data: '))['type']}"
