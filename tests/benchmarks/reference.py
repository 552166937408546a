"""The reference load into a ledger, through the journal; prints its size on disk. What other benchmarks read.

python -m tests.benchmarks.reference DIR [--calls 1000000]      10,000,000 calls need 20 GB while they are made
"""

import argparse
import os
import sqlite3
import time
from pathlib import Path

from collector.ledger.ingest import drain
from collector.settings import Limits
from tests.benchmarks.journals import END_US, ZONES, new_home, write_journal
from tests.benchmarks.table import Result, show

BYTES_TARGET = 400  # a call with its attempts, indexes and share of cells, at ten million


def make(data_dir: Path, calls: int) -> None:
    """A ledger of the reference load in `data_dir`, unless one of that many calls is there."""
    if _stored(data_dir) == calls:
        return
    began = time.monotonic()
    write_journal(data_dir, calls, opened=False)
    engine, book = new_home(data_dir)
    drained = drain(engine, data_dir / "journal", book, Limits(), END_US, ZONES)
    engine.dispose()
    print(f"{drained.stored:,} calls made and stored in {time.monotonic() - began:,.0f} s in {data_dir}")


def bytes_per_call(data_dir: Path, calls: int) -> float:
    """The size of the ledger's file for each call, after its log has been written back."""
    with sqlite3.connect(data_dir / "callmeter.db") as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return os.path.getsize(data_dir / "callmeter.db") / calls


def _stored(data_dir: Path) -> int:
    if not (data_dir / "callmeter.db").exists():
        return -1
    with sqlite3.connect(data_dir / "callmeter.db") as connection:
        (count,) = connection.execute("SELECT count(*) FROM calls").fetchone()
    return int(count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--calls", type=int, default=1_000_000)
    options = parser.parse_args()
    make(options.directory, options.calls)
    size = bytes_per_call(options.directory, options.calls)
    target = BYTES_TARGET if options.calls >= 10_000_000 else None
    show([Result(f"ledger of {options.calls:,} calls", "bytes a call", size, target, at_most=True)])


if __name__ == "__main__":
    main()
