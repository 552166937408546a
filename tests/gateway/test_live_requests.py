"""What is turned away at the door and why, and what of a request goes on to the provider."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from collector.core.calls import Call
from collector.core.outcomes import Outcome
from collector.settings import Limits, Settings
from tests.gateway.live import ANSWER, DONE, KEY, Reply, asked, chat, gateway, part, plain, run, serving, stream
from tests.gateway.test_upstream import Provider

SMALL = Limits(max_body_bytes=2000)


# The body, the status, the code, what the message names, the member that is wrong.
BAD_BODIES: dict[str, tuple[object, int, str, str, str | None]] = {
    "malformed JSON": (b'{"model": "m",', 400, "invalid_request", "not valid JSON", None),
    "empty": (b"", 400, "invalid_request", "not valid JSON", None),
    "a list": (b'["m"]', 400, "invalid_request", '["m"]', None),
    "no UTF-8": (b'{"model": "\xff"}', 400, "invalid_request", "model", "model"),
    "no model": ({"messages": []}, 400, "invalid_request", "`model` is missing", "model"),
    "a model of spaces": (chat(model="  "), 400, "invalid_request", "`model` is missing", "model"),
    "a model that is a number": (chat(model=17), 400, "invalid_request", "17", "model"),
    "a model of a page": (chat(model="m" * 257), 400, "invalid_request", "257 characters", "model"),
    "a page among models": (chat(models=["m" * 257]), 400, "invalid_request", "257 characters", "models"),
    "an unknown model": (chat(model="gpt-99"), 404, "model_not_found", "'gpt-99'", "model"),
    "stream as text": (chat(stream="yes"), 400, "invalid_request", '"yes"', "stream"),
    "messages as text": (chat(messages="hi"), 400, "invalid_request", '"hi"', "messages"),
    "a member twice": (b'{"model": "m", "n": 1, "model": "m2"}', 400, "invalid_request", "'model'", "model"),
    "a body over the limit": (chat(pad="x" * 3000), 413, "payload_too_large", "2000", None),
}


@pytest.mark.parametrize("name", BAD_BODIES)
def test_a_bad_body_is_refused_by_name_and_recorded(name: str, tmp_path: Path) -> None:
    body, status, code, named, param = BAD_BODIES[name]
    provider = Provider(plain())
    reply, call = asked(tmp_path, body, provider, limits=SMALL)
    assert (reply.status, reply.error["code"], reply.error["param"]) == (status, code, param)
    assert named in reply.error["message"]
    assert reply.headers["x-callmeter-call-id"] == call.id
    assert (call.outcome, call.attempts, call.http_status, call.error_type) == (Outcome.REFUSED, (), status, code)
    assert not provider.requests


AT_THE_DOOR = {
    "a foreign Host": ({"host": "evil.example:8484"}, 403, "foreign_host", "'evil.example:8484'"),
    "a Host that looks like ours": ({"host": "127.0.0.1.evil.example"}, 403, "foreign_host", "127.0.0.1.evil"),
    "an Origin": ({"origin": "https://evil.example"}, 403, "foreign_origin", "'https://evil.example'"),
    "another kind": ({"content_type": "text/plain"}, 415, "unsupported_media_type", "'text/plain'"),
    "no kind": ({"content_type": ""}, 415, "unsupported_media_type", "absent"),
    "a form": ({"content_type": "multipart/form-data"}, 415, "unsupported_media_type", "multipart"),
    "packed": ({"content_encoding": "gzip"}, 415, "unsupported_encoding", "'gzip'"),
}


@pytest.mark.parametrize("name", AT_THE_DOOR)
def test_what_a_web_page_could_send_is_counted_and_is_no_call(name: str, tmp_path: Path) -> None:
    headers, status, code, named = AT_THE_DOOR[name]

    async def main() -> None:
        provider = Provider(plain())
        async with gateway(tmp_path, provider) as live:
            reply = await live.ask(chat(), **headers)
            assert (reply.status, reply.error["code"]) == (status, code)
            assert named in reply.error["message"]
            assert "x-callmeter-call-id" not in reply.headers
            assert (live.app.refusals, live.records(), provider.requests) == ({code: 1}, [], [])

    run(main)


def test_openrouters_surface_tells_of_a_foreign_kind_as_of_a_bad_request(tmp_path: Path) -> None:
    async def main() -> None:
        async with gateway(tmp_path, Provider(plain())) as live:
            reply = await live.ask(chat(), "/api/v1/chat/completions", content_type="text/plain")
            assert (reply.status, reply.error["code"]) == (400, 400)
            assert reply.error["metadata"] == {"error_type": "invalid_request", "reason": "unsupported_media_type"}

    run(main)


def test_with_no_provider_configured_the_error_says_what_to_do(tmp_path: Path) -> None:
    async def main() -> None:
        settings = Settings(data_dir=tmp_path, ledger_url="sqlite://", config_path=tmp_path / "callmeter.toml")
        async with serving(settings) as live:
            reply, call = await live.ask(chat()), await live.only()
            assert (reply.status, reply.error["code"]) == (503, "no_provider")
            assert "[providers.NAME]" in reply.error["message"]
            assert (call.outcome, call.model, call.error_type) == (Outcome.REFUSED, "m", "no_provider")

    run(main)


def test_openrouters_surface_tells_errors_in_openrouters_shape(tmp_path: Path) -> None:
    async def main() -> None:
        async with gateway(tmp_path, Provider(plain())) as live:
            reply = await live.ask(chat(model="gpt-99"), "/api/v1/chat/completions")
            assert (reply.error["code"], reply.error["metadata"]["error_type"]) == (404, "not_found")
            assert (await live.only()).outcome is Outcome.REFUSED

    run(main)


def sent_on(folder: Path, body: object, answer: bytes, **headers: str) -> tuple[bytes, bytes, Reply, Call]:
    """The head and the body that the provider got."""
    provider = Provider(answer)
    reply, call = asked(folder, body, provider, headers=headers)
    (request,) = provider.requests
    head, _, sent = request.partition(b"\r\n\r\n")
    return head, sent, reply, call


ODD = (
    b'{ "model":"m",\n "temperature":1.0,"seed":123456789012345678901234567890,"x_unknown":{"a":[1e2,-0.0]},'
    b'"messages":[{"role":"user","content":"\\u00fc \xc3\xbc"}] '
)


def test_a_plain_request_goes_on_byte_for_byte(tmp_path: Path) -> None:
    _, sent, reply, _ = sent_on(tmp_path, ODD + b"}", plain())
    assert sent == ODD + b"}"
    assert reply.body == ANSWER


def texts(body: bytes) -> dict[str, bytes]:
    return {name: bytes(raw) for name, raw in msgspec.json.decode(body, type=dict[str, msgspec.Raw]).items()}


def test_routing_members_and_the_suffix_go_and_all_else_stays_as_it_was_written(tmp_path: Path) -> None:
    routing = b', "provider": {"order": ["x"]}, "models": ["m"], "route": "fallback"}'
    body = ODD.replace(b'"m"', b'"m:nitro"', 1) + routing
    _, sent, _, call = sent_on(tmp_path, body, plain())
    expected = texts(body)
    for name in ("provider", "models", "route"):
        del expected[name]
    assert texts(sent) == {**expected, "model": b'"m"'}
    assert call.model == "m"


@pytest.mark.parametrize("given", [None, {}, {"include_usage": False, "other": 1}])
def test_a_stream_is_asked_for_its_usage(given: dict[str, Any] | None, tmp_path: Path) -> None:
    body = json.dumps({**chat(stream=True), "stream_options": given, "temperature": 1.0}).encode()
    _, sent, _, call = sent_on(tmp_path, body, stream(part("a", "stop"), DONE))
    options = {**(given or {}), "include_usage": True}
    assert json.loads(sent) == {**json.loads(body), "stream_options": options}
    assert texts(sent)["temperature"] == b"1.0"
    assert call.outcome is Outcome.OK


def test_images_of_all_messages_are_counted(tmp_path: Path) -> None:
    by_url = {"type": "image_url", "image_url": {"url": "https://images.example/cat.png"}}
    inline = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    text = {"type": "text", "text": "image_url"}
    messages = [{"role": "user", "content": each} for each in ([text, by_url, inline], "image_url", [by_url], None)]
    _, _, _, call = sent_on(tmp_path, chat(messages=messages), plain())
    assert call.meters == {"images_in": 3, "input": 9, "output": 4}


IDENTITIES: dict[str, tuple[dict[str, str], dict[str, object], tuple[str | None, ...]]] = {
    "none": ({}, {}, (None, None, None, None)),
    "referer and title": (
        {"http_referer": "https://App.Example:443/chat?q=1", "x_title": "My App"},
        {"user": "u-1"},
        ("https://app.example", "My App", "u-1", None),
    ),
    "title alone": ({"x_title": "My App"}, {}, ("My App", "My App", None, None)),
    "local referer": ({"http_referer": "http://localhost:3000/", "x_title": "Dev"}, {}, ("Dev", "Dev", None, None)),
    "session header": ({"x_session_id": "s-1"}, {}, (None, None, None, "s-1")),
    "session in the body": ({"x_session_id": "s-1"}, {"session_id": "s-2"}, (None, None, None, "s-2")),
}


@pytest.mark.parametrize("name", IDENTITIES)
def test_app_user_and_session(name: str, tmp_path: Path) -> None:
    headers, members, expected = IDENTITIES[name]
    _, _, _, call = sent_on(tmp_path, chat(**members), plain(), **headers)
    assert (call.app, call.app_title, call.user, call.session) == expected


def test_neither_the_callers_key_nor_its_cookies_and_referer_go_to_a_provider_with_our_key(tmp_path: Path) -> None:
    headers = {"authorization": "Bearer sk-of-the-caller", "cookie": "a=b", "http_referer": "https://app.example/x"}
    head, _, _, call = sent_on(tmp_path, chat(), plain(), **headers)
    assert f"Authorization: Bearer {KEY}".encode() in head
    assert not [word for word in (b"sk-of-the-caller", b"a=b", b"app.example") if word in head]
    assert call.key is None
