"""A relay that does nothing else: uvicorn and aiohttp, as fast as these two are. What Python costs by itself.

python -m tests.benchmarks.bare PORT ORIGIN      needs aiohttp
"""

import sys
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import uvicorn

Message = dict[str, Any]


class Bare:
    """Takes a request whole, and passes on what comes back as it comes."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._session: aiohttp.ClientSession | None = None

    async def __call__(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        if self._session is None:
            self._session = aiohttp.ClientSession(auto_decompress=False)
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        url, headers = self._origin + scope["path"], {"content-type": "application/json"}
        async with self._session.post(url, data=body, headers=headers) as answer:
            kept = [(k.lower(), v) for k, v in answer.raw_headers if k.lower() in (b"content-type", b"content-length")]
            await send({"type": "http.response.start", "status": answer.status, "headers": kept})
            async for piece in answer.content.iter_any():
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})


if __name__ == "__main__":
    uvicorn.run(Bare(sys.argv[2]), port=int(sys.argv[1]), lifespan="off", access_log=False, log_level="error")
