"""The client side towards providers, behind a small interface so that a faster one can take its place."""

import ssl
import zlib
from types import TracebackType

import aiohttp
from yarl import URL

from collector.settings import Settings

KEEP_ALIVE_S = 30.0
DNS_CACHE_S = 60
_WINDOW = zlib.MAX_WBITS | 32  # gzip or zlib, told apart by their header
_MAX_UNPACKED_BYTES = 16 * 1024 * 1024  # of one chunk
_AUTOMATIC = ("Accept", "Accept-Encoding", "User-Agent", "Content-Type")


class UpstreamFailed(Exception):
    """No answer, or none to its end. `failure` is a word of core.outcomes.Facts."""

    def __init__(self, failure: str, error_type: str) -> None:
        super().__init__(error_type)
        self.failure = failure
        self.error_type = error_type


# The first that fits; the words are recorded as the attempt's error type.
FAILURES: tuple[tuple[type[Exception], str, str], ...] = (
    (aiohttp.ClientSSLError, "tls", "tls_failed"),
    (ssl.SSLError, "tls", "tls_failed"),
    (aiohttp.ConnectionTimeoutError, "timeout", "connect_timeout"),
    (TimeoutError, "timeout", "timeout"),
    (aiohttp.ClientConnectorError, "connect", "connect_failed"),
    (aiohttp.InvalidURL, "connect", "connect_failed"),
    (aiohttp.ClientPayloadError, "disconnect", "disconnected"),
    (aiohttp.ServerDisconnectedError, "disconnect", "disconnected"),
    (aiohttp.ClientResponseError, "malformed", "malformed_answer"),
    (aiohttp.ClientError, "disconnect", "disconnected"),
    (OSError, "disconnect", "disconnected"),
    (zlib.error, "malformed", "malformed_encoding"),
)


class Answer:
    """An answer whose head has arrived. `header` names are asked in lower case."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self._unpack = _unpacker(response.headers.get("Content-Encoding"))
        self.status = response.status
        self.raw_headers = response.raw_headers

    def header(self, name: str) -> str:
        return self._response.headers.get(name, "")

    async def chunk(self) -> bytes:
        """The next bytes as they arrive, empty at the end. Raises UpstreamFailed."""
        try:
            while data := await self._response.content.readany():
                if plain := self._unpack(data) if self._unpack else data:
                    return plain
        except _RAISED as error:
            raise _failed(error) from None
        return b""

    async def whole(self, max_bytes: int) -> bytes:
        """The whole body. Raises UpstreamFailed, also where it is longer than `max_bytes`."""
        body = await self.chunk()
        if not body or self._response.content.at_eof():
            return self._bounded(body, max_bytes)
        pieces, length = [body], len(body)
        while piece := await self.chunk():
            pieces.append(piece)
            length += len(piece)
            if length > max_bytes:
                break
        return self._bounded(b"".join(pieces), max_bytes)

    def _bounded(self, body: bytes, max_bytes: int) -> bytes:
        if len(body) > max_bytes:
            self.drop()
            raise UpstreamFailed("malformed", "answer_too_large")
        return body

    def release(self) -> None:
        """Done with it: the connection is kept when the answer was read to its end, else closed."""
        self._response.release()

    def drop(self) -> None:
        """Close the connection, so that the provider stops working for nobody."""
        self._response.close()


class Upstream:
    """One pool of connections for all providers; an asynchronous context manager."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._urls: dict[str, URL] = {}

    async def __aenter__(self) -> "Upstream":
        limit = self._settings.limits.max_concurrent_calls
        connector = aiohttp.TCPConnector(limit=limit, ttl_dns_cache=DNS_CACHE_S, keepalive_timeout=KEEP_ALIVE_S)
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._settings.connect_timeout_s),
            skip_auto_headers=_AUTOMATIC,
            trust_env=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def post(self, url: str, headers: dict[str, str], body: bytes) -> Answer:
        """Send a request; returns when the answer's head is there. Raises UpstreamFailed."""
        known = self._urls.get(url)
        if known is None:
            known = self._urls[url] = URL(url)
        try:
            return Answer(await self._session.post(known, data=body, headers=headers, allow_redirects=False))
        except _RAISED as error:
            raise _failed(error) from None


_RAISED = (*(kind for kind, _, _ in FAILURES), ValueError)


def _failed(error: Exception) -> UpstreamFailed:
    fitting = ((failure, error_type) for kind, failure, error_type in FAILURES if isinstance(error, kind))
    return UpstreamFailed(*next(fitting, ("malformed", "malformed_answer")))


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


def _unpacker(encoding: str | None) -> _Unpacker | None:
    return _Unpacker() if encoding and encoding.strip().lower() in ("gzip", "x-gzip", "deflate") else None
