"""The one place that opens the ledger."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import DatabaseError

from collector.core.errors import LedgerError

BUSY_TIMEOUT_MS = 30_000
_PRAGMAS = (
    "PRAGMA synchronous = NORMAL",
    f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}",
    "PRAGMA foreign_keys = OFF",
    "PRAGMA wal_autocheckpoint = 16000",  # pages: ingest touches most of a large index in every batch
)
_IN_MEMORY = ("PRAGMA temp_store = MEMORY", "PRAGMA cache_size = -65536")
# Every sort of a statement takes as much memory as the cache, so long ones get a small cache.
_ON_DISK = ("PRAGMA temp_store = FILE", "PRAGMA cache_size = -8192")


def ledger_path(url: str) -> Path | None:
    """The file of a SQLite ledger; None for one in memory or on a server. Raises LedgerError for what is no URL."""
    parsed = _parsed(url)
    if parsed.get_backend_name() != "sqlite" or parsed.database in (None, "", ":memory:"):
        return None
    return Path(str(parsed.database))


def open_ledger(url: str, *, create: bool = False, read_only: bool = False) -> Engine:
    """An engine on the ledger, at the revision this code knows.

    `create` makes an absent ledger and upgrades an older one; `read_only` refuses every write.
    Raises LedgerError when the ledger is absent, of another revision, or no ledger at all.
    """
    from collector.ledger import migrate

    if create:
        migrate.migrate(url)
    path = ledger_path(url)
    if path is not None and not path.exists():
        raise LedgerError(f"there is no ledger at {path}: run `callmeter up` or `callmeter demo` to make one")
    engine = bare_engine(url, read_only=read_only)
    try:
        migrate.require_current(engine)
    except BaseException:
        engine.dispose()
        raise
    return engine


def bare_engine(url: str, *, read_only: bool = False) -> Engine:
    """An engine without a look at the ledger's revision: for `migrate`, which has to open old ones."""
    engine = sa.create_engine(_parsed(url))
    if engine.dialect.name == "sqlite":
        _prepare_sqlite(engine, read_only)
    return engine


def writing(engine: Engine) -> Engine:
    """The same engine, whose transactions take the write lock when they begin instead of failing in the middle."""
    return engine.execution_options(writes=True)


@contextmanager
def sorting_on_disk(connection: Connection) -> Iterator[None]:
    """Within it, large sorts of a connection go to temporary files: for answers that are streamed, of any length."""
    if connection.dialect.name != "sqlite":
        yield
        return
    for pragma in _ON_DISK:
        connection.exec_driver_sql(pragma)
    try:
        yield
    finally:
        for pragma in _IN_MEMORY:
            connection.exec_driver_sql(pragma)


def settle_on_disk(engine: Engine) -> None:
    """All that is committed survives a power failure when this returns; a commit alone does not wait for the disk.

    What is no longer in the write-ahead log was synced when it was copied out of it. Raises OSError.
    """
    path = ledger_path(engine.url.render_as_string(hide_password=False))
    if path is None:
        return
    for each in (path.with_name(path.name + "-wal"), path.absolute().parent):
        with suppress(FileNotFoundError):
            fd = os.open(each, os.O_RDONLY)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)


def readable(engine: Engine, url: str) -> None:
    """Raises LedgerError when the file at `url` is no database."""
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("SELECT 1 FROM sqlite_master LIMIT 1").all()
    except DatabaseError as error:
        advice = ": see whether its disk is full" if "disk" in str(error.orig) else ""
        raise LedgerError(f"{ledger_path(url) or url} cannot be read as a ledger: {error.orig}{advice}") from error


def _parsed(url: str) -> URL:
    try:
        return make_url(url)
    except sa.exc.ArgumentError as error:
        raise LedgerError(f"{url!r} is not a ledger's address: write sqlite:////absolute/path/callmeter.db") from error


def _prepare_sqlite(engine: Engine, read_only: bool) -> None:
    """WAL and the pragmas on connect; BEGIN is ours, because the driver's own would leave DDL outside transactions."""

    @sa.event.listens_for(engine, "connect")
    def connected(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (*_PRAGMAS, *_IN_MEMORY):
            cursor.execute(pragma)
        if read_only:
            cursor.execute("PRAGMA query_only = ON")
        else:
            _to_wal(cursor)
        cursor.close()

    @sa.event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _to_wal(cursor: Any) -> None:
    """A file that is no database stays as it is: whoever reads it first gets the error.

    A new one can give room back to the disk, piece by piece: that has to be said before its first page is written.
    """
    try:
        if not cursor.execute("PRAGMA page_count").fetchone()[0]:
            cursor.execute("PRAGMA auto_vacuum = INCREMENTAL")
        cursor.execute("PRAGMA journal_mode = WAL")
    except Exception as error:
        if "not a database" not in str(error):
            raise
