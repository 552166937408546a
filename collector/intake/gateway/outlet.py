"""Where the body of a stream goes out to its client: piece by piece, without waiting for each."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

HIGH_WATER_BYTES = 64 * 1024  # not yet sent, above which the provider is made to wait

Hold = Callable[[bool], None]
More = Callable[[bytes], Awaitable[None]]


class Line(Protocol):
    """What a server may offer beside ASGI's `send`: a body of unknown length written as it comes.

    `on_pressure` is called with True when the client reads too slowly and with False when it has caught up.
    """

    on_pressure: Hold | None

    def write_piece(self, body: bytes) -> None:
        """Write a piece, or nothing where the client has gone."""


class Outlet(Protocol):
    """`write` never waits; `carry` does, until the stream has `ended` and all of it has gone on its way."""

    def write(self, body: bytes) -> None: ...

    async def carry(self, ended: "asyncio.Future[Exception | None]", hold: Hold) -> Exception | None:
        """Gives what the stream ended with; `hold` is told to make the provider wait. Raises ClientGone."""


class Direct:
    """Writes on the server's line."""

    __slots__ = ("_line", "write")

    def __init__(self, line: Line) -> None:
        self._line = line
        self.write = line.write_piece

    async def carry(self, ended: "asyncio.Future[Exception | None]", hold: Hold) -> Exception | None:
        self._line.on_pressure = hold
        try:
            return await ended
        finally:
            self._line.on_pressure = None


class Queued:
    """Keeps pieces until ASGI's `send` takes them."""

    __slots__ = ("_changed", "_hold", "_kept", "_more", "_pieces")

    def __init__(self, more: More) -> None:
        self._more = more
        self._pieces: list[bytes] = []
        self._kept = 0
        self._hold: Hold | None = None
        self._changed = asyncio.Event()

    def write(self, body: bytes) -> None:
        self._pieces.append(body)
        self._kept += len(body)
        self._changed.set()
        if self._kept > HIGH_WATER_BYTES and self._hold is not None:
            self._hold(True)

    async def carry(self, ended: "asyncio.Future[Exception | None]", hold: Hold) -> Exception | None:
        self._hold = hold
        ended.add_done_callback(lambda _: self._changed.set())
        while self._pieces or not ended.done():
            await self._changed.wait()
            self._changed.clear()
            while self._pieces:
                await self._more(self._taken())
            hold(False)
        return ended.result()

    def _taken(self) -> bytes:
        body = b"".join(self._pieces)
        self._pieces.clear()
        self._kept = 0
        return body
