"""Whatever a provider sends, the client gets an answer or one clear error, and the record says whose fault it was."""

import asyncio
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from collector.core.calls import Call
from collector.core.money import format_usd
from collector.core.outcomes import Outcome
from collector.core.prices import charge
from tests.gateway.heard import data_in
from tests.gateway.inside import (
    ANSWER,
    QUESTION,
    STREAM_HEAD,
    STREAMED,
    USAGE_PART,
    Answered,
    Script,
    calls,
    chunk,
    inside,
    plain,
    said,
    stream,
)
from tests.stored import BOOK

FAULT, LIMITED, CALLER = Outcome.PROVIDER_FAULT, Outcome.RATE_LIMITED, Outcome.CALLER_FAULT
HTML = b"<html><body>Bad gateway</body></html>"
OVERLOADED = {"error": {"message": "over capacity", "type": "overloaded_error", "code": 529}}


def error(code: str, message: str = "no", status: int = 400, kind: str = "some_type", more: str = "") -> bytes:
    return plain({"error": {"message": message, "type": kind, "code": code, "param": None}}, status, more=more)


def ask(
    folder: Path, body: object, *scripts: bytes | Script, path: str = "/v1/chat/completions", **options: Any
) -> Answered:
    """One call through a gateway with these providers."""

    async def run() -> Answered:
        async with inside(folder, *scripts, **options) as gateway:
            return await asyncio.wait_for(gateway.ask(body, path), 10)

    return asyncio.run(run())


def only(folder: Path) -> Call:
    found = calls(folder)
    assert len(found) == 1
    return found[0]


# what comes, what the client gets (status, code), what is recorded (outcome, error type)
BEFORE_THE_FIRST_EVENT = {
    "hangs up at once": (b"", (502, "provider_disconnected"), (FAULT, "disconnected")),
    "no http": (b"hello there\r\n\r\n", (502, "malformed_answer"), (FAULT, "malformed_answer")),
    "html": (plain(HTML, kind="text/html"), (502, "malformed_answer"), (FAULT, None)),
    "html and 502": (plain(HTML, 502, "text/html"), (502, "provider_error"), (FAULT, None)),
    "cut json": (plain(b'{"id": "x", "choi'), (502, "malformed_answer"), (FAULT, "malformed_answer")),
    "a list": (plain([1]), (502, "malformed_answer"), (FAULT, "malformed_answer")),
    "nothing": (plain(b""), (502, "malformed_answer"), (FAULT, "malformed_answer")),
    "body shorter than stated": (
        plain(ANSWER)[:-9],
        (502, "provider_disconnected"),
        (FAULT, "disconnected"),
    ),
    "an error inside a 200": (plain(OVERLOADED), (529, "overloaded_error"), (FAULT, "overloaded_error")),
    "an error text inside a 200": (plain({"error": "boom"}), (502, "provider_error"), (FAULT, "error_in_answer")),
    "an error in a choice": (
        plain({"choices": [{"index": 0, "finish_reason": "error", "error": {"code": 502, "message": "cut"}}]}),
        (502, "provider_error"),
        (FAULT, "error_in_answer"),
    ),
    "a redirect": (plain(b"", 302, more="Location: http://elsewhere/\r\n"), (502, "provider_error"), (FAULT, None)),
    "429": (error("rate_limit_exceeded", status=429), (429, "rate_limit_exceeded"), (LIMITED, "rate_limit_exceeded")),
    "500": (error("server_error", status=500), (500, "server_error"), (FAULT, "server_error")),
    "529": (plain(OVERLOADED, 529), (529, "overloaded_error"), (FAULT, "overloaded_error")),
    "400": (error("context_length_exceeded"), (400, "context_length_exceeded"), (CALLER, "context_length_exceeded")),
    "wrong key": (error("invalid_api_key", status=401), (401, "invalid_api_key"), (CALLER, "invalid_api_key")),
    "no such status": (plain(b"{}", 799), (502, "provider_error"), (FAULT, None)),
    "packed garbage": (
        plain(b"\x1f\x8bgarbage", more="Content-Encoding: gzip\r\n"),
        (502, "malformed_answer"),
        (FAULT, "malformed_encoding"),
    ),
}
STREAM_ONLY = {
    "no event": (stream(end=False), (502, "malformed_answer"), (FAULT, "empty_stream")),
    "comments alone": (stream(b": wait\n\n", end=False), (502, "malformed_answer"), (FAULT, "empty_stream")),
    "garbage event": (stream(b"data: }{\n\n"), (502, "malformed_answer"), (FAULT, "malformed_answer")),
    "error event": (stream(OVERLOADED), (529, "overloaded_error"), (FAULT, "overloaded_error")),
    "head alone": (STREAM_HEAD, (502, "provider_disconnected"), (FAULT, "disconnected")),
    "half an event": (STREAM_HEAD + b"40\r\ndata: {", (502, "provider_disconnected"), (FAULT, "disconnected")),
}


