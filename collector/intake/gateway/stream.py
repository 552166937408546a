"""A stream on its way from a provider to a client: what goes on at once, what is held, what is kept to be read."""

import re
from collections import deque

from collector.intake.gateway.answer import Seen, is_bare_usage, is_json_object
from collector.intake.gateway.completing import Completing
from collector.intake.gateway.operations import Operation
from collector.intake.gateway.sse import Cutter, all_data, cut_first, data_of
from collector.settings import Limits

_OBJECT_AT_LINE_START = re.compile(rb'(?m)^(data: ?\{)(?=\s*")')
_ERROR = b'"error"'


class Passage:
    """Fed with the provider's chunks, it gives the bytes that may go to the client now.

    Held back: the terminal event (`terminal`), so that the call's record is written first; an error event (`faulty`),
    which the gateway tells in its own words; the usage chunk, where `drops_usage`. `completing` adds to what goes on.
    `first` is the data of the first event that has any. A copy of what came, at most max_stream_copy_bytes of its end,
    is kept for `seen`.
    """

    def __init__(
        self, operation: Operation, limits: Limits, drops_usage: bool, completing: Completing | None = None
    ) -> None:
        self.first: bytes | None = None
        self.terminal = b""
        self.faulty = False
        self.broken: str | None = None
        self.ended = False  # nothing more is to be read
        self._dialect = operation.dialect
        self._shape = operation.usage_shape
        self._max_event_bytes = limits.max_event_bytes
        self._max_copy_bytes = limits.max_stream_copy_bytes
        self._drops_usage = drops_usage
        self._completing = completing
        self._marks = operation.dialect.marks + (completing.marks if completing else ())
        self._lacks = False  # each of its events is to be completed
        self._tag = b""  # what is put into every object, once the first event is there
        self._cutter = Cutter()
        self._first_events = b""
        self._copy: deque[bytes] = deque()
        self._copied = 0

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

    def seen(self, shape: str | None = None) -> Seen:
        """What the stream has said up to now."""
        return self._dialect.read_stream(b"".join((self._first_events, *self._copy)), shape or self._shape)

    def _pass(self, events: bytes) -> bytes:
        self._copy.append(events)
        self._copied += len(events)
        if self._copied > self._max_copy_bytes:
            self._forget_oldest()
        if self._completing is not None and not self._lacks:
            self._lacks = self._completing.lacks(events)
        if self.first is None or self._lacks:
            events = self._sift(events, 0)
        else:
            for mark in self._marks:
                if events.find(mark) >= 0:  # `in` takes three times as long: it tries for a number first
                    events = self._sift(events, self._clean_length(events))
                    break
        return _OBJECT_AT_LINE_START.sub(self._tag, events) if self._tag else events

    def _sift(self, events: bytes, clean: int) -> bytes:
        """What may go on, up to an event that is held back; the first `clean` bytes hold no such event."""
        passed = [events[:clean]]
        events = events[clean:]
        while events and not self.ended:
            event, events = cut_first(events)
            if self._passes(event):
                passed.append(self._completed(event))
            goes_on = self.first is not None and not self.ended and not self._lacks
            clean = self._clean_length(events) if goes_on else 0
            passed.append(events[:clean])
            events = events[clean:]
        return b"".join(passed)

    def _clean_length(self, events: bytes) -> int:
        """How many bytes, up to the end of an event, hold no mark of an event that may have to be held back."""
        first = len(events)
        for mark in self._marks:
            at = events.find(mark, 0, first)
            if at >= 0:
                first = at
        if first == len(events):
            return first
        end = events.rfind(b"\n\n", 0, first)
        return end + 2 if end >= 0 else 0

    def _passes(self, event: bytes) -> bool:
        data = data_of(event)
        if data is None:
            return True
        if self._dialect.is_end(data):
            self.terminal = self._completed(event)
            self.ended = True
            return False
        if self.first is None:
            self.first = data
            tag = self._completing.tag(data) if self._completing else b""
            self._tag = rb"\1" + tag.replace(b"\\", rb"\\") if tag else b""
        if _ERROR in data and self._dialect.tells_error(data):
            self.faulty = self.ended = True
        return not self.faulty and not (self._drops_usage and is_bare_usage(data))

    def _completed(self, event: bytes) -> bytes:
        return self._completing.event(event) if self._completing and self._completing.marks else event

    def _forget_oldest(self) -> None:
        while self._copied > self._max_copy_bytes and len(self._copy) > 1:
            dropped = self._copy.popleft()
            self._copied -= len(dropped)
            if not self._first_events and all_data(dropped):  # they name the answer's id and model, comments nothing
                self._first_events = dropped
