"""The journal becomes the ledger: rows, cells and the journal's position change together, in one transaction a batch.

Twice is once: a batch that was not committed is read again, one that was is behind the position.
"""

import gc
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from collector.core.errors import InputError, TooDear
from collector.core.outcomes import Outcome
from collector.core.prices import PriceBook
from collector.ledger import engines, journal, schema
from collector.ledger.ceiling import refuse_dear_days
from collector.ledger.cells import count_some, declare, kept, raise_floor
from collector.ledger.ingest.account import Account
from collector.ledger.ingest.sorting import MAX_REJECT_BYTES, Records, Sorted, refuse, sort, without_amounts
from collector.ledger.ingest.writing import count_open, open_calls, open_ids, write_beside, write_rejects
from collector.ledger.journal import Close, Whole
from collector.ledger.names import Names
from collector.ledger.priced import PriceSets
from collector.ledger.settle import Desk, settle
from collector.ledger.told import store_told
from collector.locks import hold
from collector.settings import Limits

LOCK_NAME = "ingest.lock"  # beside the journal: one process at a time changes calls
_encode = msgspec.json.Encoder().encode
# What one bad record can cause. Anything else, such as a full disk, is no record's fault and ends the drain.
_BAD_RECORD = (
    InputError,
    ValueError,
    TypeError,
    OverflowError,
    sa.exc.IntegrityError,
    sa.exc.DataError,
    sa.exc.InterfaceError,
    sa.exc.ProgrammingError,
)


class Drained(NamedTuple):
    """What a drain did, in calls: `open` is how many are open in the ledger now."""

    stored: int
    merged: int
    rejected: int
    open: int
    batches: int


def drain(
    engine: Engine,
    journal_dir: Path,
    book: PriceBook,
    limits: Limits,
    now_us: int,
    zones: Collection[str] = ("UTC",),
    stop: Callable[[], bool] | None = None,
) -> Drained:
    """Takes everything that the journal holds into the ledger, and deletes segments that are in it and have ended.

    `stop` is asked between batches. Raises LockHeld while another process drains this journal.
    """
    if not journal_dir.is_dir():
        return Drained(0, 0, 0, count_open(engine), 0)
    with hold(journal_dir.parent / LOCK_NAME, "ingest"):
        return _Drain(engine, book, limits, now_us, zones, stop or (lambda: False)).run(journal_dir)


