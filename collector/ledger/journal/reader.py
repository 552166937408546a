"""What ingest reads of a segment, and what may be done with the file of a writer that is gone."""

import fcntl
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from collector.core.errors import LockHeld
from collector.ledger.journal.records import Opening, Record, Skimmed, decode, skim
from collector.ledger.journal.segment import SUFFIX

_RAW_BYTES = 65536  # of an unreadable line, kept
_PIECE_BYTES = 1 << 20  # of a segment, read at once
_LINE_START = re.compile(rb"[0-9a-f]{8} \{")


class Unreadable(msgspec.Struct, frozen=True):
    """A line, or a part of one, that is no record, and why."""

    reason: str
    raw: bytes


class Batch(NamedTuple):
    """Records in order, each with the position of its first byte, and where the next batch begins."""

    records: list[tuple[int, Skimmed | Unreadable]]
    end: int


class Chunk(msgspec.Struct, frozen=True):
    """Records in order, each with the position of its first byte, and where to read on."""

    records: list[tuple[int, Record | Unreadable]]
    end: int


def segments(journal_dir: Path) -> list[Path]:
    """The segments of a journal, the oldest first; none when there is no such directory."""
    return sorted(journal_dir.glob("*" + SUFFIX))


def segment_source(path: Path) -> str:
    """The source that a segment's name states: `{created_us:016x}-{source}-{pid}-{random}.jnl`."""
    return path.name.removesuffix(SUFFIX).split("-", 1)[1].rsplit("-", 2)[0]


def read(path: Path, position: int, max_bytes: int) -> Chunk:
    """The complete records from `position` on, about `max_bytes` of them, at least one when there is one.

    Stops at the room that is not written yet (NUL bytes) and before a line that is not complete.
    A line that cannot be read is Unreadable with its reason; those after it are read.
    """
    with path.open("rb", buffering=0) as file:
        data = _lines(file.fileno(), position, max_bytes)
    records: list[tuple[int, Record | Unreadable]] = []
    at = position
    for line in data.split(b"\n")[:-1]:
        record = decode(line)
        if isinstance(record, str):
            records += _salvage(line, at, record, decode)
        else:
            records.append((at, record))
        at += len(line) + 1
    return Chunk(records, position + len(data))


def batches(path: Path, position: int, calls: int) -> Iterator[Batch]:
    """All complete records from `position` on, in pieces in which so many calls end; an opening is skimmed.

    A bad line counts as one. Where many calls are opened a piece ends after twice as many records; the last one may be
    smaller. What a writer adds while pieces are taken is read too. Stops, and tells of bad lines, as `read` does.
    """
    with path.open("rb", buffering=0) as file:
        records: list[tuple[int, Skimmed | Unreadable]] = []
        ended = 0
        while True:
            data = _lines(file.fileno(), position, _PIECE_BYTES)
            for line in data.split(b"\n")[:-1]:
                record = skim(line)
                if isinstance(record, str):
                    found = _salvage(line, position, record, skim)
                    records += found
                    ended += len(found)
                else:
                    records.append((position, record))
                    ended += type(record) is not Opening
                position += len(line) + 1
                if ended >= calls or len(records) >= 2 * calls:
                    yield Batch(records, position)
                    records, ended = [], 0
            if not data:
                if not records:
                    return
                yield Batch(records, position)
                records, ended = [], 0


def is_abandoned(path: Path) -> bool:
    """Whether the segment's writer is gone: the lock is free. Raises FileNotFoundError."""
    with path.open("rb", buffering=0) as file:
        return _lock(file.fileno(), fcntl.LOCK_SH)


def cut_tail(path: Path) -> bytes:
    """Cut what follows the last complete line of an abandoned segment; returns the torn piece, without NULs at its end.

    Raises LockHeld while the segment's writer lives.
    """
    with path.open("r+b", buffering=0) as file:
        if not _lock(file.fileno(), fcntl.LOCK_EX):
            raise LockHeld(f"{path} is still being written: its tail may be cut when its writer has ended")
        torn, keep = _torn_tail(file.fileno())
        file.truncate(keep)
        os.fsync(file.fileno())
        return torn


def _lock(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lines(fd: int, position: int, max_bytes: int) -> bytes:
    """Whole lines from `position` on: about max_bytes, or the one line that is longer."""
    while True:
        data = os.pread(fd, max_bytes, position)
        lines = data[: data.rfind(b"\n") + 1]
        if b"\0" in lines:
            # A hole, or a write that this read overtook: page by page, it saw the end of a record and not its middle.
            # Pages are written in order, so a second look, no further than the first one's last line, tells.
            lines = os.pread(fd, len(lines), position)
        if lines or len(data) < max_bytes or (data.endswith(b"\0") and not _is_cut(fd)):
            return lines
        max_bytes *= 2


def _is_cut(fd: int) -> bool:
    """Whether the file ends with a line: then NULs before it are a hole, not room that is not written yet."""
    size = os.fstat(fd).st_size
    return size > 0 and os.pread(fd, 1, size - 1) == b"\n"


def _salvage(line: bytes, at: int, reason: str, read_line: Callable[[bytes], Any]) -> list[tuple[int, Any]]:
    """A bad line as Unreadable, but for good records in it, where only the newline between them was lost."""
    for match in _LINE_START.finditer(line, 1):
        start = match.start()
        last = read_line(line[start:])
        if not isinstance(last, str):
            first = read_line(line[: start - 1])
            return [(at, _unreadable(reason, line[:start]) if isinstance(first, str) else first), (at + start, last)]
    return [(at, _unreadable(reason, line))]


def _unreadable(reason: str, raw: bytes) -> Unreadable:
    return Unreadable(reason, raw.strip(b"\0")[:_RAW_BYTES])


def _torn_tail(fd: int) -> tuple[bytes, int]:
    """What follows the last newline, and the position after it; the file is read backwards in pieces."""
    end = os.fstat(fd).st_size
    tail = b""
    while end > 0 and b"\n" not in tail:
        start = max(0, end - 65536)
        tail = (os.pread(fd, end - start, start) + tail).rstrip(b"\0")
        end = start
    cut = tail.rfind(b"\n") + 1
    return tail[cut:], end + cut
