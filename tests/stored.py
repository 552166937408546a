"""A ledger with calls in it: through the journal and ingest, as every call goes."""

import atexit
import shutil
from collections.abc import Collection, Iterable
from functools import lru_cache
from pathlib import Path
from tempfile import mkdtemp

from sqlalchemy import Engine

from collector.core.calls import Call
from collector.core.prices import PriceBook, PriceSet
from collector.core.prices.book import Files
from collector.core.prices.names import Names
from collector.ledger.engines import open_ledger
from collector.ledger.ingest import drain
from collector.ledger.journal import Writer
from collector.settings import Limits

NOW_US = 1_795_000_000_000_000  # November 2026
ZONES = ("UTC", "Europe/Berlin")
SETS = (
    PriceSet(model="m", prices={"input": 10_000_000, "output": 30_000_000, "images_in": 14_450_000_000}, source="test",
             images="per image"),
    PriceSet(model="m", provider="dear", prices={"input": 20_000_001, "output": 60_000_007}, source="test"),
    PriceSet(model="free", prices={"input": 0, "output": 0}, source="test"),
)  # fmt: skip
BOOK = PriceBook([Files("test", SETS, Names())])


def store(
    folder: Path,
    calls: Iterable[Call],
    zones: Collection[str] = ZONES,
    book: PriceBook = BOOK,
    now_us: int = NOW_US,
) -> Engine:
    """The ledger of `folder`, made where it is absent, with these calls in it."""
    path = folder / "callmeter.db"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_template(), path)
    engine = open_ledger(f"sqlite:///{path}")
    journal = folder / "journal"
    journal.mkdir(exist_ok=True)
    writer = Writer(journal, "test", fsync="interval")
    for call in calls:
        writer.whole(call)
    writer.stop()
    drain(engine, journal, book, Limits(), now_us, zones)
    return engine


@lru_cache
def _template() -> Path:
    """An empty ledger, migrated once for all tests of a process."""
    folder = mkdtemp(prefix="callmeter-test-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = Path(folder) / "empty.db"
    engine = open_ledger(f"sqlite:///{path}", create=True)
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    engine.dispose()
    return path
