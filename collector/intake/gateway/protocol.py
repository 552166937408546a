"""uvicorn's protocol, whose answers are written at the end of a turn of the loop, streams without a message a piece."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from collector.intake.gateway.exchange import LINE
from collector.intake.gateway.heads import Guarded
from collector.intake.gateway.outlet import Headers, Hold


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


class RequestLine:
    """The `outlet.Line` of one request."""

    __slots__ = ("_cycle", "_protocol")

    def __init__(self, protocol: "Protocol", cycle: RequestResponseCycle) -> None:
        self._protocol = protocol
        self._cycle = cycle

    def whole_body(self) -> bytes | None:
        cycle = self._cycle
        if cycle.more_body or cycle.disconnected or cycle.waiting_for_100_continue:
            return None
        body, cycle.body = bytes(cycle.body), bytearray()
        cycle.message_event.clear()
        self._protocol.flow.resume_reading()
        return body

    def write_whole(self, status: int, headers: Headers, body: bytes) -> bool:
        cycle, protocol = self._cycle, self._protocol
        if cycle.response_started or cycle.disconnected or not cycle.keep_alive or protocol.flow.write_paused:
            return False
        pieces = [STATUS_LINE[status]]
        for name, value in (*cycle.default_headers, *headers):
            pieces += (name, b": ", value, b"\r\n")
        head = b"".join(pieces)
        if not _is_plain(head, len(pieces) // 4 + 1) or cycle.scope["method"] == "HEAD":
            return False
        cycle.response_started = cycle.response_complete = True
        cycle.message_event.set()
        protocol.transport.write_now(b"%b\r\n%b" % (head, body))  # type: ignore[attr-defined]
        cycle.on_response()
        return True

    def write_piece(self, body: bytes) -> None:
        self._protocol.transport.write_now(b"%x\r\n%b\r\n" % (len(body), body))  # type: ignore[attr-defined]

    def held_by(self, hold: Hold | None) -> None:
        self._protocol.on_pressure = hold


class Protocol(Guarded):
    """What `uvicorn.Config(http=...)` takes; it gives each request its line."""

    on_pressure: Hold | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(_TurnEnd(self.loop, transport))  # type: ignore[arg-type]

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self.scope["extensions"] = {LINE: RequestLine(self, self.cycle)}  # type: ignore[dict-item]

    def pause_writing(self) -> None:
        super().pause_writing()
        if self.on_pressure is not None:
            self.on_pressure(True)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.on_pressure is not None:
            self.on_pressure(False)


def _is_plain(head: bytes, lines: int) -> bool:
    """Whether a head has no other line than those that were meant, nor asks for what `send` has to see to."""
    return head.count(b"\n") == head.count(b"\r") == lines and b"\0" not in head and b"\nconnection: " not in head
