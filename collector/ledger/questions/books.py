"""What became of every call that was accepted: accepted = stored + merged + open + waiting + rejected, per source."""

import sys
from pathlib import Path

import msgspec
from sqlalchemy import Engine, func, select

from collector.ledger import journal
from collector.ledger.journal import Open, Reject, Whole
from collector.ledger.questions.ask import AnyRow, Question, rows
from collector.ledger.schema import names, open_calls, segments, uncounted

_PIECE_BYTES = 1 << 20
Tails = dict[str, tuple[int, int | None]]  # segment -> up to where it was read, and the writer's count there


class Account(msgspec.Struct, frozen=True):
    """One source's calls. `rejected` could not be read or stored; `uncounted` were let pass and are in no other count.

    `accepted` is the writers' own count; it equals the sum of the others but `uncounted`, or the books are wrong.
    """

    source: str
    accepted: int
    stored: int
    merged: int
    open: int
    waiting: int
    rejected: int
    uncounted: int
    is_more: bool = False  # the journal was not read to its end: at least so many were accepted and wait

    @property
    def told(self) -> int:
        """The accepted calls of which is known what became of them."""
        return self.stored + self.merged + self.open + self.waiting + self.rejected


def counts() -> Question:
    """One row for each segment: name, source, position, accepted, stored, merged, rejected, open, uncounted, ended_at.

    In calls; calls that the writer counted and no line tells of are rejected ones.
    """
    s = segments.c
    opened = select(func.count()).where(open_calls.c.segment == s.id).scalar_subquery()
    passed = select(func.coalesce(func.sum(uncounted.c.calls), 0)).where(uncounted.c.segment == s.id)
    return (
        select(
            s.name,
            names.c.name.label("source"),
            s.position,
            s.accepted,
            s.stored,
            s.merged,
            (s.rejected + s.missing).label("rejected"),
            opened.label("open"),
            passed.scalar_subquery().label("uncounted"),
            s.ended_at,
        )
        .join(names, names.c.id == s.source)
        .order_by(s.id)
    )


def account(
    engine: Engine | None, journal_dir: Path, tails: Tails | None = None, most_bytes: int = sys.maxsize
) -> list[Account]:
    """The account of every source, in order of name. The journal is read beyond what is in the ledger.

    `engine` None: nothing is in a ledger yet. `tails`, kept by who asks again and again, spares reading twice: the
    journal is read on each time, `most_bytes` at most.
    """
    tails, reading = {} if tails is None else tails, _Reading(most_bytes)
    known = {row.name: row for row in rows(engine, counts())} if engine is not None else {}
    waiting = {
        name: _waiting(journal_dir / name, row, tails, reading) for name, row in known.items() if row.ended_at is None
    }
    by_source: dict[str, list[int]] = {}
    for name, row in known.items():
        waits = waiting.get(name, 0)
        told = [row.accepted + waits, row.stored, row.merged, row.open, waits, row.rejected, row.uncounted]
        _add(by_source, row.source, told)
    for path in journal.segments(journal_dir):
        if path.name not in known:
            waits = _last_count(path, 0, tails, reading) or 0
            _add(by_source, journal.segment_source(path), [waits, 0, 0, 0, waits, 0, 0])
    return [_told(source, numbers, reading.left <= 0) for source, numbers in sorted(by_source.items())]


def _told(source: str, numbers: list[int], is_more: bool) -> Account:
    accepted, stored, merged, opened, waits, rejected, passed = numbers
    return Account(source, accepted, stored, merged, opened, waits, rejected, passed, is_more)


def counted_beyond(path: Path, position: int) -> int | None:
    """The writer's count at the end of a segment; None when no call is told of from a position on."""
    return _counted(path, position, None, _Reading(sys.maxsize))[0]


class _Reading(msgspec.Struct):
    """How many bytes of the journal may still be read."""

    left: int


def _counted(path: Path, position: int, last: int | None, reading: _Reading) -> tuple[int | None, int]:
    """The writer's count where reading a segment ended, and where that is."""
    while reading.left > 0:
        try:
            chunk = journal.read(path, position, _PIECE_BYTES)
        except FileNotFoundError:
            return last, position
        for _, record in chunk.records:
            if isinstance(record, Open | Whole | Reject):
                last = record.n
        if not chunk.records:
            break
        reading.left -= chunk.end - position
        position = chunk.end
    return last, position


def _last_count(path: Path, position: int, tails: Tails, reading: _Reading) -> int | None:
    """The writer's count at the end of a segment, read on from where it was read before."""
    end, last = tails.get(path.name, (0, None))
    if end < position:
        end, last = position, None
    last, end = _counted(path, end, last, reading)
    tails[path.name] = end, last
    return last


def _waiting(path: Path, row: AnyRow, tails: Tails, reading: _Reading) -> int:
    last = _last_count(path, row.position, tails, reading)
    return 0 if last is None else max(0, last - row.accepted)


def _add(by_source: dict[str, list[int]], source: str, numbers: list[int]) -> None:
    before = by_source.get(source, [0] * len(numbers))
    by_source[source] = [a + b for a, b in zip(before, numbers, strict=True)]
