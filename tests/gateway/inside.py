"""A gateway inside the test's process: its provider a raw server, its client the test's own receive and send."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from collector.core.calls import Call
from collector.core.prices import PriceBook
from collector.intake.gateway.app import Gateway
from collector.intake.gateway.identity import KeyNames
from collector.intake.gateway.server import services_of
from collector.ledger import journal
from collector.ledger.journal import Close, Open, Whole
from collector.settings import Endpoint, Limits, Provider, Settings

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Message = MutableMapping[str, Any]
HEADERS = {"host": "127.0.0.1:8484", "content-type": "application/json"}


class Scripted:
    """A provider that answers each request with the next script: bytes and then its end, or a function."""

    def __init__(self, *scripts: bytes | Script) -> None:
        self.scripts = list(scripts)
        self.requests: list[bytes] = []
        self.hung_up = asyncio.Event()  # the gateway closed the connection while a function ran

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            self.requests.append(head + await reader.readexactly(length))
            script = self.scripts.pop(0)
            if isinstance(script, bytes):
                writer.write(script)
                await writer.drain()
            else:
                await script(reader, writer)
                if not await reader.read(1):
                    self.hung_up.set()
        except (asyncio.IncompleteReadError, ConnectionError):
            self.hung_up.set()
        finally:
            writer.close()

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(request.split(b"\r\n\r\n", 1)[1]) for request in self.requests]


class Inside:
    """The gateway and its providers; `calls` tells what its journal holds once the gateway has stopped."""

    def __init__(self, folder: Path, gateway: Gateway, providers: dict[str, Scripted]) -> None:
        self.folder = folder
        self.gateway = gateway
        self.providers = providers

    async def ask(self, body: object, path: str = "/v1/chat/completions", **headers: str) -> "Answered":
        """One whole exchange with a client that stays."""
        client = Asking(body, path, **headers)
        await self.gateway(client.scope, client.receive, client.send)
        return Answered(client.messages)


class Asking:
    """A client over ASGI; a test may make it leave (`leave`) or fail to be sent to (`breaks_after` messages)."""

    def __init__(self, body: object, path: str = "/v1/chat/completions", method: str = "POST", **headers: str) -> None:
        sent = {**HEADERS, **{name.replace("_", "-"): value for name, value in headers.items()}}
        self.scope = {
            "type": "http",
            "method": method,
            "path": path,
            "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
        }
        self._body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self._has_sent = False
        self._left = asyncio.Event()
        self.messages: list[Message] = []
        self.told = asyncio.Event()  # a first piece of the answer has come
        self.breaks_after: int | None = None

    def leave(self) -> None:
        self._left.set()

    async def receive(self) -> Message:
        if not self._has_sent:
            self._has_sent = True
            return {"type": "http.request", "body": self._body, "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if self.breaks_after is not None and len(self.messages) >= self.breaks_after:
            raise ConnectionResetError("the client is gone")
        self.messages.append(message)
        if message.get("body"):
            self.told.set()


class Answered:
    """An answer as its client saw it."""

    def __init__(self, messages: list[Message]) -> None:
        self.status: int = messages[0]["status"]
        self.headers = {name.decode(): value.decode() for name, value in messages[0]["headers"]}
        self.body = b"".join(message["body"] for message in messages[1:])
        self.pieces = [message["body"] for message in messages[1:]]
        self.complete = not messages[-1].get("more_body", False)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> Any:
        return self.json["error"]

    @property
    def events(self) -> list[Any]:
        """The data of a stream's events, the terminal one as text."""
        data = [event.removeprefix("data: ") for event in self.body.decode().split("\n\n") if event]
        return [each if each == "[DONE]" else json.loads(each) for each in data]


@asynccontextmanager
async def inside(
    folder: Path,
    *scripts: bytes | Script,
    then: tuple[bytes | Script, ...] = (),
    limits: dict[str, Any] | None = None,
    provider: dict[str, Any] | None = None,
    operations: tuple[Any, ...] | None = None,
    endpoints: tuple[Endpoint, ...] = (),
    book: PriceBook | None = None,
    **choices: Any,
) -> AsyncIterator[Inside]:
    """A gateway to provider `one`, and to provider `two` after it where that has scripts (`then`)."""
    scripted = {"one": Scripted(*scripts), **({"two": Scripted(*then)} if then else {})}
    servers = {name: await asyncio.start_server(each.serve, "127.0.0.1", 0) for name, each in scripted.items()}
    urls = {name: f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1" for name, server in servers.items()}
    settings = Settings(
        data_dir=folder,
        ledger_url=choices.pop("ledger_url", "sqlite://"),
        config_path=folder / "callmeter.toml",
        providers={name: Provider(base_url=url, **(provider or {})) for name, url in urls.items()},
        endpoints=endpoints or (tuple(Endpoint("m", n, operations=operations) for n in scripted) if then else ()),
        limits=Limits(**{"usage_wait_s": 0.3, **(limits or {})}),
        **choices,
    )
    own_keys = {name: "sk-ours-123456" for name in urls if settings.providers[name].api_key_env}
    services = services_of(settings, own_keys, book)
    services.shared.open(time.time_ns() // 1000)
    async with services.upstream:
        yield Inside(folder, Gateway(services, KeyNames(b"x" * 32)), scripted)
    for server in servers.values():
        server.close()
    services.shared.close()
    services.books.stop()


def calls(folder: Path) -> list[Call]:
    """What the journal says of every call in the end; one that was opened and not closed is `interrupted`."""
    found: dict[str, Call] = {}
    for path in journal.segments(folder / "journal"):
        for _, record in journal.read(path, 0, 1 << 26).records:
            assert isinstance(record, Open | Close | Whole), record
            found[record.call.id] = record.call
    return list(found.values())


def plain(body: object, status: int = 200, kind: str = "application/json", more: str = "") -> bytes:
    """An HTTP answer with a whole body."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(data)}\r\n{more}\r\n"
    return head.encode() + data


def stream(*data: object, cut: bool = False, end: bool = True) -> bytes:
    """A chunked answer of events; `cut`: the connection breaks, `end`: with the terminal event."""
    events = [each if isinstance(each, bytes) else b"data: " + json.dumps(each).encode() + b"\n\n" for each in data]
    events += [b"data: [DONE]\n\n"] if end else []
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(event), event) for event in events)
    return STREAM_HEAD + chunks + (b"" if cut else b"0\r\n\r\n")


def chunk(event: bytes) -> bytes:
    """One HTTP chunk."""
    return b"%x\r\n%b\r\n" % (len(event), event)


def said(text: str | None = "word", finish: str | None = None, **more: object) -> dict[str, object]:
    """One part of a streamed answer."""
    delta = {} if text is None else {"content": text}
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "gen-1", "object": "chat.completion.chunk", "model": "m-served", "choices": [choice], **more}


STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
USAGE = {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17}
USAGE_PART = {"id": "gen-1", "model": "m-served", "choices": [], "usage": USAGE}
ANSWER = {
    "id": "gen-1",
    "object": "chat.completion",
    "model": "m-served",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "word"}, "finish_reason": "stop"}],
    "usage": USAGE,
}
QUESTION = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "user": "u-1"}
STREAMED = {**QUESTION, "stream": True}
