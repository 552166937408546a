"""Under /api/v1 an answer of any provider has what OpenRouter's schema requires; what it has itself stays as it is."""

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.intake.gateway.completing import MAX_PRICED, REQUIRED, Completing, Given
from collector.intake.gateway.operations import OPERATIONS
from collector.intake.gateway.sse import event_of
from collector.intake.gateway.stream import Passage
from collector.intake.gateway.tariff import Spent
from collector.settings import Limits
from tests.gateway.heard import data_in
from tests.gateway.published import component_faults, faults
from tests.gateway.spoken import ALL, MESSAGES, RESPONSES, STREAMED, Spoken

BY_NAME = {operation.name: operation for operation in OPERATIONS}
GIVEN = Given(id="0199", created=7, model="m", provider="openai")
PUBLISHED = {each.name: each.path for each in ALL if each.name != "completions"}  # which OpenRouter documents no more
EVENTS = {"chat": "ChatStreamChunk", "responses": "StreamEvents", "messages": "MessagesStreamEvents"}


def unpriced() -> None:
    """The cost of an answer that has no price."""


def completing(spoken: Spoken) -> Completing:
    return Completing(spoken.name, GIVEN, lambda: Spent(5 * 10**11, 2 * 10**11))


def passed_on(spoken: Spoken, sent: bytes, step: int = 1 << 20) -> bytes:
    """What a client gets of a stream that arrives in steps."""
    passage = Passage(BY_NAME[spoken.name], BY_NAME[spoken.name].usage_shape, Limits(), False, completing(spoken))
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
    events = data_in(passed_on(spoken, spoken.begin + spoken.finish + spoken.end))
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
    assert Completing("chat", GIVEN, unpriced).whole(body) is body
    assert Completing("chat", GIVEN, unpriced).whole(b' {"z":1e400} ') == (
        b'{"provider":"openai","id":"0199","created":7,"model":"m","object":"chat.completion","system_fingerprint":null,'
        b'"z":1e400} '
    )
    empty = json.loads(Completing("chat", GIVEN, unpriced).whole(b"{ }"))
    assert (empty["id"], empty["system_fingerprint"]) == ("0199", None)


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'{"a":', b'"text"', b"{" * 5000])
def test_what_is_no_object_goes_on_as_it_is(body: bytes) -> None:
    for name in BY_NAME:
        each = Completing(name, GIVEN, unpriced)
        assert (each.whole(body), each.tag(body)) in ((body, b""), (body, each.tag(b"{}")))
        assert each.event(b"data: " + body + b"\n\n") == b"data: " + body + b"\n\n"


def test_members_inside_are_added_where_there_is_an_object_for_them() -> None:
    assert json.loads(Completing("messages", GIVEN, unpriced).whole(b'{"usage":null}'))["usage"] is None
    inside = json.loads(Completing("messages", GIVEN, unpriced).whole(b'{"usage":{"input_tokens":1.50}}'))["usage"]
    assert (inside["input_tokens"], inside["cache_creation"]) == (1.5, None)
    assert b"1.50" in Completing("messages", GIVEN, unpriced).whole(b'{"usage":{"input_tokens":1.50}}')


def test_members_that_may_not_be_null_are_left_out() -> None:
    said = b'{"role":"assistant","content":null,"tool_calls":null,"x":null}'
    body = b'{"choices":[{"index":0,"message":%b,"finish_reason":"stop"},7]}' % said
    choice, other = json.loads(Completing("chat", GIVEN, unpriced).whole(body))["choices"]
    assert choice["message"] == {"role": "assistant", "content": None, "x": None}
    assert other == 7


def test_a_provider_with_a_strange_name_stays_text() -> None:
    odd = Given(id="i", created=1, model="m", provider='a"b\\1\\g<0>')
    sent = b'data: {"choices":[{"delta":{}}]}\n\ndata: {"choices":[{"delta":{}}]}\n\n'
    passage = Passage(BY_NAME["chat"], "openai.chat", Limits(), False, Completing("chat", odd, unpriced))
    found = [json.loads(data) for data in data_in(passage.feed(sent))]
    assert [each["provider"] for each in found] == ['a"b\\1\\g<0>'] * 2


COST = {
    "cost": 0.5,
    "cost_details": {
        "upstream_inference_cost": None,
        "upstream_inference_prompt_cost": 0.3,
        "upstream_inference_completions_cost": 0.2,
    },
    "is_byok": False,
}
RESPONSES_COST = {
    **COST,
    "cost_details": {
        "upstream_inference_cost": None,
        "upstream_inference_input_cost": 0.3,
        "upstream_inference_output_cost": 0.2,
    },
}


