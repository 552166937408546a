"""The journal becomes the ledger: rows, cells and the journal's position change together, in one transaction a batch.

Twice is once: a batch that was not committed is read again, one that was is behind the position.
"""

import gc
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from collector.core.calls import Call
from collector.core.errors import InputError
from collector.core.outcomes import Outcome
from collector.core.prices import PriceBook
from collector.ledger import engines, journal, schema
from collector.ledger.journal import Beside, Close, Open, Record, Reject, Uncounted, Unreadable, Whole
from collector.ledger.names import Names
from collector.ledger.priced import PriceSets
from collector.ledger.rollups import Cells, declare, raise_floor
from collector.ledger.settle import Desk, settle
from collector.ledger.told import store_told
from collector.locks import hold
from collector.settings import Limits

Records = Sequence[tuple[int, Record | Unreadable]]

LOCK_NAME = "ingest.lock"  # beside the journal: one process at a time changes calls
_BYTES_PER_CALL = 4096  # of the journal, amply: how much is read at once, so that most batches are full
_MAX_REJECT_BYTES = 65_536
_encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(Call)
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


class _Account(msgspec.Struct):
    """The counts of a segment, as its row in `segments` keeps them."""

    id: int
    position: int = 0
    accepted: int = 0
    stored: int = 0
    merged: int = 0
    rejected: int = 0
    missing: int = 0


