"""What a body asks for, what is wrong with it, and the few members of it that change on the way."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.intake.gateway.asked import MAX_MEMBERS, Asked, read_asked, upstream_body
from collector.intake.gateway.errors import Refusal
from collector.intake.gateway.operations import OPERATIONS
from collector.intake.gateway.routing import Route

CHAT = next(operation for operation in OPERATIONS if operation.name == "chat")
PIXEL = "data:image/png;base64,iVBORw0KGgo="


def read(body: object) -> Asked:
    return read_asked(body if isinstance(body, bytes) else json.dumps(body).encode(), CHAT)


def picture(url: str) -> dict[str, object]:
    return {"type": "image_url", "image_url": {"url": url, "detail": "low"}}


def user(*parts: object) -> dict[str, object]:
    return {"role": "user", "content": list(parts)}


@pytest.mark.parametrize(
    ("asked", "model", "suffix"),
    [
        ("openai/gpt-4-turbo", "openai/gpt-4-turbo", ""),
        ("openai/gpt-4-turbo:nitro", "openai/gpt-4-turbo", ":nitro"),
        ("m:floor", "m", ":floor"),
        ("m:free", "m:free", ""),
        ("llama3:8b", "llama3:8b", ""),
        ("ft:gpt-4o:org::id", "ft:gpt-4o:org::id", ""),
        (":nitro", ":nitro", ""),
        ("モデル", "モデル", ""),
    ],
)
def test_a_routing_suffix_is_not_part_of_the_model(asked: str, model: str, suffix: str) -> None:
    found = read({"model": asked, "messages": []})
    assert (found.model, found.suffix) == (model, suffix)


def test_the_first_of_models_stands_in_for_the_model() -> None:
    assert read({"models": ["a", "b"]}).model == "a"
    assert read({"model": "c", "models": ["a", "b"]}).model == "c"


@pytest.mark.parametrize(
    ("messages", "images"),
    [
        ([], 0),
        ([{"role": "user", "content": "an image_url in words"}], 0),
        ([{"role": "assistant", "content": None, "tool_calls": []}], 0),
        ([user({"type": "text", "text": "x"}, picture("https://example.com/a.png"))], 1),
        ([user(picture(PIXEL), picture("https://example.com/a.png")), user(picture(PIXEL))], 3),
        ([user({"type": "input_image", "image_url": PIXEL})], 1),
        ([user({"type": "input_audio", "input_audio": {}}, {"type": "file"})], 0),
        ([user("text as a part")], 0),
    ],
)
def test_images_are_counted_over_all_messages(messages: object, images: int) -> None:
    assert read({"model": "m", "messages": messages}).images == images


def test_an_escaped_type_is_an_image_all_the_same() -> None:
    body = rb'{"model":"m","messages":[{"content":[{"type":"image\u005furl","image_url":{"url":"u"}}]}]}'
    assert read(body).images == 1


def test_user_session_stream_and_the_wish_for_usage_are_read() -> None:
    found = read(
        {"model": "m", "user": "u", "session_id": "s", "stream": True, "stream_options": {"include_usage": True}}
    )
    assert (found.user, found.session, found.stream, found.wants_usage) == ("u", "s", True, True)
    found = read({"model": "m", "user": None, "stream": None, "stream_options": None, "messages": None})
    assert (found.user, found.session, found.stream, found.wants_usage) == (None, None, False, False)


@pytest.mark.parametrize(
    ("body", "param", "told"),
    [
        (b"", None, "not valid JSON"),
        (b"{", None, "not valid JSON"),
        (b'{"model":"m"} x', None, "not valid JSON"),
        (b'{"model":"m","x":NaN}', None, "not valid JSON"),
        (b"\xff\xfe", None, "not valid JSON"),
        (b'{"a":' + b"[" * 100_000, None, "nested too deep"),
        (b"[1, 2]", None, "[1, 2], not a JSON object"),
        (b"{}", "model", "`model` is missing"),
        (b'{"model": ""}', "model", "`model` is missing"),
        (b'{"model": null}', "model", "`model` is missing"),
        (b'{"model": 5}', "model", "`model` is 5, not a string"),
        (b'{"model": "\xff"}', "model", "not a string"),
        (b'{"model":"m","stream":"yes"}', "stream", '`stream` is "yes", not true or false'),
        (b'{"model":"m","user":7}', "user", "`user` is 7, not a string"),
        (b'{"model":"m","messages":"hi"}', "messages", '`messages` is "hi", not a list of messages'),
        (b'{"model":"m","messages":["hi"]}', "messages", "not a list of messages"),
        (b'{"model":"m","stream_options":[]}', "stream_options", "`stream_options` is [], not an object"),
        (b'{"models":"m"}', "models", "not a list of strings"),
        (b'{"model":"a","model":"b"}', "model", "'model' stands twice"),
        (b'{"model":"a","model":"a"}', "model", "'model' stands twice"),
        (b'{ "x" : 1 , "model" : "m" , "x" : {"y": 2} }', "x", "'x' stands twice"),
        (rb'{"model":"m","user":"a","us\u0065r":"b"}', "user", "'user' stands twice"),
        (b'{"model":"m","' + b"k" * 500 + b'":[', None, "not valid JSON"),
        (json.dumps({str(n): n for n in range(MAX_MEMBERS + 1)}).encode(), None, "1001 members"),
    ],
)
def test_what_is_wrong_is_named_with_its_value(body: bytes, param: str | None, told: str) -> None:
    with pytest.raises(Refusal) as caught:
        read(body)
    problem = caught.value.problem
    assert (problem.status, problem.code, problem.param) == (400, "invalid_request", param)
    assert told in problem.message
    assert len(problem.message) < 300


@given(
    st.dictionaries(st.text(max_size=5), st.recursive(st.integers() | st.text() | st.none(), st.lists), max_size=6),
    st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", "\t: ")]),
    st.booleans(),
)
def test_a_body_without_a_key_twice_is_never_taken_for_one(
    members: dict[str, object], separators: tuple[str, str], ascii_only: bool
) -> None:
    body = {**members, "model": "m", "user": None, "stream": None, "stream_options": None, "messages": []}
    body = {**body, "session_id": None, "models": None}
    assert read(json.dumps(body, separators=separators, ensure_ascii=ascii_only).encode()).model == "m"


@given(st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=5), min_size=1, max_size=5), st.data())
def test_a_key_that_stands_twice_is_always_found(members: dict[str, object], data: st.DataObject) -> None:
    twice = data.draw(st.sampled_from(sorted(members)))
    pieces = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in members.items()]
    pieces.insert(data.draw(st.integers(0, len(pieces))), f"{json.dumps(twice)}: {data.draw(st.integers())}")
    with pytest.raises(Refusal):
        read(("{" + ", ".join(pieces) + "}").encode())


def named(model: str) -> Route:
    """A route to a provider that calls a model so."""
    return Route("p", "openai", "", "ours", upstream_model=model, model="asked")


ODD = b'{"model":"m","temperature":1.0,"seed":123456789012345678901234567890,"x":1e400,"new":[1.50],"stream":true}'


def test_half_a_pair_of_surrogates_is_text_as_any_other() -> None:
    body = b'{"model":"m","messages":[{"role":"user","content":"\\ud83d"}],"user":"\\ude00 \\ud83d\\ude00 \\\\ud83d"}'
    asked = read_asked(body, CHAT)
    assert (asked.model, asked.user, asked.body) == ("m", "\ufffd \U0001f600 \\ud83d", body)
    with pytest.raises(Refusal, match="'m' stands twice"):
        read_asked(b'{"model":"x","m":"\\ud83d","m":"\\ud83d"}', CHAT)


def test_nothing_changes_where_nothing_has_to() -> None:
    plain = b' { "model" : "m" , "temperature" : 1.0 } '
    assert upstream_body(read(plain), named("m"), adds_usage=True) == plain
    assert upstream_body(read(ODD), named("m"), adds_usage=False) == ODD


def test_numbers_keep_their_text_when_something_else_changes() -> None:
    changed = upstream_body(read(ODD), named("other"), adds_usage=True)
    assert changed == ODD.replace(b'"m"', b'"other"')[:-1] + b',"stream_options":{"include_usage":true}}'


def test_other_stream_options_stay() -> None:
    asked = read(b'{"model":"m","stream":true,"stream_options":{"include_obfuscation":false,"include_usage":false}}')
    assert upstream_body(asked, named("m"), adds_usage=True) == (
        b'{"model":"m","stream":true,"stream_options":{"include_obfuscation":false,"include_usage":true}}'
    )


@pytest.mark.parametrize(
    ("keeps_routing", "sent"),
    [
        (True, {"model": "m:nitro", "provider": {"order": ["a"]}, "models": ["b"], "route": "fallback", "top_k": 3}),
        (False, {"model": "m", "top_k": 3}),
    ],
)
def test_routing_members_go_to_a_router_only(keeps_routing: bool, sent: dict[str, object]) -> None:
    asked = read({"model": "m:nitro", "provider": {"order": ["a"]}, "models": ["b"], "route": "fallback", "top_k": 3})
    route = Route("p", "openrouter" if keeps_routing else "openai", "", "ours", model="m", suffix=":nitro")
    assert json.loads(upstream_body(asked, route, adds_usage=False)) == sent


def test_a_model_named_only_in_models_is_named_to_the_provider() -> None:
    asked = read({"models": ["a", "b"], "messages": []})
    assert json.loads(upstream_body(asked, named("a"), adds_usage=False)) == {"messages": [], "model": "a"}
