"""What the journal holds and the ledger does not yet: the calls that no number on a screen can include."""

import sys
from collections.abc import Collection, Iterator
from pathlib import Path

import msgspec
from sqlalchemy import Engine, func, select

from collector.core.calls import Call
from collector.ledger import journal
from collector.ledger.journal.records import Close, Open, Reject, Whole
from collector.ledger.questions.ask import Question, rows
from collector.ledger.schema import open_calls, segments

_PIECE_BYTES = 1 << 18


class Waiting(msgspec.Struct, frozen=True):
    """In calls: `open` are running, or their end is not in the ledger yet; `waiting` are in the journal only."""

    open: int
    waiting: int
    is_more: bool = False  # the journal was not read to its end


def open_now() -> Question:
    """One row: open, the calls that have begun and whose end the ledger does not know."""
    return select(func.count().label("open")).select_from(open_calls)


def waiting(engine: Engine, journal_dir: Path, most_bytes: int) -> Waiting:
    """What is not in the ledger yet, reading `most_bytes` of the journal at most."""
    done = {row.name: row for row in rows(engine, select(segments.c.name, segments.c.position, segments.c.ended_at))}
    found, left = 0, most_bytes
    for path in journal.segments(journal_dir):
        row = done.get(path.name)
        if row is None or row.ended_at is None:
            count, read = _beyond(path, row.position if row else 0, left)
            found, left = found + count, left - read
    return Waiting(rows(engine, open_now())[0].open, found, left <= 0)


def find_waiting(engine: Engine | None, journal_dir: Path, name: str, most_bytes: int) -> Call | None:
    """The call of an id, ours or its provider's, as the journal tells it beyond what is in the ledger.

    A running call is found as it was opened. `engine` None: nothing is in a ledger yet. Reads `most_bytes` at most, of
    the newest segments.
    """
    done = rows(engine, select(segments.c.name, segments.c.position)) if engine is not None else ()
    known = {row.name: row.position for row in done}
    found: Call | None = None
    for path in reversed(journal.segments(journal_dir)):
        for record in _records(path, known.get(path.name, 0), most_bytes):
            if isinstance(record, Open | Close | Whole) and name in (record.call.id, record.call.origin_id):
                found = record.call
        most_bytes -= path.stat().st_size if path.exists() else 0
        if found is not None or most_bytes <= 0:
            return found
    return None


def find_all_waiting(engine: Engine | None, journal_dir: Path, ids: Collection[str]) -> dict[str, Call]:
    """The calls of our own ids as the journal tells them last, beyond what is in the ledger; it is read once."""
    done = rows(engine, select(segments.c.name, segments.c.position)) if engine is not None else ()
    known = {row.name: row.position for row in done}
    found: dict[str, Call] = {}
    for path in journal.segments(journal_dir):
        for record in _records(path, known.get(path.name, 0), sys.maxsize):
            if isinstance(record, Open | Close | Whole) and record.call.id in ids:
                found[record.call.id] = record.call
    return found


def _records(path: Path, position: int, most_bytes: int) -> Iterator[object]:
    at = position
    while at - position < most_bytes:
        try:
            chunk = journal.read(path, at, _PIECE_BYTES)
        except FileNotFoundError:
            return
        if not chunk.records:
            return
        yield from (record for _, record in chunk.records)
        at = chunk.end


def _beyond(path: Path, position: int, most_bytes: int) -> tuple[int, int]:
    """The calls that a segment tells of from a position on, and the bytes read; a segment that is gone has none."""
    found, at = 0, position
    while at - position < most_bytes:
        try:
            chunk = journal.read(path, at, _PIECE_BYTES)
        except FileNotFoundError:
            return 0, 0
        if not chunk.records:
            break
        found += sum(isinstance(record, Open | Whole | Reject) for _, record in chunk.records)
        at = chunk.end
    return found, at - position
