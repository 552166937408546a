"""uvicorn's protocol, whose answers are written at the end of a turn of the loop, streams without a message a piece."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from collector.intake.gateway.exchange import LINE
from collector.intake.gateway.outlet import Hold


class _TurnEnd:
    """A transport that writes in one piece, after a turn's other work, what was written in a turn of the loop.

    The head of an answer goes out with its body: fewer packets, and fewer wake-ups of whoever reads them.
    """

    __slots__ = ("_loop", "_pieces", "_transport", "get_extra_info", "is_closing", "pause_reading", "resume_reading")

    def __init__(self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport) -> None:
        self._loop = loop
        self._transport = transport
        self._pieces: list[bytes] = []
        self.get_extra_info = transport.get_extra_info
        self.is_closing = transport.is_closing
        self.pause_reading = transport.pause_reading
        self.resume_reading = transport.resume_reading

    def write(self, data: bytes) -> None:
        if not self._pieces:
            self._loop.call_soon(self._flush)
        self._pieces.append(data)

    def write_now(self, data: bytes) -> None:
        """Without waiting for the turn's end, unless something waits for it already."""
        if self._pieces:
            self._pieces.append(data)
        elif not self._transport.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._pieces and not self._transport.is_closing():
            self._transport.write(b"".join(self._pieces))
        self._pieces = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class Protocol(HttpToolsProtocol):
    """What `uvicorn.Config(http=...)` takes. It is the `outlet.Line` of its requests, one after the other."""

    on_pressure: Hold | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(_TurnEnd(self.loop, transport))  # type: ignore[arg-type]

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {LINE: self}  # type: ignore[dict-item]

    def write_piece(self, body: bytes) -> None:
        """One chunk of a body whose head went out without a length."""
        self.transport.write_now(b"%x\r\n%b\r\n" % (len(body), body))  # type: ignore[attr-defined]

    def pause_writing(self) -> None:
        super().pause_writing()
        if self.on_pressure is not None:
            self.on_pressure(True)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.on_pressure is not None:
            self.on_pressure(False)
