"""Server-sent events as bytes: cut only at the ends of events, so that half a character never reaches a parser.

The rules of lines, comments and data are the WHATWG standard's (HTML, section 9.2.6).
"""

import re
from itertools import repeat

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


def all_data(events: bytes) -> list[bytes]:
    """The data of every event of a run that has any."""
    if events.startswith(b"data: ") and events.endswith(b"\n\n") and b"\r" not in events:
        plain = events[6:-2].split(b"\n\ndata: ")
        if max(map(bytes.find, plain, repeat(b"\n"))) < 0:  # no event has another line
            return plain
    return [data for event in split(events) if (data := data_of(event)) is not None]


def cut_first(events: bytes) -> tuple[bytes, bytes]:
    """The first event of a run and what follows it."""
    if b"\r" not in events:
        at = events.find(b"\n\n") + 2
        return (events[:at], events[at:]) if at > 1 else (events, b"")
    end = _END_OF_EVENT.search(events)
    return (events[: end.end()], events[end.end() :]) if end else (events, b"")


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
