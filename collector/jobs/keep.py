"""Jobs of keeping: what is old is pruned, and a backup is made and tried."""

import re
import shutil
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from collector.core.errors import CallmeterError
from collector.jobs.work import DAY_S, Work
from collector.ledger.backup import backup, restore
from collector.ledger.book import load_book
from collector.ledger.check import check
from collector.ledger.engines import open_ledger
from collector.ledger.ingest import drain
from collector.ledger.retention import Rules, prune, would_prune
from collector.settings import Settings

_BACKUP = re.compile(r"callmeter-\d{8}T\d{6}\.tar")


def rules_of(settings: Settings) -> Rules:
    """What the settings keep."""
    most_bytes = None if settings.retention_mb is None else settings.retention_mb * 1024 * 1024
    return Rules(settings.retention_days, most_bytes, settings.limits.probe_days, settings.zone)


def run_retention(work: Work) -> int:
    """Prunes; how many rows went."""
    done = prune(work.engine, work.settings.journal_dir, rules_of(work.settings), work.now_us, work.progress)
    return done.calls + done.probes + done.rejects


def plan_retention(work: Work) -> str:
    """What it would prune."""
    return would_prune(work.engine, rules_of(work.settings), work.now_us).sentence("would prune")


def run_backup(work: Work) -> int:
    """Makes a backup, restores it beside, proves that it is right, and lets the oldest ones go; how many are kept."""
    assert work.settings.backups is not None
    folder = Path(work.settings.backups.dir).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    stamp = datetime.fromtimestamp(work.now_us / 1e6, UTC).strftime("%Y%m%dT%H%M%S")
    file = folder / f"callmeter-{stamp}.tar"
    if not file.exists():
        backup(work.settings, file, work.now_us)
    try_backup(work.settings, file, work.now_us)
    _clear(folder, work.now_us)
    made = sorted(path for path in folder.iterdir() if _BACKUP.fullmatch(path.name))
    for old in made[: -work.settings.backups.keep]:
        old.unlink()
    return min(len(made), work.settings.backups.keep)


def _clear(folder: Path, now_us: int) -> None:
    """Removes what a backup, or its trial, left that was killed a day ago."""
    for path in folder.glob(".callmeter-*"):
        if path.stat().st_mtime < now_us / 1e6 - DAY_S:
            shutil.rmtree(path, ignore_errors=True)


def try_backup(settings: Settings, file: Path, now_us: int) -> None:
    """Restores a backup into a folder that goes away again, takes in its journal and checks its books.

    Raises CallmeterError when they do not agree.
    """
    with TemporaryDirectory(prefix=".callmeter-tried-", dir=file.parent) as folder:
        url = f"sqlite:///{Path(folder) / 'callmeter.db'}"
        tried = msgspec.structs.replace(settings, data_dir=Path(folder), ledger_url=url)
        restore(tried, file)
        engine = open_ledger(tried.ledger_url, create=True)
        try:
            drain(engine, tried.journal_dir, load_book(tried), settings.limits, now_us, settings.zones)
            differences = check(engine, tried.journal_dir)
        finally:
            engine.dispose()
        if differences:
            raise CallmeterError(f"{file} was restored and differs in {len(differences)} places: {differences[0]}")
