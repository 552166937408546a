"""Whole answers go out in one piece with their head, and everything unusual goes the way of ASGI."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httptools
import pytest
import uvicorn
from uvicorn.server import ServerState

from collector.intake.gateway.exchange import Client
from collector.intake.gateway.protocol import Protocol
from collector.settings import Limits

App = Callable[[Client, bytes], Awaitable[None]]
TEXT = (b"content-type", b"text/plain")


class Transport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.is_closed = False

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def close(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Answers:
    """Reads what was written as the answers that a client would find in it."""

    def __init__(self, written: list[bytes]) -> None:
        self.found: list[tuple[int, dict[bytes, bytes], bytes]] = []
        self._headers: dict[bytes, bytes] = {}
        self._body = b""
        self._parser = httptools.HttpResponseParser(self)
        self._parser.feed_data(b"".join(written))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name] = value

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        self.found.append((self._parser.get_status_code(), self._headers, self._body))
        self._headers, self._body = {}, b""


def request(body: bytes = b"{}", head: bytes = b"POST / HTTP/1.1", more: bytes = b"") -> bytes:
    return b"%b\r\nhost: localhost\r\n%bcontent-length: %d\r\n\r\n%b" % (head, more, len(body), body)


async def echo(client: Client, body: bytes) -> None:
    await client.answer(200, [TEXT], b"you said " + body)


def spoken(
    *sent: bytes, app: App = echo, use: Callable[[Protocol], None] = lambda _: None, pause_s: float = 0
) -> Transport:
    """What the protocol wrote when it was `sent` these pieces, a few turns apart."""
    transport = Transport()

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        client = Client(scope, receive, send)
        await app(client, await client.body(Limits(), 1.0))

    async def main() -> None:
        config = uvicorn.Config(asgi, http=Protocol, ws="none", log_level="critical")
        config.load()
        protocol = Protocol(config, ServerState(), {})
        protocol.connection_made(transport)
        use(protocol)
        for piece in sent:
            protocol.data_received(piece)
            for _ in range(8):
                await asyncio.sleep(pause_s)
        protocol._unset_keepalive_if_required()

    asyncio.run(main())
    return transport


def test_head_and_body_are_one_write_and_the_connection_stays() -> None:
    transport = spoken(request(b"1"), request(b"2"))
    assert len(transport.written) == 2
    assert [(status, body) for status, _, body in Answers(transport.written).found] == [
        (200, b"you said 1"),
        (200, b"you said 2"),
    ]
    assert not transport.is_closed


def test_a_body_that_comes_in_pieces_is_waited_for() -> None:
    whole = request(b"abcdef")
    assert Answers(spoken(whole[:-4], whole[-4:-2], whole[-2:]).written).found[0][2] == b"you said abcdef"


def test_requests_sent_at_once_are_answered_in_their_order() -> None:
    async def slow(client: Client, body: bytes) -> None:
        if body == b"1":
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        await echo(client, body)

    transport = spoken(request(b"1") + request(b"2") + request(b"3"), b"", app=slow)
    assert [body for _, _, body in Answers(transport.written).found] == [b"you said 1", b"you said 2", b"you said 3"]


@pytest.mark.parametrize(
    "sent", [request(more=b"connection: close\r\n"), request(head=b"POST / HTTP/1.0")], ids=["close", "HTTP/1.0"]
)
def test_a_connection_that_is_not_kept_is_closed_and_told_so(sent: bytes) -> None:
    transport = spoken(sent)
    ((status, headers, body),) = Answers(transport.written).found
    assert (status, headers[b"connection"], body) == (200, b"close", b"you said {}")
    assert transport.is_closed


def test_the_gateway_can_close_a_connection_by_a_header() -> None:
    async def closing(client: Client, body: bytes) -> None:
        await client.answer(413, [TEXT, (b"connection", b"close")], b"too large")

    transport = spoken(request(), app=closing)
    assert Answers(transport.written).found[0][0] == 413
    assert transport.is_closed


@pytest.mark.parametrize("value", [b"a\r\nset-cookie: b=c", b"a\nb", b"a\rb", b"a\0b"])
def test_a_header_that_would_not_stay_in_its_line_is_not_written(value: bytes) -> None:
    async def split(client: Client, body: bytes) -> None:
        await client.answer(200, [(b"x-request-id", value)], b"ok")

    written = b"".join(spoken(request(), app=split).written)
    assert value not in written
    assert b"set-cookie" not in written


def test_an_answer_to_head_has_no_body() -> None:
    written = b"".join(spoken(request(b"", head=b"HEAD / HTTP/1.1")).written)
    assert written.endswith(b"content-length: 9\r\n\r\n")


def test_a_client_that_does_not_read_is_waited_for() -> None:
    async def held(client: Client, body: bytes) -> None:
        protocol, transport = protocols[0], protocols[0].transport
        protocol.pause_writing()
        asyncio.get_running_loop().call_later(0.01, protocol.resume_writing)
        before = len(transport.written)  # type: ignore[attr-defined]
        await asyncio.gather(echo(client, body), asyncio.sleep(0))
        ready.append((before, protocol.flow.write_paused))

    protocols: list[Protocol] = []
    ready: list[tuple[int, bool]] = []
    transport = spoken(request(), b"", app=held, use=protocols.append, pause_s=0.01)
    assert ready == [(0, False)]
    assert Answers(transport.written).found[0][2] == b"you said {}"


def test_nothing_is_written_to_a_client_that_has_gone() -> None:
    async def late(client: Client, body: bytes) -> None:
        protocols[0].connection_lost(None)
        await echo(client, body)

    protocols: list[Protocol] = []
    assert spoken(request(), app=late, use=protocols.append).written == []


def test_the_end_of_a_stream_goes_out_before_what_its_client_sends_is_looked_at() -> None:
    async def main() -> None:
        transport, goes_on = Transport(), asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            client = Client(scope, receive, send)
            await client.body(Limits(), 1.0)
            await client.start(200, [TEXT], b"first ")
            await goes_on.wait()
            await client.last(b"the end")
            protocol.data_received(b"\x00garbage\r\n\r\n")

        config = uvicorn.Config(app, http=Protocol, ws="none", log_level="critical")
        config.load()
        state = ServerState()
        protocol = Protocol(config, state, {})
        protocol.connection_made(transport)
        other = asyncio.ensure_future(asyncio.sleep(5))
        state.tasks.add(other)
        protocol.data_received(request(b"1"))
        await asyncio.sleep(0)
        goes_on.set()
        await asyncio.sleep(0.01)
        other.cancel()
        assert b"the end" in b"".join(transport.written)

    asyncio.run(main())


def test_an_answer_that_is_to_be_written_soon_goes_out_before_the_server_stops() -> None:
    async def last(client: Client, body: bytes) -> None:
        await echo(client, body)
        protocols[0].shutdown()

    def beside_others(protocol: Protocol) -> None:
        protocols.append(protocol)
        protocol.tasks.update(asyncio.get_running_loop().create_task(asyncio.sleep(0.1)) for _ in range(2))

    protocols: list[Protocol] = []
    transport = spoken(request(), app=last, use=beside_others)
    assert Answers(transport.written).found[0][2] == b"you said {}"
    assert transport.is_closed
