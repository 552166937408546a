"""Two simulated providers as real HTTP servers on loopback: one steady, one that fails in every way there is."""

import asyncio
import json
import random
import sys
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import msgspec
import uvicorn

from collector.demo.answers import answer, events
from collector.parent import watch_parent

Message: TypeAlias = dict[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Headers: TypeAlias = list[tuple[bytes, bytes]]
MAX_BODY_BYTES = 8 * 1024 * 1024


class Faults(msgspec.Struct, frozen=True):
    """How often each thing goes wrong, of 1; the rest is answered well."""

    unavailable: float = 0.0  # 503
    limited: float = 0.0  # 429
    dropped: float = 0.0  # the connection breaks in the middle of the answer
    truncated: float = 0.0  # a stream ends without its terminal event


STEADY, FLAKY = Faults(unavailable=0.004), Faults(unavailable=0.10, limited=0.06, dropped=0.03, truncated=0.05)


class Dropped(Exception):
    """Makes the server break the connection."""


class Provider:
    """An ASGI app that answers POST /v1/chat/completions and GET /v1/models."""

    def __init__(self, faults: Faults, pause_s: float, seed: int) -> None:
        self.faults, self.pause_s, self.dice = faults, pause_s, random.Random(seed)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if scope["path"].endswith("/models"):
            await _json(send, 200, {"object": "list", "data": []})
            return
        request = json.loads(await _body(receive))
        await asyncio.sleep(self.dice.expovariate(1 / self.pause_s))
        await self._answer(request, self._fault(bool(request.get("stream"))), send)

    def _fault(self, streamed: bool) -> str:
        names = [name for name in Faults.__struct_fields__ if streamed or name != "truncated"]
        weights = [getattr(self.faults, name) for name in names]
        return self.dice.choices([*names, ""], [*weights, 1 - sum(weights)])[0]

    async def _answer(self, request: dict[str, Any], fault: str, send: Send) -> None:
        if fault == "unavailable":
            await _error(send, 503, "server_error", "The server is overloaded.")
        elif fault == "limited":
            await _error(send, 429, "rate_limit_exceeded", "Rate limit reached.", [(b"retry-after", b"1")])
        elif request.get("stream"):
            await self._stream(request, fault, send)
        else:
            await _json(send, 200, answer(request, self.dice), is_cut=fault == "dropped")

    async def _stream(self, request: dict[str, Any], fault: str, send: Send) -> None:
        await send(_start(200, b"text/event-stream"))
        pieces = list(events(request, self.dice))
        for piece in pieces[: len(pieces) // 2] if fault else pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            await asyncio.sleep(self.pause_s / 20)
        if fault == "dropped":
            raise Dropped
        await send({"type": "http.response.body", "body": b""})


async def _body(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body") or len(body) > MAX_BODY_BYTES:
            return bytes(body)


async def _error(send: Send, status: int, code: str, text: str, headers: Headers | None = None) -> None:
    await _json(send, status, {"error": {"message": text, "type": code, "param": None, "code": code}}, headers)


async def _json(send: Send, status: int, value: Any, headers: Headers | None = None, is_cut: bool = False) -> None:
    body = json.dumps(value).encode()
    length = [(b"content-length", str(len(body)).encode()), *(headers or [])]
    await send(_start(status, b"application/json", length))
    if is_cut:
        await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
        raise Dropped
    await send({"type": "http.response.body", "body": body})


def _start(status: int, kind: bytes, headers: Headers | None = None) -> Message:
    return {"type": "http.response.start", "status": status, "headers": [(b"content-type", kind), *(headers or [])]}


async def serve(steady_port: int, flaky_port: int) -> None:
    """Serves both on 127.0.0.1 until SIGTERM."""
    apps = (Provider(STEADY, 0.25, seed=1), steady_port), (Provider(FLAKY, 0.6, seed=2), flaky_port)
    await asyncio.gather(*(_serve(app, port) for app, port in apps))


async def _serve(app: Provider, port: int) -> None:
    config = uvicorn.Config(app, port=port, log_level="critical", lifespan="off", timeout_graceful_shutdown=1)
    await uvicorn.Server(config).serve()


if __name__ == "__main__":
    watch_parent()
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2])))
