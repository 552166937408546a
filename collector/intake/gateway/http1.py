"""One connection to a provider: HTTP/1.1 (RFC 9112), one request at a time, parsed by httptools.

A general client spends more time on one small answer than everything else the gateway does with it; the relay needs no
cookies, redirects, retries or decoding.
"""

import asyncio
from collections.abc import Callable, Mapping

import httptools

HIGH_WATER_BYTES = 256 * 1024  # unread, above which the provider is made to wait
Headers = list[tuple[bytes, bytes]]


class MalformedAnswer(Exception):
    """What came is no HTTP/1.1 answer."""


def request_head(method: str, target: str, host: str, headers: Mapping[str, str], body_bytes: int) -> bytes:
    """The head of a request. Raises ValueError for a header that would not stay within its line."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    text = "\r\n".join((*lines, f"Content-Length: {body_bytes}", "", ""))
    if text.count("\n") != len(lines) + 2 or text.count("\r") != len(lines) + 2 or "\0" in text:
        raise ValueError("a header holds a line break")
    return text.encode("latin-1")


class Connection(asyncio.Protocol):
    """Sends a request and gives its answer: `status` and `headers` after `head`, then the body in chunks.

    The body is asked for with `chunk`, or taken as it comes after `pour`.
    `done`: the answer has arrived to its end. `reusable`: and another request may follow it. `has_heard`: a byte of the
    answer has arrived. `idle_since`: when it was last given back, `taken_at`: and taken again, 0 for one that is new.
    """

    __slots__ = (
        "_arrived",
        "_body",
        "_buffered",
        "_end",
        "_failure",
        "_header_bytes",
        "_held_bytes",
        "_is_paused",
        "_loop",
        "_max_header_bytes",
        "_parser",
        "_take",
        "_transport",
        "_waiter",
        "done",
        "has_heard",
        "headers",
        "idle_since",
        "is_open",
        "on_body",
        "reusable",
        "status",
        "taken_at",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, max_header_bytes: int) -> None:
        self._loop = loop
        self._max_header_bytes = max_header_bytes
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._parser: httptools.HttpResponseParser | None = None  # until the first request
        self.is_open = False
        self.idle_since = self.taken_at = 0.0
        self._body: list[bytes] = []
        self.on_body = self._body.append  # called by the parser, for every chunk of the body
        self._reset()

    def _reset(self) -> None:
        self._body.clear()
        self._buffered = 0
        self._header_bytes = 0
        self._held_bytes = 0
        self._is_paused = False
        self._failure: Exception | None = None
        self._take: Callable[[bytes], None] | None = None
        self._end: Callable[[Exception | None], None] | None = None
        self._arrived = False  # the head, that of an answer and not of a notice such as 100 or 103
        self.status = 0
        self.headers: Headers = []
        self.has_heard = False
        self.done = False
        self.reusable = False

    def send(self, head: bytes, body: bytes, at_once: bool = False) -> None:
        """Send a request: `at_once`, or after the other work of this turn of the loop.

        A provider that was woken for one request then reads the rest, which pays where answers are short; a long one
        had better begin early. The answer before it must be done. Raises ConnectionError where it is closed.
        """
        if self._transport is None or not self.is_open:
            raise ConnectionResetError("the provider has hung up")
        self._reset()
        if self._parser is None:  # one for all answers: each has ended where the next begins
            self._parser = httptools.HttpResponseParser(self)
        if at_once:
            self._write(head + body)
        else:
            self._loop.call_soon(self._write, head + body)

    async def head(self) -> None:
        """Wait for status and headers. Raises MalformedAnswer and OSError."""
        while not self._arrived:
            await self._more()

    async def chunk(self) -> bytes:
        """What has come of the body since the last chunk, or comes next; empty at the end.

        Raises MalformedAnswer and OSError, after everything that had come before.
        """
        while not self._body:
            if self.done:
                return b""
            await self._more()
        return self.arrived()

    def arrived(self) -> bytes:
        """What has come of the body since the last chunk; empty where nothing has. The provider may go on."""
        self._buffered = 0
        self.hold(False)
        return self._taken()

    def pour(self, take: Callable[[bytes], None], end: Callable[[Exception | None], None]) -> None:
        """From now on give what comes of the body to `take`, what has come at once, and its end to `end`, once.

        `end` is told what `chunk` would raise, None where the answer is complete. `stop` undoes it.
        """
        self._take, self._end = take, end
        self._pour()

    def stop(self) -> None:
        """What comes from now on waits for `chunk` again."""
        self._take = self._end = None
        self.hold(False)

    def hold(self, is_held: bool) -> None:
        """Make the provider wait, or no longer."""
        if is_held != self._is_paused:
            self._pause(is_held)

    def close(self) -> None:
        """Hang up; the provider need not go on."""
        self.reusable = False
        self.is_open = False
        if self._transport is not None:
            self._transport.abort()

    # What asyncio tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        if self._parser is None or self.done:
            self.close()  # an answer to nothing
            return
        self.has_heard = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(MalformedAnswer(str(error)))
        if not self._arrived and self._failure is None:
            self._hold_head(len(data))
        if self._take is not None:
            self._pour()
            return
        if self._body:
            self._buffered += len(data)
            if self._buffered > HIGH_WATER_BYTES and not self.done:
                self.hold(True)
        self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        self.is_open = self.reusable = False
        if not self.done and self._arrived and error is None and self._failure is None and self._ends_with_connection():
            self.done = True
        elif not self.done and self._failure is None:
            self._failure = error or ConnectionResetError("the provider hung up")
        if self._take is None:
            self._wake()
        else:
            self._pour()

    # What the parser finds.

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > self._max_header_bytes:
            self._fail(MalformedAnswer("the headers of the answer are too large"))
        elif not self._arrived:  # after it they are trailers
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        assert self._parser is not None
        if self.done:
            raise MalformedAnswer("another answer follows the one that was asked for")
        self.status = self._parser.get_status_code()
        self._arrived = self.status >= 200 and self._failure is None

    def on_message_complete(self) -> None:
        if not self._arrived:
            self.headers = []
            return
        assert self._parser is not None
        assert self._transport is not None
        self.done = True
        keeps = self.is_open and self._failure is None and self._parser.should_keep_alive()
        self.reusable = bool(keeps) and not self._transport.get_write_buffer_size()  # an early answer leaves some

    def _hold_head(self, length: int) -> None:
        """The head has begun, and its end has not come with this data."""
        self._held_bytes += length
        if self._held_bytes > self._max_header_bytes:
            self._fail(MalformedAnswer("the head of the answer is too large"))

    def _pour(self) -> None:
        if self._body and self._take is not None:
            self._take(self._taken())
        if (self.done or self._failure is not None) and self._end is not None:
            end, self._take, self._end = self._end, None, None
            end(self._failure)

    def _taken(self) -> bytes:
        pieces = self._body
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        return body

    def _write(self, data: bytes) -> None:
        if self.is_open and self._transport is not None:
            self._transport.write(data)

    def _ends_with_connection(self) -> bool:
        return not any(name in (b"content-length", b"transfer-encoding") for name, _ in self.headers)

    def _pause(self, is_paused: bool) -> None:
        self._is_paused = is_paused
        if self._transport is None or not self.is_open:
            return
        if is_paused:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _fail(self, failure: Exception) -> None:
        self._failure = failure
        self.close()

    async def _more(self) -> None:
        if self._failure is not None:
            raise self._failure
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
