"""A stream goes on as it comes, however slowly its client takes it, and its end is heard whatever happens."""

import asyncio
import socket
import threading
import zlib
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from collector.core.outcomes import Outcome
from collector.intake.gateway.stream import Passage
from collector.ledger.journal import segment
from collector.settings import Limits
from tests.gateway import inside, live
from tests.gateway.live import LAST_CHUNK, STREAM_HEAD, USAGE_EVENT, WITHIN_S, chat, chunk, part, request_of, until
from tests.gateway.test_upstream import Provider

PIECE = part("w" * 32_000)
PIECES = 2_000  # 64 MB, many times what sockets hold
STILL_S = 0.3
LARGE = part("w" * 12_000_000)
IMPATIENT = Limits(client_wait_s=0.5)
END = part("", "stop") + USAGE_EVENT + live.DONE


class Flood:
    """A provider's script that sends as fast as it is let, after `begin`; `sent` counts its pieces."""

    def __init__(self, begin: bytes = b"") -> None:
        self.begin = begin
        self.sent = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + self.begin)
        for _ in range(PIECES):
            writer.write(chunk(PIECE))
            await writer.drain()
            self.sent += 1
        writer.write(chunk(END) + LAST_CHUNK)

    async def stands_still(self) -> int:
        """How many pieces were sent when no more went for a while."""
        before = -1
        while before != self.sent:
            before = self.sent
            await asyncio.sleep(STILL_S)
        return before


class Reluctant(inside.Asking):
    """A client over ASGI that takes nothing after the head until it is `willing`."""

    def __init__(self, body: object = inside.STREAMED) -> None:
        super().__init__(body)
        self.willing = asyncio.Event()

    async def send(self, message: inside.Message) -> None:
        if self.messages:
            await self.willing.wait()
        await super().send(message)


def test_what_came_with_the_end_does_not_wait_for_a_slow_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced, sync = threading.Event(), segment.sync_data

    def slow(fd: int) -> None:
        synced.wait(WITHIN_S)
        sync(fd)

    async def main() -> None:
        sent = STREAM_HEAD + chunk(part("first")), chunk(part("last word") + END) + LAST_CHUNK
        goes_on = asyncio.Event()

        async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(sent[0])
            await goes_on.wait()
            writer.write(sent[1])

        async with live.gateway(tmp_path, Provider(script)) as gateway:
            reader, writer = await gateway.connect(request_of(chat(stream=True)))
            await asyncio.wait_for(reader.readuntil(b"first"), WITHIN_S)
            monkeypatch.setattr(segment, "sync_data", slow)
            goes_on.set()
            got = await asyncio.wait_for(reader.readuntil(b"last word"), WITHIN_S)
            assert b"[DONE]" not in got
            synced.set()
            await asyncio.wait_for(reader.readuntil(live.DONE), WITHIN_S)
            writer.close()

    live.run(main)


@pytest.mark.parametrize("begin", [b"", chunk(LARGE)], ids=["words", "a picture first"])
def test_a_client_that_does_not_read_makes_its_provider_wait_and_loses_nothing(begin: bytes, tmp_path: Path) -> None:
    async def main() -> None:
        flood = Flood(begin)
        async with live.gateway(tmp_path, Provider(flood)) as gateway:
            with socket.socket() as client:
                client.setblocking(False)
                loop = asyncio.get_running_loop()
                await loop.sock_connect(client, ("127.0.0.1", gateway.port))
                await loop.sock_sendall(client, request_of(chat(stream=True)))
                await until(lambda: flood.sent)
                assert await flood.stands_still() < PIECES // 2
                got = bytearray()
                while data := await loop.sock_recv(client, 1 << 20):
                    got += data
            assert got.count(PIECE) == PIECES
            assert got.endswith(live.DONE + b"\r\n" + LAST_CHUNK)
            assert (await gateway.only()).outcome is Outcome.OK

    live.run(main)


