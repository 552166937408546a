"""state.db: small tables that all workers write, in short transactions.

Nothing in it is a secret: of keys it holds digests. It can be moved away while nothing runs: keys are then made anew,
health is learnt again, and what was spent is read from the ledger.
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from collector.core.errors import StateDamaged, StateError

WAIT_MS = 500  # for another worker's transaction, which takes less than one
_TABLES = """
CREATE TABLE keys (
    id TEXT PRIMARY KEY, digest BLOB NOT NULL UNIQUE, app TEXT NOT NULL, created_us INTEGER NOT NULL,
    expires_us INTEGER, disabled_us INTEGER, models TEXT, rpm INTEGER, limit_picousd INTEGER, period TEXT
);
CREATE TABLE health (
    endpoint TEXT NOT NULL, slot INTEGER NOT NULL, counts BLOB NOT NULL, PRIMARY KEY (endpoint, slot)
) WITHOUT ROWID;
CREATE TABLE waits (endpoint TEXT PRIMARY KEY, until_us INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE spent (
    scope TEXT NOT NULL, period TEXT NOT NULL, start_us INTEGER NOT NULL, picousd INTEGER NOT NULL,
    PRIMARY KEY (scope, period)
) WITHOUT ROWID;
CREATE TABLE leases (
    call_id TEXT NOT NULL, scope TEXT NOT NULL, period TEXT NOT NULL, worker TEXT NOT NULL, picousd INTEGER NOT NULL,
    PRIMARY KEY (scope, period, call_id)
) WITHOUT ROWID;
CREATE INDEX leases_call ON leases (call_id);
CREATE TABLE rates (key TEXT PRIMARY KEY, minute INTEGER NOT NULL, calls INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE turned_away (
    minute INTEGER NOT NULL, reason TEXT NOT NULL, requests INTEGER NOT NULL, PRIMARY KEY (minute, reason)
) WITHOUT ROWID;
"""
_SESSIONS = """
CREATE TABLE sessions (session BLOB PRIMARY KEY, endpoint TEXT NOT NULL, at_us INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX sessions_at ON sessions (at_us);
"""
_REVISIONS = (_TABLES, _SESSIONS)  # each takes a file from one version to the next
VERSION = len(_REVISIONS)


class State:
    """The file at a path. Every method raises StateError, saying what to do, where it cannot be used."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def connect(self) -> sqlite3.Connection:
        """A connection of its own in autocommit mode; the file is made, readable by its owner only, where absent."""
        with self._told():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
            connection = sqlite3.connect(self.path, WAIT_MS / 1000, isolation_level=None, check_same_thread=False)
            try:
                self._prepare(connection)
            except BaseException:
                connection.close()
                raise
            return connection

    @contextlib.contextmanager
    def writing(self, connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
        """One transaction, which no other worker's can come between."""
        with self._told():
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    @contextlib.contextmanager
    def once(self) -> Iterator[sqlite3.Connection]:
        """A connection for one piece of work, in one transaction."""
        with contextlib.closing(self.connect()) as connection, self.writing(connection):
            yield connection

    def is_sound(self) -> bool:
        """Whether all of it can be read. Raises StateError where that cannot be found out."""
        try:
            with contextlib.closing(self.connect()) as connection, self._told():
                return bool(connection.execute("PRAGMA quick_check").fetchone() == ("ok",))
        except StateDamaged:
            return False

    def identity(self) -> int | None:
        """Which file is at the path: another number when it was replaced; None where none is."""
        try:
            return self.path.stat().st_ino
        except OSError:
            return None

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise StateError(f"{self.path} is of version {version}, newer than this callmeter: use the newer one")
        if version == VERSION:
            return
        connection.execute("BEGIN IMMEDIATE")
        version = connection.execute("PRAGMA user_version").fetchone()[0]  # another worker may have been first
        for statement in filter(str.strip, "".join(_REVISIONS[version:]).split(";")):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise StateError(
                f"{self.path} cannot be used now: {error}; see to its disk, or end what holds it"
            ) from None
        except sqlite3.DatabaseError as error:
            raise StateDamaged(
                f"{self.path} is damaged: {error}; stop callmeter, move the file away, start again and create keys anew"
            ) from None
        except OSError as error:
            raise StateError(f"{self.path} cannot be made: {error.strerror}; see to its folder") from None