class _Sorted(msgspec.Struct):
    """The records of a batch by what is to be done with them."""

    arrivals: list[Call] = []
    places: list[int] = []  # of the arrivals, in the file
    opened: dict[str, tuple[int, Call]] = {}
    closed: list[str] = []
    rejects: list[tuple[int, int | None, str, bytes]] = []
    uncounted: list[tuple[int, Uncounted]] = []
    beside: list[tuple[int, Beside]] = []


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
        return Drained(0, 0, 0, _count_open(engine), 0)
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
            self._zones = declare(connection, {"UTC", *zones})
            self._floor = raise_floor(connection, now_us)

    def run(self, journal_dir: Path) -> Drained:
        for path in journal.segments(journal_dir):
            if self._stop():
                break
            with _collecting_later():
                self._segment(path)
        stored, merged, rejected, batches = self._sums
        return Drained(stored, merged, rejected, _count_open(self._engine), batches)

    def _segment(self, path: Path) -> None:
        """Reads a segment on from its position; of a writer that is gone, to the end, and then deletes it."""
        account, has_ended = self._account(path)
        is_abandoned = journal.is_abandoned(path)
        torn = journal.cut_tail(path) if is_abandoned and not has_ended else b""
        while not has_ended:
            chunk = journal.read(path, account.position, self._limits.batch_calls * _BYTES_PER_CALL)
            if not chunk.records:
                break
            for records, end in _batches(chunk, self._limits.batch_calls):
                self._store(account, records, end)
                if self._stop():
                    return
        if is_abandoned and not has_ended:
            self._end(account, torn)
        if is_abandoned:
            engines.settle_on_disk(self._engine)
            path.unlink()

    def _account(self, path: Path) -> tuple[_Account, bool]:
        """The counts of a segment, and whether it is in the ledger to its end."""
        query = sa.select(schema.segments).where(schema.segments.c.name == path.name)
        with self._engine.connect() as connection:
            stored = connection.execute(query).mappings().first()
        found: Mapping[str, Any] = dict(stored) if stored else self._new_account(path)
        account = _Account(**{name: found[name] for name in _Account.__struct_fields__})
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

    def _store(self, account: _Account, records: Records, end: int) -> None:
        """One batch in one transaction. If a record makes it fail, the batch is halved until that one is found."""
        try:
            self._commit(account, records, end)
        except _BAD_RECORD as error:
            if len(records) == 1:
                self._commit(account, records, end, refusal=f"cannot be stored: {error}")
                return
            half = len(records) // 2
            self._store(account, records[:half], min(records[half][0], end))
            self._store(account, records[half:], end)

    def _commit(self, account: _Account, records: Records, end: int, refusal: str | None = None) -> None:
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

    def _committed(self, account: _Account, after: _Account) -> None:
        self._names.committed()
        self._price_sets.committed()
        before = (account.stored, account.merged, account.rejected + account.missing)
        now = (after.stored, after.merged, after.rejected + after.missing)
        self._sums = [total + b - a for total, a, b in zip(self._sums, (*before, 0), (*now, 1), strict=True)]
        for name in _Account.__struct_fields__:
            setattr(account, name, getattr(after, name))

    def _take(self, connection: Connection, account: _Account, records: Records, refusal: str | None) -> None:
        found = _sorted(account, self._open_ids(connection, account, records), records)
        if refusal is not None:
            _refuse(account, found, refusal)
        self._settle(connection, account, found)
        self._tell(connection, found)
        _write_open_calls(connection, account, found)
        _write_rejects(connection, account, found.rejects)
        _write_uncounted(connection, account, found.uncounted)
        _write_account(connection, account)

    def _settle(self, connection: Connection, account: _Account, found: _Sorted) -> None:
        if not found.arrivals:
            return
        key = connection.execute(sa.insert(schema.batches), {"stored_at": self._now_us}).inserted_primary_key
        cells = Cells(self._zones, self._floor)
        desk = Desk(connection, self._book, self._names, self._price_sets, cells, key[0] if key else 0)
        settled = settle(desk, found.arrivals)
        cells.write(connection)
        account.stored += settled.stored
        account.merged += settled.merged
        account.rejected += len(settled.rejected)
        for place, reason in settled.rejected.items():
            text = _encode(found.arrivals[place])[:_MAX_REJECT_BYTES]
            found.rejects.append((found.places[place], None, reason, text))

    def _tell(self, connection: Connection, found: _Sorted) -> None:
        if found.beside:
            cells = Cells(self._zones, self._floor)
            store_told(connection, self._names, cells, [record.told for _, record in found.beside])
            cells.write(connection)

    def _open_ids(self, connection: Connection, account: _Account, records: Records) -> set[str]:
        """Of the calls that these records close, those that are open in the ledger."""
        closes = [record.call.id for _, record in records if isinstance(record, Close)]
        opens = schema.open_calls.c
        query = sa.select(opens.call_id).where(opens.segment == account.id)
        return {row.call_id.hex() for row in connection.execute(query)} if closes else set()

    def _end(self, account: _Account, torn: bytes) -> None:
        """The writer is gone: what is still open was interrupted, and the segment has ended."""
        opens = schema.open_calls.c
        with self._engine.connect() as connection:
            query = sa.select(opens.record).where(opens.segment == account.id).order_by(opens.call_id)
            left = [_decoder.decode(row.record) for row in connection.execute(query)]
        interrupted = [Close(msgspec.structs.replace(call, outcome=Outcome.INTERRUPTED)) for call in left]
        end = account.position
        for at in range(0, len(interrupted), self._limits.batch_calls):
            some = interrupted[at : at + self._limits.batch_calls]
            self._store(account, [(end + 1 + at + n, close) for n, close in enumerate(some)], end)
        with self._engine.begin() as connection:
            if torn:
                _write_rejects(connection, account, [(end, None, "torn: its writer died while it wrote it", torn)])
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


def _batches(chunk: journal.Chunk, size: int) -> Iterator[tuple[Records, int]]:
    """Pieces of a chunk, of `size` calls that end in them or fewer, each with the position that follows it."""
    records = chunk.records
    start = calls = 0
    for at, (_, record) in enumerate(records):
        if calls == size or at - start == 2 * size:
            yield records[start:at], records[at][0]
            start, calls = at, 0
        calls += not isinstance(record, Open)
    yield records[start:], chunk.end


