"""Who is alive: each worker holds the lock of a file of its own, which the system frees however the worker ends."""

import contextlib
import fcntl
import os
import secrets
from pathlib import Path


class Presence:
    """A worker's sign of life, for as long as it is held."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.name = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._path = folder / f"{self.name}.alive"
        starting = folder / f"{self.name}.starting"  # it bears its name once it is locked, and not before
        self._handle = os.open(starting, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._handle, fcntl.LOCK_EX)
        starting.rename(self._path)

    def end(self) -> None:
        """Gone, in good order."""
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        os.close(self._handle)


def sweep(folder: Path) -> None:
    """Take away the files of workers that died."""
    for path in folder.glob("*.alive"):
        is_alive(folder, path.stem)


def is_alive(folder: Path, name: str) -> bool:
    """Whether the worker of a name still runs. The file of one that does not is taken away."""
    path = folder / f"{name}.alive"
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        return False
    finally:
        os.close(handle)