@pytest.mark.parametrize("spoken", ALL, ids=lambda each: each.name)
def test_the_usage_of_a_whole_answer_tells_its_cost(spoken: Spoken) -> None:
    told = json.loads(completing(spoken).whole(msgspec.json.encode(spoken.answer)))["usage"]
    assert told.items() >= (RESPONSES_COST if spoken is RESPONSES else COST).items()
    assert told.items() >= spoken.answer["usage"].items()


@pytest.mark.parametrize("spoken", STREAMED, ids=lambda each: each.name)
def test_the_usage_of_a_stream_tells_its_cost_once(spoken: Spoken) -> None:
    events = data_in(passed_on(spoken, spoken.begin + spoken.finish + spoken.end))
    found = [json.loads(data) for data in events if data != b"[DONE]"]
    usages = [usage for each in found if (usage := each.get("usage") or each.get("response", {}).get("usage"))]
    assert [usage for usage in usages if "cost" in usage] == usages[-1:]
    assert usages[-1].items() >= (RESPONSES_COST if spoken is RESPONSES else COST).items()


def test_a_cost_that_the_provider_tells_stays_and_none_is_told_that_is_not_known() -> None:
    def known() -> Spent:
        return Spent(7, 3)

    for usage in (b'{"cost":1.50}', b'{"cost":null}', b"null", b"7"):
        body = json.loads(Completing("embeddings", GIVEN, known).whole(b'{"object":"list","usage":%b}' % usage))
        assert body["usage"] == json.loads(usage)
    told = Completing("embeddings", GIVEN, known).whole(b'{"object":"list","usage":{"prompt_tokens":1}}')
    assert b'"cost":0.000000000007,' in told  # exact, without an exponent
    bare = json.loads(Completing("embeddings", GIVEN, unpriced).whole(b'{"usage":{"prompt_tokens":1}}'))
    assert bare["usage"] == {"prompt_tokens": 1}


def test_a_usage_that_grows_with_every_event_is_priced_at_its_end_alone() -> None:
    asked: list[str] = []
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}

    def spent() -> Spent:
        asked.append("once")
        return Spent(7, 3)

    passage = Passage(BY_NAME["chat"], "openai.chat", Limits(), False, Completing("chat", GIVEN, spent))
    growing = [{"choices": [{"index": 0, "delta": {}, "finish_reason": None}], "usage": usage}] * 50
    sent = b"".join(event_of(msgspec.json.encode(each)) for each in [*growing, {"choices": [], "usage": usage}])
    costs = ["cost" in json.loads(data)["usage"] for data in data_in(passage.feed(sent))]
    assert (costs, asked) == ([False] * 50 + [True], ["once"])


def test_a_stream_that_ends_again_and_again_is_not_read_again_each_time() -> None:
    asked_for = 0

    def spent() -> None:
        nonlocal asked_for
        asked_for += 1

    end = {"id": "x", "model": "m", "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}
    passage = Passage(BY_NAME["chat"], "openai.chat", Limits(), False, Completing("chat", GIVEN, spent))
    passage.feed(event_of(msgspec.json.encode(end)) * 1000)
    assert asked_for == MAX_PRICED


@pytest.mark.parametrize("step", [1, 50, 1 << 20])
def test_parts_that_leave_out_what_they_may_not_are_completed(step: int) -> None:
    parts = [
        b'{"id":"x","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}',
        b'{"id":"x","choices":[{"index":0,"delta":{"content":"\\"finish_reason\\" \\"delta\\""}}]}',
        b'{"id":"x","choices":[{"index":0,"delta":{"content":"b","tool_calls":null}},{"index":1,"delta":{}}]}',
        b'{"id":"x","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}',
    ]
    passage = Passage(BY_NAME["chat"], "openai.chat", Limits(), False, Completing("chat", GIVEN, unpriced))
    sent = b"".join(map(event_of, parts))
    out = b"".join(passage.feed(sent[at : at + step]) for at in range(0, len(sent), step))
    found = [json.loads(data) for data in data_in(out)]
    for each in found:
        assert component_faults("ChatStreamChunk", each) == []
    assert [choice["finish_reason"] for each in found for choice in each["choices"]] == [None] * 4 + ["stop"]
    assert found[1]["choices"][0]["delta"]["content"] == '"finish_reason" "delta"'
    assert found[2]["choices"][0]["delta"] == {"content": "b"}


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
