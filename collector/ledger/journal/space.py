"""Room on the disk, taken in advance, so that what was promised can be written when the disk is full."""

import os
from pathlib import Path

CHUNK_BYTES = 1024 * 1024


def extend(fd: int, size: int, wanted: int) -> None:
    """Give a file of `size` bytes `wanted` bytes that are really on the disk; they read as NUL.

    Raises OSError (ENOSPC, EDQUOT, EFBIG, EIO) and leaves the file at `size` when there is no room.
    """
    try:
        _allocate(fd, size, wanted - size)
    except OSError:
        os.ftruncate(fd, size)
        raise


def directory_bytes(directory: Path) -> int:
    """The bytes that the files of a directory take; a file that goes away meanwhile takes none."""
    total = 0
    with os.scandir(directory) as entries:
        for entry in entries:
            try:
                total += entry.stat().st_size
            except FileNotFoundError:
                continue
    return total


def write_at(fd: int, data: bytes, position: int) -> None:
    """Write all of `data` at `position`, in one call to the system unless it writes short.

    Raises OSError; what was written of a piece is then made NUL again, as far as the disk still allows.
    """
    done = 0
    try:
        while done < len(data):
            done += os.pwrite(fd, data[done:] if done else data, position + done)
    except OSError:
        _blank(fd, position, done)
        raise


def _blank(fd: int, position: int, length: int) -> None:
    try:
        if length:
            os.pwrite(fd, bytes(length), position)
    except OSError:
        pass  # the next record is written over it


def _fill(fd: int, start: int, length: int) -> None:
    write_at(fd, bytes(length), start)


_allocate = getattr(os, "posix_fallocate", _fill)
sync_data = getattr(os, "fdatasync", os.fsync)
