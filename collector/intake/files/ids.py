"""Ids of rows that state none: the same file twice, or grown, gives the same ids."""

import hashlib
import sqlite3

from collector.core.calls import call_id_at

IN_MEMORY = 1_000_000  # different rows; more are counted in a temporary file that nobody else sees


class RowIds:
    """Ids from the digest of a row and its ordinal among the equal rows before it.

    `salt` is whatever tells apart rows that read alike: the format, and what flags say of every row.
    """

    def __init__(self, *salt: str | None, in_memory: int = IN_MEMORY) -> None:
        self._salt = hashlib.sha256("\0".join(part or "" for part in salt).encode()).digest()
        self._in_memory = in_memory
        self._counts: dict[int, int] = {}
        self._more: sqlite3.Connection | None = None

    def next(self, started_at: int, text: str) -> str:
        """The id of the next row of the file that reads `text`."""
        digest = hashlib.sha256(self._salt + text.encode()).digest()
        ordinal = self._count(int.from_bytes(digest[:8], "big", signed=True))
        return call_id_at(started_at, hashlib.sha256(digest + ordinal.to_bytes(8, "big")).digest())

    def _count(self, key: int) -> int:
        """How many rows with this key came before."""
        if key in self._counts or len(self._counts) < self._in_memory:
            before = self._counts.get(key, 0)
            self._counts[key] = before + 1
            return before
        return self._count_on_disk(key)

    def _count_on_disk(self, key: int) -> int:
        if self._more is None:
            self._more = sqlite3.connect("", isolation_level=None)  # "": a temporary file, removed by SQLite
            self._more.execute("PRAGMA journal_mode = OFF")
            self._more.execute("CREATE TABLE seen (key INTEGER PRIMARY KEY, rows INTEGER NOT NULL)")
            self._more.execute("BEGIN")
        counted = self._more.execute(
            "INSERT INTO seen VALUES (?, 1) ON CONFLICT (key) DO UPDATE SET rows = rows + 1 RETURNING rows", (key,)
        ).fetchone()
        return int(counted[0]) - 1
