"""The client towards providers, over real sockets: whatever a provider sends, it is an answer or a named failure."""

import asyncio
import gzip
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from collector.intake.gateway.http1 import HIGH_WATER_BYTES, Connection, request_head
from collector.intake.gateway.pool import Origin, Pool, target_of
from collector.intake.gateway.upstream import STALE_S, Answer, Upstream, UpstreamFailed
from collector.settings import Limits, Settings

SETTINGS = Settings(data_dir=Path("unused"), ledger_url="sqlite://", connect_timeout_s=2.0, limits=Limits())
PLAIN = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Request-Id: a\r\nContent-Length: 11\r\n\r\n"
    + b'{"a": "b c"}'[:11]
)
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nTrailer: t\r\n\r\n"
)
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Provider:
    """Answers each request with the next script; counts connections."""

    def __init__(self, *scripts: bytes | Handler, step: int = 1 << 20) -> None:
        self.scripts = list(scripts)
        self.step = step
        self.connections = 0
        self.requests: list[bytes] = []
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while self.scripts:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                self.requests.append(head + await reader.readexactly(length))
                script = self.scripts.pop(0)
                if not isinstance(script, bytes):
                    await script(reader, writer)
                    break
                for at in range(0, len(script), self.step):
                    writer.write(script[at : at + self.step])
                    await writer.drain()
                    await asyncio.sleep(0)
                if b"length" not in script.lower() and b"chunked" not in script:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def running(provider: Provider, tls: ssl.SSLContext | None = None) -> AsyncIterator[Provider]:
    server = await asyncio.start_server(provider.serve, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    provider.url = f"{'https' if tls else 'http'}://localhost:{port}/v1/chat/completions"
    try:
        yield provider
    finally:
        server.close()


async def ask(upstream: Upstream, url: str, body: bytes = b"{}") -> Answer:
    return await upstream.post(url, {"Content-Type": "application/json"}, body)


async def whole(upstream: Upstream, url: str) -> bytes:
    answer = await ask(upstream, url)
    body = await answer.whole(1 << 30)
    answer.release()
    return body


def one_answer(script: bytes | Handler, step: int = 1 << 20) -> bytes:
    async def main() -> bytes:
        async with running(Provider(script, step=step)) as provider, Upstream(SETTINGS) as upstream:
            return await whole(upstream, provider.url)

    return asyncio.run(main())


def failure_of(script: bytes | Handler) -> tuple[str, str]:
    with pytest.raises(UpstreamFailed) as caught:
        one_answer(script)
    return caught.value.failure, caught.value.error_type


@pytest.mark.parametrize("step", [1, 7, 1 << 20])
@pytest.mark.parametrize(
    ("script", "body"),
    [
        (PLAIN, PLAIN[-11:]),
        (CHUNKED, b"hello world"),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", b"until the end"),
        (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + PLAIN, PLAIN[-11:]),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", b""),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok"),
    ],
    ids=["length", "chunked", "until close", "notices first", "no body", "1.0"],
)
def test_an_answer_is_read_however_it_is_cut_and_framed(script: bytes, body: bytes, step: int) -> None:
    assert one_answer(script, step) == body


