"""A stream after its first event: from the provider's connection through its passage to the client, without a task.

One call for each chunk that arrives, from the loop's callback: waking a task for it costs more than all that is done
with it.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from collector.intake.gateway.outlet import Outlet
from collector.intake.gateway.stream import Passage
from collector.intake.gateway.upstream import Answer, UpstreamFailed

REST_WAIT_S = 0.005  # for a record to be on the disk


class Flow:
    """Runs until the passage has ended, the answer has, or the call is cut short.

    `rest` is what came with the end and was not sent on yet: it goes out together with the event that ends the stream,
    unless that has to wait for long.
    """

    __slots__ = ("_answer", "_ended", "_outlet", "_passage", "rest")

    def __init__(self, answer: Answer, passage: Passage, outlet: Outlet) -> None:
        self._answer = answer
        self._passage = passage
        self._outlet = outlet
        self.rest = b""
        self._ended: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    async def run(self) -> UpstreamFailed | None:
        """Send on what follows the head. Gives what the provider failed with, None where it ended by itself.

        Raises ClientGone. Afterwards the answer can be read on.
        """
        if self._passage.ended:
            self._end(None)
        else:
            self._answer.pour(self._take, self._end)
        try:
            failed = await self._outlet.carry(self._ended, self._answer.hold)
        finally:
            self._answer.stop()
        if failed is None or isinstance(failed, UpstreamFailed):
            return failed
        raise failed

    def _take(self, chunk: bytes) -> None:
        try:
            out = self._passage.feed(chunk)
            if self._passage.ended:
                self._take_last(out)
                self._end(None)
            elif out:
                self._outlet.write(out)
        except Exception as error:  # of our own: told to the task, which would not hear of it otherwise
            self._end(error)

    @contextmanager
    def keeping_rest(self) -> Iterator[None]:
        """Within it `rest` is kept for REST_WAIT_S; it is sent on then, and where this is cut short."""
        slow = asyncio.get_running_loop().call_later(REST_WAIT_S, self._send_rest)
        try:
            yield
        except BaseException:
            self._send_rest()
            raise
        finally:
            slow.cancel()

    def _send_rest(self) -> None:
        if self.rest:
            self._outlet.write(self.rest)
            self.rest = b""

    def _take_last(self, out: bytes) -> None:
        self.rest = out
        if not self._outlet.writes_late:
            self._send_rest()

    def _end(self, error: Exception | None) -> None:
        self._answer.stop()
        if self._ended.done():
            return
        if error is None and not self._passage.ended:
            self._take_last(self._passage.finish())
        self._ended.set_result(error)
