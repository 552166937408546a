"""A stream after its first event: from the provider's connection through its passage to the client, without a task.

One call for each chunk that arrives, from the loop's callback: waking a task for it costs more than all that is done
with it.
"""

import asyncio

from collector.intake.gateway.outlet import Outlet
from collector.intake.gateway.stream import Passage
from collector.intake.gateway.upstream import Answer, UpstreamFailed


class Flow:
    """Runs until the passage has ended, the answer has, or the call is cut short.

    `rest` is what came with the end: it goes out with the event that ends the stream, once that may go.
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
                self.rest = out
                self._end(None)
            elif out:
                self._outlet.write(out)
        except Exception as error:  # of our own: told to the task, which would not hear of it otherwise
            self._end(error)

    def _end(self, error: Exception | None) -> None:
        self._answer.stop()
        if self._ended.done():
            return
        if error is None and not self._passage.ended:
            self.rest = self._passage.finish()
        self._ended.set_result(error)
