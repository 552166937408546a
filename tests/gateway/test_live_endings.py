"""However a call ends on real sockets, it is closed in the journal once, with its attempts, times and usage."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from collector.core.calls import Call, Quality
from collector.core.outcomes import Outcome
from collector.settings import Endpoint, Limits
from collector.settings import Provider as ProviderSettings
from tests.gateway.live import (
    ANSWER,
    DONE,
    LAST_CHUNK,
    METERS,
    STREAM_HEAD,
    USAGE_EVENT,
    WITHIN_S,
    Live,
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
    stalled,
    stream,
    until,
)
from tests.gateway.test_upstream import Handler, Provider, running

TEXT = part("hel") + part("lo")
WHOLE = stream(TEXT, part("", "stop"), USAGE_EVENT, DONE)
OVERLOADED = {"error": {"message": "overloaded", "type": "overloaded_error", "code": 503}}


def outcomes(call: Call) -> list[tuple[str, Outcome]]:
    return [(attempt.provider, attempt.outcome) for attempt in call.attempts]


def test_a_plain_answer(tmp_path: Path) -> None:
    reply, call = asked(tmp_path, chat(), Provider(plain()))
    assert (reply.status, reply.body) == (200, ANSWER)
    assert reply.headers["x-callmeter-call-id"] == call.id
    assert (call.outcome, call.http_status, call.quality, call.meters) == (Outcome.OK, 200, Quality.EXACT, METERS)
    assert (call.streamed, call.first_token_ms, call.finish_reason) == (False, None, "stop")
    assert (call.served_model, call.origin_id) == ("m-2026", "chatcmpl-1")
    assert outcomes(call) == [("first", Outcome.OK)]


@pytest.mark.parametrize("wants_usage", [False, True])
def test_a_stream(tmp_path: Path, wants_usage: bool) -> None:
    options = {"stream_options": {"include_usage": True}} if wants_usage else {}
    reply, call = asked(tmp_path, chat(stream=True, **options), Provider(WHOLE))
    usage = USAGE_EVENT if wants_usage else b""
    assert (reply.status, reply.body, reply.is_whole) == (200, TEXT + part("", "stop") + usage + DONE, True)
    assert (call.outcome, call.quality, call.meters, call.streamed) == (Outcome.OK, Quality.EXACT, METERS, True)
    assert call.first_token_ms is not None
    assert call.latency_ms is not None
    assert 0 <= call.first_token_ms <= call.latency_ms
    assert outcomes(call) == [("first", Outcome.OK)]


async def hang_up_after(live: Live, seen: bytes) -> None:
    """Sends a streamed call, reads until `seen` has come, and closes the connection."""
    reader, writer = await live.connect(request_of(chat(stream=True)))
    await reader.readuntil(seen)
    writer.close()
    await live.no_clients()


def test_a_client_that_hangs_up_in_a_stream(tmp_path: Path) -> None:
    async def main() -> None:
        script = stalled(STREAM_HEAD + chunk(TEXT))
        async with gateway(tmp_path, Provider(script)) as live:
            await hang_up_after(live, b"lo")
            await asyncio.wait_for(script.hung_up.wait(), WITHIN_S)
            call = await live.only()
            assert (call.outcome, call.quality, call.http_status) == (Outcome.CANCELLED, Quality.NONE, 200)
            assert call.first_token_ms is not None
            assert outcomes(call) == [("first", Outcome.CANCELLED)]

    run(main)


@pytest.mark.parametrize("begin", [b"", STREAM_HEAD])
def test_a_client_that_is_gone_before_the_first_event(tmp_path: Path, begin: bytes) -> None:
    async def main() -> None:
        script, spare = stalled(begin), Provider(WHOLE)
        provider = Provider(script)
        async with gateway(tmp_path, provider, spare) as live:
            _, writer = await live.connect(request_of(chat(stream=True)))
            await until(lambda: provider.requests)
            writer.close()
            await asyncio.wait_for(script.hung_up.wait(), WITHIN_S)
            call = await live.only()
            assert outcomes(call) == [("first", Outcome.CANCELLED)]
            assert (call.outcome, call.first_token_ms, call.quality) == (Outcome.CANCELLED, None, Quality.NONE)
            assert not spare.requests

    run(main)


def test_a_client_that_hangs_up_after_the_finish_reason_leaves_its_usage(tmp_path: Path) -> None:
    async def main() -> None:
        script = Staged(STREAM_HEAD + chunk(TEXT + part("", "stop")), chunk(USAGE_EVENT) + chunk(DONE), stays=True)
        async with gateway(tmp_path, Provider(script), limits=Limits(usage_wait_s=WITHIN_S)) as live:
            await hang_up_after(live, b'"stop"')
            script.go_on.set()
            call = await live.only()
            assert (call.outcome, call.quality, call.meters) == (Outcome.OK, Quality.EXACT, METERS)
            await asyncio.wait_for(script.hung_up.wait(), WITHIN_S)

    run(main)


def test_usage_that_does_not_come_after_the_finish_reason_is_not_waited_for_long(tmp_path: Path) -> None:
    async def main() -> None:
        script = stalled(STREAM_HEAD + chunk(TEXT + part("", "stop")))
        async with gateway(tmp_path, Provider(script), limits=Limits(usage_wait_s=0.05)) as live:
            await hang_up_after(live, b'"stop"')
            await asyncio.wait_for(script.hung_up.wait(), WITHIN_S)
            call = await live.only()
            assert (call.outcome, call.quality, call.meters) == (Outcome.OK, Quality.NONE, {})

    run(main)


# What follows the text, the recorded error type, the told code.
BROKEN = {
    "dropped": (b"", "disconnected", "provider_disconnected"),
    "dropped with its usage told": (chunk(USAGE_EVENT), "disconnected", "provider_disconnected"),
    "no terminal event": (chunk(part("", "stop")) + LAST_CHUNK, "stream_truncated", "stream_truncated"),
    "an error": (chunk(event(OVERLOADED) + DONE) + LAST_CHUNK, "overloaded_error", "overloaded_error"),
    "no chunk": (b"zz\r\n", "malformed_answer", "malformed_answer"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_stream_that_breaks_ends_in_one_error_event_and_is_not_tried_again(name: str, tmp_path: Path) -> None:
    rest, error_type, code = BROKEN[name]

    async def main() -> None:
        script, spare = Staged(STREAM_HEAD + chunk(TEXT), rest), Provider(WHOLE)
        async with gateway(tmp_path, Provider(script), spare) as live:
            reader, writer = await live.connect(request_of(chat(stream=True)))
            begun = await reader.readuntil(b'"lo"')
            script.go_on.set()
            reply = reply_of(begun + await reader.read(-1))
            writer.close()
            call = await live.only()
        assert not spare.requests
        assert (reply.status, reply.body.startswith(TEXT)) == (200, True)
        assert (reply.body.count(b'"error":{'), reply.body.count(DONE), reply.is_whole) == (1, 0, True)
        assert f'"code":"{code}"'.encode() in reply.body
        assert (call.outcome, call.error_type, call.http_status) == (Outcome.PROVIDER_FAULT, error_type, 200)
        usage = (Quality.PARTIAL, METERS) if "usage" in name else (Quality.NONE, {})
        assert (call.quality, call.meters) == usage
        assert call.first_token_ms is not None
        assert outcomes(call) == [("first", Outcome.PROVIDER_FAULT)]

    run(main)


async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read(1)


async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


FAULT, LIMITED = Outcome.PROVIDER_FAULT, Outcome.RATE_LIMITED
FAILING: dict[str, tuple[bytes | Handler, Outcome, int | None, str | None]] = {
    "500": (plain(b"{}", 500), FAULT, 500, None),
    "503 in HTML": (plain(b"<html>", 503), FAULT, 503, None),
    "429": (plain(b'{"error": {"message": "slow", "code": "slow_down"}}', 429), LIMITED, 429, "slow_down"),
    "401 for our key": (plain(b'{"error": {"message": "no"}}', 401), FAULT, 401, None),
    "no first byte": (silent, FAULT, None, "first_byte_timeout"),
    "hangs up": (hang_up, FAULT, None, "disconnected"),
    "not HTTP": (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", FAULT, None, "malformed_answer"),
    "error inside a 200": (plain(b'{"error": {"message": "x", "code": 502}}'), FAULT, 200, "error_in_answer"),
    "error as the first event": (stream(event(OVERLOADED)), FAULT, 200, "overloaded_error"),
    "empty stream": (stream(), FAULT, 200, "empty_stream"),
}


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("name", FAILING)
def test_the_next_endpoint_is_tried_and_both_attempts_are_recorded(name: str, streamed: bool, tmp_path: Path) -> None:
    script, outcome, status, error_type = FAILING[name]
    if not streamed and name in ("error as the first event", "empty stream"):
        error_type = "malformed_answer"  # events, or nothing, in place of one object
    good = WHOLE if streamed else plain()
    waits: dict[str, Any] = {"first_byte_timeout_s": 0.3} if name == "no first byte" else {}
    reply, call = asked(tmp_path, chat(stream=streamed), Provider(script), Provider(good), **waits)
    assert (reply.status, reply.headers["x-callmeter-provider"], b"error" in reply.body) == (200, "second", False)
    assert (call.outcome, call.provider, call.meters, call.quality) == (Outcome.OK, "second", METERS, Quality.EXACT)
    assert outcomes(call) == [("first", outcome), ("second", Outcome.OK)]
    assert (call.attempts[0].http_status, call.attempts[0].error_type) == (status, error_type)
    assert [attempt.http_status for attempt in call.attempts] == [status, 200]


def test_a_refused_connection_falls_back(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        closed = f"http://127.0.0.1:{nobody.getsockname()[1]}/v1"

    async def main() -> None:
        async with running(Provider(plain())) as second:
            url = second.url.removesuffix("/chat/completions")
            providers = {"first": ProviderSettings(closed), "second": ProviderSettings(url)}
            endpoints = (Endpoint("m", "first"), Endpoint("m", "second"))
            async with gateway(tmp_path, providers=providers, endpoints=endpoints) as live:
                assert (await live.ask(chat())).status == 200
                call = await live.only()
        assert outcomes(call) == [("first", Outcome.PROVIDER_FAULT), ("second", Outcome.OK)]
        assert (call.attempts[0].http_status, call.attempts[0].error_type) == (None, "connect_failed")

    run(main)


@pytest.mark.parametrize("streamed", [False, True])
def test_when_all_fail_the_last_error_is_told(tmp_path: Path, streamed: bool) -> None:
    limited = plain(b'{"error": {"message": "later", "code": "slow_down"}}', 429, "Retry-After: 7")
    reply, call = asked(tmp_path, chat(stream=streamed), Provider(plain(b"{}", 500)), Provider(limited))
    assert (reply.status, reply.error["code"], reply.error["message"]) == (429, "slow_down", "later")
    assert reply.headers["retry-after"] == "7"
    assert (call.outcome, call.http_status, call.error_type) == (Outcome.RATE_LIMITED, 429, "slow_down")
    assert outcomes(call) == [("first", Outcome.PROVIDER_FAULT), ("second", Outcome.RATE_LIMITED)]


def test_what_the_caller_did_wrong_is_not_tried_elsewhere(tmp_path: Path) -> None:
    wrong = plain(b'{"error": {"message": "bad", "type": "invalid_request_error", "param": "n"}}', 400)
    spare = Provider(plain())
    reply, call = asked(tmp_path, chat(n="x"), Provider(wrong), spare)
    assert (reply.status, reply.error["param"], spare.requests) == (400, "n", [])
    assert outcomes(call) == [("first", Outcome.CALLER_FAULT)]


@pytest.mark.parametrize("begin", [b"", STREAM_HEAD + chunk(TEXT)])
def test_a_call_over_its_whole_time_is_a_fault_of_its_provider(tmp_path: Path, begin: bytes) -> None:
    async def main() -> None:
        async with gateway(tmp_path, Provider(stalled(begin)), total_timeout_s=0.5) as live:
            reply, call = await live.ask(chat(stream=True)), await live.only()
        assert (reply.status, b'"code":"timeout"' in reply.body) == (200 if begin else 504, True)
        assert (call.outcome, call.error_type) == (Outcome.PROVIDER_FAULT, "total_timeout")
        assert (call.http_status, call.first_token_ms is None) == (reply.status, not begin)

    run(main)