async def idle(gateway: live.Live, requests: bytes, room: int = 4096) -> socket.socket:
    """A client that sends and reads nothing, with little room for what comes."""
    client = socket.socket()
    client.setblocking(False)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(client, ("127.0.0.1", gateway.port))
    await loop.sock_sendall(client, requests)
    return client


def test_a_client_that_takes_nothing_of_its_stream_is_hung_up_on(tmp_path: Path) -> None:
    async def main() -> None:
        script = live.stalled(STREAM_HEAD + chunk(LARGE))
        async with live.gateway(tmp_path, Provider(script), limits=IMPATIENT) as gateway:
            with await idle(gateway, request_of(chat(stream=True))):
                assert (await gateway.only()).outcome is Outcome.CANCELLED
                await asyncio.wait_for(script.hung_up.wait(), WITHIN_S)
                await gateway.no_clients()

    live.run(main)


def test_a_client_that_takes_nothing_of_its_answers_holds_no_place_among_the_calls(tmp_path: Path) -> None:
    """It asks for two things at once: the refusal of the second waits until the answer to the first is taken."""

    async def main() -> None:
        large = msgspec.json.encode({**inside.ANSWER, "more": "w" * 12_000_000})
        async with live.gateway(tmp_path, Provider(live.plain(large)), limits=IMPATIENT) as gateway:
            with await idle(gateway, request_of(chat(), connection="") + request_of(b"no JSON")):
                assert [call.outcome for call in await gateway.closed(2)] == [Outcome.OK, Outcome.REFUSED]
                await until(lambda: not gateway.app.readiness()[1]["running_calls"])  # type: ignore[index]
                await gateway.no_clients()

    live.run(main)


def test_a_client_whose_time_is_over_at_the_end_of_its_stream_leaves_no_connection_to_the_provider(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        script = live.stalled(STREAM_HEAD + chunk(LARGE) + chunk(END))
        async with live.gateway(tmp_path, Provider(script), total_timeout_s=1) as gateway:
            with await idle(gateway, request_of(chat(stream=True))):
                assert (await gateway.only()).outcome is Outcome.OK
                await asyncio.wait_for(script.hung_up.wait(), WITHIN_S)

    live.run(main)


def test_a_client_that_takes_its_stream_slowly_is_waited_for(tmp_path: Path) -> None:
    async def main() -> None:
        script = live.stalled(STREAM_HEAD + chunk(LARGE) + chunk(END) + LAST_CHUNK)
        async with live.gateway(tmp_path, Provider(script), limits=IMPATIENT) as gateway:
            with await idle(gateway, request_of(chat(stream=True)), 1 << 18) as client:
                got = bytearray()
                while data := await asyncio.get_running_loop().sock_recv(client, 1 << 18):
                    got += data
                    await asyncio.sleep(IMPATIENT.client_wait_s * len(data) / (4 << 20))
                assert LARGE in got
                assert got.endswith(live.DONE + b"\r\n" + LAST_CHUNK)
                assert (await gateway.only()).outcome is Outcome.OK

    live.run(main)


def test_the_same_holds_where_a_server_offers_nothing_but_send(tmp_path: Path) -> None:
    async def main() -> None:
        flood, client = Flood(), Reluctant()
        async with inside.inside(tmp_path, flood) as gateway:
            task = asyncio.create_task(gateway.gateway(client.scope, client.receive, client.send))
            await until(lambda: flood.sent)
            assert await flood.stands_still() < PIECES // 2
            client.willing.set()
            await asyncio.wait_for(task, WITHIN_S)
        body = b"".join(message["body"] for message in client.messages[1:])
        assert body == PIECE * PIECES + part("", "stop") + live.DONE

    asyncio.run(main())
    assert [call.outcome for call in inside.calls(tmp_path)] == [Outcome.OK]


def test_a_client_that_leaves_while_its_provider_is_made_to_wait_is_cancelled(tmp_path: Path) -> None:
    async def main() -> None:
        flood = Flood()
        async with live.gateway(tmp_path, Provider(flood)) as gateway:
            reader, writer = await gateway.connect(request_of(chat(stream=True)))
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            await until(lambda: flood.sent)
            await flood.stands_still()
            writer.transport.abort()
            call = await gateway.only()
            assert (call.outcome, call.http_status) == (Outcome.CANCELLED, 200)
            assert reader is not None

    live.run(main)


@pytest.mark.parametrize("ends", [False, True])
def test_a_client_that_never_reads_holds_no_place_for_longer_than_a_call_may_take(tmp_path: Path, ends: bool) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD)
        for _ in range(600):
            writer.write(chunk(PIECE))
        writer.write(chunk(END) + LAST_CHUNK if ends else b"")
        await writer.drain()
        await reader.read(1)

    async def main() -> None:
        async with live.gateway(tmp_path, Provider(script), total_timeout_s=1.0) as gateway:
            _, writer = await gateway.connect(request_of(chat(stream=True)))
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            call = await gateway.only()
            assert (call.outcome, call.error_type) == (Outcome.PROVIDER_FAULT, "total_timeout")
            await until(lambda: gateway.app.readiness()[1]["running_calls"] == 0)  # type: ignore[index]
            writer.transport.abort()

    live.run(main)


