"""One file of the journal, locked by its writer for the writer's life."""

import fcntl
import os
import time
from pathlib import Path

from collector.core.errors import JournalFailed
from collector.ledger.journal.shrink import CLOSE_BYTES
from collector.ledger.journal.space import extend, sync_data, write_at

SUFFIX = ".jnl"
UNFINISHED = ".new"  # a segment that is not locked yet


class Segment:
    """An open, locked file; `tail` is where the next record goes, `size` what the disk has given."""

    __slots__ = ("begun", "failure", "fd", "open_calls", "path", "size", "tail", "taken")

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self.fd = fd
        self.tail = 0
        self.size = 0
        self.taken = 0  # calls: the writer's own count
        self.open_calls = 0
        self.begun = time.monotonic()
        self.failure: OSError | None = None

    def missing(self, length: int, closes: int) -> int:
        """The size that the file must have for `length` more bytes and `closes` close records; 0 when it has it."""
        needed = self.tail + length + closes * CLOSE_BYTES
        return needed if needed > self.size else 0

    def extend(self, wanted: int) -> None:
        """Take the disk's room up to `wanted` bytes. Raises OSError when there is none."""
        extend(self.fd, self.size, wanted)
        self.size = wanted

    def trim(self) -> None:
        """Give back the room that the closes of the open calls do not need. Raises OSError."""
        needed = self.tail + self.open_calls * CLOSE_BYTES
        if needed < self.size:
            os.ftruncate(self.fd, needed)
            self.size = needed

    def append(self, line: bytes) -> None:
        """Write one record at the tail. Raises OSError; the tail then stands where it stood."""
        write_at(self.fd, line, self.tail)
        self.tail += len(line)

    def sync(self) -> None:
        """Make all that was appended before this call durable.

        Raises JournalFailed. A sync that failed once has lost pages that no later sync would report
        (the kernel marks them clean), so from then on every sync of this segment fails.
        """
        try:
            if self.failure is None:
                sync_data(self.fd)
        except OSError as error:
            self.failure = error
        if self.failure is not None:
            raise JournalFailed(f"{self.path} could not be synced: {self.failure.strerror}; see to its disk")

    def release(self) -> None:
        """Cut the room that was not used, and give the lock back: nothing more is written here."""
        try:
            os.ftruncate(self.fd, self.tail)
        finally:
            fcntl.flock(self.fd, fcntl.LOCK_UN)  # a process that is being forked now may hold the file a moment longer
            os.close(self.fd)


def begin(journal_dir: Path, source: str) -> Segment:
    """A new, empty segment, locked before any reader can see it by its name. Raises OSError."""
    journal_dir.mkdir(parents=True, exist_ok=True)
    name = f"{time.time_ns() // 1000:016x}-{source}-{os.getpid()}-{os.urandom(4).hex()}"
    unfinished = journal_dir / (name + UNFINISHED)
    path = journal_dir / (name + SUFFIX)
    fd = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.rename(unfinished, path)
        _sync_directory(journal_dir)
    except OSError:
        os.close(fd)
        raise
    return Segment(path, fd)


def _sync_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
