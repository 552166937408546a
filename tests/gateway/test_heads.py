"""A nasty client over a real socket: however it frames a request, it is one request to all, or refused in words."""

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from collector.core.calls import Call
from collector.settings import Limits
from tests.gateway.live import PATH, Live, Reply, chat, chunk, gateway, plain, reply_of, run, until
from tests.gateway.test_upstream import Provider

BODY = msgspec.json.encode(chat())
LENGTH = f"Content-Length: {len(BODY)}"
CHUNKED = "Transfer-Encoding: chunked"
HIDDEN = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
LIMITS = Limits(max_header_bytes=4096)
HURRIED = Limits(head_wait_s=0.5)


def request(*lines: str, body: bytes = BODY, host: str = "Host: localhost", path: str = PATH) -> bytes:
    head = [f"POST {path} HTTP/1.1", host, "Content-Type: application/json", "Connection: close", *lines]
    return "\r\n".join([*filter(None, head), "", ""]).encode("latin-1") + body


def chunked(size: bytes = b"", end: bytes = b"0\r\n\r\n") -> bytes:
    return (size or b"%x" % len(BODY)) + b"\r\n" + BODY + b"\r\n" + end


REFUSED = {
    "a length and chunks": (request(CHUNKED, "Content-Length: 5", body=chunked() + HIDDEN), 400, "invalid_http"),
    "chunks and a length": (request("Content-Length: 5", CHUNKED, body=chunked() + HIDDEN), 400, "invalid_http"),
    "two lengths": (request(LENGTH, "Content-Length: 3"), 400, "invalid_http"),
    "the same length twice": (request(LENGTH, LENGTH), 400, "invalid_http"),
    "a list of lengths": (request(f"{LENGTH}, {len(BODY)}"), 400, "invalid_http"),
    "a negative length": (request("Content-Length: -1"), 400, "invalid_http"),
    "a length beyond 64 bits": (request("Content-Length: " + "9" * 30), 400, "invalid_http"),
    "a length beyond the limit": (request("Content-Length: 1000000000000"), 413, "payload_too_large"),
    "a folded header": (request("X-Title: a", " b", LENGTH), 400, "invalid_http"),
    "a folded framing": (request("Transfer-Encoding:", " chunked", body=chunked()), 400, "invalid_http"),
    "chunked twice": (request(CHUNKED, CHUNKED, body=chunked()), 400, "invalid_http"),
    "an unknown framing": (request("Transfer-Encoding: xchunked", body=chunked()), 400, "invalid_http"),
    "a space before the colon": (request("Transfer-Encoding : chunked", body=chunked()), 400, "invalid_http"),
    "a chunk beyond 64 bits": (request(CHUNKED, body=chunked(b"f" * 18)), 400, "invalid_http"),
    "a negative chunk": (request(CHUNKED, body=chunked(b"-5")), 400, "invalid_http"),
    "a line break in an extension": (request(CHUNKED, body=chunked(b'40;a="\r\n"')), 400, "invalid_http"),
    "a zero byte in a header": (request("X-Title: a\0b", LENGTH), 400, "invalid_http"),
    "a control character in a header": (request("X-Title: a\x1b[31m", LENGTH), 400, "invalid_http"),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 500, 400, "invalid_http"),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "invalid_http"),
    "two Hosts": (request("Host: evil.example", LENGTH), 400, "invalid_request"),
    "two keys": (request("Authorization: Bearer a", "Authorization: Bearer b", LENGTH), 400, "invalid_request"),
    "two kinds": (request("Content-Type: text/plain", LENGTH), 400, "invalid_request"),
    "no Host": (request(LENGTH, host=""), 403, "foreign_host"),
    "an empty Origin": (request("Origin: ", LENGTH), 403, "foreign_origin"),
    "headers over their limit": (request("X-A: " + "a" * 5000, LENGTH), 431, "headers_too_large"),
    "headers without an end": (b"POST / HTTP/1.1\r\nX-A: " + b"a" * 5000, 431, "headers_too_large"),
}


async def answer_to(live: Live, sent: bytes) -> Reply:
    reader, writer = await live.connect(sent)
    try:
        return reply_of(await asyncio.wait_for(reader.read(-1), 10))
    finally:
        writer.close()


def one(folder: Path, sent: bytes, **choices: Any) -> tuple[Reply, list[bytes], list[Call]]:
    """The answer to a raw request, what its provider was sent, and what was recorded."""
    found: list[tuple[Reply, list[bytes], list[Call]]] = []

    async def main() -> None:
        provider = Provider(plain())
        async with gateway(folder, provider, limits=LIMITS, **choices) as live:
            reply = await answer_to(live, sent)
            found.append((reply, provider.requests, live._over()))

    run(main)
    return found[0]


@pytest.mark.parametrize("name", REFUSED)
def test_what_two_readers_could_take_for_two_things_is_refused(name: str, tmp_path: Path) -> None:
    sent, status, code = REFUSED[name]
    reply, asked, _ = one(tmp_path, sent)
    assert (reply.status, reply.error["code"]) == (status, code)
    assert reply.headers["content-type"] == "application/json"
    assert asked == []


def test_openrouters_surface_tells_it_in_openrouters_shape(tmp_path: Path) -> None:
    reply, _, _ = one(tmp_path, request(LENGTH, LENGTH, path="/api/v1/chat/completions"))
    assert (reply.status, reply.error["code"], reply.error["metadata"]["error_type"]) == (400, 400, "invalid_request")


