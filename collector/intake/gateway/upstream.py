"""The client side towards providers, behind a small interface: post, then the answer in chunks."""

import ssl
import time
import zlib
from collections.abc import Callable
from types import TracebackType

from collector.intake.gateway.http1 import Connection, MalformedAnswer, request_head
from collector.intake.gateway.pool import NoConnection, Origin, Pool, Target, target_of
from collector.settings import Settings

STALE_S = 1.0  # within which it shows that a connection had been closed while it was idle
_WINDOW = zlib.MAX_WBITS | 32  # gzip or zlib, told apart by their header
_MAX_UNPACKED_BYTES = 16 * 1024 * 1024  # of one chunk


class UpstreamFailed(Exception):
    """No answer, or none to its end. `failure` is a word of core.outcomes.Facts."""

    def __init__(self, failure: str, error_type: str) -> None:
        super().__init__(error_type)
        self.failure = failure
        self.error_type = error_type


# The first that fits; the words are recorded as the attempt's error type.
CONNECT_FAILURES: tuple[tuple[type[Exception], str, str], ...] = (
    (ssl.SSLError, "tls", "tls_failed"),
    (TimeoutError, "timeout", "connect_timeout"),
    (Exception, "connect", "connect_failed"),
)
FAILURES: tuple[tuple[type[Exception], str, str], ...] = (
    (ssl.SSLError, "tls", "tls_failed"),
    (TimeoutError, "timeout", "timeout"),
    (OSError, "disconnect", "disconnected"),
    (MalformedAnswer, "malformed", "malformed_answer"),
    (zlib.error, "malformed", "malformed_encoding"),
)
_RAISED: tuple[type[Exception], ...] = tuple(kind for kind, _, _ in FAILURES)


class Answer:
    """An answer whose head has arrived. Header names are in lower case."""

    __slots__ = ("_connection", "_origin", "_pool", "_unpack", "raw_headers", "status")

    def __init__(self, connection: Connection, pool: Pool, origin: Origin) -> None:
        self._connection = connection
        self._pool = pool
        self._origin = origin
        self.status = connection.status
        self.raw_headers = connection.headers
        self._unpack = _unpacker(self.header("content-encoding"))

    @property
    def ended(self) -> bool:
        """Whether its end has arrived; there may be bytes left to read."""
        return self._connection.done

    def header(self, name: str) -> str:
        """A header's value, empty where it is absent."""
        wanted = name.encode()
        for known, value in self.raw_headers:
            if known == wanted:
                return value.decode("latin-1")
        return ""

    async def chunk(self) -> bytes:
        """The next bytes as they arrive, empty at the end. Raises UpstreamFailed."""
        try:
            while data := await self._connection.chunk():
                if plain := self._unpack(data) if self._unpack else data:
                    return plain
        except _RAISED as error:
            raise _failed(error, FAILURES) from None
        return b""

    def pour(self, take: Callable[[bytes], None], end: Callable[[Exception | None], None]) -> None:
        """From now on give what comes to `take`, what has come at once, and its end to `end`, once.

        `end` is told of an UpstreamFailed, None where the answer is complete. `stop` undoes it.
        """

        def told(error: Exception | None) -> None:
            end(_failed(error, FAILURES) if isinstance(error, _RAISED) else error)

        self._connection.pour(take if self._unpack is None else self._unpacking(self._unpack, take, told), told)

    def stop(self) -> None:
        """What comes from now on waits for `chunk` again."""
        self._connection.stop()

    def hold(self, is_held: bool) -> None:
        """Make the provider wait, or no longer."""
        self._connection.hold(is_held)

    async def whole(self, max_bytes: int) -> bytes:
        """The whole body. Raises UpstreamFailed, also where it is longer than `max_bytes`."""
        if self.ended and self._unpack is None:
            body = self._connection.arrived()
            if len(body) <= max_bytes:
                return body
            raise self._too_large()
        pieces: list[bytes] = []
        length = 0
        while piece := await self.chunk():
            pieces.append(piece)
            length += len(piece)
            if length > max_bytes:
                raise self._too_large()
        return b"".join(pieces)

    def _too_large(self) -> UpstreamFailed:
        self.drop()
        return UpstreamFailed("malformed", "answer_too_large")

    def release(self) -> None:
        """Done with it: the connection is kept when the answer was read to its end, else closed."""
        self._pool.give_back(self._origin, self._connection)

    def _unpacking(
        self, unpack: "_Unpacker", take: Callable[[bytes], None], end: Callable[[Exception | None], None]
    ) -> Callable[[bytes], None]:
        def unpacked(data: bytes) -> None:
            try:
                plain = unpack(data)
            except zlib.error as error:
                self._connection.stop()
                end(error)
            else:
                if plain:
                    take(plain)

        return unpacked

    def drop(self) -> None:
        """Close the connection, so that the provider stops working for nobody."""
        self._connection.close()


