"""Brings a ledger to the revision that this code knows, after copying it where there is something to lose."""

import re
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection, Engine

from collector.core.errors import LedgerError
from collector.ledger import engines, schema
from collector.resources import resource_dir

COPIES_KEPT = 3


def migrate(url: str, now_us: int | None = None) -> None:
    """Makes the ledger at `url` where it is absent, upgrades it where it is old; does nothing where it is current.

    `now_us` names the copy that is made first. Raises LedgerError when the ledger is newer than the code or unreadable.
    """
    path = engines.ledger_path(url)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
    engine = engines.bare_engine(url)
    try:
        engines.readable(engine, url)
        if _needs_upgrade(engine):
            _copy_first(engine, path, now_us if now_us is not None else time.time_ns() // 1000)
            _upgrade(engine, "head")
    finally:
        engine.dispose()


def revision(engine: Engine) -> str | None:
    """The revision of a ledger; None when it has no tables yet."""
    with engine.connect() as connection:
        return revision_of(connection)


def head() -> str:
    """The newest revision this code knows."""
    newest = _scripts().get_current_head()
    assert newest is not None
    return newest


def revisions() -> list[str]:
    """All revisions this code knows, oldest first."""
    return [script.revision for script in reversed(list(_scripts().walk_revisions()))]


def require_current(engine: Engine) -> None:
    """Raises LedgerError, saying what to do, when the ledger is not at `head()`."""
    engines.readable(engine, engine.url.render_as_string())
    found = revision(engine)
    if found == head():
        return
    _refuse_newer(found)
    state = "has no tables" if found is None else f"is at revision {found}, this callmeter needs {head()}"
    raise LedgerError(f"the ledger {engine.url.database} {state}: run `callmeter up`, which copies and upgrades it")


def upgrade_to(engine: Engine, target: str) -> None:
    """Upgrades to one revision, without a copy: what tests use to make an old ledger."""
    _upgrade(engine, target)


def _needs_upgrade(engine: Engine) -> bool:
    found = revision(engine)
    _refuse_newer(found)
    return found != head()


def _refuse_newer(found: str | None) -> None:
    if found is not None and found not in revisions():
        raise LedgerError(
            f"the ledger is at revision {found}, newer than this callmeter, which knows up to {head()}: "
            "install the newer callmeter, or restore the copy that was made before the upgrade"
        )


def revision_of(connection: Connection) -> str | None:
    """The revision of the ledger of a connection."""
    return MigrationContext.configure(connection).get_current_revision()


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(resource_dir("migrations")).replace("%", "%%"))
    return config


def _upgrade(engine: Engine, target: str) -> None:
    """One transaction; whoever waited for it finds nothing left to do."""
    config = _config()
    with engines.writing(engine).begin() as connection:
        if revision_of(connection) == target or (target == "head" and revision_of(connection) == head()):
            return
        config.attributes["connection"] = connection
        config.attributes["target_metadata"] = schema.metadata
        command.upgrade(config, target)


def _copy_first(engine: Engine, path: Path | None, now_us: int) -> None:
    if path is None or not _has_something_to_lose(engine):
        return
    stamp = datetime.fromtimestamp(now_us / 1e6, UTC).strftime("%Y%m%dT%H%M%S")
    copy = path.with_name(f"{path.stem}-{revision(engine)}-{stamp}{path.suffix}")
    unfinished = copy.with_name(copy.name + ".part")
    try:
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(unfinished)) as target:
            source.backup(target)
        unfinished.replace(copy)
    except (sqlite3.Error, OSError) as error:
        raise LedgerError(
            f"no copy of {path} could be made before its upgrade, which was not begun: {error}"
        ) from error
    finally:
        unfinished.unlink(missing_ok=True)
    _forget_old_copies(path)


def _has_something_to_lose(engine: Engine) -> bool:
    with engine.connect() as connection:
        tables = set(sa.inspect(connection).get_table_names()) - {"alembic_version"}
        return any(
            connection.execute(sa.select(sa.literal(1)).select_from(sa.table(t)).limit(1)).first() for t in tables
        )


def _forget_old_copies(path: Path) -> None:
    """Of the copies made here the last ones stay; a file that only looks like one is the user's own."""
    name = re.compile(rf"{re.escape(path.stem)}-\w+-(\d{{8}}T\d{{6}}){re.escape(path.suffix)}")
    copies = sorted((found[1], copy) for copy in path.parent.iterdir() if (found := name.fullmatch(copy.name)))
    for _, copy in copies[:-COPIES_KEPT]:
        copy.unlink()
