"""One process at a time: an advisory lock on a file, which the system frees however its holder ends."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
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


class Turns:
    """A lock that is held for turns and left free between them, long enough for another process to take it."""

    def __init__(self, lock: Callable[[], AbstractContextManager[None]], turn_s: float, free_s: float) -> None:
        self._lock, self._turn_s, self._free_s = lock, turn_s, free_s
        self._held = ExitStack()
        self._since = float("-inf")  # of the turn that runs; none does

    def __enter__(self) -> "Turns":
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def take(self) -> None:
        """Goes on with the turn, or begins a new one after a pause. Raises what taking the lock does."""
        lasted_s = time.monotonic() - self._since
        if lasted_s < self._turn_s:
            return
        if lasted_s < float("inf"):
            self._held.close()
            time.sleep(self._free_s)
        self._held.enter_context(self._lock())
        self._since = time.monotonic()


def _is_taken(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
