"""Group commit: who waits while a sync runs shares the next one; no one is released before the sync that covers it."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable

from collector.core.errors import JournalFailed

Release = Callable[[JournalFailed | None], None]


class GroupCommit:
    """One thread that syncs for all who wait, and ticks once every `tick_s` seconds.

    `flush` makes durable all that was appended before it is called; it raises JournalFailed. A loop wakes the
    thread once in each of its turns, at the end: every sync costs the loop's thread a turn.
    """

    def __init__(
        self,
        flush: Callable[[], None],
        tick: Callable[[], None],
        tick_s: float = 1.0,
    ) -> None:
        self._flush = flush
        self._tick = tick
        self._tick_s = tick_s
        self._wake = threading.Condition(threading.Lock())
        self._waiting: list[Release] = []
        self._async_waiting: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
        self._stopping = False
        self._next_tick = time.monotonic() + tick_s
        self._thread: threading.Thread | None = None

    @property
    def is_wanted(self) -> bool:
        """Whether someone waits for a sync that has not begun."""
        return bool(self._waiting or self._async_waiting)

    def start(self) -> None:
        """Begin to tick; does nothing when it has begun."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="journal-commit", daemon=True)
            self._thread.start()

    def wait(self) -> None:
        """Block until a sync that begins from now on is done. Raises JournalFailed."""
        done = threading.Event()
        failures: list[JournalFailed | None] = []

        def release(failure: JournalFailed | None) -> None:
            failures.append(failure)
            done.set()

        with self._wake:
            self._waiting.append(release)
            self._wake.notify()
        done.wait()
        if failures[0] is not None:
            raise failures[0]

    def future(self) -> "asyncio.Future[None]":
        """A future of the running loop, done when a sync that begins from now on is; it may hold JournalFailed."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        with self._wake:
            waiting = self._async_waiting.get(loop)
            if waiting is None:
                self._async_waiting[loop] = [future]
                loop.call_soon(self._wake_thread)
            else:
                waiting.append(future)
        return future

    def _wake_thread(self) -> None:
        with self._wake:
            self._wake.notify()

    def stop(self) -> None:
        """Sync for those who still wait, then end the thread."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._commit()

    def _run(self) -> None:
        while not self._stopping:
            with self._wake:
                if not (self._waiting or self._async_waiting or self._stopping):
                    self._wake.wait(self._tick_s)
            self._commit()
            self._tick_when_due()
        self._commit()

    def _commit(self) -> None:
        with self._wake:
            waiting, self._waiting = self._waiting, []
            async_waiting, self._async_waiting = self._async_waiting, {}
        if not waiting and not async_waiting:
            return
        failure = self._failure_of_flush()
        for release in waiting:
            release(failure)
        for loop, futures in async_waiting.items():
            _release_on(loop, futures, failure)

    def _failure_of_flush(self) -> JournalFailed | None:
        try:
            self._flush()
        except JournalFailed as failure:
            return failure
        return None

    def _tick_when_due(self) -> None:
        now = time.monotonic()
        if now >= self._next_tick:
            self._next_tick = now + self._tick_s
            self._tick()


def _release_on(
    loop: asyncio.AbstractEventLoop, futures: list["asyncio.Future[None]"], failure: JournalFailed | None
) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed: no one waits there any more
        loop.call_soon_threadsafe(_release, futures, failure)


def _release(futures: list["asyncio.Future[None]"], failure: JournalFailed | None) -> None:
    for future in futures:
        if future.done():  # its waiter was cancelled
            continue
        if failure is None:
            future.set_result(None)
        else:
            future.set_exception(failure)
