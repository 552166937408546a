"""A real gateway on a socket of this process, raw providers behind it, raw clients before it, and its journal."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import uvicorn

from collector.core.calls import Call
from collector.core.prices import PriceBook
from collector.intake.gateway.app import Gateway
from collector.intake.gateway.identity import KeyNames
from collector.intake.gateway.protocol import Protocol
from collector.intake.gateway.server import bind, services_of
from collector.ledger.journal import Close, Open, Record, Unreadable, Whole, read, segments
from collector.settings import Endpoint, Limits, Settings
from collector.settings import Provider as ProviderSettings
from tests.gateway.test_upstream import Provider, running

WITHIN_S = 30.0
PATH = "/v1/chat/completions"
KEY = "sk-owned-by-the-gateway-0123456789"
USAGE = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
METERS = {"input": 9, "output": 4}  # of USAGE
STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"
DONE = b"data: [DONE]\n\n"


class Reply(msgspec.Struct, frozen=True):
    """An answer as a client read it to the end of the connection; `body` without the chunks' framing."""

    status: int
    headers: dict[str, str]
    body: bytes
    is_whole: bool = True

    @property
    def error(self) -> dict[str, Any]:
        found = msgspec.json.decode(self.body)["error"]
        assert isinstance(found, dict)
        return found


class Live:
    """A gateway that runs: its port, and what it has written."""

    def __init__(self, port: int, settings: Settings, app: Gateway, server: uvicorn.Server) -> None:
        self.port = port
        self.server = server
        self.settings = settings
        self.app = app

    async def connect(self, request: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 26)
        writer.write(request)
        return reader, writer

    async def no_clients(self) -> None:
        """Returns when the gateway knows that every client has hung up."""
        await until(lambda: not self.server.server_state.connections)

    async def ask(self, body: object, path: str = PATH, **headers: str) -> Reply:
        """The answer to one request on a connection of its own."""
        reader, writer = await self.connect(request_of(body, path, **headers))
        try:
            return reply_of(await asyncio.wait_for(reader.read(-1), WITHIN_S))
        finally:
            writer.close()

    def records(self) -> list[Record]:
        found: list[Record] = []
        for path in segments(self.settings.journal_dir):
            for _, record in read(path, 0, 1 << 26).records:
                assert not isinstance(record, Unreadable)
                found.append(record)
        return found

    async def closed(self, count: int = 1) -> list[Call]:
        """The calls that are over, each exactly once, as soon as there are `count` of them and no open one."""
        await until(lambda: len(self._over()) >= count)
        over = self._over()
        assert len(over) == count == len({call.id for call in over})
        opened = [record.call.id for record in self.records() if isinstance(record, Open)]
        assert sorted(opened) == sorted(r.call.id for r in self.records() if isinstance(r, Close))
        return over

    async def only(self) -> Call:
        """The one call that there was."""
        (call,) = await self.closed()
        return call

    def _over(self) -> list[Call]:
        return [record.call for record in self.records() if isinstance(record, Close | Whole)]


@asynccontextmanager
async def gateway(
    folder: Path, *providers: Provider, limits: Limits | None = None, **choices: Any
) -> AsyncIterator[Live]:
    """A gateway with the model `m` at each of the providers, named first, second, ..."""
    async with AsyncExitStack() as stack:
        for provider in providers:
            await stack.enter_async_context(running(provider))
        names = ("first", "second", "third")[: len(providers)]
        urls = [provider.url.removesuffix("/chat/completions") for provider in providers]
        given: dict[str, Any] = {
            "providers": {n: ProviderSettings(url, api_key_env="K") for n, url in zip(names, urls, strict=True)},
            "endpoints": tuple(Endpoint("m", name) for name in names),
            "config_path": folder / "callmeter.toml",
            **choices,
        }
        settings = Settings(data_dir=folder, ledger_url="sqlite://", limits=limits or Limits(), **given)
        yield await stack.enter_async_context(serving(settings))