@pytest.mark.parametrize("case", BEFORE_THE_FIRST_EVENT)
def test_what_is_no_answer_is_told_as_one_error(tmp_path: Path, case: str) -> None:
    script, told, recorded = BEFORE_THE_FIRST_EVENT[case]
    answered = ask(tmp_path, QUESTION, script)
    assert (answered.status, answered.error["code"]) == told
    call = only(tmp_path)
    assert call.outcome is recorded[0]
    assert recorded[1] is None or call.error_type == recorded[1]
    assert (call.http_status, call.provider, len(call.attempts)) == (told[0], "one", 1)


@pytest.mark.parametrize("case", BEFORE_THE_FIRST_EVENT | STREAM_ONLY)
def test_the_same_holds_for_a_stream_that_does_not_begin(tmp_path: Path, case: str) -> None:
    script, _, recorded = (BEFORE_THE_FIRST_EVENT | STREAM_ONLY)[case]
    answered = ask(tmp_path, STREAMED, script, script)
    assert answered.status >= 400
    assert answered.error["message"]
    assert only(tmp_path).outcome is recorded[0]


@pytest.mark.parametrize("body", [QUESTION, STREAMED], ids=["plain", "stream"])
@pytest.mark.parametrize("case", BEFORE_THE_FIRST_EVENT | STREAM_ONLY)
def test_the_next_endpoint_is_tried_unless_the_caller_is_at_fault(tmp_path: Path, case: str, body: object) -> None:
    script, _, (outcome, _) = (BEFORE_THE_FIRST_EVENT | STREAM_ONLY)[case]
    if case in STREAM_ONLY and body is QUESTION:
        return
    good = stream(said(), said(None, "stop"), USAGE_PART) if body is STREAMED else plain(ANSWER)
    answered = ask(tmp_path, body, script, script, then=(good,))
    call = only(tmp_path)
    outcomes = [attempt.outcome for attempt in call.attempts]
    if outcome is CALLER:
        assert set(outcomes) == {CALLER}
        assert answered.status == 400 or answered.status == 401
    else:
        assert outcomes == [outcome, Outcome.OK]
        assert (answered.status, call.outcome, call.provider) == (200, Outcome.OK, "two")
        assert [attempt.provider for attempt in call.attempts] == ["one", "two"]
        assert (call.meters, call.quality) == ({"input": 12, "output": 5}, "exact")


def test_when_all_fail_the_last_error_is_told(tmp_path: Path) -> None:
    answered = ask(tmp_path, QUESTION, b"", then=(error("slow_down", "later", 429, more="Retry-After: 7\r\n"),))
    assert (answered.status, answered.error["code"], answered.error["message"]) == (429, "slow_down", "later")
    assert (answered.headers["retry-after"], answered.headers["x-callmeter-provider"]) == ("7", "two")
    call = only(tmp_path)
    assert [attempt.outcome for attempt in call.attempts] == [FAULT, LIMITED]
    assert (call.outcome, call.provider) == (LIMITED, "two")