@pytest.mark.parametrize(
    "sent",
    [
        request(CHUNKED, body=chunked(b"%x;a=b" % len(BODY))),
        request("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAA", LENGTH),
        request("Connection: Upgrade", "Upgrade: websocket", CHUNKED, body=chunked()),
        request("Expect: 100-continue", LENGTH),
    ],
    ids=["an extension", "an offer of HTTP/2", "an offer of a socket", "an expectation"],
)
def test_what_may_be_ignored_is(sent: bytes, tmp_path: Path) -> None:
    reply, asked, _ = one(tmp_path, sent)
    assert reply.status in (100, 200)
    assert asked[0].endswith(b"\r\n\r\n" + BODY)


def test_a_body_that_comes_after_an_offer_arrives_whole(tmp_path: Path) -> None:
    async def main() -> None:
        provider = Provider(plain())
        async with gateway(tmp_path, provider) as live:
            reader, writer = await live.connect(request("Connection: Upgrade", "Upgrade: h2c", LENGTH, body=b""))
            for byte in BODY:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0)
            assert reply_of(await reader.read(-1)).status == 200
            assert provider.requests[0].endswith(b"\r\n\r\n" + BODY)
            writer.close()

    run(main)


def test_a_trailer_is_no_header(tmp_path: Path) -> None:
    end = b"0\r\nX-Title: evil\r\nHTTP-Referer: https://evil.example\r\nUser-Agent: evil\r\nHost: evil.example\r\n\r\n"
    reply, asked, (call,) = one(tmp_path, request(CHUNKED, "X-Title: good", body=chunked(end=end)))
    assert (reply.status, call.app, call.app_title) == (200, "good", "good")
    assert b"evil" not in asked[0]


@pytest.mark.parametrize(
    "begun", [b"", b"P", b"POST / HTTP/1.1\r\nHost: loc", b"POST / HTTP/1.1\r\nHost: localhost\r\n"]
)
def test_who_does_not_send_a_head_in_time_is_hung_up_on(begun: bytes, tmp_path: Path) -> None:
    async def main() -> None:
        async with gateway(tmp_path, Provider(), limits=HURRIED) as live:
            reader, writer = await live.connect(begun)
            told = await asyncio.wait_for(reader.read(-1), 10)
            assert json.loads(told.partition(b"\r\n\r\n")[2])["error"]["code"] == "timeout" if begun else told == b""
            writer.close()
            await live.no_clients()

    run(main)


def test_a_head_that_drips_is_not_waited_for_longer(tmp_path: Path) -> None:
    async def main() -> None:
        async with gateway(tmp_path, Provider(), limits=HURRIED) as live:
            reader, writer = await live.connect(b"POST / HTTP/1.1\r\n")
            ended = asyncio.create_task(reader.read(1 << 16))
            while not ended.done():
                writer.write(b"X: y\r\n")
                await asyncio.sleep(0.02)
            assert b" 408 " in ended.result()
            writer.close()

    run(main)


def test_a_second_head_on_its_way_does_not_end_the_answer_to_the_first(tmp_path: Path) -> None:
    async def main() -> None:
        go_on = asyncio.Event()

        async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await go_on.wait()
            writer.write(plain())

        provider = Provider(script)
        async with gateway(tmp_path, provider, limits=HURRIED) as live:
            first = request(LENGTH).replace(b"Connection: close\r\n", b"")
            reader, writer = await live.connect(first + b"POST / HTTP/1.1\r\nHost: ")
            await until(lambda: provider.requests)
            await asyncio.sleep(3 * HURRIED.head_wait_s)
            go_on.set()
            told = await asyncio.wait_for(reader.read(-1), 10)
            assert told.startswith(b"HTTP/1.1 200 ")
            assert told.count(b"HTTP/1.1 408 ") == 1
            writer.close()

    run(main)


def test_pipelined_requests_are_answered_in_their_order(tmp_path: Path) -> None:
    async def main() -> None:
        provider = Provider(*[plain(json.dumps({"id": str(n), "choices": []}).encode()) for n in range(3)])
        async with gateway(tmp_path, provider) as live:
            kept = request(LENGTH).replace(b"Connection: close\r\n", b"")
            reader, writer = await live.connect(kept + kept + request(LENGTH))
            told = await asyncio.wait_for(reader.read(-1), 10)
            assert [told.find(b'"id": "%d"' % n) > 0 for n in range(3)] == [True] * 3
            assert told.count(b"HTTP/1.1 200 ") == 3
            writer.close()

    run(main)


def test_a_page_cannot_be_asked_for_by_a_key_in_the_address(tmp_path: Path) -> None:
    reply, asked, (call,) = one(tmp_path, request(LENGTH, path=f"{PATH}?api_key=sk-in-the-query-123"))
    assert reply.status == 200
    assert b"sk-in-the-query" not in asked[0] + str(call).encode()


def test_a_long_chunk_extension_is_not_held(tmp_path: Path) -> None:
    reply, _, _ = one(tmp_path, request(CHUNKED, body=chunked(b"%x;" % len(BODY) + b"a" * 1_000_000)))
    assert reply.status == 200
    assert chunk(BODY) == chunked(end=b"")
