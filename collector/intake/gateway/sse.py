"""Server-sent events as bytes: cut only at the ends of events, so that half a character never reaches a parser.

The rules of lines, comments and data are the WHATWG standard's (HTML, section 9.2.6).
"""

import re
from itertools import accumulate, pairwise

DONE = b"[DONE]"  # the data with which a chat's stream ends; OpenRouter sends it after the end of others too
_END_OF_EVENT = re.compile(rb"(?:\r\n|\n|\r(?!\n)){2}")
_LONGEST_END = len(b"\r\n\r\n")
_END_OF_LINE = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"


class Cutter:
    """Turns chunks of any size into runs of whole events, and holds the piece of the event that is not complete.

    Pieces are joined when an event ends among them, so that a large one costs no more than its bytes.
    """

    __slots__ = ("_pieces", "_tail", "held_bytes")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._tail = b""  # the last bytes that are held: an end may lie across them and what comes
        self.held_bytes = 0

    def feed(self, chunk: bytes) -> bytes:
        """The whole events that this chunk completes, separators included; empty when it completes none."""
        if self._pieces:
            if not _last_end(self._tail + chunk):
                self._hold(chunk)
                return b""
            chunk = self.take_rest() + chunk
        end = _last_end(chunk)
        if end < len(chunk):
            self._hold(chunk[end:])
        return chunk[:end]

    def take_rest(self) -> bytes:
        """The piece that was held; nothing is held any more."""
        rest = b"".join(self._pieces)
        self._pieces, self._tail, self.held_bytes = [], b"", 0
        return rest

    def _hold(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._tail = (self._tail + piece)[-_LONGEST_END + 1 :]
        self.held_bytes += len(piece)


def split(events: bytes) -> list[bytes]:
    """Single events of a run of whole ones, each with its separator; joined they are the run."""
    pieces: list[bytes] = []
    start = 0
    for match in _END_OF_EVENT.finditer(events):
        pieces.append(events[start : match.end()])
        start = match.end()
    return [*pieces, events[start:]] if start < len(events) else pieces


def data_of(event: bytes) -> bytes | None:
    """The data of one event, its lines joined by newlines; None for an event without data (a comment, a ping)."""
    is_one_line = event.startswith(b"data: ") and event.endswith(b"\n\n") and event.find(b"\n") == len(event) - 2
    if is_one_line and b"\r" not in event:
        return event[6:-2]
    lines = [data for line in _lines(event) if (data := _data_in(line)) is not None]
    return b"\n".join(lines) if lines else None


class Run:
    """Whole events, and the `data` of each that has any."""

    __slots__ = ("_spans", "data", "events")

    def __init__(self, events: bytes) -> None:
        self.events = events
        self._spans: list[tuple[int, int]] | None = None  # not asked for yet, of events with one line of data each
        plain = _plain_data(events)
        if plain is None:
            plain, self._spans, end = [], [], 0
            for event in split(events):
                start, end = end, end + len(event)
                if (data := data_of(event)) is not None:
                    plain.append(data)
                    self._spans.append((start, end))
        self.data = plain

    def span(self, n: int) -> tuple[int, int]:
        """Where the event with the n-th data begins and ends."""
        if self._spans is None:
            ends = accumulate(len(data) + _AROUND_DATA for data in self.data)
            self._spans = list(pairwise((0, *ends)))
        return self._spans[n]


_AROUND_DATA = len(b"data: \n\n")


def _plain_data(events: bytes) -> list[bytes] | None:
    if not events.startswith(b"data: ") or not events.endswith(b"\n\n") or events.find(b"\r") >= 0:
        return None
    plain = events[6:-2].split(b"\n\ndata: ")
    return plain if events.count(b"\n") == 2 * len(plain) else None  # no event has another line


def event_of(data: bytes) -> bytes:
    """The event that carries one line of data."""
    return b"data: " + data + b"\n\n"


def _last_end(data: bytes) -> int:
    if b"\r" not in data:
        return data.rfind(b"\n\n") + 2 if b"\n\n" in data else 0
    end = 0
    for match in _END_OF_EVENT.finditer(data):
        if match.end() < len(data) or data.endswith(b"\n"):  # after a CR at the very end its LF may be on the way
            end = match.end()
    return end


def _lines(event: bytes) -> list[bytes]:
    return _END_OF_LINE.split(event.removeprefix(_BOM)) if b"\r" in event else event.removeprefix(_BOM).split(b"\n")


def _data_in(line: bytes) -> bytes | None:
    if line.startswith(b"data:"):
        return line[6:] if line.startswith(b"data: ") else line[5:]
    return b"" if line == b"data" else None
