"""uvicorn's protocol, with a shorter way for bodies that are there as a whole, and for the pieces of a stream."""

import asyncio
from collections.abc import Iterable

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from collector.intake.gateway.exchange import LINE
from collector.intake.gateway.heads import Guarded
from collector.intake.gateway.outlet import Header, Headers, Hold

_CHUNKED = (b"transfer-encoding", b"chunked")


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
        head = self._head(status, headers)
        if head is None:
            return False
        self._protocol.write_soon(b"%b\r\n%b" % (head, body))
        self._complete()
        return True

    def write_early(self, status: int, headers: Headers, body: bytes) -> bool:
        cycle = self._cycle
        if not cycle.more_body or cycle.waiting_for_100_continue:  # nothing more comes
            return False
        head = self._head(status, headers)
        if head is None:
            return False
        cycle.keep_alive = False
        self._protocol.write(b"%bconnection: close\r\n\r\n%b" % (head, body))
        self._complete()
        self._protocol.linger()
        return True

    def write_start(self, status: int, headers: Headers, piece: bytes) -> bool:
        head = self._head(status, (*headers, _CHUNKED))
        if head is None:
            return False
        self._cycle.chunked_encoding = True
        first = b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""
        self._protocol.write(b"%b\r\n%b" % (head, first))
        return True

    def write_piece(self, body: bytes) -> None:
        self._protocol.write(b"%x\r\n%b\r\n" % (len(body), body))

    def write_end(self, piece: bytes) -> bool:
        cycle = self._cycle
        if not cycle.chunked_encoding or cycle.response_complete or not self._is_free() or not piece:
            return False
        self._protocol.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(piece), piece))
        self._complete()
        return True

    def held_by(self, hold: Hold | None) -> None:
        self._protocol.on_pressure = hold
        if hold is not None and self._protocol.flow.write_paused:  # by what was written before
            hold(True)

    def _head(self, status: int, headers: Iterable[Header]) -> bytes | None:
        """A head to be written now, without its empty line; None where `send` has to see to it."""
        cycle = self._cycle
        if cycle.response_started or not self._is_free() or cycle.scope["method"] == "HEAD":
            return None
        pieces = [STATUS_LINE[status]]
        for name, value in (*cycle.default_headers, *headers):
            pieces += (name, b": ", value, b"\r\n")
        head = b"".join(pieces)
        if not _is_plain(head, len(pieces) // 4 + 1):
            return None
        cycle.response_started = True
        return head

    def _is_free(self) -> bool:
        """Whether what is written goes out, on a connection that is kept."""
        cycle = self._cycle
        return cycle.keep_alive and not cycle.disconnected and not self._protocol.flow.write_paused

    def _complete(self) -> None:
        self._cycle.response_complete = True
        self._cycle.message_event.set()
        self._cycle.on_response()


class Protocol(Guarded):
    """What `uvicorn.Config(http=...)` takes; it gives each request its line.

    uvicorn would wait for ever for a client that takes nothing of what it is sent: `client_wait_s` bounds that.
    """

    on_pressure: Hold | None = None
    _looks_again: asyncio.TimerHandle | None = None  # while the client is behind

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._caught_up()

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self.scope["extensions"] = {LINE: RequestLine(self, self.cycle)}  # type: ignore[dict-item]

    def shutdown(self) -> None:
        """The server stops: hang up, where no call runs, once all is written that was to be written soon."""
        self.loop.call_soon(super().shutdown)

    def write_soon(self, data: bytes) -> None:
        """Beside other calls after their work of this turn: whoever is woken by one answer then finds more."""
        if len(self.tasks) > 1:
            self.loop.call_soon(self.write, data)
        else:
            self.write(data)

    def write(self, data: bytes) -> None:
        """Nothing where the client has gone."""
        if not self.transport.is_closing():
            self.transport.write(data)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._look_later()
        if self.on_pressure is not None:
            self.on_pressure(True)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._caught_up()
        if self.on_pressure is not None:
            self.on_pressure(False)

    def _look_later(self) -> None:
        left = self.transport.get_write_buffer_size()
        self._looks_again = self.loop.call_later(self.limits.client_wait_s, self._look, left)

    def _look(self, left: int) -> None:
        if self.transport.get_write_buffer_size() == left:
            self.transport.abort()
        else:
            self._look_later()

    def _caught_up(self) -> None:
        if self._looks_again is not None:
            self._looks_again.cancel()
            self._looks_again = None


def _is_plain(head: bytes, lines: int) -> bool:
    """Whether a head has no other line than those that were meant, nor asks for what `send` has to see to."""
    return head.count(b"\n") == head.count(b"\r") == lines and b"\0" not in head and b"\nconnection: " not in head
