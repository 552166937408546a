"""The head of a request while it arrives: bounded in bytes and in time, and refused in the gateway's own words.

uvicorn would wait for a head for ever, hold one of any size, add trailers to it, and lose the body of a request that
offers to switch protocols.
"""

import asyncio

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from collector.intake.gateway.errors import Problem, body_of
from collector.intake.gateway.lingering import Lingering
from collector.intake.gateway.operations import status_told, surface_of
from collector.settings import Limits

_UNREADABLE = Problem(400, "invalid_http", "this is not a request of HTTP/1.1: see to the client, or what is before it")
_FRAMING = (b"content-length", b"transfer-encoding")


class _Dropped(list[tuple[bytes, bytes]]):
    """Where trailers go: whoever judged the head has not seen them."""

    def append(self, _: tuple[bytes, bytes]) -> None:
        """Not kept."""


class _Body:
    """Parses nothing but the body of a request whose head was parsed before."""

    def __init__(self, protocol: HttpToolsProtocol) -> None:
        self.on_body = protocol.on_body
        self.on_message_complete = protocol.on_message_complete


class Guarded(HttpToolsProtocol):
    """uvicorn's protocol behind the limits `max_header_bytes` and `head_wait_s`."""

    limits = Limits()
    _is_in_head = False
    _head_bytes = 0
    _overdue: asyncio.TimerHandle | None = None
    _lingering: Lingering | None = None

    @classmethod
    def within(cls, limits: Limits) -> "type[Guarded]":
        """This protocol behind other limits."""
        return type(cls.__name__, (cls,), {"limits": limits})

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._head_came()
        if self._lingering is not None:
            self._lingering.end()

    def linger(self) -> None:
        """The last answer is written: close once its client has had the time to see it."""
        if self._lingering is None and not self.transport.is_closing():
            self._lingering = Lingering(self.loop, self.transport.close)

    def data_received(self, data: bytes) -> None:
        if self._lingering is not None:
            return self._lingering.forget(len(data))
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self._turn_away(_UNREADABLE)
        except httptools.HttpParserUpgrade as offer:
            self._decline(data[offer.args[0] :])
        if self._is_in_head:
            self._hold_head(len(data))

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_in_head, self._head_bytes = True, 0

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self.headers = _Dropped()
        self._head_came()

    def _head_came(self) -> None:
        self._is_in_head = False
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None

    def _expect_head(self) -> None:
        self._overdue = self.loop.call_later(self.limits.head_wait_s, self._give_up)

    def _hold_head(self, length: int) -> None:
        """A head has begun, and its end has not come with this data."""
        self._head_bytes += length
        if self._head_bytes > self.limits.max_header_bytes:
            most = self.limits.max_header_bytes
            message = f"the headers have more than max_header_bytes = {most} bytes: send fewer"
            self._turn_away(Problem(431, "headers_too_large", message))
        elif self._overdue is None and not self.transport.is_closing():
            self._expect_head()

    def _give_up(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._expect_head()
        elif self._is_in_head:
            waited = f"{self.limits.head_wait_s:g} seconds"
            self._turn_away(Problem(408, "timeout", f"the headers had not arrived after {waited}: send them faster"))
        else:
            self.transport.close()

    def _turn_away(self, problem: Problem) -> None:
        """Say why and hang up; without a word where an answer has begun."""
        self._head_came()
        cycle = self.cycle
        is_running = cycle is not None and not cycle.response_complete
        has_begun = is_running and cycle.response_started
        if not has_begun and not self.transport.is_closing():
            surface = surface_of(getattr(self, "url", b"").decode("latin-1"))
            body = body_of(problem, surface.error_shape)
            head = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body)
            self.transport.write(STATUS_LINE[status_told(surface, None, problem.status)] + head + body)
        if is_running:
            self.transport.close()
        else:
            self.linger()

    def _decline(self, rest: bytes) -> None:
        """Go on in HTTP/1.1 with a request that offers another protocol (RFC 9110, 7.8), and hang up after it."""
        self.cycle.keep_alive = False
        framing = [name + b": " + value for name, value in self.cycle.scope["headers"] if name in _FRAMING]
        self.cycle.more_body = bool(framing)
        self.parser = httptools.HttpRequestParser(_Body(self))
        try:
            self.parser.feed_data(b"\r\n".join([b"POST / HTTP/1.1", *framing, b"", b""]) + rest)
        except httptools.HttpParserError:
            self._turn_away(_UNREADABLE)