def test_status_and_headers_come_before_the_body() -> None:
    async def main() -> None:
        async with running(Provider(PLAIN)) as provider, Upstream(SETTINGS) as upstream:
            answer = await ask(upstream, provider.url, b'{"model": "m"}')
            assert answer.status == 200
            assert answer.header("content-type") == "application/json"
            assert answer.header("absent") == ""
            assert (b"x-request-id", b"a") in answer.raw_headers
            (request,) = provider.requests
            assert request.startswith(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost:")
            assert request.endswith(b'\r\nContent-Length: 14\r\n\r\n{"model": "m"}')

    asyncio.run(main())


@pytest.mark.parametrize(
    ("script", "failure"),
    [
        (b"", ("disconnect", "disconnected")),
        (b"HTTP/1.1 200 OK\r\nContent-Le", ("disconnect", "disconnected")),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\nConnection: close\r\n\r\nshort", ("disconnect", "disconnected")),
        (b"SSH-2.0-OpenSSH\r\n\r\n", ("malformed", "malformed_answer")),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", ("malformed", "malformed_answer")),
        (
            b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\nContent-Length: 0\r\n\r\n",
            ("malformed", "malformed_answer"),
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\n\x1f\x8b\xff\xff\xff",
            ("malformed", "malformed_encoding"),
        ),
    ],
    ids=["nothing", "half a head", "half a body", "no HTTP", "no length", "huge headers", "no gzip"],
)
def test_what_is_no_answer_is_a_named_failure(script: bytes, failure: tuple[str, str]) -> None:
    async def send(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(script)
        await writer.drain()

    assert failure_of(send) == failure


@pytest.mark.parametrize("piece", [b"y" * 1000, b"X-A: b\r\n" * 100, b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n"])
def test_a_head_without_an_end_is_given_up(piece: bytes) -> None:
    async def send(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(piece if piece.startswith(b"HTTP") else b"HTTP/1.1 200 OK\r\nX-")
        while not writer.is_closing():
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)

    assert failure_of(send) == ("malformed", "malformed_answer")


def test_what_came_before_a_cut_is_given_first() -> None:
    async def main() -> None:
        cut = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n9\r\nwor"

        async def send(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(cut)
            await writer.drain()

        async with running(Provider(send)) as provider, Upstream(SETTINGS) as upstream:
            answer = await ask(upstream, provider.url)
            seen = b""
            while len(seen) < 8:
                seen += await answer.chunk()
            assert seen == b"hellowor"
            with pytest.raises(UpstreamFailed, match="disconnected"):
                await answer.chunk()
            assert not answer.ended

    asyncio.run(main())


def test_a_connection_is_used_again_and_a_closed_one_is_not() -> None:
    closing = PLAIN.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")

    async def main() -> None:
        async with running(Provider(PLAIN, CHUNKED, closing, PLAIN)) as provider, Upstream(SETTINGS) as upstream:
            for _ in range(3):
                await whole(upstream, provider.url)
            assert provider.connections == 1
            await whole(upstream, provider.url)
            assert provider.connections == 2

    asyncio.run(main())


def test_a_connection_that_the_provider_closed_while_idle_is_not_used() -> None:
    async def main() -> None:
        provider = Provider(PLAIN)
        async with running(provider), Upstream(SETTINGS) as upstream:
            await whole(upstream, provider.url)
            origin = target_of(provider.url).origin
            (idle,) = upstream._pool._idle[origin]
            while idle.is_open:  # its only script is told: the provider hangs up
                await asyncio.sleep(0.001)
            provider.scripts = [PLAIN]
            assert await whole(upstream, provider.url) == PLAIN[-11:]
            assert provider.connections == 2

    asyncio.run(main())


def test_a_request_that_met_the_end_of_an_idle_connection_is_sent_again() -> None:
    """The provider hangs up as the second request arrives: no byte of an answer, so it goes to a new connection."""

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async def main() -> None:
        async with running(Provider(CHUNKED, hang_up, PLAIN)) as provider, Upstream(SETTINGS) as upstream:
            assert await whole(upstream, provider.url) == b"hello world"
            assert await whole(upstream, provider.url) == PLAIN[-11:]
            assert (provider.connections, len(provider.requests)) == (2, 3)

    asyncio.run(main())


def test_a_request_that_a_provider_worked_on_before_it_hung_up_is_not_sent_again() -> None:
    async def give_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(STALE_S + 0.2)

    async def main() -> None:
        async with running(Provider(CHUNKED, give_up, PLAIN)) as provider, Upstream(SETTINGS) as upstream:
            assert await whole(upstream, provider.url) == b"hello world"
            with pytest.raises(UpstreamFailed, match="disconnected"):
                await whole(upstream, provider.url)
            assert len(provider.requests) == 2

    asyncio.run(main())


def test_a_request_that_was_answered_in_part_is_not_sent_again() -> None:
    async def main() -> None:
        async with (
            running(Provider(CHUNKED, b"HTTP/1.1 200 OK\r\nCon", PLAIN)) as provider,
            Upstream(SETTINGS) as upstream,
        ):
            assert await whole(upstream, provider.url) == b"hello world"
            with pytest.raises(UpstreamFailed, match="disconnected"):
                await whole(upstream, provider.url)
            assert len(provider.requests) == 2

    asyncio.run(main())


def test_a_second_answer_that_comes_with_the_first_is_no_part_of_it() -> None:
    async def main() -> None:
        other = PLAIN.replace(b"200 OK", b"500 X").replace(b"b c", b"d e")
        async with running(Provider(PLAIN + other, PLAIN)) as provider, Upstream(SETTINGS) as upstream:
            answer = await ask(upstream, provider.url)
            assert (answer.status, await answer.whole(1000)) == (200, PLAIN[-11:])
            answer.release()
            assert await whole(upstream, provider.url) == PLAIN[-11:]
            assert provider.connections == 2

    asyncio.run(main())


def test_a_connection_that_still_sends_the_request_that_was_answered_is_not_used_again() -> None:
    """A provider that refuses a large body by its head alone may never read the rest, nor what follows it."""

    class Early(Provider):
        async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.connections += 1
            await reader.readuntil(b"\r\n\r\n")
            writer.write(PLAIN)
            await over.wait()
            writer.close()

    async def main() -> None:
        async with running(Early()) as provider, Upstream(SETTINGS) as upstream:
            answer = await ask(upstream, provider.url, b"x" * 16_000_000)
            assert await answer.whole(1000) == PLAIN[-11:]
            answer.release()
            assert await asyncio.wait_for(whole(upstream, provider.url), 20) == PLAIN[-11:]
            assert provider.connections == 2
            over.set()

    over = asyncio.Event()
    asyncio.run(main())


def test_an_answer_that_was_not_read_to_its_end_takes_its_connection_along() -> None:
    async def main() -> None:
        long = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nonly this"
        async with running(Provider(long, PLAIN)) as provider, Upstream(SETTINGS) as upstream:
            answer = await ask(upstream, provider.url)
            answer.release()
            assert await whole(upstream, provider.url) == PLAIN[-11:]
            assert provider.connections == 2

    asyncio.run(main())


def test_a_call_that_is_cut_short_hangs_up_on_the_provider() -> None:
    async def main() -> None:
        hung_up = asyncio.Event()

        async def wait(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await reader.readexactly(1)
            hung_up.set()

        async with running(Provider(wait)) as provider, Upstream(SETTINGS) as upstream:
            task = asyncio.create_task(ask(upstream, provider.url))
            while not provider.requests:
                await asyncio.sleep(0.001)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.wait_for(hung_up.wait(), 20)

    asyncio.run(main())


def test_a_provider_that_sends_faster_than_is_read_is_made_to_wait() -> None:
    size = 12 * 1024 * 1024
    body = bytes(range(256)) * (size // 256)

    async def main() -> None:
        long = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + body
        async with running(Provider(long)) as provider, Upstream(SETTINGS) as upstream:
            answer = await ask(upstream, provider.url)
            connection = answer._connection
            while not connection._is_paused:
                await asyncio.sleep(0.001)
            assert connection._buffered < HIGH_WATER_BYTES + 1024 * 1024
            assert await answer.whole(size) == body

    asyncio.run(main())


def test_a_connection_whose_large_answer_came_at_once_is_read_from_again() -> None:
    class Wire(asyncio.Transport):
        is_reading = True

        def write(self, data: object) -> None: ...

        def get_write_buffer_size(self) -> int:
            return 0

        def pause_reading(self) -> None:
            self.is_reading = False

        def resume_reading(self) -> None:
            self.is_reading = True

    async def run() -> None:
        wire, body = Wire(), b"x" * (HIGH_WATER_BYTES + 1)
        connection = Connection(asyncio.get_running_loop(), Limits().max_header_bytes)
        connection.connection_made(wire)
        connection.send(b"POST / HTTP/1.1\r\n\r\n", b"", at_once=True)
        connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        assert connection.done
        assert wire.is_reading  # although nobody has read it: the end of a stream may be followed by more
        answer = Answer(connection, Pool(1.0, 1024), Origin("http", "127.0.0.1", 80))
        assert await answer.whole(len(body)) == body

    asyncio.run(run())


def test_a_body_over_its_bound_is_dropped() -> None:
    async def main() -> None:
        async with running(Provider(PLAIN)) as provider, Upstream(SETTINGS) as upstream:
            answer = await ask(upstream, provider.url)
            with pytest.raises(UpstreamFailed, match="answer_too_large"):
                await answer.whole(10)

    asyncio.run(main())


def test_a_large_request_arrives_whole() -> None:
    async def main() -> None:
        async with running(Provider(PLAIN)) as provider, Upstream(SETTINGS) as upstream:
            body = b"x" * 3_000_000
            await ask(upstream, provider.url, body)
            assert provider.requests[0].endswith(body)

    asyncio.run(main())


def test_a_packed_answer_is_unpacked() -> None:
    packed = gzip.compress(b"hello " * 1000)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    assert one_answer(head + packed, step=10) == b"hello " * 1000


def test_nobody_at_the_address_is_a_failed_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    async def main(url: str) -> None:
        async with Upstream(SETTINGS) as upstream:
            await ask(upstream, url)

    for url in (f"http://127.0.0.1:{port}/v1", "http://name.invalid/v1", "ftp://127.0.0.1/", "http://a b/"):
        with pytest.raises(UpstreamFailed) as caught:
            asyncio.run(main(url))
        assert (caught.value.failure, caught.value.error_type) == ("connect", "connect_failed")


def test_a_provider_that_does_not_take_connections_is_given_up_in_time() -> None:
    """A full backlog: the system answers no connection."""
    settings = msgspec.structs.replace(SETTINGS, connect_timeout_s=0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(silent.getsockname())

        async def main() -> None:
            async with Upstream(settings) as upstream:
                await ask(upstream, f"http://127.0.0.1:{silent.getsockname()[1]}/")

        with pytest.raises(UpstreamFailed, match="connect_timeout"):
            asyncio.run(main())
        for each in waiting:
            each.close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    made = subprocess.run(
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
        f" -keyout {path} -out {path.with_suffix('.crt')}".split(),
        capture_output=True,
        check=False,
    )
    if made.returncode:
        pytest.skip(f"openssl could not make a certificate: {made.stderr.decode()[-200:]}")
    path.write_bytes(path.read_bytes() + path.with_suffix(".crt").read_bytes())
    return path


def test_tls_is_spoken_and_a_certificate_nobody_vouches_for_is_refused(certificate: Path) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate)
    trusting = ssl.create_default_context(cafile=str(certificate))

    async def main() -> None:
        async with running(Provider(PLAIN, CHUNKED), server) as provider:
            async with Upstream(SETTINGS, trusting) as upstream:
                assert await whole(upstream, provider.url) == PLAIN[-11:]
                assert await whole(upstream, provider.url) == b"hello world"
                assert provider.connections == 1
            async with Upstream(SETTINGS) as upstream:
                with pytest.raises(UpstreamFailed, match="tls_failed"):
                    await ask(upstream, provider.url)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("url", "origin", "host", "path"),
    [
        ("https://api.openai.com/v1/chat", Origin("https", "api.openai.com", 443), "api.openai.com", "/v1/chat"),
        ("http://h:8080", Origin("http", "h", 8080), "h:8080", "/"),
        ("https://[::1]:9/a?b=c", Origin("https", "::1", 9), "[::1]:9", "/a?b=c"),
        ("https://bücher.example/", Origin("https", "xn--bcher-kva.example", 443), "xn--bcher-kva.example", "/"),
    ],
)
def test_an_address_says_where_to_connect_and_what_to_ask(url: str, origin: Origin, host: str, path: str) -> None:
    assert target_of(url) == (origin, host, path)


@pytest.mark.parametrize("url", ["ftp://h/", "https:///x", "https://me:secret@h/", "http://h:x/", "http://h/ä"])
def test_an_address_that_cannot_be_asked_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        target_of(url)


@pytest.mark.parametrize("value", ["a\r\nX-Admin: 1", "a\nb", "a\0", "a\r"])
def test_a_header_never_leaves_its_line(value: str) -> None:
    with pytest.raises(ValueError, match="line break"):
        request_head("POST", "/", "h", {"X-Title": value}, 0)
