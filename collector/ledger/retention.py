"""Prunes old calls, their names, probes and rejects. What they had added to the cells stays, so that `check` proves it.

Every batch is a transaction: rows, their sums, and the digests by which their records are known again change together,
so a prune that was killed is simply continued. Whoever prunes holds the lock of the ingest, batch by batch.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from collector.core.budgets import window
from collector.core.calls import Call
from collector.core.periods import DAY_S, SECOND_US, day_bounds, format_day
from collector.ledger import schema
from collector.ledger.cells import Cells, Progress, intern_zones
from collector.ledger.engines import ledger_path, writing
from collector.ledger.ingest import LOCK_NAME
from collector.ledger.pruned import KNOWN_FROM, ROWS_FROM, id_digest, minute_of, raise_instant
from collector.ledger.questions.booked import first_open_us
from collector.ledger.rows import AT, Row, origin_key
from collector.locks import hold

IDENTITY_DAYS = 400  # digests outlive their rows by so long
LOCK_WAIT_S = 30.0
_ROWS_AT_ONCE = 5_000
_DAY_US = DAY_S * SECOND_US
_PAGES_AT_ONCE = 1_000
_PRUNED_CELLS = {"usage_days": "pruned_days", "health": "pruned_health"}
_decode = msgspec.json.Decoder(Call).decode


class Rules(msgspec.Struct, frozen=True):
    """What is kept: calls for so many days (None: for ever), a ledger of so many bytes, probes for so many days."""

    days: int | None
    most_bytes: int | None
    probe_days: int
    zone: str


class Report(msgspec.Struct):
    """What was pruned, or would be: rows of each kind, the day before which all calls are pruned, bytes given back."""

    calls: int = 0
    probes: int = 0
    rejects: int = 0
    before: int | None = None
    given_back: int = 0

    def sentence(self, done: str) -> str:
        """Such as `pruned 12 calls before 2026-10-01, 3 probes and 0 rejects`."""
        until = f" before {format_day(self.before)}" if self.before is not None else ""
        room = f"; {self.given_back:,} bytes were given back" if self.given_back else ""
        return f"{done} {self.calls:,} calls{until}, {self.probes:,} probes and {self.rejects:,} rejects{room}"


def first_open_day(connection: Connection) -> int | None:
    """The UTC day in which the first month begins that is not closed; None when none ever was.

    When all that were closed are open again, that is where the first of them begins.
    """
    at_us = first_open_us(connection)
    reopened = connection.execute(sa.select(schema.closes).order_by(schema.closes.c.first_day)).first()
    if at_us is None and reopened is not None:
        at_us = day_bounds(reopened.first_day, reopened.zone)[0]
    return None if at_us is None else at_us // _DAY_US


def end_day(rules: Rules, now_us: int, first_open: int | None) -> int:
    """The UTC day before which rows may be pruned at all: neither the running month nor one that is not closed."""
    month = min(window("month", zone, now_us).start_us for zone in ("UTC", rules.zone)) // _DAY_US
    return month if first_open is None else min(month, first_open)


def prune(engine: Engine, journal_dir: Path, rules: Rules, now_us: int, progress: Progress | None = None) -> Report:
    """Prunes what the rules do not keep, and gives the room back. Raises LockHeld when others change calls for long."""
    report, lock = Report(), journal_dir.parent / LOCK_NAME
    today = now_us // _DAY_US
    in_all = would_prune(engine, rules, now_us).calls
    with hold(lock, "ingest", LOCK_WAIT_S), writing(engine).begin() as connection:
        report.rejects = connection.execute(
            sa.delete(schema.rejects).where(_is_old_reject(_rejects_before(connection, rules, today)))
        ).rowcount
    while True:
        with hold(lock, "ingest", LOCK_WAIT_S), writing(engine).begin() as connection:
            until = _until(connection, rules, now_us)
            done = _prune_calls(connection, until, today) if until is not None else 0
        report.calls += done
        if done:
            report.before = until
        if progress is not None:
            progress(report.calls, max(in_all, report.calls))
        if not done:
            break
    with hold(lock, "ingest", LOCK_WAIT_S), writing(engine).begin() as connection:
        report.probes = _prune_probes(connection, (today - rules.probe_days) * _DAY_US)
        if report.calls:
            _prune_names(connection)
        _drop_identities(connection, today - IDENTITY_DAYS)
    report.given_back = give_back(engine)
    return report


def would_prune(engine: Engine, rules: Rules, now_us: int) -> Report:
    """What `prune` would do. How many calls a limit of bytes takes is estimated from their mean size."""
    report, today = Report(), now_us // _DAY_US
    with engine.connect() as connection:
        until = _estimated_until(connection, rules, now_us)
        if until is not None:
            report.calls = _count(connection, schema.calls, schema.calls.c.started_at < until * _DAY_US)
            report.before = until if report.calls else None
        report.probes = _count(connection, schema.attempts, _is_old_probe((today - rules.probe_days) * _DAY_US))
        report.rejects = _count(connection, schema.rejects, _is_old_reject(_rejects_before(connection, rules, today)))
    return report


def _until(connection: Connection, rules: Rules, now_us: int) -> int | None:
    """The UTC day before which rows go next; by size one day at a time, the oldest first."""
    end = end_day(rules, now_us, first_open_day(connection))
    until = None if rules.days is None else min(end, now_us // _DAY_US - rules.days)
    if rules.most_bytes is not None and used_bytes(connection) > rules.most_bytes:
        oldest = connection.execute(sa.select(sa.func.min(schema.calls.c.started_at))).scalar()
        if oldest is not None and oldest // _DAY_US < end:
            until = max(until or 0, oldest // _DAY_US + 1)
    return until


def _estimated_until(connection: Connection, rules: Rules, now_us: int) -> int | None:
    end = end_day(rules, now_us, first_open_day(connection))
    until = None if rules.days is None else min(end, now_us // _DAY_US - rules.days)
    over = used_bytes(connection) - rules.most_bytes if rules.most_bytes is not None else 0
    if over <= 0:
        return until
    day = schema.calls.c.started_at // sa.literal_column(str(_DAY_US))
    by_day = connection.execute(sa.select(day, sa.func.count()).group_by(day).order_by(day)).all()
    each = used_bytes(connection) / max(1, sum(calls for _, calls in by_day))
    for number, calls in by_day:
        if over <= 0 or number >= end:
            break
        over -= calls * each
        until = max(until or 0, number + 1)
    return until


def _prune_calls(connection: Connection, until: int, today: int) -> int:
    """Prunes the oldest calls before a day, a batch of them; how many."""
    calls = schema.calls
    query = sa.select(calls).where(calls.c.started_at < until * _DAY_US).order_by(calls.c.started_at)
    rows = [tuple(row) for row in connection.execute(query.limit(_ROWS_AT_ONCE))]
    if not rows:
        return 0
    ids = [row[0] for row in rows]
    attempts = _of_calls(connection, schema.attempts, ids)
    witnesses = _of_calls(connection, schema.witnesses, ids)
    cells = _cells(connection)
    for row in rows:
        cells.add(row, attempts.get(row[0], []))
    cells.write(connection, _PRUNED_CELLS)
    digests = {digest for row in rows for digest in _digests(row, witnesses.get(row[0], []))}
    connection.exec_driver_sql(
        "INSERT OR IGNORE INTO identities VALUES (?, ?, ?)", [(*digest, today) for digest in sorted(digests)]
    )
    raise_instant(connection, ROWS_FROM, (rows[-1][1] // _DAY_US + 1) * _DAY_US)
    for table, column in _WITH_CALLS:
        connection.exec_driver_sql(f"DELETE FROM {table} WHERE {column} = ?", [(at,) for at in ids])
    return len(rows)


_WITH_CALLS = (("calls", "id"), ("attempts", "call_id"), ("witnesses", "call_id"), ("adjustments", "call_id"))


def _digests(row: Row, witnesses: list[Row]) -> Iterator[tuple[int, int]]:
    """By what the records of a call are known again: id and origin of each."""
    records = [_decode(witness[3]) for witness in witnesses]
    yield id_digest(row[0].hex()), minute_of(row[1])
    if row[AT["origin_key"]] is not None:
        yield row[AT["origin_key"]], minute_of(row[1])
    for record in records:
        yield id_digest(record.id), minute_of(record.started_at)
        if (key := origin_key(record)) is not None:
            yield key, minute_of(record.started_at)


def _of_calls(connection: Connection, table: sa.Table, ids: list[bytes]) -> dict[bytes, list[Row]]:
    found: dict[bytes, list[Row]] = {}
    place = list(table.c.keys()).index("call_id")
    query = sa.select(table).where(table.c.call_id.in_(ids)).order_by(*table.primary_key.columns)
    for row in connection.execute(query):
        found.setdefault(row[place], []).append(tuple(row))
    return found


def _prune_probes(connection: Connection, before_us: int) -> int:
    cells, gone = _cells(connection), 0
    probes = connection.execute(sa.select(schema.attempts).where(_is_old_probe(before_us)))
    while some := probes.fetchmany(_ROWS_AT_ONCE):
        for row in some:
            cells.add_probe(tuple(row))
        gone += len(some)
    cells.write(connection, _PRUNED_CELLS)
    connection.execute(sa.delete(schema.attempts).where(_is_old_probe(before_us)))
    return gone


def _cells(connection: Connection) -> Cells:
    """Day cells in UTC, which is what is kept of pruned rows."""
    return Cells({"UTC": intern_zones(connection, {"UTC"})["UTC"]}, 0, only_days=True)


def _prune_names(connection: Connection) -> None:
    """Names that only pruned calls had; those of users stay while their sums do."""
    for kind, places in _NAMED_BY.items():
        used = " UNION ALL ".join(f'SELECT "{column}" FROM {table} WHERE {where}' for table, column, where in places)
        connection.exec_driver_sql(f"DELETE FROM names WHERE kind = ? AND id NOT IN ({used})", (kind,))


# kind of names of which every call may bring a new one -> where they are used: table, column, of which rows
_NAMED_BY = {
    **{kind: (("calls", kind, f'"{kind}" IS NOT NULL'),) for kind in ("session", "tags", "plan")},
    "user": (
        ("calls", "user", '"user" IS NOT NULL'),
        ("user_days", "user", "1"),
        ("day_totals", "value", f"dimension = {schema.DIMENSION_CODES['user']}"),
    ),
}


def _rejects_before(connection: Connection, rules: Rules, today: int) -> int | None:
    """The UTC day before which rejects go: by age, and by size before any call does; None: they stay."""
    if rules.most_bytes is not None and used_bytes(connection) > rules.most_bytes:
        return today
    return None if rules.days is None else today - rules.days


def _drop_identities(connection: Connection, before_day: int) -> None:
    """Forgets digests of rows that were pruned long ago; older calls are refused from then on."""
    is_old = schema.identities.c.day < before_day
    newest = connection.execute(sa.select(sa.func.max(schema.identities.c.minute)).where(is_old)).scalar()
    if newest is not None:
        connection.execute(sa.delete(schema.identities).where(is_old))
        raise_instant(connection, KNOWN_FROM, (newest // 1440 + 1) * _DAY_US)


def _is_old_probe(before_us: int) -> sa.ColumnElement[bool]:
    return sa.and_(schema.attempts.c.probe == 1, schema.attempts.c.started_at < before_us)


def _is_old_reject(before_day: int | None) -> sa.ColumnElement[bool]:
    if before_day is None:
        return sa.false()
    s = schema.segments.c
    return schema.rejects.c.segment.in_(sa.select(s.id).where(s.ended_at < before_day * _DAY_US))


def _count(connection: Connection, table: sa.Table, where: sa.ColumnElement[bool]) -> int:
    return connection.execute(sa.select(sa.func.count()).select_from(table).where(where)).scalar_one()


def used_bytes(connection: Connection) -> int:
    """The bytes of the ledger that hold something."""
    pages, free, size = (_pragma(connection, name) for name in ("page_count", "freelist_count", "page_size"))
    return (pages - free) * size


def give_back(engine: Engine) -> int:
    """Gives free pages back to the disk; how many bytes. A ledger that cannot do so yet is written anew once."""
    path = ledger_path(engine.url.render_as_string())
    if path is None:
        return 0
    raw = engine.raw_connection()
    try:
        cursor = raw.cursor()
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        before = path.stat().st_size
        free = _asked(cursor, "freelist_count")
        if _asked(cursor, "auto_vacuum") != 2:
            _write_anew(cursor, path, free)
        for _ in range(0, free, _PAGES_AT_ONCE):
            cursor.execute(f"PRAGMA incremental_vacuum({_PAGES_AT_ONCE})").fetchall()
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        cursor.close()
    finally:
        raw.close()
    return max(0, before - path.stat().st_size)


def _write_anew(cursor: Any, path: Path, free: int) -> None:
    """Only where a fifth of the file is free and the disk has room for two more copies."""
    if free * 5 < _asked(cursor, "page_count") or shutil.disk_usage(path.parent).free < 2 * path.stat().st_size:
        return
    cursor.execute("PRAGMA temp_store = FILE")
    cursor.execute("PRAGMA auto_vacuum = INCREMENTAL")
    cursor.execute("VACUUM")
    cursor.execute("PRAGMA temp_store = MEMORY")


def _pragma(connection: Connection, name: str) -> int:
    return int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())


def _asked(cursor: Any, name: str) -> int:
    return int(cursor.execute(f"PRAGMA {name}").fetchone()[0])
