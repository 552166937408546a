"""Where the body of a stream goes out to its client: piece by piece, without waiting for each."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

HIGH_WATER_BYTES = 64 * 1024  # not yet sent, above which the provider is made to wait

Header = tuple[bytes, bytes]
Headers = list[Header]
Hold = Callable[[bool], None]
More = Callable[[bytes], Awaitable[None]]


class Line(Protocol):
    """What a server may offer one request beside ASGI's `receive` and `send`: bodies without a message a piece."""

    def whole_body(self) -> bytes | None:
        """The body of the request, once; None where all of it is not there yet."""

    def write_whole(self, status: int, headers: Headers, body: bytes) -> bool:
        """Write a whole answer; False, with nothing written, where that has to go through `send`."""

    def write_early(self, status: int, headers: Headers, body: bytes) -> bool:
        """Write a whole answer to a request that is still being sent, and read no other; False as above."""

    def write_start(self, status: int, headers: Headers, piece: bytes) -> bool:
        """Write a head and the first piece of a body of unknown length; False as above."""

    def write_piece(self, body: bytes) -> None:
        """Write another piece of such a body, or nothing where the client has gone."""

    def write_end(self, piece: bytes) -> bool:
        """Write the last piece of such a body and its end; False as above."""

    def held_by(self, hold: Hold | None) -> None:
        """From now on `hold` is called with True when the client reads too slowly, with False when it has caught up."""


class Outlet(Protocol):
    """`write` never waits; `carry` does, until the stream has `ended` and all of it has gone on its way.

    `writes_late`: what is written once `carry` has ended still goes out.
    """

    writes_late: bool

    def write(self, body: bytes) -> None: ...

    async def carry(self, ended: "asyncio.Future[Exception | None]", hold: Hold) -> Exception | None:
        """Gives what the stream ended with; `hold` is told to make the provider wait. Raises ClientGone."""


class Direct:
    """Writes on the server's line."""

    writes_late = True
    __slots__ = ("_line", "write")

    def __init__(self, line: Line) -> None:
        self._line = line
        self.write = line.write_piece

    async def carry(self, ended: "asyncio.Future[Exception | None]", hold: Hold) -> Exception | None:
        self._line.held_by(hold)
        try:
            return await ended
        finally:
            self._line.held_by(None)


class Queued:
    """Keeps pieces until ASGI's `send` takes them."""

    writes_late = False

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