def test_nor_does_one_that_does_not_take_the_end_of_its_answer(tmp_path: Path) -> None:
    async def main() -> None:
        client = Reluctant(inside.QUESTION)
        async with inside.inside(tmp_path, inside.plain(inside.ANSWER), total_timeout_s=0.2) as gateway:
            await asyncio.wait_for(gateway.gateway(client.scope, client.receive, client.send), WITHIN_S)
            assert gateway.gateway.readiness()[1]["running_calls"] == 0  # type: ignore[index]

    asyncio.run(main())
    assert [call.outcome for call in inside.calls(tmp_path)] == [Outcome.OK]


def breaks_at(n: int) -> Callable[[Passage, bytes], bytes]:
    fed = 0
    feed = Passage.feed

    def broken(self: Passage, data: bytes) -> bytes:
        nonlocal fed
        fed += 1
        if fed == n:
            raise RuntimeError("an error of our own")
        return feed(self, data)

    return broken


@pytest.mark.parametrize("n", [1, 2])
def test_an_error_of_our_own_on_the_way_closes_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n: int
) -> None:
    goes_on = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + chunk(part("early")))
        await goes_on.wait()
        writer.write(chunk(END) + LAST_CHUNK)

    async def main() -> None:
        monkeypatch.setattr(Passage, "feed", breaks_at(n))
        async with inside.inside(tmp_path, script) as gateway:
            client = inside.Asking(inside.STREAMED)
            task = asyncio.create_task(gateway.gateway(client.scope, client.receive, client.send))
            if n > 1:
                await client.told.wait()
            goes_on.set()
            with pytest.raises(RuntimeError, match="of our own"):
                await asyncio.wait_for(task, WITHIN_S)

    asyncio.run(main())
    assert [call.outcome for call in inside.calls(tmp_path)] == [Outcome.INTERRUPTED]


def test_a_packed_stream_that_breaks_in_the_middle_is_the_providers_fault(tmp_path: Path) -> None:
    packer = zlib.compressobj(wbits=31)
    first = packer.compress(part("early")) + packer.flush(zlib.Z_SYNC_FLUSH)
    told = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = STREAM_HEAD.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n")
        writer.write(head + chunk(first))
        await told.wait()
        writer.write(chunk(b"\xff" * 64))
        await reader.read(1)

    async def main() -> None:
        async with live.gateway(tmp_path, Provider(script)) as gateway:
            reader, _ = await gateway.connect(request_of(chat(stream=True)))
            got = await reader.readuntil(b"early")
            told.set()
            got += await asyncio.wait_for(reader.read(-1), WITHIN_S)
            assert b'"error"' in got
            assert got.endswith(LAST_CHUNK)
            call = await gateway.only()
            assert (call.outcome, call.error_type) == (Outcome.PROVIDER_FAULT, "malformed_encoding")

    live.run(main)