def test_a_provider_that_cannot_be_reached_is_passed_over(tmp_path: Path) -> None:
    async def run() -> None:
        async with inside(tmp_path, b"", then=(plain(ANSWER),)) as gateway:
            gateway.providers["one"].scripts = [b""]
            assert (await gateway.ask(QUESTION)).status == 200

    asyncio.run(run())
    assert [attempt.provider for attempt in only(tmp_path).attempts] == ["one", "two"]


def test_no_more_than_max_attempts_are_made(tmp_path: Path) -> None:
    answered = ask(tmp_path, QUESTION, b"", then=(plain(ANSWER),), limits={"max_attempts": 1})
    assert answered.status == 502
    assert len(only(tmp_path).attempts) == 1


@pytest.mark.parametrize(
    ("rest", "error_type"),
    [
        (chunk(b"data: " + json.dumps(OVERLOADED).encode() + b"\n\n"), "overloaded_error"),
        (chunk(b"data: {]\n\n") + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n", "malformed_event"),
        (b"zz\r\n", "malformed_answer"),
        (b"", "disconnected"),
        (b"0\r\n\r\n", "stream_truncated"),
        (chunk(b"data: " + b"x" * 5000), "event_too_large"),
    ],
)
def test_after_the_first_event_every_fault_is_the_providers(tmp_path: Path, rest: bytes, error_type: str) -> None:
    async def run() -> Answered:
        from tests.gateway.inside import Asking

        client = Asking(STREAMED)

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(STREAM_HEAD + chunk(b"data: " + json.dumps(said()).encode() + b"\n\n"))
            await client.told.wait()
            writer.write(rest)
            await writer.drain()
            writer.write_eof()

        async with inside(tmp_path, script, then=(stream(said()),), limits={"max_event_bytes": 2000}) as gateway:
            await asyncio.wait_for(gateway.gateway(client.scope, client.receive, client.send), 10)
            assert gateway.providers["two"].requests == []
        return Answered(client.messages)

    answered = asyncio.run(run())
    assert answered.complete
    call = only(tmp_path)
    assert (call.outcome, call.error_type, call.http_status, call.provider) == (FAULT, error_type, 200, "one")


def test_half_a_character_at_the_edge_of_a_chunk_is_no_fault(tmp_path: Path) -> None:
    whole = "data: " + json.dumps(said("日本語 ünïcode 🎉"), ensure_ascii=False) + "\n\n"

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD)
        for byte in whole.encode():
            writer.write(chunk(bytes([byte])))
            await writer.drain()
            await asyncio.sleep(0)
        writer.write(chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")

    answered = ask(tmp_path, STREAMED, script)
    assert answered.body == whole.encode() + b"data: [DONE]\n\n"
    assert only(tmp_path).outcome is Outcome.OK


@pytest.mark.parametrize("encoding", ["gzip", "identity", "gzip in name only", "something"])
def test_compression_that_was_not_asked_for_is_undone(tmp_path: Path, encoding: str) -> None:
    body = json.dumps(ANSWER).encode()
    packed = gzip.compress(body) if encoding == "gzip" else body
    answered = ask(tmp_path, QUESTION, plain(packed, more=f"Content-Encoding: {encoding.split()[0]}\r\n"))
    assert answered.body == body
    assert "content-encoding" not in answered.headers
    assert only(tmp_path).outcome is Outcome.OK


def test_a_provider_is_asked_for_no_compression_and_gets_no_cookie(tmp_path: Path) -> None:
    async def run() -> bytes:
        async with inside(
            tmp_path, plain(ANSWER, more="Set-Cookie: a=b\r\nServer: x\r\nX-Request-Id: r\r\n")
        ) as gateway:
            answered = await gateway.ask(
                QUESTION,
                cookie="s=1",
                accept_encoding="br",
                connection="x-hop",
                x_hop="1",
                x_internal="2",
                user_agent="u/1",
            )
            assert answered.headers.keys().isdisjoint({"set-cookie", "server"})
            assert answered.headers["x-request-id"] == "r"
            return gateway.providers["one"].requests[0].split(b"\r\n\r\n")[0].lower()

    head = asyncio.run(run())
    assert b"accept-encoding: identity" in head
    assert b"user-agent: u/1" in head
    assert not any(word in head for word in (b"cookie", b"x-hop", b"x-internal", b"authorization"))


def test_no_error_tells_a_key_or_an_address(tmp_path: Path) -> None:
    message = "key sk-ours-123456 is wrong at http://10.0.0.7:8000/v1, see https://upstream.example/x"
    answered = ask(tmp_path, QUESTION, error("bad", message), provider={"api_key_env": "UNUSED"})
    assert answered.error["message"] == "key [hidden] is wrong at [address] see [address]"


KEY = "0f8fad5bd9cb469fa16570867728950e"  # looks like no key


@pytest.mark.parametrize("surface", ["/v1", "/api/v1"])
@pytest.mark.parametrize("told", ["an error status", "inside a 200", "in a stream", "in a late event"])
def test_no_member_of_an_error_tells_a_key_or_an_address_nor_does_its_record(
    tmp_path: Path, told: str, surface: str
) -> None:
    def script(what: dict[str, str]) -> bytes:
        if told == "an error status":
            return plain({"error": what}, 400)
        if told == "inside a 200":
            return plain({"error": what})
        return stream(*([said()] if told == "in a late event" else []), {"error": what})

    async def run() -> tuple[str, str]:
        async with inside(tmp_path, provider={"api_key_env": "UNUSED"}) as gateway:
            services = gateway.gateway._services
            services.own_keys["one"] = KEY
            address = services.settings.providers["one"].base_url.split("/")[2]
            words = f"{KEY} at {address}, 10.0.0.7:8000 or http://internal.example/x"
            gateway.providers["one"].scripts.append(script(dict.fromkeys(("message", "type", "code", "param"), words)))
            question = STREAMED if "in a" in told else QUESTION
            answered = await gateway.ask(question, f"{surface}/chat/completions")
            assert KEY.encode() in gateway.providers["one"].requests[0]
            return answered.body.decode(), address

    body, address = asyncio.run(run())
    assert "[hidden] at [hidden]" in body
    for secret in (KEY, address, "10.0.0.7", "internal.example"):
        assert secret not in body
        assert secret not in str(only(tmp_path))


@pytest.mark.parametrize("status", [400, 429, 500])
def test_the_status_of_an_error_stands_however_large_or_broken_its_body_is(tmp_path: Path, status: int) -> None:
    huge = plain(json.dumps({"error": {"message": "x" * 1_000_000}}).encode(), status)
    cut = plain(b"{}", status).replace(b"Content-Length: 2", b"Content-Length: 200")
    for name, sent in (("huge", huge), ("cut", cut)):
        answered = ask(tmp_path / name, QUESTION, sent)
        assert (answered.status, only(tmp_path / name).attempts[0].http_status) == (status, status)
        assert answered.error["message"] == f"the provider one answered with HTTP {status}"


def test_the_gateways_own_key_refused_is_not_the_callers_fault(tmp_path: Path) -> None:
    answered = ask(tmp_path, QUESTION, error("invalid_api_key", status=401), provider={"api_key_env": "UNUSED"})
    assert (answered.status, answered.error["code"]) == (502, "provider_refused_key")
    assert only(tmp_path).outcome is FAULT


def test_a_provider_that_refuses_stream_options_is_asked_without_and_that_is_remembered(tmp_path: Path) -> None:
    refusal = error("unknown_parameter", "stream_options")
    good = stream(said(), said(None, "stop"))

    async def run() -> None:
        async with inside(tmp_path, refusal, good, good) as gateway:
            assert (await gateway.ask(STREAMED)).events == [said(), said(None, "stop"), "[DONE]"]
            assert (await gateway.ask(STREAMED)).status == 200
            asked = ["stream_options" in body for body in gateway.providers["one"].bodies]
            assert asked == [True, False, False]

    asyncio.run(run())
    first, second = calls(tmp_path)
    assert [attempt.http_status for attempt in first.attempts] == [400, 200]
    assert (first.outcome, second.outcome, len(second.attempts)) == (Outcome.OK, Outcome.OK, 1)


def test_a_400_that_has_another_cause_is_told_and_nothing_is_remembered(tmp_path: Path) -> None:
    refusal = error("context_length_exceeded", "too long")

    async def run() -> None:
        async with inside(tmp_path, refusal, refusal, stream(said())) as gateway:
            assert (await gateway.ask(STREAMED)).error["code"] == "context_length_exceeded"
            await gateway.ask(STREAMED)
            asked = ["stream_options" in body for body in gateway.providers["one"].bodies]
            assert asked == [True, False, True]

    asyncio.run(run())


def test_an_answer_beyond_the_limit_is_not_held(tmp_path: Path) -> None:
    answered = ask(tmp_path, QUESTION, plain(b" " * 5000), limits={"max_answer_bytes": 4000})
    assert answered.status == 502
    assert only(tmp_path).error_type == "answer_too_large"


def test_usage_at_the_end_of_a_long_stream_is_read(tmp_path: Path) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD)
        for _ in range(200):
            writer.write(chunk(b"data: " + json.dumps(said("x" * 100)).encode() + b"\n\n"))
            await writer.drain()
            await asyncio.sleep(0)
        writer.write(stream(said(None, "stop"), USAGE_PART)[len(STREAM_HEAD) :])

    answered = ask(tmp_path, STREAMED, script)
    assert len(answered.events) == 202
    call = only(tmp_path)
    assert (call.outcome, call.meters, call.origin_id) == (Outcome.OK, {"input": 12, "output": 5}, "gen-1")