class _Drain:
    """One drain: the memories that outlast a batch, and the sums it returns."""

    def __init__(
        self,
        engine: Engine,
        book: PriceBook,
        limits: Limits,
        now_us: int,
        zones: Collection[str],
        stop: Callable[[], bool],
    ) -> None:
        self._engine = engines.writing(engine)
        self._book = book
        self._limits = limits
        self._now_us = now_us
        self._stop = stop
        self._names = Names()
        self._price_sets = PriceSets()
        self._sums = [0, 0, 0, 0]  # stored, merged, rejected, batches
        with self._engine.begin() as connection:
            declare(connection, {"UTC", *zones})
            count_some(connection)
            raise_floor(connection, now_us)

    def run(self, journal_dir: Path) -> Drained:
        for path in journal.segments(journal_dir):
            if self._stop():
                break
            with _collecting_later():
                self._segment(path)
        stored, merged, rejected, batches = self._sums
        return Drained(stored, merged, rejected, count_open(self._engine), batches)

    def _segment(self, path: Path) -> None:
        """Reads a segment on from its position; of a writer that is gone, to the end, and then deletes it."""
        account, has_ended = self._account(path)
        is_abandoned = journal.is_abandoned(path)
        torn = journal.cut_tail(path) if is_abandoned and not has_ended else b""
        for records, end in () if has_ended else journal.batches(path, account.position, self._limits.batch_calls):
            self._store(account, records, end)
            if self._stop():
                return
        if is_abandoned and not has_ended:
            self._end(account, torn)
        if is_abandoned:
            engines.settle_on_disk(self._engine)
            path.unlink()

    def _account(self, path: Path) -> tuple[Account, bool]:
        """The counts of a segment, and whether it is in the ledger to its end."""
        query = sa.select(schema.segments).where(schema.segments.c.name == path.name)
        with self._engine.connect() as connection:
            stored = connection.execute(query).mappings().first()
        found: Mapping[str, Any] = dict(stored) if stored else self._new_account(path)
        account = Account(**{name: found[name] for name in Account.__struct_fields__})
        return account, found.get("ended_at") is not None

    def _new_account(self, path: Path) -> Mapping[str, Any]:
        source = journal.segment_source(path)
        counts = dict.fromkeys(("position", "accepted", "stored", "merged", "rejected", "missing"), 0)
        with self._engine.begin() as connection:
            ids = self._names.intern(connection, "source", [source])
            row = counts | {"name": path.name, "source": ids[source]}
            key = connection.execute(sa.insert(schema.segments), row).inserted_primary_key
        self._names.committed()
        return {"id": key[0] if key else 0, **row}

    def _store(self, account: Account, records: Records, end: int) -> None:
        """One batch in one transaction. If a record makes it fail, the batch is halved until that one is found."""
        try:
            self._commit(account, records, end)
        except _BAD_RECORD as error:
            if len(records) == 1:
                self._store_last(account, records, end, error)
                return
            half = len(records) // 2
            self._store(account, records[:half], min(records[half][0], end))
            self._store(account, records[half:], end)

    def _store_last(self, account: Account, records: Records, end: int, error: Exception) -> None:
        """The one record that made a batch fail: without the amount that is too much for its day; else it is listed."""
        ((at, record),) = records
        if isinstance(error, TooDear) and isinstance(record, Close | Whole):
            for each in without_amounts(record):
                with suppress(TooDear):
                    self._commit(account, [(at, each)], end)
                    return
        self._commit(account, records, end, refusal=f"cannot be stored: {error}")

    def _commit(self, account: Account, records: Records, end: int, refusal: str | None = None) -> None:
        """`refusal` is why the only one of these records is counted and listed, and not stored."""
        after = msgspec.structs.replace(account, position=end)
        try:
            with self._engine.begin() as connection:
                self._take(connection, after, records, refusal)
        except BaseException:
            self._names.rolled_back()
            self._price_sets.rolled_back()
            raise
        self._committed(account, after)

    def _committed(self, account: Account, after: Account) -> None:
        self._names.committed()
        self._price_sets.committed()
        before = (account.stored, account.merged, account.rejected + account.missing)
        now = (after.stored, after.merged, after.rejected + after.missing)
        self._sums = [total + b - a for total, a, b in zip(self._sums, (*before, 0), (*now, 1), strict=True)]
        for name in Account.__struct_fields__:
            setattr(account, name, getattr(after, name))

    def _take(self, connection: Connection, account: Account, records: Records, refusal: str | None) -> None:
        has_closes = any(isinstance(record, Close) for _, record in records)
        found = sort(account, open_ids(connection, account) if has_closes else set(), records)
        if refusal is not None:
            refuse(account, found, refusal)
        self._settle(connection, account, found)
        self._tell(connection, found)
        write_beside(connection, account, found)

    def _settle(self, connection: Connection, account: Account, found: Sorted) -> None:
        if not found.arrivals:
            return
        key = connection.execute(sa.insert(schema.batches), {"stored_at": self._now_us}).inserted_primary_key
        cells = kept(connection)
        desk = Desk(connection, self._book, self._names, self._price_sets, cells, key[0] if key else 0)
        settled = settle(desk, found.arrivals)
        cells.write(connection)
        refuse_dear_days(connection, [call.started_at for call in found.arrivals])
        account.stored += settled.stored
        account.merged += settled.merged
        account.rejected += len(settled.rejected)
        for place, reason in settled.rejected.items():
            text = _encode(found.arrivals[place])[:MAX_REJECT_BYTES]
            found.rejects.append((found.places[place], None, reason, text))

    def _tell(self, connection: Connection, found: Sorted) -> None:
        if found.beside:
            cells = kept(connection)
            store_told(connection, self._names, cells, [record.told for _, record in found.beside])
            cells.write(connection)

    def _end(self, account: Account, torn: bytes) -> None:
        """The writer is gone: what is still open was interrupted, and the segment has ended."""
        with self._engine.connect() as connection:
            left = open_calls(connection, account)
        interrupted = [Close(msgspec.structs.replace(call, outcome=Outcome.INTERRUPTED)) for call in left]
        end = account.position
        for at in range(0, len(interrupted), self._limits.batch_calls):
            some = interrupted[at : at + self._limits.batch_calls]
            self._store(account, [(end + 1 + at + n, close) for n, close in enumerate(some)], end)
        with self._engine.begin() as connection:
            if torn:
                write_rejects(connection, account, [(end, None, "torn: its writer died while it wrote it", torn)])
            ended = sa.update(schema.segments).where(schema.segments.c.id == account.id)
            connection.execute(ended.values(ended_at=self._now_us))


@contextmanager
def _collecting_later() -> Iterator[None]:
    """A segment makes many values and no cycles: looking for cycles while they live takes a tenth of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
