"""A stream after its first event: from the provider's connection through its passage to the client, without a task.

One call for each chunk that arrives, from the loop's callback: waking a task for it costs more than all that is done
with it.
"""

import asyncio

from collector.intake.gateway.outlet import Outlet
from collector.intake.gateway.stream import Passage
from collector.intake.gateway.upstream import Answer, UpstreamFailed


class Flow:
    """Runs until the passage has ended, the answer has, or the call is cut short."""

    __slots__ = ("_answer", "_ended", "_outlet", "_passage")

    def __init__(self, answer: Answer, passage: Passage, outlet: Outlet) -> None:
        self._answer = answer
        self._passage = passage
        self._outlet = outlet
        self._ended: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    async def run(self, head: bytes) -> UpstreamFailed | None:
        """Send on `head` and what follows it. Gives what the provider failed with, None where it ended by itself.

        Raises ClientGone. Afterwards the answer can be read on.
        """
        if head:
            self._outlet.write(head)
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
            if out := self._passage.feed(chunk):
                self._outlet.write(out)
            has_ended = self._passage.ended
        except Exception as error:  # of our own: told to the task, which would not hear of it otherwise
            self._end(error)
        else:
            if has_ended:
                self._end(None)

    def _end(self, error: Exception | None) -> None:
        self._answer.stop()
        if self._ended.done():
            return
        if error is None and not self._passage.ended and (out := self._passage.finish()):
            self._outlet.write(out)
        self._ended.set_result(error)
