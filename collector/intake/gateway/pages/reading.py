"""Runs the handlers of pages in threads of their own, a bounded number of them, so that no call waits for a page."""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor

from collector.core.errors import CallmeterError
from collector.intake.gateway.errors import Refusal
from collector.intake.gateway.exchange import Client
from collector.intake.gateway.pages.served import Asked, Reply, Sources
from collector.intake.gateway.pages.table import Page, handler_of

log = logging.getLogger("callmeter.gateway")
THREADS = 2  # the ledger has one reader's worth of work for each


class Reading:
    """One process's readers. A page that fails costs its reader an error, and nobody else anything."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._most = sources.settings.limits.max_waiting_pages
        self._waiting = 0
        self._threads: ThreadPoolExecutor | None = None

    async def answer(self, client: Client, page: Page, asked: Asked) -> None:
        """Make the page and send it. Raises Refusal, also where too many wait (503) and where making it failed."""
        if self._waiting >= self._most:
            message = f"{self._most} pages are being made (max_waiting_pages): try again"
            raise Refusal(503, "too_many_pages", message, retry_after="1")
        self._waiting += 1
        try:
            reply = await asyncio.get_running_loop().run_in_executor(self._pool(), self._made, page, asked)
        finally:
            self._waiting -= 1
        await client.answer(200, [(b"content-type", reply.content_type.encode()), *reply.headers], reply.body)

    def close(self) -> None:
        """Let go of the threads; what they still make is thrown away."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

    def _pool(self) -> ThreadPoolExecutor:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="pages")
        return self._threads

    def _made(self, page: Page, asked: Asked) -> Reply:
        try:
            return handler_of(page)(self._sources, asked)
        except Refusal:
            raise
        except CallmeterError as error:
            raise Refusal(503, "unavailable", str(error)) from None
        except Exception:
            log.exception("the page %s could not be made", page.path)
            raise Refusal(500, "page_failed", f"{page.path} could not be made: the gateway's log says why") from None
