"""Closing a month, and opening it again: each one transaction, which is on the disk when it is told to be done.

A close stores the month's file with its manifest, and what it added to what had been booked of every usage day. What
is counted or priced differently later is not in that sum, and so becomes lines of the month that is open then.
"""

import zlib
from collections.abc import Collection, Iterable, Iterator

import sqlalchemy as sa
from sqlalchemy import Connection, Engine

from collector.core.errors import UsageError
from collector.core.periods import Period, check_zone, day_bounds
from collector.finance.export import NO_TERMS, Pages, Request, booked_request
from collector.finance.formats import FORMATS
from collector.finance.manifest import Manifest, from_json, to_json
from collector.finance.months import Month, month_at, month_named, month_of
from collector.ledger import engines
from collector.ledger import names as interning
from collector.ledger.questions.ask import Question
from collector.ledger.questions.booked import BEFORE, BY, Books, booked_in, books_of, first_day, stored_manifest, used
from collector.ledger.questions.cells import Source
from collector.ledger.schema import booked, closed_files, closed_pieces, closes
from collector.settings import Finance

STORED_FORMATS = ("csv", "focus")
_PIECE_BYTES = 1 << 20
_KEYS = [column.name for column in booked.primary_key.columns]
_SUMS = [column.name for column in booked.columns if column.name not in _KEYS]


def close(
    engine: Engine,
    zones: Collection[str],
    month: str,
    zone: str | None,
    who: str,
    now_us: int,
    finance: Finance = NO_TERMS,
) -> Manifest:
    """Closes a month, in the zone of the ledger's first close; returns the manifest of the file that was stored.

    `zones` are those that the ledger keeps day cells for. Raises UsageError when the month is not the next one, is not
    over, or when the zone is another one, or where a rate of the report currency is missing.
    """
    with engines.writing(engine).begin() as connection:
        books = books_of(connection)
        asked = month_named(month, _zone(books, zone))
        _check_order(books, asked, now_us)
        if not books.closed:
            _book(connection, zones, BEFORE, asked.period.zone, asked.first_day)
        close_id = _insert(connection, asked, who, now_us)
        _book(connection, zones, close_id, asked.period.zone, asked.end_day)
        for file_format in STORED_FORMATS:
            _store(connection, zones, close_id, booked_request(asked, file_format, finance))
        manifest = from_json(stored_manifest(connection, close_id, STORED_FORMATS[0]) or b"")
    engines.settle_on_disk(engine)
    return manifest


def reopen(engine: Engine, month: str, why: str, who: str, now_us: int) -> None:
    """Opens the last closed month again; its file stays in the ledger's history.

    Raises UsageError when another month, or none, is the last closed one, or where there is no reason.
    """
    reason = " ".join(why.split())[:256]
    if not reason:
        raise UsageError("--reason is empty: write why, such as --reason 'invoice of 2026-10 was wrong'")
    with engines.writing(engine).begin() as connection:
        last = _last(books_of(connection), month)
        told = {
            "reopened_at": now_us,
            "reopened_by": _name(connection, "who", who),
            "reopened_why": _name(connection, "why", reason),
        }
        connection.execute(sa.update(closes).where(closes.c.id == last).values(told))
        is_only = len(books_of(connection).closed) == 0
        gone = [last, BEFORE] if is_only else [last]
        connection.execute(sa.delete(booked).where(booked.c.close.in_(gone)))
    engines.settle_on_disk(engine)


def _zone(books: Books, asked: str | None) -> str:
    if books.zone is None and asked is None:
        raise UsageError("the first close fixes the zone that days are counted in: write --zone, such as --zone UTC")
    if books.zone is not None and asked not in (None, books.zone):
        raise UsageError(f"this ledger closes in {books.zone}, fixed at its first close: {asked!r} cannot be used")
    return check_zone(books.zone or asked or "")


def _check_order(books: Books, month: Month, now_us: int) -> None:
    if books.close_of(month.name):
        raise UsageError(f"{month.name} is closed already: `callmeter reopen {month.name} --reason ...` opens it")
    following = month_of(books.open_day) if books.open_day is not None else month.name
    if month.name != following:
        first, last = books.closed[0].month, books.closed[-1].month
        done = f"{first} is closed" if first == last else f"{first} to {last} are closed"
        raise UsageError(f"months close in order, and {done}: the next one is {following}, not {month.name}")
    if month.period.end_us > now_us:
        running = month_at(now_us, month.period.zone)
        raise UsageError(f"{month.name} is not over: {running} is running in {month.period.zone}; close a past month")


def _last(books: Books, month: str) -> int:
    if not books.closed:
        raise UsageError(f"{month[:20]!r} cannot be opened: no month is closed")
    last = books.closed[-1]
    if last.month != month:
        raise UsageError(f"{month[:20]!r} cannot be opened: the last closed month is {last.month}, which comes first")
    return last.id


def _insert(connection: Connection, month: Month, who: str, now_us: int) -> int:
    row = {
        "month": month.name,
        "zone": month.period.zone,
        "first_day": month.first_day,
        "end_day": month.end_day,
        "closed_at": now_us,
        "closed_by": _name(connection, "who", who),
    }
    return int(connection.execute(sa.insert(closes).values(row).returning(closes.c.id)).scalar_one())


def _book(connection: Connection, zones: Collection[str], close_id: int, zone: str, end_day: int) -> None:
    """Adds what was used before a day, less what has been booked of it, as what a close booked."""
    first = min(first_day(connection, zone), end_day - 1)
    period = Period(day_bounds(first, zone)[0], day_bounds(end_day, zone)[0], zone)
    sides = [_signed(used(period, zones), 1), _signed(booked_in(first, end_day), -1)]
    every = sa.union_all(*sides).subquery("every")
    keys = [every.c[name] for name in _KEYS[1:]]
    sums = [sa.func.sum(every.c[name]).label(name) for name in _SUMS]
    added = sa.select(sa.literal(close_id), *keys, *sums).group_by(*keys).having(sa.or_(*(each != 0 for each in sums)))
    connection.execute(sa.insert(booked).from_select([*_KEYS, *_SUMS], added))


def _signed(source: Source, sign: int) -> Question:
    keys = [source.day.label("day"), *(source.key(name).label(name) for name in (*BY[1:], "price", "reason"))]
    return sa.select(*keys, *((source.table.c[name] * sign).label(name) for name in _SUMS)).where(source.where)


def _store(connection: Connection, zones: Collection[str], close_id: int, request: Request) -> None:
    made = Pages(connection, zones, request, f"callmeter-{request.booked}{FORMATS[request.format].suffix}")
    rows = {"close": close_id, "format": request.format}
    for n, piece in enumerate(_pieces(made)):
        connection.execute(sa.insert(closed_pieces).values(rows | {"n": n, "content": zlib.compress(piece)}))
    connection.execute(sa.insert(closed_files).values(rows | {"manifest": to_json(made.manifest())}))


def _pieces(pages: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces of about _PIECE_BYTES."""
    waiting, size = [], 0
    for page in pages:
        waiting.append(page)
        size += len(page)
        if size >= _PIECE_BYTES:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)


def _name(connection: Connection, kind: str, text: str) -> int:
    return interning.Names().intern(connection, kind, [text])[text]