@asynccontextmanager
async def serving(settings: Settings, book: PriceBook | None = None) -> AsyncIterator[Live]:
    """A gateway with these settings, stopped at the end."""
    services = services_of(settings, dict.fromkeys(settings.providers, KEY), book)
    services.shared.open(time.time_ns() // 1000)
    app = Gateway(services, KeyNames(b"0123456789abcdef"))
    bound = bind("127.0.0.1", 0)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            http=Protocol.within(settings.limits),
            ws="none",
            lifespan="on",
            log_level="warning",
            timeout_graceful_shutdown=5,
        )
    )
    task = asyncio.create_task(server.serve(sockets=[bound]))
    try:
        await until(lambda: server.started or task.done())
        yield Live(bound.getsockname()[1], settings, app, server)
    finally:
        server.should_exit = True
        await asyncio.wait_for(task, WITHIN_S)
        bound.close()
        services.books.stop()


async def until(what: Callable[[], object]) -> None:
    """Returns as soon as `what` holds; fails when it does not in time."""
    async with asyncio.timeout(WITHIN_S):
        while not what():
            await asyncio.sleep(0.005)


def request_of(body: object, path: str = PATH, **headers: str) -> bytes:
    """A POST whose header names have _ for -; one that is empty is left out."""
    data = body if isinstance(body, bytes) else msgspec.json.encode(body)
    sent = {"host": "localhost", "content_type": "application/json", "connection": "close", **headers}
    sent.setdefault("content_length", str(len(data)))
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in sent.items() if value)
    return f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode() + data


def reply_of(raw: bytes) -> Reply:
    head, _, rest = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    body, is_whole = _unchunked(rest) if headers.get("transfer-encoding") == "chunked" else (rest, True)
    return Reply(int(first.split()[1]), headers, body, is_whole)


def _unchunked(rest: bytes) -> tuple[bytes, bool]:
    body = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        if not int(size, 16):
            return body, True
        body, rest = body + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
    return body, False


def chat(**members: object) -> dict[str, object]:
    return {"model": "m", "messages": [{"role": "user", "content": "hi"}], **members}


def event(data: object) -> bytes:
    return b"data: " + msgspec.json.encode(data) + b"\n\n"


def part(text: str, finish: str | None = None) -> bytes:
    choices = [{"index": 0, "delta": {"content": text}, "finish_reason": finish}]
    return event({"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "m-2026", "choices": choices})


USAGE_EVENT = event({"id": "chatcmpl-1", "model": "m-2026", "choices": [], "usage": USAGE})
ANSWER = msgspec.json.encode(
    {
        "id": "chatcmpl-1",
        "model": "m-2026",
        "choices": [{"index": 0, "message": {"content": "hello"}, "finish_reason": "stop"}],
        "usage": USAGE,
    }
)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def stream(*events: bytes) -> bytes:
    """A whole streamed answer."""
    return STREAM_HEAD + b"".join(map(chunk, events)) + LAST_CHUNK


def plain(body: bytes = ANSWER, status: int = 200, *headers: str, length: int | None = None) -> bytes:
    """A whole plain answer; `length` is stated in place of the body's own."""
    more = "".join(f"{line}\r\n" for line in headers)
    size = len(body) if length is None else length
    return (
        f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {size}\r\n{more}\r\n".encode() + body
    )


class Staged:
    """A provider's script that sends `begin`, then at `go_on` the `rest`.

    One that `stays` then waits for the other side to hang up, and sets `hung_up`; else it hangs up itself.
    """

    def __init__(self, begin: bytes, rest: bytes = b"", *, stays: bool = False) -> None:
        self.begin = begin
        self.rest = rest
        self.stays = stays
        self.go_on = asyncio.Event()
        self.hung_up = asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(self.begin)
        await self.go_on.wait()
        writer.write(self.rest)
        if self.stays:
            with suppress(ConnectionError):
                await reader.read(1)
            self.hung_up.set()


def stalled(begin: bytes) -> Staged:
    """A script that says no more than `begin`, and waits for the other side to hang up."""
    script = Staged(begin, stays=True)
    script.go_on.set()
    return script


def run(main: Callable[[], Awaitable[None]]) -> None:
    """Runs a test's coroutine, with an end."""

    async def bounded() -> None:
        async with asyncio.timeout(2 * WITHIN_S):
            await main()

    asyncio.run(bounded())


def asked(
    folder: Path, body: object, *providers: Provider, headers: dict[str, str] | None = None, **choices: Any
) -> tuple[Reply, Call]:
    """One request to a gateway of its own: what the client got, and the only record."""
    found: list[tuple[Reply, Call]] = []

    async def main() -> None:
        async with gateway(folder, *providers, **choices) as live:
            reply = await live.ask(body, **(headers or {}))
            found.append((reply, await live.only()))

    run(main)
    return found[0]
