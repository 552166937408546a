"""Whatever a provider sends, the client gets its bytes or an error in OpenAI's shape, and the call its record."""

import asyncio
import gzip
from pathlib import Path

import pytest

from collector.core.calls import Quality
from collector.core.outcomes import Outcome
from collector.settings import Limits
from tests.gateway.live import (
    ANSWER,
    DONE,
    KEY,
    LAST_CHUNK,
    METERS,
    STREAM_HEAD,
    USAGE_EVENT,
    Reply,
    Staged,
    asked,
    chat,
    chunk,
    event,
    gateway,
    part,
    plain,
    reply_of,
    request_of,
    run,
    stream,
)
from tests.gateway.test_upstream import Handler, Provider

HTML = b"<html><body>http://10.0.0.7:8000/internal</body></html>"
SMALL = Limits(max_event_bytes=4096, max_answer_bytes=4096)


def check_error(reply: Reply, provider: Provider, code: str) -> None:
    """OpenAI's four members, and neither the provider's address nor its key."""
    assert reply.headers["content-type"] == "application/json"
    assert reply.error.keys() == {"message", "type", "param", "code"}
    assert (reply.error["code"], "first" in reply.error["message"]) == (code, True)
    host = provider.url.split("/")[2]
    assert not [secret for secret in (host, KEY, "10.0.0.7", "<html>") if secret in reply.body.decode()]


