"""A stream on its way from a provider to a client: what goes on at once, what is held, what is read in it."""

import re
from collections.abc import Iterable

from collector.intake.gateway.answer import Seen, is_bare_usage, is_json_object
from collector.intake.gateway.completing import Completing
from collector.intake.gateway.operations import Operation
from collector.intake.gateway.sse import Cutter, Run, data_of
from collector.settings import Limits

_OBJECT_AT_LINE_START = re.compile(rb'(?m)^(data: ?\{)(?=\s*")')
_ERROR = b'"error"'


class Passage:
    """Fed with the provider's chunks, it gives the bytes that may go to the client now.

    Held back: the terminal event (`terminal`), so that the call's record is written first; an error event (`faulty`),
    which the gateway tells in its own words; the usage chunk, where `drops_usage`. `completing` adds to what goes on.
    `first` is the data of the first event that has any, `seen` what the stream has said up to now; `shape` is that of
    its usage.
    """

    def __init__(
        self,
        operation: Operation,
        shape: str,
        limits: Limits,
        drops_usage: bool,
        completing: Completing | None = None,
    ) -> None:
        self.first: bytes | None = None
        self.terminal = b""
        self.faulty = False
        self.broken: str | None = None
        self.ended = False  # nothing more is to be read
        self._dialect = operation.dialect
        self._follower = operation.dialect.follower(shape)
        self._max_event_bytes = limits.max_event_bytes
        self._drops_usage = drops_usage
        self._completing = completing
        self._lacks = False  # each of its events is to be completed
        self._tag = b""  # what is put into every object, once the first event is there
        self._cutter = Cutter()

    @property
    def seen(self) -> Seen:
        return self._follower.seen

    def feed(self, chunk: bytes) -> bytes:
        """The whole events in or completed by this chunk that the client gets now."""
        if not self._cutter.held_bytes and chunk.endswith(b"\n\n") and chunk.find(b"\r") < 0:
            return self._pass(chunk)  # whole events, as nearly all chunks are
        events = self._cutter.feed(chunk)
        passed = self._pass(events) if events else b""  # those before an event that is too large are still good
        if self._cutter.held_bytes > self._max_event_bytes:
            self.broken = f"an event of the stream is larger than max_event_bytes = {self._max_event_bytes}"
            self.ended = True
        return passed

    def finish(self) -> bytes:
        """What is left when the provider has closed: a last event without its empty line, when it is whole."""
        rest = self._cutter.take_rest()
        data = data_of(rest)
        if data is None or self.ended or not (self._dialect.is_end(data) or is_json_object(data)):
            return b""
        return self._pass(rest.rstrip(b"\r\n") + b"\n\n")

    def _pass(self, events: bytes) -> bytes:
        run = Run(events)
        notable = self._follower.follow(run.data)
        if self.first is None and run.data and not self._dialect.is_end(run.data[0]):
            self._begin(run.data[0])
        if self._completing is not None:
            notable = self._to_complete(self._completing, run, notable)
        passed = self._sift(run, notable) if notable else events
        return _OBJECT_AT_LINE_START.sub(self._tag, passed) if self._tag else passed

    def _begin(self, first: bytes) -> None:
        self.first = first
        tag = self._completing.tag(first) if self._completing else b""
        self._tag = rb"\1" + tag.replace(b"\\", rb"\\") if tag else b""

    def _to_complete(self, completing: Completing, run: Run, notable: list[int]) -> list[int]:
        """The places of the events that are notable or may have to be completed."""
        self._lacks = self._lacks or completing.lacks(run.events)
        if self._lacks:
            return list(range(len(run.data)))
        if not any(mark in run.events for mark in completing.marks):
            return notable
        marked = {n for n, data in enumerate(run.data) if any(mark in data for mark in completing.marks)}
        return sorted(marked.union(notable))

    def _sift(self, run: Run, notable: Iterable[int]) -> bytes:
        """What may go on of a run of which these events are notable, up to one that is held back."""
        passed, at = [], 0
        for n in notable:
            start, end = run.span(n)
            passed.append(run.events[at:start])
            at, event = end, run.events[start:end]
            if self._passes(event, run.data[n]):
                passed.append(self._completed(event))
            if self.ended:
                return b"".join(passed)
        passed.append(run.events[at:])
        return b"".join(passed)

    def _passes(self, event: bytes, data: bytes) -> bool:
        if self._dialect.is_end(data):
            self.terminal = self._completed(event)
            self.ended = True
            return False
        if _ERROR in data and self._dialect.tells_error(data):
            self.faulty = self.ended = True
        return not self.faulty and not (self._drops_usage and is_bare_usage(data))

    def _completed(self, event: bytes) -> bytes:
        return self._completing.event(event) if self._completing and self._completing.marks else event
