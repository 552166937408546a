"""Connections to providers, opened when there is none, kept for the next request of the same origin."""

import asyncio
import socket
import ssl
import time
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import aiohappyeyeballs

from collector.intake.gateway.http1 import Connection

KEEP_ALIVE_S = 30.0  # shorter than the idle times of the usual load balancers
DNS_CACHE_S = 60.0
HAPPY_EYEBALLS_S = 0.25  # RFC 8305, section 5
_PORTS = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """Where connections go."""

    scheme: str
    host: str
    port: int


class Target(NamedTuple):
    """An address taken apart: where to connect, what to name in Host and what to ask for."""

    origin: Origin
    host_header: str
    path: str


class NoConnection(Exception):
    """No connection came about; `cause` is why."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


def target_of(url: str) -> Target:
    """The target of an http or https address. Raises ValueError for any other."""
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname or parts.username is not None:
        raise ValueError(f"{url[:100]!r} is not an http or https address without a user name")
    host = parts.hostname.encode("idna").decode() if not parts.hostname.isascii() else parts.hostname
    path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    if not path.isascii() or any(c.isspace() for c in path):
        raise ValueError(f"{url[:100]!r} has a space or a letter in its path that has to be percent-encoded")
    shown = f"[{host}]" if ":" in host else host
    origin = Origin(parts.scheme, host, parts.port or _PORTS[parts.scheme])
    default = origin.port == _PORTS[parts.scheme]
    return Target(origin, shown if default else f"{shown}:{origin.port}", path)


class Pool:
    """The connections of one event loop."""

    def __init__(self, connect_timeout_s: float, max_header_bytes: int, tls: ssl.SSLContext | None = None) -> None:
        self._connect_timeout_s = connect_timeout_s
        self._max_header_bytes = max_header_bytes
        self._idle: dict[Origin, list[Connection]] = {}
        self._addresses: dict[Origin, tuple[float, list[Any]]] = {}
        self._tls = tls  # made at the first use: it reads all certificates
        self._sweep: asyncio.TimerHandle | None = None

    async def take(self, origin: Origin) -> Connection:
        """A connection that was used before, the latest first, or a new one. Raises NoConnection."""
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            now = time.monotonic()
            if connection.is_open and now - connection.idle_since < KEEP_ALIVE_S:
                connection.taken_at = now
                return connection
            connection.close()
        return await self._connect(origin)

    def give_back(self, origin: Origin, connection: Connection) -> None:
        """Keep a connection whose answer is done for the next request; any other is closed."""
        if not connection.reusable:
            connection.close()
            return
        connection.idle_since = time.monotonic()
        self._idle.setdefault(origin, []).append(connection)
        if self._sweep is None:
            self._sweep = asyncio.get_running_loop().call_later(KEEP_ALIVE_S, self._drop_old)

    def close(self) -> None:
        """Close the connections that nobody uses."""
        if self._sweep is not None:
            self._sweep.cancel()
        for connections in self._idle.values():
            for connection in connections:
                connection.close()
        self._idle.clear()

    def _drop_old(self) -> None:
        oldest = time.monotonic() - KEEP_ALIVE_S
        for origin, connections in list(self._idle.items()):
            kept = [each for each in connections if each.is_open and each.idle_since > oldest]
            for connection in set(connections).difference(kept):
                connection.close()
            if kept:
                self._idle[origin] = kept
            else:
                del self._idle[origin]
        again = asyncio.get_running_loop().call_later
        self._sweep = again(KEEP_ALIVE_S, self._drop_old) if self._idle else None

    async def _connect(self, origin: Origin) -> Connection:
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                return await self._opened(origin)
        except (OSError, ValueError) as error:  # TimeoutError, gaierror and SSLError are OSErrors
            self._addresses.pop(origin, None)
            raise NoConnection(error) from error

    async def _opened(self, origin: Origin) -> Connection:
        loop = asyncio.get_running_loop()
        addresses = await self._resolve(loop, origin)
        sock = await aiohappyeyeballs.start_connection(addresses, happy_eyeballs_delay=HAPPY_EYEBALLS_S, loop=loop)
        secure = origin.scheme == "https"
        try:
            _, connection = await loop.create_connection(
                lambda: Connection(loop, self._max_header_bytes),
                sock=sock,
                ssl=self._context() if secure else None,
                server_hostname=origin.host if secure else None,
            )
        except BaseException:
            sock.close()
            raise
        return connection

    async def _resolve(self, loop: asyncio.AbstractEventLoop, origin: Origin) -> list[Any]:
        known = self._addresses.get(origin)
        if known is not None and time.monotonic() - known[0] < DNS_CACHE_S:
            return known[1]
        found = await loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
        self._addresses[origin] = time.monotonic(), found
        return found

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls
