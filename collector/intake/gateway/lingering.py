"""Closing a connection whose client still sends: what comes is read and forgotten for a while.

A connection that is closed with bytes unread is reset, and most clients then never see the answer that they were sent.
"""

import asyncio
from collections.abc import Callable

LINGER_S, IDLE_S = 10.0, 2.0
MOST_BYTES = 256 * 1024 * 1024
MOST_AT_ONCE = 100  # in one process; beyond them a connection is closed at once

_lingering: set["Lingering"] = set()


class Lingering:
    """Calls `close` after LINGER_S, when nothing has come for IDLE_S, or when MOST_BYTES have."""

    __slots__ = ("_close", "_due", "_idle", "_left", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop, close: Callable[[], None]) -> None:
        self._loop = loop
        self._close = close
        self._left = MOST_BYTES
        self._due = loop.call_later(LINGER_S, close)
        self._idle = loop.call_later(IDLE_S, close)
        _lingering.add(self)
        if len(_lingering) > MOST_AT_ONCE:
            close()

    def forget(self, length: int) -> None:
        """So many bytes have come."""
        self._left -= length
        self._idle.cancel()
        if self._left < 0:
            self._close()
        else:
            self._idle = self._loop.call_later(IDLE_S, self._close)

    def end(self) -> None:
        """The connection is lost."""
        self._due.cancel()
        self._idle.cancel()
        _lingering.discard(self)