_SAID = [b"data: " + json.dumps(each).encode() for each in (said(), said(None, "stop"), USAGE_PART)]
ODD_STREAMS = {
    "CR alone": b"\r\r".join([*_SAID, b"data: [DONE]", b""]),
    "CR and LF": b"\r\n\r\n".join([*_SAID, b"data: [DONE]", b""]),
    "both, by turns": b"\r\n\r".join([*_SAID, b"data: [DONE]\n", b""]),
    "a mark before the first byte": b"\xef\xbb\xbf" + b"\n\n".join([*_SAID, b"data: [DONE]", b""]),
    "comments": b": hi\n\n:\n\n" + b"\n\n: ping\n\n".join([*_SAID, b"data: [DONE]", b""]),
    "other fields": b"retry: 1\nid: 7\n\n" + b"\n\nid: 8\nevent: message\n".join([*_SAID, b"data: [DONE]\n\n"]),
    "no space": b"\n\n".join([*_SAID, b"data: [DONE]", b""]).replace(b"data: ", b"data:"),
    "no end of the last line": b"\n\n".join([*_SAID, b"data: [DONE]"]),
    "no end of the last event": b"\n\n".join([*_SAID, b"data: [DONE]\n"]),
    "more after the end": b"\n\n".join([*_SAID, b"data: [DONE]", b"data: [DONE]", b"data: {oops", b""]),
    "a line of 10 MB": b"\n\n".join([_SAID[0].replace(b"word", b"w" * 10_000_000), *_SAID[1:], b"data: [DONE]", b""]),
}


@pytest.mark.parametrize("surface", ["/v1", "/api/v1"])
@pytest.mark.parametrize("name", ODD_STREAMS)
def test_a_stream_may_be_written_in_any_way_that_the_standard_allows(tmp_path: Path, name: str, surface: str) -> None:
    answered = ask(
        tmp_path, STREAMED, STREAM_HEAD + chunk(ODD_STREAMS[name]) + b"0\r\n\r\n", path=f"{surface}/chat/completions"
    )
    told = data_in(answered.body)
    assert told[-1] == b"[DONE]"
    assert [json.loads(data)["choices"] for data in told[1:2]] == [said(None, "stop")["choices"]]
    assert (only(tmp_path).outcome, only(tmp_path).meters) == (Outcome.OK, {"input": 12, "output": 5})


@pytest.mark.parametrize("surface", ["/v1", "/api/v1"])
def test_text_that_is_cut_inside_of_a_character_goes_on_as_it_came(tmp_path: Path, surface: str) -> None:
    part = json.dumps(said("HALF")).replace("HALF", r"\ud83d").encode()
    sent = stream(b"data: " + part + b"\n\n", said(None, "stop"), USAGE_PART)
    answered = ask(tmp_path, STREAMED, sent, path=f"{surface}/chat/completions")
    assert rb'"content": "\ud83d"' in answered.body
    assert answered.body.endswith(b"data: [DONE]\n\n")
    assert (only(tmp_path).outcome, only(tmp_path).meters) == (Outcome.OK, {"input": 12, "output": 5})


