"""Jobs of the books themselves: drain, day cells of a new zone, check."""

import time

from sqlalchemy import func, select

from collector.core.errors import CallmeterError, LockHeld
from collector.finance.books import booked_differences
from collector.jobs.work import Work
from collector.ledger.book import load_book
from collector.ledger.cells import count_some, declare
from collector.ledger.check import check
from collector.ledger.engines import writing
from collector.ledger.ingest import drain
from collector.ledger.questions.ask import declared_zones
from collector.ledger.schema import calls
from collector.ledger.touched import WHOLE, begin_proof, end_proof

LOCK_WAIT_S = 10.0
PAUSE_S = 0.2  # SQLite looks every 0.1 s whether it gets the lock that others had


def run_drain(work: Work) -> int:
    """Stores what is journalled. While another process drains there is nothing left to do here."""
    book, settings = load_book(work.settings), work.settings
    deadline = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            done = drain(
                work.engine, settings.journal_dir, book, settings.limits, now_us=work.now_us, zones=settings.zones
            )
            return int(done.stored + done.merged)
        except LockHeld:
            if time.monotonic() > deadline:
                return 0
            time.sleep(0.2)


def run_check(work: Work) -> int:
    """Proves the days that changed since the last proof, and closed months; how many days. A difference fails the job.

    The first proof, and every one of the command `callmeter check`, is of the whole ledger.
    """
    touched = begin_proof(work.engine)
    differences = check(work.engine, work.settings.journal_dir, work.progress, touched)
    differences += booked_differences(work.engine, declared_zones(work.engine))
    if differences:
        raise CallmeterError(f"{len(differences)} differences, first: {differences[0]}: run `callmeter check`")
    end_proof(work.engine)
    return sum(span.end - span.first for span in touched if span != WHOLE)


def has_new_zone(work: Work) -> bool:
    """Whether a zone is set of which not all day cells are there."""
    return not work.settings.zones <= declared_zones(work.engine)


def run_declare(work: Work) -> int:
    """Makes the day cells of the zones that are set, some at a time: others write in between. Of how many calls."""
    with writing(work.engine).begin() as connection:
        declare(connection, work.settings.zones)
        in_all = connection.execute(select(func.count()).select_from(calls)).scalar_one()
    done = 0
    while has_new_zone(work):
        with writing(work.engine).begin() as connection:
            done += count_some(connection)
        if work.progress is not None:
            work.progress(done, max(done, in_all))
        time.sleep(PAUSE_S)
    return done
