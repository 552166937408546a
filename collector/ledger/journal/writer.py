"""One process's way into the journal. Every method may be called from any thread."""

import contextlib
import math
import os
import re
import threading
import time
import weakref
from pathlib import Path
from typing import Literal

from collector.core.calls import Call
from collector.core.errors import InputError, JournalFailed, JournalFull, UsageError
from collector.core.told import Told
from collector.ledger.journal.commit import GroupCommit
from collector.ledger.journal.records import Close, Open, Record, Reject, Uncounted, Whole, beside, encode
from collector.ledger.journal.segment import Segment, begin
from collector.ledger.journal.shrink import CLOSE_BYTES, fit
from collector.ledger.journal.space import CHUNK_BYTES, directory_bytes
from collector.settings import Limits

RETIRE_AFTER_S = 300.0  # a segment older than this takes no more calls, so that ingest can delete it
QUICK_SYNC_S = 0.001  # a sync of a solid state disk
_SOURCE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_REJECT_CHARS = 4096


class Ticket:
    """An open call: the segment that holds its opening and the room for its close."""

    __slots__ = ("closed", "segment")

    def __init__(self, segment: Segment) -> None:
        self.segment = segment
        self.closed = False


class Writer:
    """Appends records to segments of its own, in `journal_dir`, for calls of one source.

    The first record makes the first segment. A fork's child begins segments of its own; tickets do not pass to it.
    """

    def __init__(
        self,
        journal_dir: Path,
        source: str,
        limits: Limits | None = None,
        fsync: Literal["always", "interval"] = "always",
        retire_after_s: float = RETIRE_AFTER_S,
        tick_s: float = 1.0,
    ) -> None:
        if not _SOURCE.fullmatch(source):
            raise UsageError(f"source {source!r} cannot name a file: use letters, digits, '_', '.' and '-'")
        self._dir = Path(journal_dir)
        self._source = source
        self._limits = limits or Limits()
        self._always = fsync == "always"
        self._retire_after_s = retire_after_s
        self._tick_s = tick_s
        self._reset()
        _writers.add(self)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._flushing = threading.Lock()  # taken before _lock
        self._sync_s = math.inf  # how long the last sync took
        self._current: Segment | None = None
        self._retired: list[Segment] = []
        self._unsynced: set[Segment] = set()
        self._appended = 0  # records
        self._synced = 0  # of them
        self._commit = GroupCommit(self._flush, self._tick, self._tick_s)

    def open(self, call: Call) -> Ticket:
        """Record that a call begins; the room for its close is on the disk when this returns. Raises JournalFull."""
        with self._lock:
            segment = self._segment()
            line = fit(Open(segment.taken + 1, call), self._limits.max_record_bytes)
            self._take(segment, line, closes=1)
            segment.open_calls += 1
        return Ticket(segment)

    def close(self, ticket: Ticket, call: Call) -> None:
        """Record how an open call ended, in the segment that it was opened in; a second close does nothing.

        On a full disk the record loses details, in the order of `shrink.STEPS`, until it fits the room kept for it.
        Raises JournalFailed when the disk fails.
        """
        record = Close(call)
        line = fit(record, self._limits.max_record_bytes)
        with self._lock:
            if ticket.closed:
                return
            segment = ticket.segment
            if not self._has_room(segment, len(line), segment.open_calls - 1):
                line = fit(record, CLOSE_BYTES)
            self._append(segment, line)
            ticket.closed = True
            segment.open_calls -= 1

    def whole(self, call: Call) -> None:
        """Record a complete call that was never open. Raises JournalFull."""
        with self._lock:
            segment = self._segment()
            self._take(segment, fit(Whole(segment.taken + 1, call), self._limits.max_record_bytes))

    def reject(self, line: int | None, reason: str, text: str) -> None:
        """Record an input line that is not a call. Raises JournalFull."""
        with self._lock:
            segment = self._segment()
            record = Reject(segment.taken + 1, line, reason[:_REJECT_CHARS], text[:_REJECT_CHARS])
            self._take(segment, encode(record))

    def uncounted(self, count: int, since_us: int, until_us: int) -> None:
        """Record, once there is room again, how many calls were let pass without a record. Raises JournalFull."""
        self._uncounted(Uncounted(count, since_us, until_us))

    def tell(self, told: Told) -> None:
        """Record what was learned beside calls. Raises InputError when it is larger than a record, and JournalFull."""
        self._uncounted(beside(told))

    def _uncounted(self, record: Record) -> None:
        """Append a record that takes no `n`."""
        line = encode(record)
        if len(line) > self._limits.max_record_bytes:
            most = self._limits.max_record_bytes
            raise InputError(f"a record of {len(line)} bytes is larger than max_record_bytes = {most}: {line[:80]!r}")
        with self._lock:
            segment = self._segment()
            self._make_room(segment, len(line), segment.open_calls)
            self._append_or_full(segment, line)

    async def settled(self) -> None:
        """Wait, under "always", until all that was appended before is durable. Raises JournalFailed."""
        if self._always and self._synced < self._appended and not self._sync_alone():
            await self._commit.future()

    def sync(self) -> None:
        """Block until all that was appended before is durable, whatever the setting. Raises JournalFailed."""
        if self._synced < self._appended:
            self._commit.wait()

    def stop(self) -> None:
        """Sync and let go of every segment; calls that are still open become interrupted. Raises JournalFailed.

        What is recorded afterwards begins a new segment.
        """
        self._commit.stop()
        try:
            self._flush()
        finally:
            for segment in self._held():
                segment.release()
            self._reset()

    def _segment(self) -> Segment:
        segment = self._current
        if segment is None:
            segment = self._begin()
        elif segment.tail >= self._limits.segment_bytes or segment.failure is not None:
            self._retire()
            segment = self._begin()
        return segment

    def _begin(self) -> Segment:
        try:
            segment = begin(self._dir, self._source)
        except OSError as error:
            raise JournalFull(f"no new journal segment in {self._dir}: {error.strerror}; see to its disk") from None
        self._current = segment
        self._commit.start()
        return segment

    def _retire(self) -> None:
        if self._current is not None:
            with contextlib.suppress(OSError):  # then it keeps its room a little longer
                self._current.trim()
            self._retired.append(self._current)
            self._current = None

    def _take(self, segment: Segment, line: bytes, closes: int = 0) -> None:
        self._make_room(segment, len(line), segment.open_calls + closes)
        self._append_or_full(segment, line)
        segment.taken += 1

    def _append_or_full(self, segment: Segment, line: bytes) -> None:
        try:
            self._append(segment, line)
        except JournalFull:
            raise
        except JournalFailed as failure:
            raise JournalFull(str(failure)) from None

    def _append(self, segment: Segment, line: bytes) -> None:
        try:
            segment.append(line)
        except OSError as error:
            raise JournalFailed(f"{segment.path} could not be written: {error.strerror}; see to its disk") from None
        self._appended += 1
        self._unsynced.add(segment)

    def _has_room(self, segment: Segment, length: int, closes: int) -> bool:
        try:
            self._make_room(segment, length, closes)
        except JournalFull:
            return False
        return True

    def _make_room(self, segment: Segment, length: int, closes: int) -> None:
        wanted = segment.missing(length, closes)
        if not wanted:
            return
        left = self._limits.journal_bytes - directory_bytes(self._dir)
        if wanted - segment.size > left:
            raise JournalFull(
                f"the journal in {self._dir} has reached journal_bytes = {self._limits.journal_bytes}:"
                " see that its calls are ingested (`callmeter collect`), or raise the limit"
            )
        try:
            _extend(segment, wanted, left)
        except OSError as error:
            raise JournalFull(f"no room for one more call in {self._dir}: {error.strerror}; free its disk") from None

    def _sync_alone(self) -> bool:
        """Sync here and now where no other call is open and the disk is quick: handing it to a thread takes longer."""
        segment = self._current
        if self._sync_s > QUICK_SYNC_S or segment is None or segment.open_calls or self._retired:
            return False
        if self._commit.is_wanted or not self._flushing.acquire(blocking=False):
            return False
        try:
            self._flush_held()
        finally:
            self._flushing.release()
        return True

    def _flush(self) -> None:
        with self._flushing:
            self._flush_held()

    def _flush_held(self) -> None:
        began = time.monotonic()
        with self._lock:
            unsynced, self._unsynced = self._unsynced, set()
            appended = self._appended
        failures = [failure for segment in unsynced if (failure := self._sync(segment))]
        self._sync_s = time.monotonic() - began
        if failures:
            raise failures[0]
        self._synced = appended

    def _sync(self, segment: Segment) -> JournalFailed | None:
        try:
            segment.sync()
        except JournalFailed as failure:
            with self._lock:
                self._unsynced.add(segment)  # its records stay unsynced for all who ask later
            return failure
        return None

    def _tick(self) -> None:
        with self._flushing:
            with contextlib.suppress(JournalFailed):  # told to those who wait; there may be none now
                self._flush_held()
            for segment in self._ended():
                with contextlib.suppress(OSError):  # a reader stops at the room that was not used, too
                    segment.release()

    def _ended(self) -> list[Segment]:
        """Segments that are full, old or damaged and have no open call any more; nothing is kept of them."""
        with self._lock:
            current = self._current
            if current and current.tail and time.monotonic() - current.begun >= self._retire_after_s:
                self._retire()
            ended = [segment for segment in self._retired if not segment.open_calls]
            self._retired = [segment for segment in self._retired if segment.open_calls]
            self._unsynced.difference_update(ended)
        return ended

    def _forget(self) -> None:
        """In a fork's child: close the parent's files, whose locks the parent still holds, and begin anew."""
        for segment in self._held():
            os.close(segment.fd)
        self._reset()

    def _held(self) -> list[Segment]:
        return [*self._retired, self._current] if self._current else list(self._retired)


def _extend(segment: Segment, wanted: int, left: int) -> None:
    chunk = segment.size + max(wanted - segment.size, min(CHUNK_BYTES, left))
    try:
        segment.extend(chunk)
    except OSError:
        if chunk == wanted:
            raise
        segment.extend(wanted)


def _forget_in_child() -> None:
    for writer in list(_writers):
        writer._forget()


_writers: "weakref.WeakSet[Writer]" = weakref.WeakSet()
os.register_at_fork(after_in_child=_forget_in_child)
