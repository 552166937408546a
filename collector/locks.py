"""One process at a time: an advisory lock on a file, which the system frees however its holder ends."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from collector.core.errors import LockHeld

_LOOK_EVERY_S = 0.1


@contextmanager
def hold(path: Path, work: str, wait_s: float = 0.0) -> Iterator[None]:
    """Holds the lock at `path` for `work`. Raises LockHeld when another process has it and keeps it for `wait_s`."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        deadline = time.monotonic() + wait_s
        while not _is_taken(handle):
            if time.monotonic() >= deadline:
                raise LockHeld(f"another process does this now: {work} ({path} is held); try again later")
            time.sleep(_LOOK_EVERY_S)
        yield
    finally:
        os.close(handle)


def _is_taken(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