class Upstream:
    """One pool of connections for all providers; an asynchronous context manager."""

    def __init__(self, settings: Settings, tls: ssl.SSLContext | None = None) -> None:
        self._pool = Pool(settings.connect_timeout_s, settings.limits.max_header_bytes, tls)
        self._targets: dict[str, Target] = {}

    async def __aenter__(self) -> "Upstream":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.close()

    async def post(self, url: str, headers: dict[str, str], body: bytes, at_once: bool = False) -> Answer:
        """Send a request (`at_once` as in `Connection.send`); returns when its answer's head is there.

        Raises UpstreamFailed.
        """
        target = self._targets.get(url) or self._target(url)
        try:
            head = request_head("POST", target.path, target.host_header, headers, len(body))
            connection = await self._asked(target.origin, head, body, at_once)
        except NoConnection as none:
            raise _failed(none.cause, CONNECT_FAILURES) from None
        except ValueError as error:
            raise _failed(error, CONNECT_FAILURES) from None
        except _RAISED as error:
            raise _failed(error, FAILURES) from None
        return Answer(connection, self._pool, target.origin)

    async def _asked(self, origin: Origin, head: bytes, body: bytes, at_once: bool) -> Connection:
        """A connection on which the answer to this request has begun.

        A provider may close an idle connection just when a request is on its way. Where not a byte came back on a
        connection that had been idle, the request is sent again on another one. The provider is at fault on a new one,
        and where it had the request for longer than such news travels.
        """
        while True:
            connection = await self._pool.take(origin)
            try:
                connection.send(head, body, at_once)
                await connection.head()
            except ConnectionError:
                connection.close()
                if connection.has_heard or time.monotonic() - connection.taken_at > STALE_S:
                    raise
            except BaseException:
                connection.close()
                raise
            else:
                return connection

    def _target(self, url: str) -> Target:
        try:
            target = self._targets[url] = target_of(url)
        except ValueError as error:
            raise _failed(error, CONNECT_FAILURES) from None
        return target


def _failed(error: Exception, table: tuple[tuple[type[Exception], str, str], ...]) -> UpstreamFailed:
    failure, error_type = next((f, told) for kind, f, told in table if isinstance(error, kind))
    return UpstreamFailed(failure, error_type)


class _Unpacker:
    """Undoes gzip or deflate that a provider used unasked; bytes that are not packed, as they should be, pass."""

    def __init__(self) -> None:
        self._packed: zlib._Decompress | None = None
        self._begun = False

    def __call__(self, data: bytes) -> bytes:
        if not self._begun:
            self._begun = True
            if data[:1] in (b"\x1f", b"\x78"):
                self._packed = zlib.decompressobj(_WINDOW)
        if self._packed is None:
            return data
        plain = self._packed.decompress(data, _MAX_UNPACKED_BYTES)
        if self._packed.unconsumed_tail:
            raise zlib.error(f"more than {_MAX_UNPACKED_BYTES} bytes in one chunk")
        return plain


def _unpacker(encoding: str) -> _Unpacker | None:
    return _Unpacker() if encoding.strip().lower() in ("gzip", "x-gzip", "deflate") else None
