"""The client's side of one request over raw ASGI, and the one way in which a running call is cut short."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from collector.intake.gateway.admission import too_large
from collector.intake.gateway.errors import Refusal
from collector.intake.gateway.outlet import Direct, Line, Outlet, Queued
from collector.settings import Limits

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
HeaderList = list[tuple[bytes, bytes]]

LINE = "callmeter.line"  # the extension of a scope that is its `outlet.Line`
JSON_TYPE = (b"content-type", b"application/json")


class ClientGone(Exception):
    """The client left: there is nobody to answer."""


class Ending:
    """Cancels the task that runs a call, for a reason: "left", "slow", "timeout"; the first one stands.

    A cancellation without a reason comes from outside: the gateway stops. Once `sealed`, nothing cancels any more.
    """

    __slots__ = ("_task", "reason", "sealed")

    def __init__(self) -> None:
        self._task = asyncio.current_task()
        self.reason: str | None = None
        self.sealed = False

    def end(self, reason: str) -> None:
        """Cut the call short, unless it is already, or is past it."""
        if self.reason is None and not self.sealed and self._task is not None:
            self.reason = reason
            self._task.cancel()

    def abandon(self) -> None:
        """End the task although it is past being cut short: all that is left is a client that does not read."""
        if self._task is not None:
            self._task.cancel()

    def taken(self) -> str:
        """Why the task was cancelled, asked where the cancellation is caught; it may then be cut short again."""
        reason, self.reason = self.reason, None
        if reason is not None and self._task is not None:
            self._task.uncancel()
        return reason or "stop"


class Client:
    """Who asked, and how they are answered."""

    __slots__ = ("_line", "_receive", "_send", "_watch", "also", "headers", "query", "sent", "sent_headers", "status")

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._line: Line | None = scope.get("extensions", {}).get(LINE)
        self.sent_headers: HeaderList = scope["headers"]
        self.headers = dict(self.sent_headers)
        self.query: bytes = scope.get("query_string", b"")
        self.also: HeaderList = []  # headers that every answer gets
        self.status: int | None = None  # what was answered
        self.sent = False  # to the end
        self._watch: asyncio.Task[None] | None = None

    async def body(self, limits: Limits, timeout_s: float) -> bytes:
        """The whole body. Raises ClientGone, and Refusal where it is too large (413) or too slow (408)."""
        body = self._line.whole_body() if self._line is not None else None
        if body is None:
            body = await self._received(limits, timeout_s)
        if len(body) > limits.max_body_bytes:
            raise too_large(len(body), limits)
        return body

    async def _received(self, limits: Limits, timeout_s: float) -> bytes:
        pieces: list[bytes] = []
        try:
            async with asyncio.timeout(timeout_s):
                message = await self._last_of(pieces, limits.max_body_bytes)
        except TimeoutError:
            told = f"the body had not arrived after {timeout_s:g} seconds: send it faster"
            raise Refusal(408, "timeout", told) from None
        if message["type"] != "http.request":
            raise ClientGone
        return b"".join(pieces)

    async def _last_of(self, pieces: list[bytes], max_bytes: int) -> Message:
        length = 0
        while True:
            message = await self._receive()
            pieces.append(message.get("body", b""))
            length += len(pieces[-1])
            if not message.get("more_body") or length > max_bytes:
                return message

    def watch(self, ending: Ending) -> None:
        """From now on, end the call when the client leaves."""
        self._watch = asyncio.get_running_loop().create_task(self._wait_for_leave(ending))

    def unwatch(self) -> None:
        """Stop watching; the call is over."""
        if self._watch is not None:
            self._watch.cancel()

    async def start(self, status: int, headers: HeaderList, piece: bytes) -> None:
        """Begin an answer of unknown length with its first piece. Raises ClientGone."""
        headers = [*headers, *self.also]
        self.status = status
        if self._line is None or not self._line.write_start(status, headers, piece):
            await self._out({"type": "http.response.start", "status": status, "headers": headers})
            await self.more(piece)

    async def more(self, body: bytes) -> None:
        """A piece of the answer. Raises ClientGone."""
        await self._out({"type": "http.response.body", "body": body, "more_body": True})

    def outlet(self) -> Outlet:
        """Where the pieces of a stream go after `start`."""
        return Queued(self.more) if self._line is None else Direct(self._line)

    async def last(self, body: bytes) -> None:
        """The last piece. Raises ClientGone."""
        if self._line is None or not self._line.write_end(body):
            await self._out({"type": "http.response.body", "body": body, "more_body": False})
        self.sent = True

    async def answer(self, status: int, headers: HeaderList, body: bytes) -> None:
        """A whole answer. Raises ClientGone."""
        headers = [*headers, (b"content-length", b"%d" % len(body)), *self.also]
        self.status = status
        if self._line is None or not self._line.write_whole(status, headers, body):
            await self._out({"type": "http.response.start", "status": status, "headers": headers})
            await self._out({"type": "http.response.body", "body": body, "more_body": False})
        self.sent = True

    async def answer_early(self, status: int, headers: HeaderList, body: bytes) -> None:
        """A whole answer, the last one to this client: what it goes on to send is not wanted. Raises ClientGone."""
        early = [*headers, (b"content-length", b"%d" % len(body)), *self.also]
        if self._line is not None and self._line.write_early(status, early, body):
            self.status, self.sent = status, True
        else:
            await self.answer(status, [*headers, (b"connection", b"close")], body)

    async def _out(self, message: Message) -> None:
        try:
            await self._send(message)
        except OSError as error:
            raise ClientGone from error

    async def _wait_for_leave(self, ending: Ending) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        ending.end("left")