def test_a_plain_answer_to_a_stream_is_passed_as_it_is(tmp_path: Path) -> None:
    answered = ask(tmp_path, STREAMED, plain(ANSWER))
    assert answered.json == ANSWER
    assert (only(tmp_path).outcome, only(tmp_path).quality) == (Outcome.OK, "exact")


def test_openrouters_surface_names_the_provider_and_keeps_the_usage(tmp_path: Path) -> None:
    path = "/api/v1/chat/completions"
    answered = ask(tmp_path / "plain", QUESTION, plain(ANSWER), path=path).json
    assert answered == {"provider": "one", "created": answered["created"], "system_fingerprint": None, **ANSWER}
    streamed = ask(tmp_path / "stream", STREAMED, stream(said(), said(None, "stop"), USAGE_PART), path=path)
    added = {"provider": "one", "created": streamed.events[0]["created"]}
    assert streamed.events == [
        {**added, **said()},
        {**added, **said(None, "stop")},
        {**added, **USAGE_PART},
        "[DONE]",
    ]
    failed = ask(tmp_path / "error", QUESTION, error("slow", "later", 429), path=path)
    assert failed.error == {
        "code": 429,
        "message": "later",
        "metadata": {"error_type": "rate_limit_exceeded", "reason": "slow", "provider_name": "one"},
    }


@pytest.mark.parametrize("pictures", [0, 2])
def test_openrouters_surface_tells_in_the_usage_what_the_ledger_will_say_of_the_cost(
    tmp_path: Path, pictures: int
) -> None:
    path = "/api/v1/chat/completions"
    part = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    content = [{"type": "text", "text": "hi"}, *[part] * pictures]
    question = {"model": "m", "messages": [{"role": "user", "content": content}]}
    answered = ask(tmp_path / "plain", question, plain(ANSWER), path=path, book=BOOK)
    parts = stream(said(), said(None, "stop"), USAGE_PART)
    streamed = ask(tmp_path / "stream", {**question, "stream": True}, parts, path=path, book=BOOK)
    cost = charge(only(tmp_path / "stream"), BOOK).cost
    assert cost == charge(only(tmp_path / "plain"), BOOK).cost == 12 * 10**7 + 5 * 3 * 10**7 + pictures * 14_450_000_000
    assert answered.headers["x-callmeter-cost-usd"] == format_usd(cost)
    for usage in (answered.json["usage"], streamed.events[-2]["usage"]):
        assert usage["cost"] == float(format_usd(cost))
        assert usage["cost_details"]["upstream_inference_completions_cost"] == 0.00015
    assert f'"cost":{format_usd(cost)},'.encode() in answered.body
    assert ask(tmp_path / "v1", question, plain(ANSWER), book=BOOK).json == ANSWER
