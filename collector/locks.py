"""One process at a time: an advisory lock on a file, which the system frees however its holder ends."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from collector.core.errors import LockHeld


@contextmanager
def hold(path: Path, work: str) -> Iterator[None]:
    """Holds the lock at `path` for `work`. Raises LockHeld at once when another process has it."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LockHeld(f"another process does this now: {work} ({path} is held); try again later") from None
        yield
    finally:
        os.close(handle)