UNUSABLE = {
    "garbage": plain(b"\x00\xff\xfe garbage"),
    "HTML": plain(HTML),
    "truncated JSON": plain(ANSWER[:-9]),
    "an empty body": plain(b""),
    "a list": plain(b"[]"),
    "a number": plain(b"17"),
    "half a character": plain('{"id": "ä'.encode()[:-1] + b'"}'),
    "broken gzip": plain(b"\x1f\x8bnot gzip at all", 200, "Content-Encoding: gzip"),
    "no HTTP": b"\x16\x03\x01\x02\x00\r\n\r\n",
    "two lengths": plain(ANSWER, 200, "Content-Length: 3"),
    "a length that is none": plain().replace(b"Content-Length: ", b"Content-Length: -"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_plain_answer_that_is_none(name: str, tmp_path: Path) -> None:
    provider = Provider(UNUSABLE[name])
    reply, call = asked(tmp_path, chat(), provider)
    check_error(reply, provider, "malformed_answer")
    assert (reply.status, call.http_status, call.outcome) == (502, 502, Outcome.PROVIDER_FAULT)
    assert (len(call.attempts), call.quality, call.meters) == (1, Quality.NONE, {})
    assert (call.error_type or "").startswith("malformed_")


def test_an_answer_larger_than_its_limit(tmp_path: Path) -> None:
    provider = Provider(plain(b'{"a": "' + b"x" * 5000 + b'"}'))
    reply, call = asked(tmp_path, chat(), provider, limits=SMALL)
    check_error(reply, provider, "malformed_answer")
    assert (call.outcome, call.error_type) == (Outcome.PROVIDER_FAULT, "answer_too_large")


def test_a_content_length_that_promises_more_than_comes(tmp_path: Path) -> None:
    provider = Provider(then_closes(plain(length=len(ANSWER) + 10)))
    reply, call = asked(tmp_path, chat(), provider)
    check_error(reply, provider, "provider_disconnected")
    assert (call.outcome, call.error_type) == (Outcome.PROVIDER_FAULT, "disconnected")


def test_a_content_length_that_promises_less_than_comes(tmp_path: Path) -> None:
    provider = Provider(plain(length=len(ANSWER) - 1))
    reply, call = asked(tmp_path, chat(), provider)
    check_error(reply, provider, "malformed_answer")
    assert (call.outcome, call.error_type) == (Outcome.PROVIDER_FAULT, "malformed_answer")


def then_closes(sent: bytes) -> Handler:
    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(sent)

    return script


@pytest.mark.parametrize("status", [400, 500])
def test_an_error_page_is_told_in_our_words(status: int, tmp_path: Path) -> None:
    provider = Provider(plain(HTML, status))
    reply, call = asked(tmp_path, chat(), provider)
    check_error(reply, provider, {400: "invalid_request", 500: "provider_error"}[status])
    assert (reply.status, call.http_status) == (status, status)
    assert call.outcome is (Outcome.CALLER_FAULT if status == 400 else Outcome.PROVIDER_FAULT)


def test_a_key_and_an_address_in_a_providers_words_are_hidden(tmp_path: Path) -> None:
    told = b'{"error": {"message": "first: bad key %s for http://10.0.0.7:8000/x", "code": "bad"}}' % KEY.encode()
    provider = Provider(plain(told, 400))
    reply, _ = asked(tmp_path, chat(), provider)
    check_error(reply, provider, "bad")
    assert reply.error["message"] == "first: bad key [hidden] for [address]"


def test_the_refusal_of_our_key_is_not_told_as_the_clients(tmp_path: Path) -> None:
    provider = Provider(plain(b'{"error": {"message": "Incorrect API key: %s"}}' % KEY.encode(), 401))
    reply, call = asked(tmp_path, chat(), provider)
    check_error(reply, provider, "provider_refused_key")
    assert (reply.status, call.outcome) == (502, Outcome.PROVIDER_FAULT)


def packed(body: bytes, kind: str) -> bytes:
    body = gzip.compress(body)
    return plain(body, 200, "Content-Encoding: gzip").replace(b"application/json", kind.encode())


@pytest.mark.parametrize("streamed", [False, True])
def test_what_is_packed_unasked_is_unpacked(streamed: bool, tmp_path: Path) -> None:
    events = part("hello") + part("", "stop") + USAGE_EVENT + DONE
    sent = packed(events, "text/event-stream") if streamed else packed(ANSWER, "application/json")
    reply, call = asked(tmp_path, chat(stream=streamed, stream_options={"include_usage": True}), Provider(sent))
    assert (reply.status, reply.body) == (200, events if streamed else ANSWER)
    assert "content-encoding" not in reply.headers
    assert (call.outcome, call.meters, call.quality) == (Outcome.OK, METERS, Quality.EXACT)


def test_characters_cut_at_the_edge_of_a_chunk_go_on_unaltered(tmp_path: Path) -> None:
    events = part("Grüße, 世界 🎉") + part("", "stop") + DONE
    single = STREAM_HEAD + b"".join(chunk(events[at : at + 1]) for at in range(len(events))) + LAST_CHUNK
    reply, call = asked(tmp_path, chat(stream=True), Provider(single, step=11))
    assert reply.body == events
    assert (call.outcome, call.finish_reason) == (Outcome.OK, "stop")


def test_a_plain_answer_goes_on_byte_for_byte(tmp_path: Path) -> None:
    odd = '{ "usage":{"prompt_tokens":9,"completion_tokens":4},\n "x":1.0,"big":12345678901234567890123,"t":"ü\\u00fc"}'
    reply, call = asked(tmp_path, chat(), Provider(plain(odd.encode()), step=3))
    assert reply.body == odd.encode()
    assert (call.outcome, call.meters) == (Outcome.OK, METERS)


def test_comments_that_never_lead_to_an_event_are_not_held(tmp_path: Path) -> None:
    sent = []

    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD)
        while not writer.is_closing():
            sent.append(chunk(b": wait\n\n" + b": " + b"x" * 30_000 + b"\n\n"))
            writer.write(sent[-1])
            await writer.drain()

    reply, call = asked(tmp_path, chat(stream=True), Provider(script))
    assert (reply.status, reply.error["code"]) == (502, "malformed_answer")
    assert (call.outcome, call.error_type) == (Outcome.PROVIDER_FAULT, "malformed_answer")
    assert sum(map(len, sent)) < 32 << 20  # what sockets hold


# What comes in place of, or after, the first event; the status; the recorded error type.
STREAMS = {
    "HTML": (stream(HTML), 502, "empty_stream"),
    "a first event that is no JSON": (stream(b"data: {oops\n\n", DONE), 502, "malformed_answer"),
    "only the terminal event": (stream(DONE), 502, "empty_stream"),
    "a later event that is no JSON": (stream(part("a"), b"data: {oops\n\n", DONE), 200, "malformed_event"),
    "a later event of half a character": (stream(part("a"), b'data: {"id": "\xc3"}\n\n', DONE), 200, "malformed_event"),
    "a huge event": (stream(part("a"), event({"id": "x" * 9000}), DONE), 200, None),
    "an event without end": (stream(part("a"), b"data: " + b"x" * 9000), 502, "event_too_large"),
    "a first event without end": (stream(b"data: " + b"x" * 9000), 502, "event_too_large"),
}


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_that_is_none(name: str, tmp_path: Path) -> None:
    script, status, error_type = STREAMS[name]
    provider = Provider(script)
    reply, call = asked(tmp_path, chat(stream=True), provider, limits=SMALL)
    assert reply.status == status
    if status != 200:
        check_error(reply, provider, "malformed_answer")
    else:
        sent = reply_of(script).body  # what cannot be read goes on as it came, and the end tells of it
        assert reply.is_whole
        assert reply.body.startswith(sent.removesuffix(DONE))
        last = reply.body.removeprefix(sent.removesuffix(DONE))
        assert (b'"code":"malformed_answer"' in last) if error_type else (last == DONE)
    assert (call.error_type, call.http_status) == (error_type, status)
    assert call.outcome is (Outcome.PROVIDER_FAULT if error_type else Outcome.OK)
    assert (call.attempts[0].provider, len(call.attempts)) == ("first", 1)


@pytest.mark.parametrize("last", [part("b"), USAGE_EVENT + part("b")])
def test_what_came_with_the_beginning_of_a_huge_event_still_goes_on(last: bytes, tmp_path: Path) -> None:
    async def main() -> None:
        script = Staged(STREAM_HEAD + chunk(part("a")), chunk(last + b"data: " + b"x" * 9000), stays=True)
        async with gateway(tmp_path, Provider(script), limits=SMALL) as live:
            reader, writer = await live.connect(request_of(chat(stream=True)))
            begun = await reader.readuntil(b'"a"')
            script.go_on.set()
            reply = reply_of(begun + await reader.read(-1))
            writer.close()
            call = await live.only()
            await asyncio.wait_for(script.hung_up.wait(), 30)
        assert reply.body.startswith(part("a") + part("b"))
        assert (reply.body.count(b'"error":{'), reply.is_whole) == (1, True)
        assert (call.outcome, call.error_type) == (Outcome.PROVIDER_FAULT, "event_too_large")

    run(main)