def _sorted(account: _Account, were_open: set[str], records: Records) -> _Sorted:
    """The records where they belong, and counted: `n` is what the writer accepted, gaps in it are missing."""
    found = _Sorted()
    for at, record in records:
        if isinstance(record, Close):
            if found.opened.pop(record.call.id, None) is None:
                _close_earlier(account, found, were_open, record.call.id)
        elif isinstance(record, Open):
            _accept(account, record.n)
            found.opened[record.call.id] = (at, record.call)
            continue
        elif isinstance(record, Whole):
            _accept(account, record.n)
        else:
            _sort_other(account, found, at, record)
            continue
        found.arrivals.append(record.call)
        found.places.append(at)
    return found


def _sort_other(account: _Account, found: _Sorted, at: int, record: Record | Unreadable) -> None:
    if isinstance(record, Unreadable):
        found.rejects.append((at, None, record.reason, record.raw[:_MAX_REJECT_BYTES]))
    elif isinstance(record, Uncounted):
        found.uncounted.append((at, record))
    elif isinstance(record, Beside):
        found.beside.append((at, record))
    elif isinstance(record, Reject):
        _accept(account, record.n)
        account.rejected += 1
        found.rejects.append((at, record.line, record.reason, record.text.encode()))


def _accept(account: _Account, n: int) -> None:
    account.missing += max(0, n - account.accepted - 1)
    account.accepted = max(account.accepted, n)


def _close_earlier(account: _Account, found: _Sorted, were_open: set[str], call_id: str) -> None:
    """A close whose opening could not be read is a call that was counted as missing, or not counted yet."""
    if call_id in were_open:
        were_open.discard(call_id)
        found.closed.append(call_id)
    elif account.missing:
        account.missing -= 1
    else:
        account.accepted += 1


def _refuse(account: _Account, found: _Sorted, reason: str) -> None:
    """Lists what was to be stored instead. A call whose opening is refused is missing until its close tells of it."""
    for at, call in zip(found.places, found.arrivals, strict=True):
        found.rejects.append((at, None, reason, _encode(call)[:_MAX_REJECT_BYTES]))
        account.rejected += 1
    for at, call in found.opened.values():
        found.rejects.append((at, None, reason, _encode(call)[:_MAX_REJECT_BYTES]))
        account.missing += 1
    for at, record in found.beside:
        found.rejects.append((at, None, reason, _encode(record)[:_MAX_REJECT_BYTES]))
    found.arrivals, found.places, found.opened, found.beside = [], [], {}, []


def _write_open_calls(connection: Connection, account: _Account, found: _Sorted) -> None:
    if found.opened:
        rows = [
            {"call_id": bytes.fromhex(call.id), "segment": account.id, "record": _encode(call)}
            for _, call in found.opened.values()
        ]
        connection.execute(sa.insert(schema.open_calls), rows)
    if found.closed:
        ids = [(bytes.fromhex(call_id),) for call_id in found.closed]
        connection.exec_driver_sql("DELETE FROM open_calls WHERE call_id = ?", ids)


def _write_rejects(
    connection: Connection, account: _Account, rejects: Sequence[tuple[int, int | None, str, bytes]]
) -> None:
    for at, line, reason, text in rejects:
        row = {"segment": account.id, "position": at, "line": line, "reason": reason, "text": text}
        connection.execute(sa.insert(schema.rejects).prefix_with("OR REPLACE"), row)


def _write_uncounted(connection: Connection, account: _Account, some: Sequence[tuple[int, Uncounted]]) -> None:
    for at, told in some:
        row = {"segment": account.id, "position": at, "calls": told.count, "since": told.since, "until": told.until}
        connection.execute(sa.insert(schema.uncounted), row)


def _write_account(connection: Connection, account: _Account) -> None:
    counts: dict[str, Any] = msgspec.structs.asdict(account)
    connection.execute(sa.update(schema.segments).where(schema.segments.c.id == counts.pop("id")).values(**counts))


def _count_open(engine: Engine) -> int:
    with engine.connect() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(schema.open_calls)).scalar_one()
